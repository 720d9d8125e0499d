//! The hash chain over history: which bytes of a row are covered, and how links are joined.
//!
//! `hash = SHA-256(seq, kind, previous hash, digest)`, and `digest` is SHA-256 over every column
//! of the history rows that the link stands for. Rows are kept here as raw column values, so a
//! verification hashes what is stored, not what it was parsed into.

use sha2::{Digest, Sha256};

use crate::encode::Encoder;
use crate::model::Head;

/// A SHA-256.
pub(crate) type Hash = [u8; 32];

/// What a link stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LinkKind {
    /// One row of `decisions`.
    Decision,
    /// A batch of rows of `attempts`.
    Attempts,
    /// One row of `events`.
    Event,
}

impl LinkKind {
    /// As stored.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Decision => "decision",
            Self::Attempts => "attempts",
            Self::Event => "event",
        }
    }

    /// From storage.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Decision, Self::Attempts, Self::Event]
            .into_iter()
            .find(|kind| kind.word() == word)
    }
}

/// The end of the chain while it grows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tip {
    /// Number of the newest link; 0 for none.
    pub seq: i64,
    /// Its hash.
    pub hash: Hash,
}

impl Tip {
    /// The end of a chain without links.
    pub(crate) const EMPTY: Self = Self {
        seq: 0,
        hash: [0; 32],
    };

    /// The tip after one more link.
    pub(crate) fn next(&self, kind: LinkKind, digest: &Hash) -> Self {
        let seq = self.seq.saturating_add(1);
        let mut link = Encoder::new("tidegate/link/1");
        link.int(seq)
            .text(kind.word())
            .bytes(&self.hash)
            .bytes(digest);
        Self {
            seq,
            hash: sha256(&link),
        }
    }

    /// As callers see it.
    pub(crate) fn head(&self) -> Head {
        Head {
            length: u64::try_from(self.seq).unwrap_or(0),
            hash: hex::encode(self.hash),
        }
    }
}

/// Who did something, in columns.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct RawActor {
    pub actor: Option<String>,
    pub operator: Option<String>,
    pub client: Option<String>,
}

impl RawActor {
    fn encode(&self, out: &mut Encoder) {
        out.maybe_text(self.actor.as_deref())
            .maybe_text(self.operator.as_deref())
            .maybe_text(self.client.as_deref());
    }
}

/// A row of `decisions`, in columns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct RawDecision {
    pub app: i64,
    pub stream: String,
    pub generation: i64,
    pub verb: String,
    pub until_ms: Option<i64>,
    pub held: bool,
    pub by: RawActor,
    pub reason: Option<String>,
    pub at_ms: i64,
    pub request_id: Option<i64>,
}

impl RawDecision {
    /// Covers every column.
    pub(crate) fn digest(&self) -> Hash {
        let mut out = Encoder::new("tidegate/decision/1");
        out.int(self.app)
            .text(&self.stream)
            .int(self.generation)
            .text(&self.verb)
            .maybe_int(self.until_ms)
            .int(i64::from(self.held));
        self.by.encode(&mut out);
        out.maybe_text(self.reason.as_deref())
            .int(self.at_ms)
            .maybe_int(self.request_id);
        sha256(&out)
    }
}

/// A row of `attempts`, in columns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct RawAttempt {
    pub app: i64,
    pub stream: String,
    pub target: i64,
    pub generation: i64,
    pub at_ms: i64,
    pub result: String,
    pub vendor_request_id: String,
    pub words: String,
}

/// Covers every column of every row of a batch, in order.
pub(crate) fn attempts_digest<'a>(rows: impl IntoIterator<Item = &'a RawAttempt>) -> Hash {
    let mut out = Encoder::new("tidegate/attempts/1");
    for row in rows {
        out.int(row.app)
            .text(&row.stream)
            .int(row.target)
            .int(row.generation)
            .int(row.at_ms)
            .text(&row.result)
            .text(&row.vendor_request_id)
            .text(&row.words);
    }
    sha256(&out)
}

/// A row of `events`, in columns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct RawEvent {
    pub verb: String,
    pub by: RawActor,
    pub detail: String,
    pub at_ms: i64,
    pub request_id: Option<i64>,
}

impl RawEvent {
    /// Covers every column.
    pub(crate) fn digest(&self) -> Hash {
        let mut out = Encoder::new("tidegate/event/1");
        out.text(&self.verb);
        self.by.encode(&mut out);
        out.text(&self.detail)
            .int(self.at_ms)
            .maybe_int(self.request_id);
        sha256(&out)
    }
}

fn sha256(bytes: &Encoder) -> Hash {
    Sha256::digest(bytes.as_bytes()).into()
}

//! The rows of the ledger as values.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_core::clock::Mark;
use tidegate_core::placement::Observed;
use tidegate_core::{
    Actor, AppId, Block, Generation, Outcome, RequestId, Secret, StreamKey, UnixMs,
};

/// A tenant with all its live secrets, opened.
#[derive(Clone, Debug)]
pub struct App {
    /// Its id.
    pub id: AppId,
    /// A name for people.
    pub name: String,
    /// RTMP app name of its origin target; unique among Apps.
    pub rtmp_app: String,
    /// A disabled App authenticates nobody and carries no stream.
    pub disabled: bool,
    /// When it was made.
    pub created: UnixMs,
    /// What a publish URL needs.
    pub publish_auth: PublishAuth,
    /// Whether a nonce is bound to one request (design section 4) or may be used again.
    pub bind_nonces: bool,
    /// Length of a forbid that gives no end through the Server API; `None`: the configured one.
    pub default_forbid: Option<Duration>,
    /// One or two live ServerSecrets, newest first.
    pub server_secrets: Vec<LiveSecret>,
    /// Signs callbacks.
    pub callback_secret: Secret,
    /// Signs publish URLs.
    pub publish_key: Secret,
    /// Also accepted in publish URLs.
    pub publish_key_backup: Option<Secret>,
}

/// A ServerSecret and how long it is still good.
#[derive(Clone, Debug)]
pub struct LiveSecret {
    /// The secret.
    pub secret: Secret,
    /// When it stops being accepted; `None` for the current one.
    pub expires: Option<UnixMs>,
}

/// What a publish URL needs to be accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PublishAuth {
    /// Nothing.
    None,
    /// A signature by one of the documented recipes.
    Signed,
}

/// Where a target is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vendor {
    /// Tidegate's own media server.
    Origin,
    /// Wangsu.
    Ws,
    /// Alibaba Cloud.
    Aliyun,
    /// Tencent Cloud.
    Tencent,
    /// Huawei Cloud.
    Huawei,
}

impl Vendor {
    /// The `CdnType` on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::Ws => "ws",
            Self::Aliyun => "aliyun",
            Self::Tencent => "tencent",
            Self::Huawei => "huawei",
        }
    }

    /// From the `CdnType` on the wire; exact spelling.
    pub fn parse(word: &str) -> Option<Self> {
        [
            Self::Origin,
            Self::Ws,
            Self::Aliyun,
            Self::Tencent,
            Self::Huawei,
        ]
        .into_iter()
        .find(|vendor| vendor.word() == word)
    }
}

impl fmt::Display for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Where an App's streams live on one CDN.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Target {
    /// Row id.
    pub id: i64,
    /// Whose.
    pub app: AppId,
    /// Which CDN.
    pub vendor: Vendor,
    /// Publish domain; empty for the origin, which answers under every name.
    pub publish_domain: String,
    /// RTMP app name there.
    pub rtmp_app: String,
}

/// Ties a nonce to one request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NonceUse {
    /// The nonce as sent.
    pub nonce: String,
    /// SHA-256 over the method-independent content of the request (action and parameters).
    pub digest: [u8; 32],
    /// When it may be forgotten.
    pub expires: UnixMs,
}

/// A bound nonce, as stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NonceRecord {
    /// Whose.
    pub app: AppId,
    /// The nonce and what it is bound to.
    pub used: NonceUse,
    /// RequestId of the request that bound it.
    pub request_id: RequestId,
    /// The stream it decided on.
    pub key: StreamKey,
    /// The decision it carried.
    pub generation: Generation,
    /// The answer that was given, once saved.
    pub answer: Option<String>,
}

/// What was answered to the request that bound a nonce.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SavedAnswer {
    /// Whose nonce.
    pub app: AppId,
    /// The nonce.
    pub nonce: String,
    /// The answer, verbatim.
    pub answer: String,
}

/// What [`crate::Ledger::decide`] did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Bound {
    /// A new decision, committed.
    Fresh(Decided),
    /// The very same request was decided before; nothing was written.
    Replay(NonceRecord),
    /// The nonce belongs to a different request; nothing was written.
    NonceTaken,
}

/// A committed decision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decided {
    /// Its number on its stream.
    pub generation: Generation,
    /// What it did.
    pub outcome: Outcome,
    /// The App's targets that it has to reach, with their state after the commit. The origin
    /// is accepted by the commit itself: it has no other memory than this ledger.
    pub placements: Vec<Placement>,
}

/// One stream on one target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Placement {
    /// The target.
    pub target: Target,
    /// The generation it should be at.
    pub wanted: Generation,
    /// The newest generation it accepted.
    pub accepted: Option<Generation>,
    /// When it accepted that.
    pub accepted_at: Option<UnixMs>,
    /// What was last seen of the stream there; the origin is looked at directly instead.
    pub observed: Option<Observed>,
}

/// A decision as history keeps it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DecisionRecord {
    /// The stream.
    pub key: StreamKey,
    /// Its number there.
    pub generation: Generation,
    /// `forbid`, `resume`, `lapse` (a scheduled end), `confirm` (a held resume let go).
    pub verb: String,
    /// End of the block it set, if it set one; `UnixMs::LAST` or later: until lifted.
    pub until: Option<UnixMs>,
    /// Who; `None` for a lapse.
    pub by: Option<Actor>,
    /// Why.
    pub reason: Option<String>,
    /// When.
    pub at: UnixMs,
    /// The request that carried it; `None` for a lapse.
    pub request_id: Option<RequestId>,
}

/// How one call to a CDN ended, or what a look there showed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AttemptResult {
    /// The CDN took it.
    Accepted,
    /// It did not.
    Failed,
    /// Not a call but a look: the stream was seen off the air.
    Dark,
    /// Not a call but a look: the stream was seen on the air.
    Live,
}

/// One call to a CDN, or one look that showed something else than the one before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// The stream.
    pub key: StreamKey,
    /// The target's row id.
    pub target: i64,
    /// The decision it carried.
    pub generation: Generation,
    /// When it ended.
    pub at: UnixMs,
    /// How.
    pub result: AttemptResult,
    /// The CDN's own request id; empty for the origin.
    pub vendor_request_id: String,
    /// The CDN's own words.
    pub words: String,
}

/// Everything known of one stream.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StreamStatus {
    /// The block in force.
    pub block: Option<Block>,
    /// Where it stands on each target; empty before the first decision.
    pub placements: Vec<Placement>,
    /// The newest decisions, newest first, at most 20.
    pub decisions: Vec<DecisionRecord>,
    /// The newest attempts, newest first, at most 20.
    pub attempts: Vec<Attempt>,
}

/// Clock readings kept across restarts.
pub type ClockMark = Mark;

/// Resumes are held since a backup was restored.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct RestoreHold {
    /// When it was restored.
    pub restored_at: UnixMs,
}

/// The end of the hash chain.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Head {
    /// Number of the newest link, from 1; 0 for an empty chain.
    pub length: u64,
    /// Its hash, lower-case hex; 64 zeros for an empty chain.
    pub hash: String,
}

/// How far somebody has followed a ledger.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cursor {
    /// The end of the chain as seen.
    pub head: Head,
    /// Rises whenever an App, a secret or a target changes.
    pub revision: u64,
}

/// What happened after a [`Cursor`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Changes {
    /// Streams that were decided on, each once, as they stand after all of it.
    pub streams: Vec<Change>,
    /// Apps, secrets or targets changed.
    pub apps: bool,
    /// Something happened to the ledger as a whole: a restore, or its confirmation.
    pub events: bool,
    /// The history that was followed is not in the ledger: everything has to be loaded again, and
    /// `streams` is empty.
    pub replaced: bool,
    /// Where to go on.
    pub next: Cursor,
    /// There is more to read at once.
    pub more: bool,
}

/// A stream that was decided on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// The stream.
    pub key: StreamKey,
    /// Its block; `None`: it is open.
    pub block: Option<Block>,
    /// Its newest decision.
    pub generation: Generation,
}

/// What a verification of the chain found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Every link holds; carries the head.
    Intact(Head),
    /// Carries what is wrong and where.
    Broken(String),
}

//! One look at one URL, whatever its kind: bounds in, verdict out.

use std::time::Duration;

use reqwest::Url;
use tidegate_core::UnixMs;
use tidegate_core::probe::Look;
use tokio::time::{Instant, timeout_at};

use crate::http::{Http, is_inner};
use crate::template::Kind;
use crate::{flv, hls, rtmp, words};

/// With fewer bytes than this no kind of look can come to a verdict.
const LEAST_BYTES: u64 = 32 << 10;

/// Bounds of a look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// To a connection, TLS included.
    pub connect_timeout: Duration,
    /// From the first step to the verdict.
    pub total: Duration,
    /// Most bytes read in one look, whatever its budget. At least 32 KiB.
    pub max_bytes: u64,
    /// Redirects followed.
    pub max_redirects: usize,
    /// Longest wait before an HLS playlist is fetched again for the first time; less where its
    /// target duration is shorter.
    pub reload_wait: Duration,
}

impl Default for Options {
    /// 3 s to connect, 10 s in all, 512 KiB, 3 redirects, 6 s before a playlist is fetched again.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            total: Duration::from_secs(10),
            max_bytes: 512 << 10,
            max_redirects: 3,
            reload_wait: Duration::from_secs(6),
        }
    }
}

/// Why there is no [`Looker`].
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LookerError {
    /// A time of zero would end every look before it begins.
    #[error("{0} is zero; it must be more")]
    Zero(&'static str),
    /// Too few bytes for any verdict.
    #[error("max_bytes is {0}; it must be at least {LEAST_BYTES}")]
    TooFewBytes(u64),
    /// TLS could not be set up.
    #[error("the HTTP client cannot be set up: {0}")]
    Setup(String),
}

/// Makes looks. Cheap to clone; many looks may run at once. It looks at no proxy in the
/// environment, keeps no cookies and no connections.
#[derive(Clone, Debug)]
pub struct Looker {
    http: Http,
    options: Options,
}

/// What a look came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Looked {
    /// The verdict.
    pub look: Look,
    /// Why, in plain words: at most 300 characters, fit for a terminal, without queries.
    pub words: String,
    /// Bytes read: bodies, and heads as they come over HTTP/1.1; not TLS and TCP around them.
    pub bytes: u64,
    /// The server's own time, from the `Date` of its first answer.
    pub date: Option<UnixMs>,
}

/// Verdict and reason before the words are made fit to be shown.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) look: Look,
    pub(crate) words: String,
}

impl Verdict {
    pub(crate) fn new(look: Look, words: impl Into<String>) -> Self {
        let words = words.into();
        Self { look, words }
    }

    pub(crate) fn spent() -> Self {
        Self::new(Look::NoAnswer, "the byte budget was spent before a verdict")
    }
}

/// A look under way.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) deadline: Instant,
    pub(crate) date: Option<UnixMs>,
    /// Whether redirects and playlists may name loopback and link-local addresses: only where the
    /// URL itself does.
    pub(crate) may_go_inside: bool,
    budget: u64,
    bytes: u64,
}

impl Run {
    pub(crate) fn new(options: &Options, budget: u64, may_go_inside: bool) -> Self {
        let now = Instant::now();
        Self {
            deadline: now.checked_add(options.total).unwrap_or(now),
            date: None,
            may_go_inside,
            budget: budget.min(options.max_bytes),
            bytes: 0,
        }
    }

    /// Bytes that may still be read.
    pub(crate) fn left(&self) -> u64 {
        self.budget.saturating_sub(self.bytes)
    }

    pub(crate) fn spend(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// What `future` gives, unless the deadline comes first.
    pub(crate) async fn in_time<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        timeout_at(self.deadline, future).await.ok()
    }
}

impl Looker {
    /// Sets up TLS with the system's roots.
    pub fn new(options: Options) -> Result<Self, LookerError> {
        for (what, time) in [
            ("connect_timeout", options.connect_timeout),
            ("total", options.total),
            ("reload_wait", options.reload_wait),
        ] {
            if time.is_zero() {
                return Err(LookerError::Zero(what));
            }
        }
        if options.max_bytes < LEAST_BYTES {
            return Err(LookerError::TooFewBytes(options.max_bytes));
        }
        let http = Http::new(&options)?;
        Ok(Self { http, options })
    }

    /// The bounds it keeps.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Looks at `url` once, within `total` and the lesser of `budget_bytes` and `max_bytes`. Never
    /// fails: what goes wrong is [`Look::NoAnswer`] with words.
    ///
    /// Media over FLV are two frames whose timestamps differ, over RTMP one frame; sequence
    /// headers and metadata are none. Media over HLS is a playlist that moves.
    pub async fn look(&self, url: &str, kind: Kind, budget_bytes: u64) -> Looked {
        let mut run = Run::new(&self.options, budget_bytes, false);
        let verdict = self.judge(&mut run, url, kind).await;
        Looked {
            look: verdict.look,
            words: words::clean(&verdict.words, url),
            bytes: run.bytes,
            date: run.date,
        }
    }

    async fn judge(&self, run: &mut Run, url: &str, kind: Kind) -> Verdict {
        if run.budget < LEAST_BYTES {
            let words = format!(
                "not looked: {} bytes are left of the budget, a look needs {LEAST_BYTES}",
                run.budget
            );
            return Verdict::new(Look::NoAnswer, words);
        }
        if kind == Kind::Rtmp {
            return Box::pin(rtmp::look(run, url, self.options.connect_timeout)).await;
        }
        let url = match Url::parse(url) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => url,
            _ => return Verdict::new(Look::NoAnswer, "not looked: this is no http:// URL"),
        };
        run.may_go_inside = is_inner(&url);
        match kind {
            Kind::Flv => Box::pin(flv::look(&self.http, run, url)).await,
            _ => Box::pin(hls::look(&self.http, run, url, self.options.reload_wait)).await,
        }
    }
}

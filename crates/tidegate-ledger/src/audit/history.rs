//! The history rows as stored, a window of links at a time, from whatever holds them.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use async_trait::async_trait;

use super::Stop;
use crate::chain::{RawAttempt, RawDecision, RawEvent};

/// A row of `chain`.
pub(crate) struct StoredLink {
    pub kind: String,
    pub digest: Vec<u8>,
    pub hash: Vec<u8>,
}

/// A row of `blocks`.
pub(crate) struct StoredBlock {
    pub app: i64,
    pub stream: String,
    pub generation: i64,
    pub since_ms: i64,
    pub until_ms: i64,
    pub held_resume: Option<i64>,
}

/// A history row that no link can have.
pub(crate) struct Stray {
    pub what: String,
    pub link: i64,
}

/// All rows that belong to a range of links.
pub(crate) struct Window {
    pub from: i64,
    pub to: i64,
    pub links: HashMap<i64, StoredLink>,
    pub decisions: HashMap<i64, RawDecision>,
    pub events: HashMap<i64, RawEvent>,
    pub attempts: HashMap<i64, Vec<RawAttempt>>,
}

impl Window {
    /// The links in it.
    pub(super) fn range(&self) -> RangeInclusive<i64> {
        self.from..=self.to
    }

    /// What a link stands for, for people.
    pub(super) fn describe(&self, seq: i64) -> String {
        if let Some(row) = self.decisions.get(&seq) {
            return format!(
                "the {:?} on {}/{} (generation {})",
                row.verb, row.app, row.stream, row.generation
            );
        }
        if let Some(row) = self.events.get(&seq) {
            return format!("the event {:?}", row.verb);
        }
        "a batch of attempts".to_owned()
    }
}

/// One consistent view of a ledger's rows.
#[async_trait]
pub(crate) trait History: Send {
    /// Number of the newest link.
    async fn last_link(&mut self) -> Result<i64, Stop>;

    /// One history row, or link, with a number below 1 or above `last`.
    async fn stray(&mut self, last: i64) -> Result<Option<Stray>, Stop>;

    /// The links `from` to `to` and their rows.
    async fn window(&mut self, from: i64, to: i64) -> Result<Window, Stop>;

    /// Whether resumes are held.
    async fn held(&mut self) -> Result<bool, Stop>;

    /// The standing blocks.
    async fn blocks(&mut self) -> Result<Vec<StoredBlock>, Stop>;

    /// Whether the triggers are there that keep history append-only.
    async fn append_only(&mut self) -> Result<bool, Stop>;
}

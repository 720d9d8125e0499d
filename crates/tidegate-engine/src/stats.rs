//! Counters of the engine, read by the metrics page.

use std::sync::atomic::{AtomicU64, Ordering};

/// Monotonic counters since start.
#[derive(Default, Debug)]
pub struct Stats {
    /// Forbids recorded.
    pub forbids: Counter,
    /// Resumes recorded.
    pub resumes: Counter,
    /// Scheduled ends carried out.
    pub lapses: Counter,
    /// Decisions that the ledger refused.
    pub unrecorded: Counter,
    /// Repeats answered from memory or the ledger.
    pub replays: Counter,
    /// Streams seen live past the deadline after a CDN accepted their ban.
    pub still_live: Counter,
    /// Attempts that could not be queued for recording.
    pub attempts_lost: Counter,
}

/// One counter.
#[derive(Default, Debug)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn bump(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The count.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

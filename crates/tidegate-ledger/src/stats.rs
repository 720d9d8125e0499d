//! Figures of the writer, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counters that the writer keeps. Reading them costs an atomic load each.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub commits: AtomicU64,
    pub failed_commits: AtomicU64,
    pub operations: AtomicU64,
    pub decisions: AtomicU64,
    pub last_commit_us: AtomicU64,
    pub largest_batch: AtomicU64,
    pub checkpoints: AtomicU64,
}

/// How many operations wait, by lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Queued {
    /// Forbids.
    pub takedown: usize,
    /// Resumes, scheduled ends and confirmations.
    pub release: usize,
    /// Everything that a person or a starting server waits for.
    pub rest: usize,
    /// What may wait a few milliseconds for company: answers, attempts, clock marks, probes.
    pub patient: usize,
}

/// What the writer did since the ledger was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Transactions on disk, one fsync each.
    pub commits: u64,
    /// Transactions that could not be committed.
    pub failed_commits: u64,
    /// Operations in committed transactions.
    pub operations: u64,
    /// Decisions among them.
    pub decisions: u64,
    /// How long the newest commit took.
    pub last_commit: Duration,
    /// Operations in the largest transaction.
    pub largest_batch: u64,
    /// Checkpoints of the write-ahead log.
    pub checkpoints: u64,
    /// Operations that wait.
    pub queued: Queued,
}

impl Counters {
    /// A snapshot; the counters are read one by one.
    pub(crate) fn snapshot(&self, queued: Queued) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            commits: get(&self.commits),
            failed_commits: get(&self.failed_commits),
            operations: get(&self.operations),
            decisions: get(&self.decisions),
            last_commit: Duration::from_micros(get(&self.last_commit_us)),
            largest_batch: get(&self.largest_batch),
            checkpoints: get(&self.checkpoints),
            queued,
        }
    }

    pub(crate) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }
}

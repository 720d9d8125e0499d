//! What CDNs say to a decision within the time that its answer waits.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidegate_core::Generation;
use tidegate_ledger::Vendor;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::decide::{ResultWord, TargetResult};

/// The results of one decision, one for each target at a vendor.
pub(crate) struct Gather {
    told: Mutex<Vec<Told>>,
    changed: Notify,
    deadline: Instant,
}

struct Told {
    result: TargetResult,
    settled: bool,
}

/// The place of one target in a [`Gather`].
#[derive(Clone)]
pub(crate) struct Slot {
    gather: Arc<Gather>,
    index: usize,
    pub(crate) target: i64,
    pub(crate) generation: Generation,
}

impl Gather {
    /// Waits for nobody yet.
    pub(crate) fn new(answer_within: Duration) -> Arc<Self> {
        Arc::new(Self {
            told: Mutex::default(),
            changed: Notify::new(),
            deadline: Instant::now() + answer_within,
        })
    }

    /// A place for one more target.
    pub(crate) fn slot(
        self: &Arc<Self>,
        vendor: Vendor,
        target: i64,
        generation: Generation,
    ) -> Slot {
        let mut told = self.told.lock();
        told.push(Told {
            result: TargetResult {
                vendor,
                result: ResultWord::Pending,
                words: "recorded; no answer yet".to_owned(),
            },
            settled: false,
        });
        Slot {
            gather: Arc::clone(self),
            index: told.len() - 1,
            target,
            generation,
        }
    }

    /// Waits until all is settled, at most until the deadline; then tells what is known.
    pub(crate) async fn results(&self) -> Vec<TargetResult> {
        loop {
            let changed = self.changed.notified();
            if self.told.lock().iter().all(|told| told.settled) {
                break;
            }
            if timeout_at(self.deadline, changed).await.is_err() {
                break;
            }
        }
        let told = self.told.lock();
        told.iter().map(|told| told.result.clone()).collect()
    }
}

impl Slot {
    /// The last word.
    pub(crate) fn settle(&self, result: ResultWord, words: String) {
        self.tell(result, words, true);
    }

    /// What there is to say so far. `next`: how long until anything can change; past the deadline
    /// there is no use in waiting for it.
    pub(crate) fn note(&self, words: String, next: Duration) {
        let left = self
            .gather
            .deadline
            .saturating_duration_since(Instant::now());
        let settled = next >= left;
        self.tell(ResultWord::Pending, words, settled);
    }

    /// Whether anybody still waits.
    pub(crate) fn is_open(&self) -> bool {
        let told = self.gather.told.lock();
        told.get(self.index).is_some_and(|told| !told.settled)
            && Instant::now() < self.gather.deadline
    }

    fn tell(&self, result: ResultWord, words: String, settled: bool) {
        if let Some(told) = self.gather.told.lock().get_mut(self.index) {
            told.result.result = result;
            told.result.words = words;
            told.settled = settled;
        }
        if settled {
            self.gather.changed.notify_one();
        }
    }
}

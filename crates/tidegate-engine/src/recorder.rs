//! Attempts and answers on their way to the ledger.
//!
//! Neither may delay a decision: they are queued in memory and written about once a second, and
//! once more at the stop. What a crash takes is rebuilt: the origin's state from the blocks, an
//! answer from the placements.

use std::time::Duration;

use parking_lot::Mutex;
use tidegate_ledger::{Attempt, SavedAnswer};
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::stats::Stats;

const EVERY: Duration = Duration::from_secs(1);
/// Longest queue while the ledger is away; about 40 MB.
const MOST: usize = 100_000;
/// Rows of one operation: attempts under one link of the chain, or answers.
const BATCH: usize = 256;

#[derive(Default)]
pub(crate) struct Recorder {
    attempts: Mutex<Vec<Attempt>>,
    answers: Mutex<Vec<SavedAnswer>>,
}

impl Recorder {
    pub(crate) fn attempt(&self, attempt: Attempt, stats: &Stats) {
        let mut attempts = self.attempts.lock();
        if attempts.len() < MOST {
            attempts.push(attempt);
        } else {
            stats.attempts_lost.bump();
        }
    }

    pub(crate) fn answer(&self, answer: SavedAnswer) {
        let mut answers = self.answers.lock();
        if answers.len() < MOST {
            answers.push(answer);
        }
    }
}

impl Engine {
    pub(crate) async fn record(&self, shutdown: &CancellationToken) {
        while !shutdown.is_cancelled() {
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = shutdown.cancelled() => {}
            }
            self.flush().await;
        }
    }

    async fn flush(&self) {
        let attempts = std::mem::take(&mut *self.recorder.attempts.lock());
        let mut rest = attempts.as_slice();
        while !rest.is_empty() {
            let (batch, after) = rest.split_at(rest.len().min(BATCH));
            if let Err(error) = self.ledger().record_attempts(batch.to_vec()).await {
                self.ledger_failed(&error);
                let mut queue = self.recorder.attempts.lock();
                queue.splice(0..0, rest.iter().cloned());
                break;
            }
            rest = after;
        }
        let answers = std::mem::take(&mut *self.recorder.answers.lock());
        for batch in answers.chunks(BATCH) {
            // Lost, they are rebuilt from the placements when the same requests come again.
            if self.ledger().save_answers(batch.to_vec()).await.is_err() {
                break;
            }
        }
    }
}

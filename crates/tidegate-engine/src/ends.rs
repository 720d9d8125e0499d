//! Scheduled ends, and the clock that they depend on.
//!
//! Level-triggered on the ledger: the loop asks for blocks that are due, whoever recorded them,
//! and a failure only means that they are due again. An end is carried out late rather than early,
//! and not at all while the clock is suspect or resumes are held.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tidegate_core::{Block, StreamKey, UnixMs, Until};
use tidegate_ledger::LedgerError;
use tokio_util::sync::CancellationToken;

use crate::alarms::AlarmKind;
use crate::engine::Engine;

/// How often the clock is judged.
const TICK: Duration = Duration::from_secs(1);
/// Ticks between clock readings kept in the ledger, which also show that it can be written.
const MARK_EVERY: u32 = 30;
/// Ticks between looks at the ledger while no known end is near.
const LOOK_EVERY: u32 = 60;
/// Ticks between two purges of expired nonces.
const PURGE_EVERY: u32 = 3600;
/// Ticks between tries to write while the ledger is known to fail.
const PROBE_EVERY: u32 = 3;
/// Ends carried out between two looks at the clock.
const BATCH: usize = 256;

impl Engine {
    pub(crate) async fn carry_out_ends(&self, shutdown: &CancellationToken) {
        let mut tick = 0u32;
        while !shutdown.is_cancelled() {
            let believed = self.judge_clock();
            self.write_regularly(tick, believed.is_some()).await;
            if tick.is_multiple_of(LOOK_EVERY) {
                self.next_end.store(i64::MIN, Ordering::Relaxed);
            }
            let mut sleep = TICK;
            if let Some(now) = believed {
                self.end_unrecorded(now);
                if let Err(error) = self.end_due(now).await {
                    self.ledger_failed(&error);
                }
                sleep = self.until_next_end(now);
            }
            tokio::select! {
                () = tokio::time::sleep(sleep) => tick = tick.wrapping_add(1),
                () = self.end_added.notified() => {}
                () = shutdown.cancelled() => {}
            }
        }
        let _ = self.ledger().set_clock_mark(self.clock.mark()).await;
    }

    /// A recorded block ends at `until`: wake for it.
    pub(crate) fn expect_end(&self, until: Until) {
        if let Until::At(at) = until
            && at.0 < self.next_end.fetch_min(at.0, Ordering::Relaxed)
        {
            self.end_added.notify_one();
        }
    }

    fn until_next_end(&self, now: UnixMs) -> Duration {
        let next = UnixMs(self.next_end.load(Ordering::Relaxed));
        now.until(next).clamp(Duration::from_millis(1), TICK)
    }

    /// The wall clock if it can be believed. Ends are judged by this reading and no later one, so
    /// that no jump slips in between.
    fn judge_clock(&self) -> Option<UnixMs> {
        match self.clock.judge() {
            Ok(now) => {
                self.alarms().clear(AlarmKind::ClockSuspect);
                Some(now)
            }
            Err(why) => {
                let text = format!(
                    "{why}; scheduled ends are held: set the clock right, or vouch for it with \
                     `tidegate clock accept`"
                );
                self.alarms()
                    .raise(AlarmKind::ClockSuspect, self.now(), text);
                None
            }
        }
    }

    async fn write_regularly(&self, tick: u32, trusted: bool) {
        if tick.is_multiple_of(PURGE_EVERY) {
            // Looking at the live ones forgets the others; a failure is met again below.
            let _ = self.ledger().live_nonces(self.now()).await;
        }
        let failing = self.alarms().stands(AlarmKind::LedgerUnavailable);
        let written = if failing && tick.is_multiple_of(PROBE_EVERY) {
            self.ledger().probe().await
        } else if trusted && tick.is_multiple_of(MARK_EVERY) {
            self.ledger().set_clock_mark(self.clock.mark()).await
        } else {
            return;
        };
        match written {
            Ok(()) => self.ledger_works(),
            Err(error) => self.ledger_failed(&error),
        }
    }

    fn end_unrecorded(&self, now: UnixMs) {
        for key in self.blocks().lapse_unrecorded(now) {
            tracing::info!(app_id = key.app.0, stream = %key.stream, "unrecorded forbid ended");
        }
        self.note_unrecorded();
    }

    async fn end_due(&self, now: UnixMs) -> Result<(), LedgerError> {
        if self.next_end.load(Ordering::Relaxed) > now.0 {
            return Ok(());
        }
        if self.ledger().restore_hold().await?.is_some() {
            return Ok(());
        }
        // Ends recorded from here on lower it again; what the look below finds is merged in.
        self.next_end.store(i64::MAX, Ordering::Relaxed);
        let looked = self.ledger().due_ends(now, BATCH).await;
        let (due, next) =
            looked.inspect_err(|_| self.next_end.store(i64::MIN, Ordering::Relaxed))?;
        if let Some(next) = next {
            self.next_end.fetch_min(next.0, Ordering::Relaxed);
        }
        for (key, block) in due {
            let ended = self.end(key, &block, now).await;
            ended.inspect_err(|_| self.next_end.store(i64::MIN, Ordering::Relaxed))?;
        }
        Ok(())
    }

    async fn end(&self, key: StreamKey, block: &Block, now: UnixMs) -> Result<(), LedgerError> {
        let _no_restore = self.restoring.read().await;
        let lapsed = self
            .ledger()
            .lapse(key.clone(), block.generation, now)
            .await?;
        self.ledger_works();
        if let Some(generation) = lapsed {
            self.blocks().opened(&key, generation, None);
            self.stats().lapses.bump();
            tracing::info!(app_id = key.app.0, stream = %key.stream, generation = generation.0,
                "block ended as scheduled: publishing is allowed again");
            self.cdns.wake(&key, HashMap::new());
        }
        Ok(())
    }
}

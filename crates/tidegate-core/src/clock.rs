//! Whether the wall clock can be believed (design invariant 12).
//!
//! The wall clock is compared with one that only counts, time since boot, and with the `Date`
//! headers of the vendors. The shell samples and listens; here it is decided what that means. While
//! they disagree, scheduled ends are held.

mod dates;

use std::time::Duration;

use crate::time::UnixMs;
use dates::Dates;

/// Furthest that the clocks may drift apart before the wall clock is suspect.
pub const TOLERANCE: Duration = Duration::from_secs(300);

/// One reading of both clocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sample {
    /// Wall clock.
    pub wall: UnixMs,
    /// Time since boot, suspend included, in milliseconds.
    pub since_boot_ms: u64,
}

/// What was written down before the server stopped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mark {
    /// Both clocks then.
    pub sample: Sample,
    /// Which boot of the machine that was.
    pub boot: String,
}

/// Why ends are held.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Suspicion {
    /// The wall clock moved against the time since boot; positive is forwards.
    #[error("the wall clock is {0} s away from where the time since boot puts it")]
    Jumped(i64),
    /// The ledger has entries from the future of this clock.
    #[error("the wall clock is {0} s behind the newest entry of the ledger")]
    BehindLedger(i64),
    /// More vendors contradict this clock than confirm it; positive: this clock is ahead.
    #[error("the wall clock is {0} s away from the Date headers of the vendors")]
    VendorsDisagree(i64),
}

/// Keeps the reference reading and judges later ones against it.
#[derive(Clone, Debug)]
pub struct Watch {
    base: Sample,
    behind_ledger: Option<UnixMs>,
    dates: Dates,
}

impl Watch {
    /// Starts from the reading at start. `mark` is the last one of an earlier run, and counts if it
    /// is from the same boot; `ledger_newest` is the newest instant written anywhere in the ledger.
    pub fn start(
        now: Sample,
        boot: &str,
        mark: Option<&Mark>,
        ledger_newest: Option<UnixMs>,
    ) -> Self {
        let base = mark
            .filter(|mark| mark.boot == boot)
            .map_or(now, |mark| mark.sample);
        let behind_ledger = ledger_newest.filter(|newest| now.wall.until(*newest) > TOLERANCE);
        Self {
            base,
            behind_ledger,
            dates: Dates::default(),
        }
    }

    /// A vendor's answer came with this `Date`. `source` is the name of the account; what was heard
    /// from it before no longer counts.
    pub fn on_vendor_date(&mut self, source: &str, date: UnixMs, now: Sample) {
        self.adopt_correction(now);
        let moved = self.moved(now);
        let ahead = date.0.saturating_sub(self.expected_wall(now).0);
        self.dates.hear(source, ahead, moved, now.since_boot_ms);
    }

    /// Judges a reading. Forgives by itself once the clocks agree again.
    pub fn judge(&mut self, now: Sample) -> Result<(), Suspicion> {
        if let Some(newest) = self.behind_ledger {
            let behind = now.wall.until(newest);
            if behind > TOLERANCE {
                return Err(Suspicion::BehindLedger(whole_seconds(behind)));
            }
            self.behind_ledger = None;
        }
        self.adopt_correction(now);
        let moved = self.moved(now);
        if is_beyond(moved) {
            return Err(Suspicion::Jumped(moved / 1000));
        }
        match self.dates.disagreement(moved) {
            Some(ms) => Err(Suspicion::VendorsDisagree(ms / 1000)),
            None => Ok(()),
        }
    }

    /// Where the wall clock would stand had it not been moved.
    pub fn expected_wall(&self, now: Sample) -> UnixMs {
        let elapsed = now.since_boot_ms.saturating_sub(self.base.since_boot_ms);
        self.base.wall.plus(Duration::from_millis(elapsed))
    }

    /// An operator has looked at the clock and vouches for it. Vendors that contradict it by as much
    /// as they do at `now` are not heeded.
    pub fn accept(&mut self, now: Sample) {
        self.rebase(now);
        self.behind_ledger = None;
        self.dates.vouch();
    }

    /// How far the wall clock has been moved against the time since boot, in milliseconds.
    fn moved(&self, now: Sample) -> i64 {
        now.wall.0.saturating_sub(self.expected_wall(now).0)
    }

    /// A clock that the vendors called wrong, and that was then set right by their account, did not
    /// jump.
    fn adopt_correction(&mut self, now: Sample) {
        self.dates.forget_silent(now.since_boot_ms);
        let moved = self.moved(now);
        if is_beyond(moved) && self.dates.call_it_corrected(moved) {
            self.rebase(now);
        }
    }

    fn rebase(&mut self, now: Sample) {
        self.dates.on_rebase(self.moved(now));
        self.base = now;
    }
}

/// Whether a difference in milliseconds is more than [`TOLERANCE`].
fn is_beyond(ms: i64) -> bool {
    u128::from(ms.unsigned_abs()) > TOLERANCE.as_millis()
}

fn whole_seconds(length: Duration) -> i64 {
    i64::try_from(length.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;

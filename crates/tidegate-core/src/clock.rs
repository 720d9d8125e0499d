//! Whether the wall clock can be believed (design invariant 12).
//!
//! The wall clock is compared with one that only counts: time since boot. The shell samples both;
//! here it is decided what a sample means. While the two disagree, scheduled ends are held.

use std::time::Duration;

use crate::time::UnixMs;

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
}

/// Keeps the reference reading and judges later ones against it.
#[derive(Clone, Debug)]
pub struct Watch {
    base: Sample,
    behind_ledger: Option<UnixMs>,
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
        }
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
        let expected = self.expected_wall(now);
        let drift_ms = now.wall.0.saturating_sub(expected.0);
        if drift_ms.unsigned_abs() > TOLERANCE.as_millis().try_into().unwrap_or(u64::MAX) {
            return Err(Suspicion::Jumped(drift_ms / 1000));
        }
        Ok(())
    }

    /// Where the wall clock would stand had it not been moved.
    pub fn expected_wall(&self, now: Sample) -> UnixMs {
        let elapsed = now.since_boot_ms.saturating_sub(self.base.since_boot_ms);
        self.base.wall.plus(Duration::from_millis(elapsed))
    }

    /// An operator has looked at the clock and vouches for it.
    pub fn accept(&mut self, now: Sample) {
        *self = Self {
            base: now,
            behind_ledger: None,
        };
    }
}

fn whole_seconds(length: Duration) -> i64 {
    i64::try_from(length.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(wall_s: i64, boot_s: u64) -> Sample {
        Sample {
            wall: UnixMs::from_seconds(wall_s),
            since_boot_ms: boot_s * 1000,
        }
    }

    #[test]
    fn a_jump_of_more_than_five_minutes_is_suspect_until_it_is_undone() {
        let mut watch = Watch::start(at(10_000, 50), "a", None, None);
        assert_eq!(watch.judge(at(10_100, 150)), Ok(()));
        assert_eq!(watch.judge(at(10_400, 150)), Ok(()));
        assert_eq!(watch.judge(at(10_401, 150)), Err(Suspicion::Jumped(301)));
        assert_eq!(watch.judge(at(9_000, 150)), Err(Suspicion::Jumped(-1100)));
        assert_eq!(watch.judge(at(10_101, 151)), Ok(()));
    }

    #[test]
    fn a_jump_while_the_server_was_down_is_seen_within_one_boot() {
        let mark = Mark {
            sample: at(10_000, 50),
            boot: "a".into(),
        };
        let mut same = Watch::start(at(99_999, 60), "a", Some(&mark), None);
        assert_eq!(same.judge(at(99_999, 60)), Err(Suspicion::Jumped(89_989)));
        let mut rebooted = Watch::start(at(99_999, 60), "b", Some(&mark), None);
        assert_eq!(rebooted.judge(at(99_999, 60)), Ok(()));
    }

    #[test]
    fn a_clock_behind_the_ledger_is_suspect_until_it_catches_up_or_is_accepted() {
        let newest = Some(UnixMs::from_seconds(20_000));
        let mut watch = Watch::start(at(10_000, 0), "a", None, newest);
        assert_eq!(
            watch.judge(at(10_000, 0)),
            Err(Suspicion::BehindLedger(10_000))
        );
        let mut accepted = watch.clone();
        accepted.accept(at(10_000, 0));
        assert_eq!(accepted.judge(at(10_001, 1)), Ok(()));
        assert_eq!(watch.judge(at(19_800, 9_800)), Ok(()));
    }
}

//! Waits that survive a moved clock, and how long to wait between attempts.
//!
//! Randomness comes in as a [`Jitter`]; nothing here draws it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::TOLERANCE;
use crate::time::UnixMs;

/// Longest wait between attempts at a takedown or a resume.
pub const LONGEST: Duration = Duration::from_secs(30);
/// First wait after a permanent refusal; doubles up to [`SLOW_LONGEST`].
pub const SLOW_FIRST: Duration = Duration::from_secs(300);
/// Longest wait after a permanent refusal.
pub const SLOW_LONGEST: Duration = Duration::from_secs(3600);

/// Failures after which calls that are counted by the day are spared.
pub const SCARCE_AFTER: u32 = 8;
/// Longest wait of [`scarce_retry`].
pub const SCARCE_LONGEST: Duration = Duration::from_secs(1800);

/// A number that the shell drew at random: 0 shortens a wait most, `u16::MAX` least.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Jitter(pub u16);

/// Now, by the two clocks of [`crate::clock`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    /// What the wall clock says. Ends of bans are instants of this clock.
    pub wall: UnixMs,
    /// Where the wall clock would stand had nobody moved it
    /// ([`crate::clock::Watch::expected_wall`]). Waits are measured with it.
    pub steady: UnixMs,
    /// The wall clock is suspect: no scheduled end is acted upon.
    pub ends_held: bool,
}

impl Now {
    /// Both clocks agree on `at`.
    pub fn agreed(at: UnixMs) -> Self {
        Self {
            wall: at,
            steady: at,
            ends_held: false,
        }
    }

    /// The later of the two readings: a ban that either clock says is about to lapse is renewed.
    pub fn latest(self) -> UnixMs {
        self.wall.max(self.steady)
    }
}

/// A stretch of the steady clock during which something has to wait. Kept in the ledger with its
/// beginning, so that a server that starts with an earlier clock does not wait longer than the
/// stretch is long.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Wait {
    from: UnixMs,
    until: UnixMs,
}

impl Wait {
    /// From now, this long.
    pub fn lasting(now: Now, length: Duration) -> Self {
        Self {
            from: now.steady,
            until: now.steady.plus(length),
        }
    }

    /// Whether it is over: its end has come, or the clock stands so far before its beginning that
    /// it is another clock. Clocks of one cluster may differ by [`TOLERANCE`].
    pub fn is_over(self, now: Now) -> bool {
        now.steady >= self.until || now.steady.plus(TOLERANCE) < self.from
    }

    /// When it ends, on the steady clock.
    pub fn until(self) -> UnixMs {
        self.until
    }

    /// The one that ends later.
    pub fn later(self, other: Self) -> Self {
        if other.until > self.until {
            other
        } else {
            self
        }
    }
}

/// How long to wait after failure number `failures` (from 1): 1 to 2 s after the first, doubling,
/// at most [`LONGEST`].
pub fn retry(failures: u32, jitter: Jitter) -> Duration {
    doubled(Duration::from_secs(2), failures, LONGEST, jitter)
}

/// As [`retry`] for the first [`SCARCE_AFTER`] failures, and then less often, up to
/// [`SCARCE_LONGEST`]: one stream that a vendor fails over must not use up an account's day.
pub fn scarce_retry(failures: u32, jitter: Jitter) -> Duration {
    match failures.checked_sub(SCARCE_AFTER) {
        None | Some(0) => retry(failures, jitter),
        Some(more) => doubled(LONGEST, more.saturating_add(1), SCARCE_LONGEST, jitter),
    }
}

/// As [`retry`], after a refusal that only a change of account or target is likely to cure.
pub fn slow_retry(failures: u32, jitter: Jitter) -> Duration {
    doubled(SLOW_FIRST, failures, SLOW_LONGEST, jitter)
}

/// `first` doubled `failures - 1` times, cut to `longest`, of which the upper half is jittered.
pub fn doubled(first: Duration, failures: u32, longest: Duration, jitter: Jitter) -> Duration {
    let doublings = failures.saturating_sub(1).min(20);
    let full = first.saturating_mul(1 << doublings).min(longest);
    let half = full / 2;
    half + half * u32::from(jitter.0) / u32::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Jitter = Jitter(0);
    const MOST: Jitter = Jitter(u16::MAX);

    #[test]
    fn the_first_retry_comes_within_two_seconds_and_none_waits_past_thirty() {
        assert_eq!(retry(1, LEAST), Duration::from_secs(1));
        assert_eq!(retry(1, MOST), Duration::from_secs(2));
        assert_eq!(retry(3, MOST), Duration::from_secs(8));
        for failures in [5, 6, 40, u32::MAX] {
            assert_eq!(retry(failures, MOST), LONGEST);
            assert_eq!(retry(failures, LEAST), LONGEST / 2);
        }
        assert_eq!(slow_retry(u32::MAX, MOST), SLOW_LONGEST);
    }

    #[test]
    fn calls_that_are_counted_by_the_day_are_spared_after_a_few_minutes() {
        assert_eq!(scarce_retry(SCARCE_AFTER, MOST), LONGEST);
        assert_eq!(scarce_retry(SCARCE_AFTER + 1, MOST), LONGEST * 2);
        assert_eq!(scarce_retry(u32::MAX, MOST), SCARCE_LONGEST);
        let waits = (1..).map(|n| scarce_retry(n, LEAST));
        let day = Duration::from_secs(86_400);
        let in_a_day = waits.scan(Duration::ZERO, |at, wait| {
            *at += wait;
            (*at < day).then_some(())
        });
        assert!(in_a_day.count() < 110, "of Wangsu's 500 calls a day");
    }

    #[test]
    fn a_wait_is_not_kept_up_by_a_clock_that_was_ahead() {
        let wait = Wait::lasting(Now::agreed(UnixMs(400_000)), Duration::from_secs(10));
        assert!(!wait.is_over(Now::agreed(UnixMs(100_000))));
        assert!(!wait.is_over(Now::agreed(UnixMs(409_999))));
        assert!(wait.is_over(Now::agreed(UnixMs(410_000))));
        assert!(wait.is_over(Now::agreed(UnixMs(99_999))));
    }

    #[test]
    fn a_moved_wall_clock_ends_no_wait() {
        let now = Now::agreed(UnixMs(0));
        let wait = Wait::lasting(now, Duration::from_secs(10));
        let jumped = Now {
            wall: UnixMs(86_400_000),
            ..now
        };
        assert!(!wait.is_over(jumped));
    }
}

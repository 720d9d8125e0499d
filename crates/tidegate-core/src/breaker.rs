//! The circuit breaker of one vendor account.
//!
//! While an account fails call after call, most work waits; takedowns go on probing it. Waits of
//! single objects are in [`crate::reconcile`].

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::backoff::{self, Jitter, Now, Wait};
use crate::time::UnixMs;

/// Consecutive failures that open it.
pub const TRIPS_AFTER: u32 = 5;
/// Longest time it stays open before any lane may probe.
pub const LONGEST_OPEN: Duration = Duration::from_secs(30);
/// Least time between two takedowns that probe an open breaker.
pub const TAKEDOWN_PROBE_GAP: Duration = Duration::from_secs(1);

/// A breaker. Starts closed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Breaker {
    failures: u32,
    open: Option<Open>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Open {
    shut: Wait,
    /// The last call that went through while open, until its answer or long enough after it.
    probe: Option<Wait>,
}

/// Whether a call may be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gate {
    /// It may.
    Pass,
    /// Not before this instant of the steady clock.
    Shut(UnixMs),
}

impl Breaker {
    /// Whether a call may be made, a takedown or another.
    pub fn gate(&self, takedown: bool, now: Now) -> Gate {
        let Some(open) = self.open else {
            return Gate::Pass;
        };
        if let Some(probe) = open.probe.filter(|probe| !probe.is_over(now)) {
            return Gate::Shut(probe.until());
        }
        if takedown || open.shut.is_over(now) {
            return Gate::Pass;
        }
        Gate::Shut(open.shut.until())
    }

    /// A call goes out.
    pub fn on_call(&mut self, now: Now) {
        if let Some(open) = &mut self.open {
            open.probe = Some(Wait::lasting(now, TAKEDOWN_PROBE_GAP));
        }
    }

    /// The account answered as a working one does, be it with a refusal of that one call.
    pub fn on_success(&mut self) {
        *self = Self::default();
    }

    /// The account failed: no answer, a server error, or a refusal that concerns the whole
    /// account. Returns whether this opened a closed breaker.
    pub fn on_failure(&mut self, jitter: Jitter, now: Now) -> bool {
        self.failures = self.failures.saturating_add(1);
        let Some(trips) = self.failures.checked_sub(TRIPS_AFTER - 1) else {
            return false;
        };
        if trips == 0 {
            return false;
        }
        let length = backoff::doubled(Duration::from_secs(2), trips, LONGEST_OPEN, jitter);
        let probe = self.open.and_then(|open| open.probe);
        let was_open = self.open.is_some();
        self.open = Some(Open {
            shut: Wait::lasting(now, length),
            probe,
        });
        !was_open
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Now {
        Now::agreed(UnixMs(ms))
    }

    fn tripped() -> Breaker {
        let mut breaker = Breaker::default();
        for n in 1..TRIPS_AFTER {
            assert!(!breaker.on_failure(Jitter(u16::MAX), at(0)), "failure {n}");
            assert_eq!(breaker.gate(false, at(0)), Gate::Pass);
        }
        assert!(breaker.on_failure(Jitter(u16::MAX), at(0)));
        breaker
    }

    #[test]
    fn opens_after_consecutive_failures_and_lets_takedowns_probe_one_at_a_time() {
        let mut breaker = tripped();
        assert_eq!(breaker.gate(false, at(0)), Gate::Shut(UnixMs(2000)));
        assert_eq!(breaker.gate(true, at(0)), Gate::Pass);
        breaker.on_call(at(0));
        assert_eq!(breaker.gate(true, at(999)), Gate::Shut(UnixMs(1000)));
        assert_eq!(breaker.gate(true, at(1000)), Gate::Pass);
        assert_eq!(breaker.gate(false, at(2000)), Gate::Pass);
        breaker.on_call(at(2000));
        assert_eq!(breaker.gate(false, at(2500)), Gate::Shut(UnixMs(3000)));
    }

    #[test]
    fn one_answer_closes_it() {
        let mut breaker = tripped();
        breaker.on_success();
        assert_eq!(breaker.gate(false, at(0)), Gate::Pass);
        assert!(!breaker.is_open());
    }

    #[test]
    fn never_stays_shut_past_thirty_seconds() {
        let mut breaker = tripped();
        for _ in 0..100 {
            breaker.on_failure(Jitter(u16::MAX), at(0));
        }
        assert_eq!(breaker.gate(false, at(29_999)), Gate::Shut(UnixMs(30_000)));
        assert_eq!(breaker.gate(false, at(30_000)), Gate::Pass);
    }
}

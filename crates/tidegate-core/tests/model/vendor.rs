//! A vendor of few words: bans with ends, cut to the longest; calls that take effect when they
//! like; and counters that tell whether its limits were kept.

use tidegate_core::UnixMs;
use tidegate_core::reconcile::{Outcome, Standing};

/// What a call asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ask {
    /// Ban until.
    Forbid(UnixMs),
    /// Move the end.
    ChangeEnd(UnixMs),
    /// Lift.
    Resume,
    /// Look.
    Find,
}

/// The vendor.
#[derive(Debug)]
pub(crate) struct Vendor {
    /// End of the ban of each object.
    pub(crate) bans: Vec<Option<UnixMs>>,
    /// Longest ban, in milliseconds.
    pub(crate) longest: i64,
    /// When each call was made.
    pub(crate) calls: Vec<i64>,
    /// When the calls were made that were not new takedowns.
    pub(crate) unreserved: Vec<i64>,
}

impl Vendor {
    /// Lapses, then does it.
    pub(crate) fn apply(&mut self, object: usize, ask: Ask, now: i64) -> Outcome {
        let longest = UnixMs(now + self.longest);
        let ban = self.bans.get_mut(object).expect("a known object");
        if ban.is_some_and(|end| end.0 <= now) {
            *ban = None;
        }
        let accepted = Outcome::Accepted { until: None };
        match (ask, *ban) {
            (Ask::Find, None) => Outcome::Standing(Standing::Free),
            (Ask::Find, Some(end)) => Outcome::Standing(Standing::Banned(Some(end))),
            (Ask::Resume, None) => Outcome::AlreadySo,
            (Ask::Resume, Some(_)) => {
                *ban = None;
                accepted
            }
            (Ask::Forbid(end), _) | (Ask::ChangeEnd(end), _) if end.0 <= now => {
                Outcome::Retry { after: None }
            }
            (Ask::Forbid(_), Some(_)) => Outcome::AlreadySo,
            (Ask::Forbid(end), None) | (Ask::ChangeEnd(end), Some(_)) => {
                *ban = Some(end.min(longest));
                accepted
            }
            (Ask::ChangeEnd(_), None) => Outcome::Refused(tidegate_core::placement::Refusal::Other),
        }
    }

    /// The most calls in any window of `length` milliseconds.
    pub(crate) fn most_within(calls: &[i64], length: i64) -> usize {
        let starts = calls.iter().enumerate();
        let within = starts.map(|(n, start)| {
            let later = calls.iter().skip(n);
            later.take_while(|call| **call < start + length).count()
        });
        within.max().unwrap_or(0)
    }
}

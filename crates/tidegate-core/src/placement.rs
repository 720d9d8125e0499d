//! What is wanted of one vendor object and what is known of it.
//!
//! A vendor object is what a vendor's ban is keyed by. Several Apps' targets may share one, so its
//! owners are merged here. What to do about a difference is [`crate::reconcile`]'s.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::backoff::{Now, Wait};
use crate::decision::Until;
use crate::ids::{AppId, Generation};
use crate::time::UnixMs;

/// Ends that differ by no more than this are one end: a forbid repeated without an end moves its
/// end by as much as it came later.
pub const SAME_END: Duration = Duration::from_secs(5);
/// Longest time before the end of a ban at which it is renewed.
pub const LONGEST_MARGIN: Duration = Duration::from_secs(3 * 86_400);
/// A ban sent while ends are held lasts at least this long, since its own end may seem past.
const HELD_LENGTH: Duration = Duration::from_secs(86_400);

/// A placement that shares the object, by the ledger's id of its target.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OwnerId(pub i64);

/// How a stream came to be open.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Opening {
    /// Somebody asked for it.
    Resumed,
    /// Its block came to its end.
    Ended,
}

/// What one owner's block asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Want {
    /// Off the air.
    Banned(Until),
    /// On the air.
    Open(Opening),
}

/// One owner of an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owner {
    /// Which placement.
    pub id: OwnerId,
    /// Whose.
    pub app: AppId,
    /// Its newest decision.
    pub generation: Generation,
    /// When that was made.
    pub decided: UnixMs,
    /// What it comes to.
    pub want: Want,
}

/// The owners' wants in one: banned until the latest end that any asks for, else open. `None`
/// without owners: then nothing is asked of the vendor.
pub fn merge(owners: &[Owner]) -> Option<Want> {
    owners
        .iter()
        .map(|owner| owner.want)
        .reduce(|a, b| match (a, b) {
            (Want::Banned(a), Want::Banned(b)) => Want::Banned(a.later(b)),
            (Want::Banned(until), Want::Open(_)) | (Want::Open(_), Want::Banned(until)) => {
                Want::Banned(until)
            }
            (Want::Open(Opening::Ended), Want::Open(Opening::Ended)) => Want::Open(Opening::Ended),
            (Want::Open(_), Want::Open(_)) => Want::Open(Opening::Resumed),
        })
}

impl Want {
    /// Whether both ask for the same, ends within [`SAME_END`].
    pub fn is_like(self, other: Self) -> bool {
        match (self, other) {
            (Self::Banned(Until::At(a)), Self::Banned(Until::At(b))) => near(a, b),
            (Self::Open(_), Self::Open(_)) => true,
            (a, b) => a == b,
        }
    }
}

/// How the end of a standing ban is moved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// By a call of its own.
    Call,
    /// By another ban.
    Again,
    /// Only by lifting the ban and setting it again at once.
    ResumeFirst,
}

/// How one may learn whether an object is banned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lookup {
    /// By a question about the one object.
    Object,
    /// From a list.
    List,
    /// Not at all.
    Nothing,
}

/// What a vendor allows, as far as one object is concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Longest ban in one call.
    pub longest_ban: Duration,
    /// What a ban without an end gets.
    pub default_ban: Duration,
    /// How far the vendor's clock may be off.
    pub clock_skew: Duration,
    /// How ends are moved.
    pub change: Change,
    /// How bans are looked up.
    pub lookup: Lookup,
    /// A call's total timeout.
    pub call_timeout: Duration,
    /// The vendor counts calls by the day, so that what fails again and again is tried less often.
    pub scarce: bool,
}

impl Limits {
    /// The latest end that a ban set at `now` may have.
    pub fn cap(&self, now: Now) -> UnixMs {
        now.latest()
            .plus(self.longest_ban.saturating_sub(self.clock_skew))
    }

    /// The end to send: the one asked for, in whole seconds rounded up, cut to
    /// [`Limits::cap`]. While ends are held it is at least a day away.
    pub fn end_to_send(&self, until: Until, now: Now) -> UnixMs {
        let mut end = until.shown();
        if now.ends_held {
            end = end.max(now.latest().plus(HELD_LENGTH));
        }
        whole(end.min(self.cap(now)))
    }

    /// Whether a ban that stands at `now` can end at `end` at all.
    pub fn is_credible(&self, end: UnixMs, now: Now) -> bool {
        let slack = self.clock_skew.saturating_mul(2).max(SAME_END);
        end <= self.cap(now).plus(slack)
    }

    /// When a ban that was set at `since` and ends at `end` is renewed, if it should last longer.
    pub fn renewal(&self, since: UnixMs, end: UnixMs) -> UnixMs {
        let margin = (since.until(end) / 10).min(LONGEST_MARGIN);
        UnixMs(end.0.saturating_sub(ms(margin)))
    }

    /// Whether a ban that the vendor ends at `end` is what `until` asks for at `now`. Where both
    /// lie beyond what a ban set now could reach, the renewal sees to the rest.
    pub fn fits(&self, end: UnixMs, until: Until, now: Now) -> bool {
        let want = self.end_to_send(until, now);
        let reach = (self.longest_ban / 10).min(LONGEST_MARGIN);
        near(end, want) || (until.shown() > self.cap(now) && end < want && end.until(want) <= reach)
    }
}

/// What the vendor is believed to do with the object.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Belief {
    /// No call was ever made.
    #[default]
    Untouched,
    /// Not banned.
    Free,
    /// Banned until then; `None`: by a ban whose end is not known.
    Banned(Option<UnixMs>),
    /// A call may have been done or not. If there is a ban, it ends then.
    Unsure(Option<UnixMs>),
}

/// The state that the vendor took last.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Accepted {
    /// What was asked for, not cut to the vendor's limits.
    pub want: Want,
    /// When, by the wall clock.
    pub at: UnixMs,
    /// The vendor's id of the call; none where no call was needed.
    pub request_id: Option<String>,
    /// For so long a repeat needs no call.
    pub(crate) fresh: Wait,
}

/// What was seen of the stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Evidence {
    /// It plays, or the vendor says it is being published.
    Live,
    /// Looked at, and off the air.
    Dark,
    /// Nothing that counts.
    Unknown,
}

/// An observation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Observed {
    /// What was seen.
    pub evidence: Evidence,
    /// When the look began, by the wall clock.
    pub at: UnixMs,
}

/// A call that is out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct InFlight {
    /// Which call of this object it is; answers name it.
    pub serial: u64,
    /// What it does.
    pub action: crate::reconcile::Action,
    /// The want it carries.
    pub want: Want,
    /// The generations it carries.
    pub covers: Vec<(OwnerId, Generation)>,
    /// When it was sent, by the wall clock.
    pub sent: UnixMs,
    /// After this it is lost and can no longer take effect.
    pub(crate) settles: Wait,
}

/// What a call without an answer may have done, or may do yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Doubt {
    pub(crate) effect: Effect,
    pub(crate) settles: Wait,
}

/// What a call does to the ban.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Effect {
    Bans(UnixMs),
    Lifts,
    Mixed,
}

/// Failures since the last acceptance.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Trouble {
    /// How many in a row.
    pub failures: u32,
    /// What class the last one was.
    pub class: Class,
    /// The vendor's words.
    pub words: String,
    /// The vendor's id of the call.
    pub request_id: Option<String>,
    /// When, by the wall clock.
    pub at: UnixMs,
    /// The want it was for: another one need not wait.
    pub(crate) want: Want,
    /// The account's and target's epoch it happened under.
    pub(crate) epoch: Epoch,
    pub(crate) wait: Wait,
}

impl Trouble {
    /// Nothing but a change of account or target is likely to cure it.
    pub fn needs_a_person(&self) -> bool {
        matches!(self.class, Class::Refused(_) | Class::ListFull)
    }

    /// Whether it was met on the way to what is wanted now.
    pub fn is_about(&self, want: Want) -> bool {
        self.want.is_like(want)
    }

    /// Whether it was met under this epoch: what was met under another is tried again at once.
    pub fn is_under(&self, epoch: Epoch) -> bool {
        self.epoch == epoch
    }

    /// When the next attempt is due, on the steady clock.
    pub fn next_attempt(&self) -> UnixMs {
        self.wait.until()
    }
}

/// Rises when the account's credentials or the target's settings change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// The classes of failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Nothing happened; may work later.
    Retry,
    /// Too many calls.
    Throttled,
    /// The day's calls are used up.
    QuotaSpent,
    /// The list of bans is full.
    ListFull,
    /// Will not be done, however often it is asked.
    Refused(Refusal),
    /// It may have happened.
    Unknown,
}

impl Class {
    /// Whether the next attempt is likely to go the same way. A wrong clock rights itself.
    pub fn is_for_good(self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal != Refusal::Clock)
    }
}

/// Why a vendor will not do it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The key is unknown, disabled, or the signature wrong.
    Credentials,
    /// The request's time is too far from the vendor's.
    Clock,
    /// The key may not do this.
    Permission,
    /// The domain is not known, or not this account's.
    Domain,
    /// A parameter is missing or wrong.
    Parameter,
    /// The account or its service is not enabled.
    Account,
    /// What answers is not the vendor's API.
    Endpoint,
    /// None of these, or the vendor has no such call.
    Other,
}

impl Refusal {
    /// Whether it concerns every call of the account, so that the breaker counts it.
    pub fn is_of_account(self) -> bool {
        matches!(
            self,
            Self::Credentials | Self::Clock | Self::Account | Self::Endpoint
        )
    }
}

/// Who may call for an object.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Lease {
    /// The process that holds it.
    pub holder: String,
    pub(crate) wait: Wait,
}

pub(crate) fn near(a: UnixMs, b: UnixMs) -> bool {
    a.until(b).max(b.until(a)) <= SAME_END
}

pub(crate) fn whole(at: UnixMs) -> UnixMs {
    UnixMs::from_seconds(at.0.saturating_add(999).div_euclid(1000))
}

fn ms(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(id: i64, want: Want) -> Owner {
        Owner {
            id: OwnerId(id),
            app: AppId(1),
            generation: Generation(1),
            decided: UnixMs(0),
            want,
        }
    }

    #[test]
    fn one_owner_is_never_lifted_by_another() {
        let open = Want::Open(Opening::Resumed);
        let ended = Want::Open(Opening::Ended);
        let soon = Want::Banned(Until::At(UnixMs(5)));
        let late = Want::Banned(Until::At(UnixMs(9)));
        let lifted = Want::Banned(Until::Lifted);
        for (wants, merged) in [
            (vec![], None),
            (vec![soon, late, open], Some(late)),
            (vec![open, soon], Some(soon)),
            (vec![late, lifted, ended], Some(lifted)),
            (vec![ended, ended], Some(ended)),
            (vec![ended, open], Some(open)),
        ] {
            let mut owners: Vec<_> = wants.iter().map(|want| owner(1, *want)).collect();
            assert_eq!(merge(&owners), merged, "{wants:?}");
            owners.reverse();
            assert_eq!(merge(&owners), merged, "{wants:?} reversed");
        }
    }
}

//! What to do about one vendor object: `(object, owners, limits, now) -> plan`.
//!
//! Level-triggered: [`step`] compares what is wanted with what is believed and says what is to be
//! done, whatever happened before. [`Object::begin`], [`Object::on_result`] and their like write
//! down what was done and learnt. Neither makes a call, draws a random number or reads a clock.
//! Whether a call may be made at once is for [`crate::lanes`] to say.
//!
//! Vendors take no fencing token, so a call without an answer leaves a *doubt*: it may take effect
//! until it settles. Until then only what cannot be undone by it is sent: the very same again, or
//! a ban. What was sent meanwhile is sent again afterwards, and then checked.

mod record;

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::backoff::{Now, Wait};
use crate::budget::CallKind;
use crate::decision::Until;
use crate::ids::Generation;
use crate::lanes::{Lane, Work};
use crate::placement::{
    Accepted, Belief, Change, Doubt, Effect, Epoch, InFlight, Lease, Limits, Lookup, Observed,
    Opening, Owner, OwnerId, Trouble, Want, merge,
};
use crate::time::UnixMs;

pub use record::{Drift, Outcome, Progress, Report, Standing};

/// How long after its timeout a call may still take effect; a lease lasts as long.
pub const SETTLE: Duration = Duration::from_secs(15);
/// A repeat this soon after an acceptance needs no call.
pub const REPEAT: Duration = Duration::from_secs(5);
/// How long past its end a vendor's own ban is given to lapse before it is checked.
const LAPSE: Duration = Duration::from_secs(2);
/// When to look again at what somebody else is about to decide.
const IDLE: Duration = Duration::from_secs(30);
/// A takedown that failed this often is no longer new.
const NEW_FAILURES: u32 = 3;

/// Everything known of one vendor object. Kept in the ledger; a fresh one is
/// [`Object::default`].
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Object {
    /// What the vendor is believed to do.
    pub belief: Belief,
    /// The state it took last.
    pub accepted: Option<Accepted>,
    /// What was seen of the stream last.
    pub observed: Option<Observed>,
    /// The call that is out.
    pub in_flight: Option<InFlight>,
    /// Failures since the last acceptance.
    pub trouble: Option<Trouble>,
    /// Who may call.
    pub lease: Option<Lease>,
    covered: Vec<(OwnerId, Generation)>,
    doubt: Option<Doubt>,
    recheck: Option<Wait>,
    /// Bans answered with "already so" in a row whose end was not known.
    unowned: u32,
    distrust: Option<Wait>,
    distrusts: u32,
    calls: u64,
}

/// What to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Nothing until [`Plan::next`] or a newer decision.
    Wait,
    /// No call is needed for the newest decisions: [`Object::settle`].
    Settle,
    /// Ban until then.
    Forbid {
        /// The end to send.
        until: UnixMs,
    },
    /// Move the end of the standing ban.
    ChangeEnd {
        /// The end to send.
        until: UnixMs,
    },
    /// Lift the ban and at once ban until then.
    ResumeThenForbid {
        /// The end to send.
        until: UnixMs,
    },
    /// Lift the ban.
    Resume,
    /// Ask whether the object is banned.
    CheckState,
    /// Look for it in the list of bans.
    CheckList,
}

/// An action and how urgent it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plan {
    /// What to do.
    pub action: Action,
    /// In which lane.
    pub lane: Lane,
    /// A new takedown: may spend the reserve.
    pub reserve: bool,
    /// Needs room for one more ban.
    pub adds_ban: bool,
    /// When to step again at the latest, on the steady clock, if the action is a wait; `None`:
    /// not before a decision, a result or an observation.
    pub next: Option<UnixMs>,
    pub(crate) want: Option<Want>,
}

enum Need {
    /// All is as wanted.
    Met(Option<UnixMs>),
    /// Not as wanted, and it is not time to act.
    NotYet(UnixMs),
    Call(Action, Lane),
}

impl Action {
    /// The calls it takes, in order.
    pub fn calls(self) -> &'static [CallKind] {
        match self {
            Self::Wait | Self::Settle => &[],
            Self::Forbid { .. } => &[CallKind::Forbid],
            Self::ChangeEnd { .. } => &[CallKind::ChangeEnd],
            Self::ResumeThenForbid { .. } => &[CallKind::Resume, CallKind::Forbid],
            Self::Resume => &[CallKind::Resume],
            Self::CheckState => &[CallKind::Find],
            Self::CheckList => &[CallKind::List],
        }
    }

    pub(crate) fn effect(self) -> Option<Effect> {
        match self {
            Self::Forbid { until } | Self::ChangeEnd { until } => Some(Effect::Bans(until)),
            Self::ResumeThenForbid { .. } => Some(Effect::Mixed),
            Self::Resume => Some(Effect::Lifts),
            Self::Wait | Self::Settle | Self::CheckState | Self::CheckList => None,
        }
    }
}

impl Plan {
    fn idle(action: Action, next: Option<UnixMs>) -> Self {
        Self {
            action,
            lane: Lane::Check,
            reserve: false,
            adds_ban: false,
            next,
            want: None,
        }
    }

    /// The plan as work for the account's queue; `None` if it takes no call. It counts for the
    /// owner that decided last.
    pub fn work<K>(&self, key: K, owners: &[Owner], now: Now) -> Option<Work<K>> {
        let newest = owners.iter().max_by_key(|owner| owner.decided)?;
        let calls = self.action.calls();
        (!calls.is_empty()).then(|| Work {
            key,
            app: newest.app,
            lane: self.lane,
            reserve: self.reserve,
            adds_ban: self.adds_ban,
            calls,
            decided: newest.decided,
            due: now.steady,
        })
    }
}

/// Decides what to do for `object` at `now`. `epoch` is the present one of its account and target:
/// what was refused under another is tried at once.
pub fn step(object: &Object, owners: &[Owner], limits: &Limits, epoch: Epoch, now: Now) -> Plan {
    let Some(want) = merge(owners) else {
        return Plan::idle(Action::Wait, None);
    };
    let mut object = Cow::Borrowed(object);
    if let Some(call) = &object.in_flight {
        if !call.settles.is_over(now) {
            return Plan::idle(Action::Wait, Some(call.settles.until()));
        }
        object.to_mut().lose_call(now);
    }
    let need = match want {
        Want::Banned(until) => object.need_banned(owners, until, limits, now),
        Want::Open(opening) => object.need_open(owners, opening, limits, now),
    };
    let (action, lane) = match need {
        Need::NotYet(next) => return Plan::idle(Action::Wait, Some(next)),
        Need::Met(next) => match object.check_due(limits, now) {
            Ok(check) if object.covers(owners, want) => (check, Lane::Check),
            Ok(_) => return Plan::idle(Action::Settle, Some(now.steady)),
            Err(check) if object.covers(owners, want) => {
                let next = [next, check].into_iter().flatten().min();
                return Plan::idle(Action::Wait, next);
            }
            Err(_) => return Plan::idle(Action::Settle, Some(now.steady)),
        },
        Need::Call(action, lane) => (action, lane),
    };
    object.plan(want, action, lane, epoch, now)
}

impl Object {
    /// The newest generation of this owner that the vendor accepted, or that needed no call.
    pub fn accepted_generation(&self, owner: OwnerId) -> Option<Generation> {
        let covered = self.covered.iter().find(|(id, _)| *id == owner);
        covered.map(|(_, generation)| *generation)
    }

    /// Whether a ban counts against the vendor's list. When this goes from true to false, tell
    /// [`crate::budget::Budget::on_lifted`].
    pub fn holds_ban(&self) -> bool {
        let coming = self.in_flight.as_ref().map(|call| call.action.effect());
        matches!(self.belief, Belief::Banned(_) | Belief::Unsure(_))
            || matches!(coming, Some(Some(Effect::Bans(_) | Effect::Mixed)))
    }

    /// Whether `holder` may call: no other process holds the lease.
    pub fn is_free_for(&self, holder: &str, now: Now) -> bool {
        let lease = self.lease.as_ref();
        lease.is_none_or(|lease| lease.holder == holder || lease.wait.is_over(now))
    }

    fn covers(&self, owners: &[Owner], want: Want) -> bool {
        let all = owners.iter().all(|owner| self.is_covered(owner));
        all && self
            .accepted
            .as_ref()
            .is_some_and(|accepted| same_direction(accepted.want, want))
    }

    fn is_covered(&self, owner: &Owner) -> bool {
        self.accepted_generation(owner.id)
            .is_some_and(|generation| generation >= owner.generation)
    }

    /// What is believed once a doubt is past: whatever was accepted meanwhile may be undone.
    fn belief_at(&self, now: Now) -> Belief {
        let over = self.doubt.filter(|doubt| doubt.settles.is_over(now));
        let over = over.filter(|doubt| !self.is_moot(*doubt));
        match (over.map(|doubt| doubt.effect), self.belief) {
            (None, belief) | (Some(_), belief @ Belief::Unsure(_)) => belief,
            (Some(Effect::Lifts), Belief::Banned(end)) => Belief::Unsure(end),
            (Some(_), _) => Belief::Unsure(None),
        }
    }

    /// Whether nothing would be other than believed if the call in doubt took effect. It may not
    /// be forgotten before it settles: a newer call could come before it.
    fn is_moot(&self, doubt: Doubt) -> bool {
        match (doubt.effect, self.belief) {
            (Effect::Lifts, Belief::Free | Belief::Untouched) => true,
            (Effect::Bans(end), Belief::Banned(standing)) => standing == Some(end),
            _ => false,
        }
    }

    fn need_banned(&self, owners: &[Owner], until: Until, limits: &Limits, now: Now) -> Need {
        let end = limits.end_to_send(until, now);
        if end <= now.wall {
            return Need::NotYet(now.steady.plus(IDLE));
        }
        let ban = Action::Forbid { until: end };
        let standing = match self.belief_at(now) {
            Belief::Untouched | Belief::Free | Belief::Unsure(_) => {
                return Need::Call(ban, Lane::Takedown);
            }
            Belief::Banned(Some(standing)) if standing <= now.latest() => {
                return Need::Call(ban, Lane::Takedown);
            }
            // An end past what the vendor allows was asked for by a wrong clock, and was cut.
            Belief::Banned(standing) => {
                standing.filter(|end| now.ends_held || limits.is_credible(*end, now))
            }
        };
        let settling = self.doubt.filter(|doubt| !doubt.settles.is_over(now));
        let settling = settling.map(|doubt| doubt.settles.until());
        let Some(standing) = standing else {
            return self.change(end, limits, Lane::Takedown, now);
        };
        let accepted = self.accepted.as_ref();
        let same = accepted.filter(|accepted| accepted.want.is_like(Want::Banned(until)));
        if same.is_none() && !limits.fits(standing, until, now) {
            return self.change(end, limits, Lane::Takedown, now);
        }
        let since = accepted.map_or(now.wall, |accepted| accepted.at);
        let renewal = limits.renewal(since, standing);
        let renews = until.shown() > standing;
        if renews && now.latest() >= renewal && end > standing {
            let late = renewal.until(now.latest()) > now.latest().until(standing);
            let lane = if late { Lane::Takedown } else { Lane::Renewal };
            return self.change(end, limits, lane, now);
        }
        let repeated = owners
            .iter()
            .any(|owner| matches!(owner.want, Want::Banned(_)) && !self.is_covered(owner));
        if repeated && same.is_some_and(|accepted| accepted.fresh.is_over(now)) {
            return Need::Call(ban, Lane::Takedown);
        }
        let renewal = renews.then(|| steady(renewal, now));
        Need::Met([renewal, settling].into_iter().flatten().min())
    }

    /// A changed end. The stream is off the air as it is, so this waits for a doubt to settle.
    fn change(&self, end: UnixMs, limits: &Limits, lane: Lane, now: Now) -> Need {
        if let Some(doubt) = self.doubt.filter(|doubt| !doubt.settles.is_over(now)) {
            return Need::NotYet(doubt.settles.until());
        }
        let action = match limits.change {
            Change::Call => Action::ChangeEnd { until: end },
            Change::Again if self.unowned == 0 => Action::Forbid { until: end },
            Change::Again | Change::ResumeFirst => Action::ResumeThenForbid { until: end },
        };
        Need::Call(action, lane)
    }

    fn need_open(&self, owners: &[Owner], opening: Opening, limits: &Limits, now: Now) -> Need {
        let resumed = Want::Open(Opening::Resumed);
        let asked = owners
            .iter()
            .any(|owner| owner.want == resumed && !self.is_covered(owner));
        let accepted = self.accepted.as_ref();
        let fresh = accepted.is_some_and(|accepted| {
            matches!(accepted.want, Want::Open(_)) && !accepted.fresh.is_over(now)
        });
        let belief = self.belief_at(now);
        // A ban that may yet take effect would outlast the resume.
        let may_ban = |doubt: &Doubt| doubt.effect != Effect::Lifts && !doubt.settles.is_over(now);
        let may_ban = self.doubt.filter(may_ban);
        if matches!(belief, Belief::Untouched | Belief::Free) && (fresh || !asked) {
            return Need::Met(may_ban.map(|doubt| doubt.settles.until()));
        }
        let ended = opening == Opening::Ended;
        if ended && now.ends_held {
            return Need::NotYet(now.steady.plus(IDLE));
        }
        // Where the very ban was taken since, most likely it has come: the resume goes at once, and
        // again when the doubt is past.
        if let Some(doubt) = may_ban.filter(|doubt| !self.is_moot(*doubt)) {
            return Need::NotYet(doubt.settles.until());
        }
        if let (true, Belief::Banned(Some(end))) = (ended, belief) {
            let lapsed = end.plus(LAPSE);
            let failures = self.trouble.as_ref().map_or(0, |trouble| trouble.failures);
            let lookup = check_action(limits).filter(|_| failures < NEW_FAILURES);
            if let (Some(check), true) = (lookup, end <= now.wall.plus(LAPSE)) {
                if now.wall < lapsed {
                    return Need::NotYet(now.steady.plus(now.wall.until(lapsed)));
                }
                return Need::Call(check, Lane::Resume);
            }
        }
        Need::Call(Action::Resume, Lane::Resume)
    }

    fn check_due(&self, limits: &Limits, now: Now) -> Result<Action, Option<UnixMs>> {
        let (Some(wait), Some(check)) = (self.recheck, check_action(limits)) else {
            return Err(None);
        };
        match wait.is_over(now) {
            true => Ok(check),
            false => Err(Some(wait.until())),
        }
    }

    /// Holds a call back while an earlier attempt at the same waits, and says how urgent it is.
    fn plan(&self, want: Want, action: Action, lane: Lane, epoch: Epoch, now: Now) -> Plan {
        let trouble = self.trouble.as_ref();
        let trouble = trouble.filter(|t| t.epoch == epoch && t.want.is_like(want));
        if let Some(trouble) = trouble.filter(|trouble| !trouble.wait.is_over(now)) {
            return Plan::idle(Action::Wait, Some(trouble.wait.until()));
        }
        let refused = trouble.is_some_and(|t| t.class.is_for_good());
        let failures = trouble.map_or(0, |trouble| trouble.failures);
        let bans = matches!(action, Action::Forbid { .. });
        let standing = matches!(self.belief, Belief::Banned(Some(end)) if end > now.latest());
        Plan {
            action,
            lane: if refused { Lane::Check } else { lane },
            reserve: bans && !standing && !refused && failures < NEW_FAILURES,
            adds_ban: bans && !self.holds_ban(),
            next: None,
            want: Some(want),
        }
    }
}

fn check_action(limits: &Limits) -> Option<Action> {
    match limits.lookup {
        Lookup::Object => Some(Action::CheckState),
        Lookup::List => Some(Action::CheckList),
        Lookup::Nothing => None,
    }
}

fn same_direction(a: Want, b: Want) -> bool {
    matches!(
        (a, b),
        (Want::Banned(_), Want::Banned(_)) | (Want::Open(_), Want::Open(_))
    )
}

/// When the steady clock will have come as far as the later clock must go to `instant`.
fn steady(instant: UnixMs, now: Now) -> UnixMs {
    now.steady.plus(now.latest().until(instant))
}

#[cfg(test)]
mod tests;

//! Writing down what was sent, answered and seen.

use std::time::Duration;

use crate::backoff::{self, Jitter, Now, Wait};
use crate::ids::Generation;
use crate::placement::{
    Accepted, Belief, Class, Doubt, Effect, Epoch, Evidence, InFlight, Lease, Limits, Observed,
    Owner, OwnerId, Refusal, Trouble, Want, merge,
};
use crate::reconcile::{Action, Object, Plan, REPEAT, SETTLE, same_direction};
use crate::time::UnixMs;

/// After how many bans answered with "already so" the standing end is taken for what it may be.
const MOST_UNOWNED: u32 = 3;
/// How long after an acceptance a live stream shows that the ban does not hold.
const EFFECT: Duration = Duration::from_secs(30);
/// How long after a doubt the object is checked.
const RECHECK: Duration = Duration::from_secs(5);

/// How a call went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The vendor took it; for a ban, until when as sent.
    Accepted {
        /// End of the ban, where it differs from the one of the action.
        until: Option<UnixMs>,
    },
    /// It was so before. Says nothing of the end of a ban.
    AlreadySo,
    /// The answer to a check.
    Standing(Standing),
    /// Nothing happened; may work later.
    Retry {
        /// How long the vendor asked to wait.
        after: Option<Duration>,
    },
    /// Too many calls; nothing happened.
    Throttled {
        /// How long the vendor asked to wait.
        after: Option<Duration>,
    },
    /// The day's calls are used up; nothing happened. Tell
    /// [`crate::budget::Budget::on_spent`] too.
    QuotaSpent {
        /// For how long.
        wait: Duration,
    },
    /// The vendor's list is full; nothing happened.
    ListFull,
    /// It will not be done.
    Refused(Refusal),
    /// Sent, and no answer that says how it went.
    Unknown,
}

/// Whether the vendor says that an object is banned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It is, until then where the vendor tells.
    Banned(Option<UnixMs>),
    /// It is not.
    Free,
}

/// An outcome and what is kept of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// How it went.
    pub outcome: Outcome,
    /// The vendor's id of the call.
    pub request_id: Option<String>,
    /// The vendor's words, escaped and bounded.
    pub words: String,
}

/// What follows at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Nothing: step again.
    Done,
    /// The second half of [`Action::ResumeThenForbid`]: ban until then, at once, under the same
    /// serial.
    Forbid(UnixMs),
    /// The answer of a call that was given up before; nothing was written down.
    Stale,
}

/// What a look at the vendor's list shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Drift {
    /// What was believed, or a look too old to tell.
    None,
    /// Our ban is gone; it is believed now, and a step repairs it.
    Vanished,
    /// A ban that is not ours. It is left alone.
    Foreign,
}

impl Object {
    /// Writes down that the plan's call goes out, with the lease that covers it. Keep the object
    /// before calling: what is not kept is not known after a crash. Returns the serial to answer
    /// with; `None` if the plan is out of date, a call is out, or another process holds the lease.
    pub fn begin(
        &mut self,
        plan: &Plan,
        owners: &[Owner],
        holder: &str,
        limits: &Limits,
        now: Now,
    ) -> Option<u64> {
        if !self.is_free_for(holder, now) || plan.want.is_none() || merge(owners) != plan.want {
            return None;
        }
        if let Some(call) = &self.in_flight {
            if !call.settles.is_over(now) {
                return None;
            }
            self.lose_call(now);
        }
        let calls = u32::try_from(plan.action.calls().len()).unwrap_or(u32::MAX);
        let settles = Wait::lasting(now, limits.call_timeout.saturating_mul(calls) + SETTLE);
        self.calls += 1;
        self.lease = Some(Lease {
            holder: holder.to_owned(),
            wait: settles,
        });
        self.in_flight = Some(InFlight {
            serial: self.calls,
            action: plan.action,
            want: plan.want?,
            covers: generations(owners),
            sent: now.wall,
            settles,
        });
        Some(self.calls)
    }

    /// Takes the object over from a process that is known to be gone. A call that it had out is in
    /// doubt until it settles.
    pub fn take_over(&mut self, now: Now) {
        self.lease = None;
        self.lose_call(now);
    }

    /// The newest decisions need no call.
    pub fn settle(&mut self, owners: &[Owner], now: Now) {
        let Some(want) = merge(owners) else {
            return;
        };
        let accepted = self.accepted.as_ref();
        if !accepted.is_some_and(|accepted| same_direction(accepted.want, want)) {
            self.accepted = Some(Accepted {
                want,
                at: now.wall,
                request_id: None,
                fresh: Wait::lasting(now, REPEAT),
            });
        }
        self.trouble = None;
        self.cover(&generations(owners));
    }

    /// Writes down how call `serial` went.
    pub fn on_result(
        &mut self,
        serial: u64,
        report: &Report,
        limits: &Limits,
        epoch: Epoch,
        jitter: Jitter,
        now: Now,
    ) -> Progress {
        let Some(call) = self.in_flight.take_if(|call| call.serial == serial) else {
            return Progress::Stale;
        };
        let took = matches!(
            report.outcome,
            Outcome::Accepted { .. } | Outcome::AlreadySo
        );
        if let (Action::ResumeThenForbid { until }, true) = (call.action, took) {
            self.belief = Belief::Free;
            self.in_flight = Some(InFlight {
                action: Action::Forbid { until },
                ..call
            });
            return Progress::Forbid(until);
        }
        self.lease = None;
        match report.outcome {
            Outcome::Accepted { until } => self.accept(&call, until, report, now),
            Outcome::AlreadySo => self.on_already_so(&call, report, limits, epoch, jitter, now),
            Outcome::Standing(standing) => {
                self.recheck = None;
                self.trouble = None;
                self.apply(standing, now);
            }
            _ => self.on_failure(&call, report, limits, epoch, jitter, now),
        }
        Progress::Done
    }

    /// A look at the vendor's list, begun at `looked` by the wall clock.
    pub fn on_listed(&mut self, standing: Standing, looked: UnixMs, now: Now) -> Drift {
        let newer = self.accepted.as_ref().is_some_and(|a| a.at >= looked);
        let moot = |doubt: Doubt| doubt.settles.is_over(now) && self.is_moot(doubt);
        let open = self.doubt.is_some_and(|doubt| !moot(doubt));
        if newer || self.in_flight.is_some() || open {
            return Drift::None;
        }
        match (standing, self.belief) {
            (Standing::Banned(_), Belief::Free | Belief::Untouched) => Drift::Foreign,
            (Standing::Free, Belief::Banned(_)) => {
                self.belief = Belief::Free;
                Drift::Vanished
            }
            (standing, _) => {
                self.apply(standing, now);
                Drift::None
            }
        }
    }

    /// A look at the stream. Live long enough after a ban was accepted, the ban is no longer
    /// believed, and it is sent again: soon, and then ever less often while nothing changes.
    pub fn on_observed(&mut self, seen: Observed, now: Now) {
        self.observed = Some(seen);
        let Some(accepted) = self.accepted.as_ref() else {
            return;
        };
        let banned = matches!(accepted.want, Want::Banned(_));
        if !banned || accepted.at.until(seen.at) < EFFECT || self.in_flight.is_some() {
            return;
        }
        match (seen.evidence, self.belief) {
            (Evidence::Dark, _) => {
                self.distrust = None;
                self.distrusts = 0;
            }
            (Evidence::Live, Belief::Banned(end))
                if self.distrust.is_none_or(|wait| wait.is_over(now)) =>
            {
                self.distrusts = self.distrusts.saturating_add(1);
                let wait = backoff::slow_retry(self.distrusts, Jitter(u16::MAX));
                self.distrust = Some(Wait::lasting(now, wait));
                self.belief = Belief::Unsure(end);
            }
            _ => {}
        }
    }

    /// The call that is out will not be answered.
    pub(super) fn lose_call(&mut self, now: Now) {
        if let Some(call) = self.in_flight.take() {
            self.doubt_call(call.action, call.settles, now);
        }
    }

    fn doubt_call(&mut self, action: Action, settles: Wait, now: Now) {
        let Some(effect) = action.effect() else {
            return;
        };
        self.belief = match (effect, self.belief_at(now)) {
            (Effect::Bans(end), Belief::Untouched | Belief::Free) => Belief::Unsure(Some(end)),
            (Effect::Bans(end), Belief::Banned(Some(was)) | Belief::Unsure(Some(was)))
                if was == end =>
            {
                Belief::Unsure(Some(end))
            }
            (Effect::Lifts, Belief::Banned(end) | Belief::Unsure(end)) => Belief::Unsure(end),
            _ => Belief::Unsure(None),
        };
        let other = self.doubt.filter(|doubt| !doubt.settles.is_over(now));
        self.doubt = Some(match other {
            None => Doubt { effect, settles },
            Some(other) => Doubt {
                effect: if other.effect == effect {
                    effect
                } else {
                    Effect::Mixed
                },
                settles: settles.later(other.settles),
            },
        });
    }

    fn accept(&mut self, call: &InFlight, until: Option<UnixMs>, report: &Report, now: Now) {
        let effect = match call.action {
            Action::Forbid { until: sent } | Action::ChangeEnd { until: sent } => {
                let end = until.unwrap_or(sent);
                self.belief = Belief::Banned(Some(end));
                Effect::Bans(end)
            }
            Action::Resume => {
                self.belief = Belief::Free;
                Effect::Lifts
            }
            _ => return,
        };
        let cleared = |doubt: &mut Doubt| doubt.settles.is_over(now);
        let same = self.doubt.is_some_and(|doubt| doubt.effect == effect);
        if self.doubt.take_if(cleared).is_some() || same {
            self.recheck = Some(Wait::lasting(now, RECHECK));
        }
        self.trouble = None;
        self.unowned = 0;
        self.accepted = Some(Accepted {
            want: call.want,
            at: now.wall,
            request_id: report.request_id.clone(),
            fresh: Wait::lasting(now, REPEAT),
        });
        self.cover(&call.covers);
    }

    /// Acceptance of a ban only if the end that stands is known to be the wanted one.
    fn on_already_so(
        &mut self,
        call: &InFlight,
        report: &Report,
        limits: &Limits,
        epoch: Epoch,
        jitter: Jitter,
        now: Now,
    ) {
        let (Action::Forbid { until: sent }, Want::Banned(until)) = (call.action, call.want) else {
            self.accept(call, None, report, now);
            return;
        };
        let standing = match self.belief_at(now) {
            Belief::Banned(end) | Belief::Unsure(end) => end,
            Belief::Free | Belief::Untouched => None,
        };
        if let Some(end) = standing.filter(|end| limits.fits(*end, until, now)) {
            self.accept(call, Some(end), report, now);
            return;
        }
        self.belief = Belief::Banned(None);
        // What the vendor says after a doubt is past is how that ended. The end can be set only
        // then, so until then there is nothing to give up.
        if self.doubt.is_some() {
            self.doubt.take_if(|doubt| doubt.settles.is_over(now));
            return;
        }
        self.unowned += 1;
        if self.unowned >= MOST_UNOWNED {
            // The end cannot be set. The shortest it is likely to have makes the renewal come in
            // time.
            let likely = sent.min(now.wall.plus(limits.default_ban));
            self.accept(call, Some(likely), report, now);
            return;
        }
        if self.unowned > 1 {
            let class = Class::Retry;
            self.fail(
                call,
                class,
                backoff::retry(self.unowned, jitter),
                report,
                epoch,
                now,
            );
        }
    }

    fn on_failure(
        &mut self,
        call: &InFlight,
        report: &Report,
        limits: &Limits,
        epoch: Epoch,
        jitter: Jitter,
        now: Now,
    ) {
        let trouble = self.trouble.as_ref();
        let same = trouble.filter(|t| t.want.is_like(call.want) && t.epoch == epoch);
        let failures = same.map_or(1, |t| t.failures.saturating_add(1));
        let soon = match limits.scarce {
            true => backoff::scarce_retry(failures, jitter),
            false => backoff::retry(failures, jitter),
        };
        let slow = backoff::slow_retry(failures, jitter);
        let checks = call.action.effect().is_none();
        let (class, wait) = match report.outcome {
            Outcome::Retry { after } => (Class::Retry, after.map_or(soon, |a| a.max(soon))),
            Outcome::Throttled { after } => (Class::Throttled, after.map_or(soon, |a| a.max(soon))),
            Outcome::QuotaSpent { wait } => (Class::QuotaSpent, wait.max(soon)),
            Outcome::ListFull => (Class::ListFull, slow),
            Outcome::Refused(_) if checks => {
                // Without an answer the safe course is to act as if the ban stood.
                self.recheck = None;
                if let (Belief::Banned(end), Want::Open(_)) = (self.belief, call.want) {
                    self.belief = Belief::Unsure(end);
                }
                return;
            }
            Outcome::Refused(refusal) if matches!(call.action, Action::ChangeEnd { .. }) => {
                self.belief = Belief::Unsure(None);
                (Class::Refused(refusal), soon)
            }
            Outcome::Refused(Refusal::Clock) => (Class::Refused(Refusal::Clock), soon),
            Outcome::Refused(refusal) => (Class::Refused(refusal), slow),
            _ => {
                self.doubt_call(call.action, Wait::lasting(now, SETTLE), now);
                (Class::Unknown, soon)
            }
        };
        self.fail(call, class, wait, report, epoch, now);
    }

    fn fail(
        &mut self,
        call: &InFlight,
        class: Class,
        wait: Duration,
        report: &Report,
        epoch: Epoch,
        now: Now,
    ) {
        let trouble = self.trouble.as_ref();
        let same = trouble.filter(|t| t.want.is_like(call.want) && t.epoch == epoch);
        let failures = same.map_or(1, |t| t.failures.saturating_add(1));
        self.trouble = Some(Trouble {
            failures,
            class,
            words: report.words.clone(),
            request_id: report.request_id.clone(),
            at: now.wall,
            want: call.want,
            epoch,
            wait: Wait::lasting(now, wait),
        });
    }

    fn apply(&mut self, standing: Standing, now: Now) {
        self.belief = match (standing, self.belief) {
            (Standing::Free, Belief::Untouched) => Belief::Untouched,
            (Standing::Free, _) => Belief::Free,
            (Standing::Banned(Some(end)), _) => Belief::Banned(Some(end).filter(|e| *e > now.wall)),
            (Standing::Banned(None), Belief::Banned(end) | Belief::Unsure(end)) => {
                Belief::Banned(end.filter(|end| *end > now.wall))
            }
            (Standing::Banned(None), _) => Belief::Banned(None),
        };
    }

    fn cover(&mut self, generations: &[(OwnerId, Generation)]) {
        for (id, generation) in generations {
            match self.covered.iter_mut().find(|(owner, _)| owner == id) {
                Some((_, covered)) => *covered = (*covered).max(*generation),
                None => self.covered.push((*id, *generation)),
            }
        }
    }
}

fn generations(owners: &[Owner]) -> Vec<(OwnerId, Generation)> {
    owners
        .iter()
        .map(|owner| (owner.id, owner.generation))
        .collect()
}

//! One object as the ledger has it, planned as the desk would plan it.

use std::sync::Arc;

use tidegate_core::UnixMs;
use tidegate_core::backoff::Now;
use tidegate_core::breaker::Breaker;
use tidegate_core::budget::Budget;
use tidegate_core::lanes::{Hold, Lane, hold};
use tidegate_core::placement::{Belief, Epoch, Limits, Opening, Owner, Trouble, Want, merge};
use tidegate_core::reconcile::{Action, Object, Plan, step};
use tidegate_ledger::cdns::{ObjectRow, OwnerRow};

use super::{Next, words};
use crate::cdns::{AccountEntry, CdnDirectory, TargetEntry, object_limits};
use crate::engine::Engine;

/// What there is to plan with.
pub(in crate::cdns) struct Case {
    pub(in crate::cdns) account: Arc<AccountEntry>,
    pub(in crate::cdns) target: Arc<TargetEntry>,
    pub(in crate::cdns) row: ObjectRow,
    pub(in crate::cdns) object: Object,
    /// The owners, as the pure step takes them.
    pub(in crate::cdns) wants: Vec<Owner>,
    pub(in crate::cdns) epoch: Epoch,
    limits: Limits,
    now: Now,
}

impl Case {
    /// `None` where account or target cannot be used here.
    pub(in crate::cdns) fn of(
        engine: &Engine,
        directory: &CdnDirectory,
        target: i64,
        row: ObjectRow,
        now: Now,
    ) -> Option<Self> {
        let account = Arc::clone(directory.account(row.key.account)?);
        let target = Arc::clone(directory.target(target)?);
        // A state that cannot be read counts as none, as it does for the desk.
        let object = row.state.as_deref().map(serde_json::from_str);
        let object = object.and_then(Result::ok).unwrap_or_default();
        let wants: Vec<Owner> = row.owners.iter().map(|row| row.owner).collect();
        let newest = wants.iter().max_by_key(|owner| owner.decided);
        let named = newest.and_then(|owner| directory.target(owner.id.0));
        let has_play_domain = named.unwrap_or(&target).site.play_domain().is_some();
        let timeout = engine.cdns().options().client.total_timeout;
        Some(Self {
            limits: object_limits(account.signer.vendor(), has_play_domain, timeout),
            epoch: Epoch(account.account.epoch),
            account,
            target,
            row,
            object,
            wants,
            now,
        })
    }

    /// The owner that this target is.
    pub(in crate::cdns) fn own(&self) -> Option<&OwnerRow> {
        let id = self.target.target.target.id;
        self.row.owners.iter().find(|row| row.owner.id.0 == id)
    }

    /// The stream is wanted open at this target, and the object is not.
    pub(in crate::cdns) fn is_kept(&self, merged: Want) -> bool {
        let own = self.target.target.target.id;
        let own = self.wants.iter().find(|owner| owner.id.0 == own);
        let open_here = own.is_some_and(|owner| matches!(owner.want, Want::Open(_)));
        open_here && matches!(merged, Want::Banned(_))
    }

    /// The wall clock's reading at an instant of the steady clock.
    fn wall(&self, steady: UnixMs) -> UnixMs {
        let ahead = self.now.wall.0.saturating_sub(self.now.steady.0);
        UnixMs(steady.0.saturating_add(ahead))
    }

    fn plan_at(&self, now: Now) -> Plan {
        let plan = step(&self.object, &self.wants, &self.limits, self.epoch, now);
        if plan.action != Action::Settle {
            return plan;
        }
        let mut settled = self.object.clone();
        settled.settle(&self.wants, now);
        step(&settled, &self.wants, &self.limits, self.epoch, now)
    }

    /// What comes next.
    pub(in crate::cdns) fn next(&self, budget: &mut Budget, breaker_open: bool) -> Next {
        let Some(want) = merge(&self.wants) else {
            return at_rest("nothing was decided on this stream there yet");
        };
        let plan = self.plan_at(self.now);
        let Some(work) = plan.work((), &self.wants, self.now) else {
            return match plan.next {
                Some(next) => self.waiting(want, next),
                None if self.is_kept(want) => {
                    at_rest("nothing to do: another target's block keeps it banned")
                }
                None => at_rest("nothing to do: it stands as wanted"),
            };
        };
        let call = words::action(plan.action);
        let shut = breaker_open && work.lane != Lane::Takedown;
        let (at, words) = match hold(&work, budget, &Breaker::default(), self.now) {
            Some(Hold::ListFull) => (None, list_full(budget)),
            Some(Hold::Breaker(until)) => (Some(self.wall(until)), failing()),
            Some(Hold::Budget { until, rule, .. }) => {
                let until = self.wall(until);
                (Some(until), words::used_up(rule.as_deref(), until))
            }
            None if shut => (None, failing()),
            None => (Some(self.now.wall), format!("due now: {call}")),
        };
        Next {
            at,
            call: Some(call),
            words,
        }
    }

    /// Why there is no call before `next`, and which one comes then.
    fn waiting(&self, want: Want, next: UnixMs) -> Next {
        if let Some(call) = &self.object.in_flight {
            let action = words::action(call.action);
            let given_up = self.wall(next);
            return Next {
                at: None,
                words: format!(
                    "called at {} ({action}), no answer yet; given up at {given_up}",
                    call.sent
                ),
                call: Some(action),
            };
        }
        let at = self.wall(next);
        let then = self.plan_at(Now {
            wall: at.max(self.now.wall),
            steady: next,
            ends_held: self.now.ends_held,
        });
        let call = (!then.action.calls().is_empty()).then(|| words::action(then.action));
        let held = self.now.ends_held && want == Want::Open(Opening::Ended);
        let words = match self.trouble(want).filter(|t| t.next_attempt() == next) {
            _ if held => {
                "held while the wall clock is suspect; see `tidegate server status`".into()
            }
            Some(trouble) => words::again(trouble, at),
            None if self.is_pending() => {
                format!("waits until {at} for a lost call that may still take effect")
            }
            None => self.due_later(&then, at),
        };
        Next {
            at: (!held).then_some(at),
            call,
            words,
        }
    }

    /// Failures that the present wait is about.
    fn trouble(&self, want: Want) -> Option<&Trouble> {
        let trouble = self.object.trouble.as_ref()?;
        (trouble.is_about(want) && trouble.is_under(self.epoch)).then_some(trouble)
    }

    fn is_pending(&self) -> bool {
        self.wants.iter().any(|owner| {
            let accepted = self.object.accepted_generation(owner.id);
            accepted < Some(owner.generation)
        })
    }

    fn due_later(&self, then: &Plan, at: UnixMs) -> String {
        match (then.action, self.object.belief) {
            (Action::Forbid { .. } | Action::ChangeEnd { .. }, Belief::Banned(Some(end)))
            | (Action::ResumeThenForbid { .. }, Belief::Banned(Some(end))) => {
                format!("the ban is renewed at {at}; the vendor's own ends at {end}")
            }
            (Action::Forbid { .. }, _) => format!("banned again at {at}"),
            (Action::CheckState | Action::CheckList, _) => {
                format!("the vendor is asked at {at} whether the ban stands")
            }
            _ => format!("looked after again at {at}"),
        }
    }
}

fn at_rest(words: &str) -> Next {
    Next {
        at: None,
        call: None,
        words: words.to_owned(),
    }
}

fn list_full(budget: &Budget) -> String {
    let (standing, most) = budget.standing();
    let most = most.map_or(String::new(), |most| format!(" ({standing} of {most})"));
    format!("the vendor's list of bans is full{most}: waits until a ban there is lifted or ends")
}

fn failing() -> String {
    "the account fails call after call: all calls but takedowns wait, half a minute at most"
        .to_owned()
}

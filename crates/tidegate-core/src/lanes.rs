//! Which of the calls that are due on one vendor account goes next.
//!
//! Lanes in strict order; within a lane the Apps take turns; within an App the newest takedown
//! first, everything else by its due time. What may be spent is decided by [`crate::budget`] and
//! [`crate::breaker`]; what a call does by [`crate::reconcile`].

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::ops::Bound;

use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};

use crate::backoff::Now;
use crate::breaker::{Breaker, Gate};
use crate::budget::{Budget, CallKind, Shortage, Spending, Verdict};
use crate::ids::AppId;
use crate::time::UnixMs;

/// The order of precedence.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Bans, and ends that a decision changed.
    Takedown,
    /// Lifts.
    Resume,
    /// Bans that would lapse before their block.
    Renewal,
    /// Questions, and slow attempts at what a vendor refuses for good.
    Check,
}

/// One thing to do for the object `key`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Work<K> {
    /// Which object; at most one piece of work each.
    pub key: K,
    /// For whom.
    pub app: AppId,
    /// How urgent.
    pub lane: Lane,
    /// A new takedown: may spend the reserve.
    pub reserve: bool,
    /// Needs room in the vendor's list.
    pub adds_ban: bool,
    /// The calls, made back to back.
    pub calls: &'static [CallKind],
    /// When the newest decision was made; orders takedowns, newest first.
    pub decided: UnixMs,
    /// When it was due; orders the other lanes.
    pub due: UnixMs,
}

/// What to do next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pick<K> {
    /// This; its budget is spent and the breaker told.
    Do(Work<K>),
    /// Nothing until this instant of the steady clock, or until more is pushed.
    Wait(UnixMs),
    /// Nothing: the queue is empty, or all that is left in it needs room in a full list.
    Idle,
}

/// Why work does not go at once. Instants are of the steady clock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Hold {
    /// The account failed too often.
    Breaker(UnixMs),
    /// The account's calls are used up.
    Budget {
        /// Until then, at the earliest: others may be ahead in the queue.
        until: UnixMs,
        /// Which limit, as in "500 calls a day"; `None` where the vendor said so.
        rule: Option<String>,
        /// The vendor's own word, rather than our count.
        vendor_said: bool,
    },
    /// The vendor's list has no room for another ban until some ban goes.
    ListFull,
}

/// Why this piece of work may not be done at `now`, apart from what is ahead of it; `None` if it
/// may. Of several reasons the one that lasts longest.
pub fn hold<K>(work: &Work<K>, budget: &mut Budget, breaker: &Breaker, now: Now) -> Option<Hold> {
    let gate = match breaker.gate(work.lane == Lane::Takedown, now) {
        Gate::Shut(until) => Some(until),
        Gate::Pass => None,
    };
    let (until, rule) = match budget.shortage(work.spending(), now) {
        Some(Shortage::ListFull) => return Some(Hold::ListFull),
        Some(Shortage::Rule { until, words }) => (until, Some(words)),
        Some(Shortage::VendorSaid { until }) => (until, None),
        None => return gate.map(Hold::Breaker),
    };
    Some(match gate.filter(|gate| *gate > until) {
        Some(gate) => Hold::Breaker(gate),
        None => Hold::Budget {
            until,
            vendor_said: rule.is_none(),
            rule,
        },
    })
}

/// What work draws on: work of one class fits or does not fit together.
type Class = (&'static [CallKind], bool, bool);
/// Position within a class.
type Order = (i64, u64);

/// The work that is due on one account.
#[derive(Clone, Debug)]
pub struct Queue<K> {
    lanes: BTreeMap<Lane, Turns<K>>,
    places: HashMap<K, (Lane, AppId, Class, Order), FxBuildHasher>,
    pushed: u64,
}

/// Work of one lane by App and class, and whose turn was last.
#[derive(Clone, Debug)]
struct Turns<K> {
    apps: BTreeMap<AppId, BTreeMap<Class, BTreeMap<Order, Work<K>>>>,
    last: AppId,
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        Self {
            lanes: BTreeMap::new(),
            places: HashMap::default(),
            pushed: 0,
        }
    }
}

impl<K: Clone + Eq + Hash> Queue<K> {
    /// Adds work, in place of what there was for the same object.
    pub fn push(&mut self, work: Work<K>) {
        self.remove(&work.key);
        self.pushed += 1;
        let order = match work.lane {
            Lane::Takedown => work.decided.0.saturating_neg(),
            _ => work.due.0,
        };
        let order = (order, self.pushed);
        let class = work.class();
        let place = (work.lane, work.app, class, order);
        self.places.insert(work.key.clone(), place);
        let turns = self.lanes.entry(work.lane).or_insert_with(|| Turns {
            apps: BTreeMap::new(),
            last: AppId(0),
        });
        let of_app = turns.apps.entry(work.app).or_default();
        of_app.entry(class).or_default().insert(order, work);
    }

    /// Takes out what there was for this object.
    pub fn remove(&mut self, key: &K) -> Option<Work<K>> {
        let (lane, app, class, order) = self.places.remove(key)?;
        let apps = &mut self.lanes.get_mut(&lane)?.apps;
        let of_app = apps.get_mut(&app)?;
        let of_class = of_app.get_mut(&class)?;
        let work = of_class.remove(&order);
        if of_class.is_empty() {
            of_app.remove(&class);
        }
        if of_app.is_empty() {
            apps.remove(&app);
        }
        work
    }

    /// How many pieces of work wait.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Why the work queued for this object does not go at `now`, as by [`hold`]. `None` where none
    /// is queued, and where it only waits for its turn.
    pub fn waiting_for(
        &self,
        key: &K,
        budget: &mut Budget,
        breaker: &Breaker,
        now: Now,
    ) -> Option<Hold> {
        let (lane, app, class, order) = self.places.get(key)?;
        let of_app = self.lanes.get(lane)?.apps.get(app)?;
        hold(of_app.get(class)?.get(order)?, budget, breaker, now)
    }

    /// Takes the next piece of work that may be done at `now`.
    pub fn pick(&mut self, budget: &mut Budget, breaker: &mut Breaker, now: Now) -> Pick<K> {
        self.pick_down_to(Lane::Check, budget, breaker, now)
    }

    /// As [`Queue::pick`], as if there were nothing in lanes that `lowest` precedes.
    pub fn pick_down_to(
        &mut self,
        lowest: Lane,
        budget: &mut Budget,
        breaker: &mut Breaker,
        now: Now,
    ) -> Pick<K> {
        let mut wait: Option<UnixMs> = None;
        let mut found = None;
        for (lane, turns) in self.lanes.range_mut(..=lowest) {
            if let Gate::Shut(until) = breaker.gate(*lane == Lane::Takedown, now) {
                if !turns.apps.is_empty() {
                    wait = Some(wait.map_or(until, |other| other.min(until)));
                }
                continue;
            }
            match turns.first_that_fits(budget, now) {
                Ok(key) => {
                    found = Some(key);
                    break;
                }
                Err(later) => wait = [wait, later].into_iter().flatten().min(),
            }
        }
        let Some(work) = found.and_then(|key| self.remove(&key)) else {
            return wait.map_or(Pick::Idle, Pick::Wait);
        };
        budget.spend(work.spending(), now);
        breaker.on_call(now);
        Pick::Do(work)
    }
}

impl<K: Clone> Turns<K> {
    /// The App whose turn it is goes first; where nothing of its fits, another's may. Past work
    /// that does not fit, only work that draws on other budgets is tried: a repeat must not stand
    /// before a new takedown that may spend the reserve.
    fn first_that_fits(&mut self, budget: &mut Budget, now: Now) -> Result<K, Option<UnixMs>> {
        let after = self
            .apps
            .range((Bound::Excluded(self.last), Bound::Unbounded));
        let mut wait: Option<UnixMs> = None;
        for (app, classes) in after.chain(self.apps.range(..=self.last)) {
            let heads = classes.values().filter_map(BTreeMap::first_key_value);
            let mut heads: Vec<_> = heads.collect();
            heads.sort_unstable_by_key(|(order, _)| **order);
            for (_, work) in heads {
                match budget.ask(work.spending(), now) {
                    Verdict::Fits => {
                        self.last = *app;
                        return Ok(work.key.clone());
                    }
                    Verdict::Later(until) => {
                        wait = Some(wait.map_or(until, |other| other.min(until)));
                    }
                    Verdict::ListFull => {}
                }
            }
        }
        Err(wait)
    }
}

impl<K> Work<K> {
    fn class(&self) -> Class {
        (self.calls, self.reserve, self.adds_ban)
    }

    /// What doing it draws on.
    pub fn spending(&self) -> Spending<'_> {
        Spending {
            kinds: self.calls,
            app: self.app,
            reserve: self.reserve,
            adds_ban: self.adds_ban,
        }
    }
}

#[cfg(test)]
mod tests;

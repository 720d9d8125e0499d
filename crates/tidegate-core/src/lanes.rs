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
use crate::budget::{Budget, CallKind, Spending, Verdict};
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

    /// Takes the next piece of work that may be done at `now`.
    pub fn pick(&mut self, budget: &mut Budget, breaker: &mut Breaker, now: Now) -> Pick<K> {
        let mut wait: Option<UnixMs> = None;
        let mut found = None;
        for (lane, turns) in &mut self.lanes {
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

    fn spending(&self) -> Spending<'_> {
        Spending {
            kinds: self.calls,
            app: self.app,
            reserve: self.reserve,
            adds_ban: self.adds_ban,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backoff::Jitter;
    use crate::budget::{Rule, Span};

    const FORBID: &[CallKind] = &[CallKind::Forbid];
    const FIND: &[CallKind] = &[CallKind::Find];

    fn work(key: u32, app: u32, lane: Lane, at: i64) -> Work<u32> {
        Work {
            key,
            app: AppId(app),
            lane,
            reserve: false,
            adds_ban: false,
            calls: FORBID,
            decided: UnixMs(at),
            due: UnixMs(at),
        }
    }

    fn drain(queue: &mut Queue<u32>, budget: &mut Budget) -> Vec<u32> {
        let now = Now::agreed(UnixMs(0));
        let mut keys = Vec::new();
        while let Pick::Do(work) = queue.pick(budget, &mut Breaker::default(), now) {
            keys.push(work.key);
        }
        keys
    }

    #[test]
    fn lanes_go_in_order_and_apps_in_turn_newest_takedown_first() {
        let mut queue = Queue::default();
        queue.push(work(1, 1, Lane::Check, 0));
        queue.push(work(2, 1, Lane::Renewal, 9));
        queue.push(work(3, 1, Lane::Renewal, 5));
        queue.push(work(4, 1, Lane::Resume, 0));
        for n in 10..13 {
            queue.push(work(n, 1, Lane::Takedown, i64::from(n)));
        }
        queue.push(work(20, 2, Lane::Takedown, 1));
        let order = drain(&mut queue, &mut Budget::new(Vec::new(), None));
        assert_eq!(order, [12, 20, 11, 10, 4, 3, 2, 1]);
    }

    #[test]
    fn newer_work_for_an_object_replaces_the_older() {
        let mut queue = Queue::default();
        queue.push(work(1, 1, Lane::Takedown, 0));
        queue.push(work(1, 1, Lane::Resume, 1));
        assert_eq!(queue.len(), 1);
        let order = drain(&mut queue, &mut Budget::new(Vec::new(), None));
        assert_eq!(order, [1]);
    }

    #[test]
    fn a_full_list_holds_back_new_bans_and_nothing_else() {
        let mut queue = Queue::default();
        for n in 0..3 {
            let mut ban = work(n, 1, Lane::Takedown, i64::from(n));
            ban.adds_ban = true;
            queue.push(ban);
        }
        queue.push(work(7, 1, Lane::Takedown, -5));
        let mut budget = Budget::new(Vec::new(), Some(1));
        assert_eq!(drain(&mut queue, &mut budget), [2, 7]);
        assert_eq!(queue.len(), 2);
    }

    #[test]
    fn an_open_breaker_holds_all_but_probing_takedowns() {
        let now = Now::agreed(UnixMs(0));
        let mut breaker = Breaker::default();
        for _ in 0..5 {
            breaker.on_failure(Jitter(u16::MAX), now);
        }
        let mut budget = Budget::new(Vec::new(), None);
        let mut queue = Queue::default();
        queue.push(work(1, 1, Lane::Resume, 0));
        assert_eq!(
            queue.pick(&mut budget, &mut breaker, now),
            Pick::Wait(UnixMs(2000))
        );
        queue.push(work(2, 1, Lane::Takedown, 0));
        assert!(matches!(queue.pick(&mut budget, &mut breaker, now), Pick::Do(w) if w.key == 2));
        queue.push(work(3, 1, Lane::Takedown, 0));
        assert_eq!(
            queue.pick(&mut budget, &mut breaker, now),
            Pick::Wait(UnixMs(1000))
        );
    }

    #[test]
    fn another_kind_goes_on_while_one_is_spent() {
        let rule = Rule {
            kinds: vec![CallKind::Forbid],
            calls: 1,
            span: Span::Sliding(std::time::Duration::from_secs(86_400)),
            reserve: 0,
        };
        let mut budget = Budget::new(vec![rule], None);
        let mut queue = Queue::default();
        queue.push(work(1, 1, Lane::Takedown, 1));
        queue.push(work(2, 1, Lane::Takedown, 0));
        let mut check = work(3, 1, Lane::Check, 0);
        check.calls = FIND;
        queue.push(check);
        assert_eq!(drain(&mut queue, &mut budget), [1, 3]);
        assert_eq!(queue.len(), 1);
    }
}

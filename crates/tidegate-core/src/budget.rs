//! What may be spent on calls to one vendor account.
//!
//! Every call must fit every rule that names its kind. Calls are counted in slots of a window, the
//! oldest slot in full, so that no window of the vendor's, wherever it begins, holds more calls
//! than the rule allows. The price is one slot in [`SLOTS`] of throughput.
//!
//! A vendor counts a call when it comes, which is some time between its sending and its answer. So
//! a call that is out counts all the while, and leaves the window a window after its answer.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::backoff::{Now, Wait};
use crate::ids::AppId;
use crate::time::UnixMs;

/// Slots in a window.
pub const SLOTS: i64 = 64;
/// Windows from this length on are shared out among Apps; in shorter ones turns are enough.
const SHARED_FROM: Duration = Duration::from_secs(3600);
/// Stands in for the slot of calls that are out.
const OUT: i64 = i64::MAX;
/// The slot of calls that were out when the one who made them was gone: whenever that is read.
const WAS_OUT: i64 = i64::MAX - 1;

/// The kinds of call that limits tell apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallKind {
    /// Ban.
    Forbid,
    /// Move the end of a ban.
    ChangeEnd,
    /// Lift a ban.
    Resume,
    /// Cut once.
    Kick,
    /// A page of the bans.
    List,
    /// Whether one object is banned.
    Find,
    /// Whether one stream is live.
    State,
    /// A page of the live streams.
    Online,
}

/// How the vendor counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Span {
    /// Any stretch of this length; the safe reading where a page says only "a day".
    Sliding(Duration),
    /// A calendar day that begins this many seconds before midnight UTC (28,800 for UTC+8). The
    /// slots beside midnight count for both days, since the vendor's clock may be off.
    Day {
        /// Seconds east of UTC.
        east: i32,
    },
}

/// One limit of a vendor, per account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// The kinds that draw on it.
    pub kinds: Vec<CallKind>,
    /// So many calls.
    pub calls: u32,
    /// In so long.
    pub span: Span,
    /// How many of them only new takedowns may spend; less than `calls`.
    pub reserve: u32,
}

/// A call, or two back to back, as far as budgets care.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spending<'a> {
    /// The calls.
    pub kinds: &'a [CallKind],
    /// For whom.
    pub app: AppId,
    /// A new takedown: may spend the reserve.
    pub reserve: bool,
    /// Needs room for one more ban in the vendor's list.
    pub adds_ban: bool,
}

/// Whether a call fits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It does.
    Fits,
    /// Not before this instant of the steady clock.
    Later(UnixMs),
    /// The vendor's list of bans is full. Nobody's ban is lifted to make room.
    ListFull,
}

/// What holds a call back, for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Shortage {
    /// One of the vendor's published limits.
    Rule {
        /// Until this instant of the steady clock, at the earliest.
        until: UnixMs,
        /// The limit, as in "500 calls a day".
        words: String,
    },
    /// The vendor said that such calls are used up.
    VendorSaid {
        /// Until this instant of the steady clock.
        until: UnixMs,
    },
    /// The vendor's list of bans is full.
    ListFull,
}

/// What is left of an account's limits. The state is kept in the ledger; the rules come from the
/// configuration at each start ([`Budget::restore`]).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Budget {
    rules: Vec<Rule>,
    list_capacity: Option<u32>,
    state: BudgetState,
}

/// The part of a [`Budget`] to keep.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct BudgetState {
    spent: Vec<Spent>,
    /// The vendor said that these kinds are used up, until then.
    stopped: BTreeMap<CallKind, Wait>,
    standing: u32,
    apps: u32,
}

/// What was spent of one rule.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Spent {
    /// Kinds and window of the rule, so that counts are not taken for those of another.
    rule: String,
    /// Slot ([`OUT`] for calls that are out), App and calls; App 0 stands for all where a window is
    /// not shared out.
    calls: Vec<(i64, u32, u32)>,
}

impl Budget {
    /// An untouched budget. `list_capacity`: how many bans may stand at once.
    pub fn new(rules: Vec<Rule>, list_capacity: Option<u32>) -> Self {
        Self::restore(rules, list_capacity, BudgetState::default())
    }

    /// Goes on where `state` stood. If there are other rules than then, those start untouched.
    pub fn restore(rules: Vec<Rule>, list_capacity: Option<u32>, mut state: BudgetState) -> Self {
        let before = std::mem::take(&mut state.spent);
        let kept = |rule: &Rule| {
            let name = rule.name();
            let calls = before.iter().find(|spent| spent.rule == name);
            let mut calls = calls.map(|spent| spent.calls.clone()).unwrap_or_default();
            for entry in calls.iter_mut().filter(|entry| entry.0 == OUT) {
                entry.0 = WAS_OUT;
            }
            Spent { rule: name, calls }
        };
        state.spent = rules.iter().map(kept).collect();
        Self {
            rules,
            list_capacity,
            state,
        }
    }

    /// What to keep.
    pub fn state(&self) -> &BudgetState {
        &self.state
    }

    /// How many Apps have targets on the account. Each is sure of its part of half of every
    /// daily budget; the other half goes to whoever comes first.
    pub fn set_apps(&mut self, apps: u32) {
        self.state.apps = apps;
    }

    /// How many bans stand at the vendor, as last counted.
    pub fn set_standing(&mut self, bans: u32) {
        self.state.standing = bans;
    }

    /// Bans believed to stand, and the most there may be.
    pub fn standing(&self) -> (u32, Option<u32>) {
        (self.state.standing, self.list_capacity)
    }

    /// A ban is gone.
    pub fn on_lifted(&mut self) {
        self.state.standing = self.state.standing.saturating_sub(1);
    }

    /// The vendor said that calls of `kind` are used up for `length`. Kinds that share a window
    /// of an hour or more with it stop as well.
    pub fn on_spent(&mut self, kind: CallKind, length: Duration, now: Now) {
        let wait = Wait::lasting(now, length);
        self.state.stopped.insert(kind, wait);
        for rule in &self.rules {
            if rule.kinds.contains(&kind) && length_of(rule.span) >= SHARED_FROM {
                for kind in &rule.kinds {
                    self.state.stopped.insert(*kind, wait);
                }
            }
        }
    }

    /// The account or its plan changed: what the vendor said before no longer counts.
    pub fn forget_stops(&mut self) {
        self.state.stopped.clear();
    }

    /// Whether `spending` fits.
    pub fn ask(&mut self, spending: Spending<'_>, now: Now) -> Verdict {
        if self.lacks_room(spending) {
            return Verdict::ListFull;
        }
        let latest = self.latest_limit(spending, now);
        latest.map_or(Verdict::Fits, |(until, _)| Verdict::Later(until))
    }

    /// What holds `spending` back, for people; `None` if it fits. Of several limits the one that
    /// lasts longest.
    pub fn shortage(&mut self, spending: Spending<'_>, now: Now) -> Option<Shortage> {
        if self.lacks_room(spending) {
            return Some(Shortage::ListFull);
        }
        let (until, limit) = self.latest_limit(spending, now)?;
        Some(match limit.and_then(|at| self.rules.get(at)) {
            None => Shortage::VendorSaid { until },
            Some(rule) => Shortage::Rule {
                until,
                words: rule.words(spending.reserve),
            },
        })
    }

    fn lacks_room(&self, spending: Spending<'_>) -> bool {
        let full = |most: u32| self.state.standing >= most;
        spending.adds_ban && self.list_capacity.is_some_and(full)
    }

    /// The limit that holds `spending` back longest: until when, and which rule; none where the
    /// vendor said so.
    fn latest_limit(
        &mut self,
        spending: Spending<'_>,
        now: Now,
    ) -> Option<(UnixMs, Option<usize>)> {
        let mut latest: Option<(UnixMs, Option<usize>)> = None;
        let mut limit = |until: UnixMs, rule: Option<usize>| {
            if latest.is_none_or(|(other, _)| until > other) {
                latest = Some((until, rule));
            }
        };
        for kind in spending.kinds {
            if let Some(stop) = self.state.stopped.get(kind).filter(|s| !s.is_over(now)) {
                limit(stop.until(), None);
            }
        }
        for (at, (rule, spent)) in self.rules.iter().zip(&mut self.state.spent).enumerate() {
            let cost = cost(rule, spending.kinds);
            if cost == 0 {
                continue;
            }
            spent.tidy(rule, now);
            if !spent.fits(rule, cost, spending, self.state.apps) {
                limit(spent.first_leaves(rule, now), Some(at));
            }
        }
        latest
    }

    /// Spends it. Call it for what was asked and fits, before the call goes out.
    pub fn spend(&mut self, spending: Spending<'_>, now: Now) {
        for (rule, spent) in self.rules.iter().zip(&mut self.state.spent) {
            let cost = cost(rule, spending.kinds);
            if cost > 0 {
                spent.add(rule, cost, spending.app, now);
            }
        }
        if spending.adds_ban {
            self.state.standing = self.state.standing.saturating_add(1);
        }
    }

    /// What was spent at `now` goes out: it counts until [`Budget::on_answered`] and a window more.
    pub fn on_sent(&mut self, kinds: &[CallKind], app: AppId, now: Now) {
        for (rule, spent) in self.rules.iter().zip(&mut self.state.spent) {
            let from = slot(rule.span, now.steady);
            spent.shift(rule, cost(rule, kinds), app, from, OUT);
        }
    }

    /// Calls that were out have been answered, or have been given up, or were not made after all.
    pub fn on_answered(&mut self, kinds: &[CallKind], app: AppId, now: Now) {
        for (rule, spent) in self.rules.iter().zip(&mut self.state.spent) {
            let to = slot(rule.span, now.steady);
            spent.shift(rule, cost(rule, kinds), app, OUT, to);
        }
    }

    /// For every rule: calls that count against it at `now`, and how many it allows.
    pub fn used(&self, now: Now) -> impl Iterator<Item = (&Rule, u32)> {
        let pairs = self.rules.iter().zip(&self.state.spent);
        pairs.map(move |(rule, spent)| {
            let first = first_slot(rule.span, now.steady);
            let counted = spent.calls.iter().filter(|(slot, _, _)| *slot >= first);
            (rule, counted.map(|(_, _, calls)| calls).sum())
        })
    }
}

impl Rule {
    /// The limit in words, as in "500 calls a day"; for what may not spend the reserve, with that.
    fn words(&self, reserve: bool) -> String {
        let calls = if self.calls == 1 { "call" } else { "calls" };
        let span = length_words(length_of(self.span));
        let kept = if reserve || self.reserve == 0 {
            String::new()
        } else {
            format!(", {} of them kept for takedowns", self.reserve)
        };
        format!("{} {calls} {span}{kept}", self.calls)
    }

    fn name(&self) -> String {
        format!("{:?} {:?}", self.kinds, self.span)
    }
}

impl Spent {
    /// Forgets what has left the window. What was spent under a clock that was ahead counts as
    /// spent at this instant.
    fn tidy(&mut self, rule: &Rule, now: Now) {
        let slot = slot(rule.span, now.steady);
        let first = first_slot(rule.span, now.steady);
        self.calls.retain(|(at, _, _)| *at >= first);
        for entry in self.calls.iter_mut().filter(|entry| entry.0 != OUT) {
            entry.0 = entry.0.min(slot);
        }
    }

    fn fits(&self, rule: &Rule, cost: u32, spending: Spending<'_>, apps: u32) -> bool {
        let pool = if spending.reserve {
            rule.calls
        } else {
            rule.calls.saturating_sub(rule.reserve)
        };
        let used: u32 = self.calls.iter().map(|(_, _, calls)| calls).sum();
        let kept = if is_shared(rule.span) && apps > 1 {
            self.kept_for_others(pool / 2 / apps, apps, spending.app, cost)
        } else {
            0
        };
        used.saturating_add(cost).saturating_add(kept) <= pool
    }

    /// What other Apps are sure of and have not spent. An App within its own part owes nothing.
    fn kept_for_others(&self, part: u32, apps: u32, app: AppId, cost: u32) -> u32 {
        let mut by_app: BTreeMap<u32, u32> = BTreeMap::new();
        for (_, app, calls) in &self.calls {
            *by_app.entry(*app).or_default() += calls;
        }
        if by_app.remove(&app.0).unwrap_or(0).saturating_add(cost) <= part {
            return 0;
        }
        let taken: u32 = by_app.values().map(|used| (*used).min(part)).sum();
        (part * (apps - 1)).saturating_sub(taken)
    }

    /// When the oldest calls leave the window.
    fn first_leaves(&self, rule: &Rule, now: Now) -> UnixMs {
        let answered = self.calls.iter().map(|(slot, _, _)| *slot);
        let oldest = answered.filter(|slot| *slot != OUT).min();
        let oldest = oldest.unwrap_or_else(|| slot(rule.span, now.steady));
        let width = slot_ms(rule.span);
        match rule.span {
            Span::Sliding(length) => {
                UnixMs(oldest.saturating_add(1).saturating_mul(width)).plus(length)
            }
            Span::Day { .. } => {
                let beside_midnight = i64::from(oldest.rem_euclid(SLOTS) == SLOTS - 1);
                let day = oldest.div_euclid(SLOTS) + 1 + beside_midnight;
                UnixMs((day * SLOTS + 1) * width - offset_ms(rule.span))
            }
        }
    }

    fn add(&mut self, rule: &Rule, cost: u32, app: AppId, now: Now) {
        self.tidy(rule, now);
        self.count(rule, cost, app, slot(rule.span, now.steady));
    }

    fn count(&mut self, rule: &Rule, cost: u32, app: AppId, slot: i64) {
        match self.calls_in(rule, app, slot) {
            Some(calls) => *calls = calls.saturating_add(cost),
            None => self.calls.push((slot, counted_for(rule, app), cost)),
        }
    }

    /// Counts what is counted in slot `from` in slot `to` instead.
    fn shift(&mut self, rule: &Rule, cost: u32, app: AppId, from: i64, to: i64) {
        let moved = self.calls_in(rule, app, from).map_or(0, |calls| {
            let moved = cost.min(*calls);
            *calls -= moved;
            moved
        });
        if moved > 0 {
            self.calls.retain(|(_, _, calls)| *calls > 0);
            self.count(rule, moved, app, to);
        }
    }

    fn calls_in(&mut self, rule: &Rule, app: AppId, slot: i64) -> Option<&mut u32> {
        let app = counted_for(rule, app);
        let mut calls = self.calls.iter_mut();
        let found = calls.find(|entry| entry.0 == slot && entry.1 == app);
        found.map(|(_, _, calls)| calls)
    }
}

fn cost(rule: &Rule, kinds: &[CallKind]) -> u32 {
    let named = kinds.iter().filter(|kind| rule.kinds.contains(kind));
    u32::try_from(named.count()).unwrap_or(u32::MAX)
}

fn length_words(length: Duration) -> String {
    let units = [
        (86_400_000, "a day", "days"),
        (3_600_000, "an hour", "hours"),
        (60_000, "a minute", "minutes"),
        (1000, "a second", "seconds"),
    ];
    let ms = length.as_millis();
    match units
        .iter()
        .find(|(unit, ..)| ms > 0 && ms.is_multiple_of(*unit))
    {
        Some((unit, one, _)) if ms == *unit => (*one).to_owned(),
        Some((unit, _, many)) => format!("in {} {many}", ms / unit),
        None => format!("in {ms} ms"),
    }
}

fn counted_for(rule: &Rule, app: AppId) -> u32 {
    if is_shared(rule.span) { app.0 } else { 0 }
}

fn is_shared(span: Span) -> bool {
    length_of(span) >= SHARED_FROM
}

fn length_of(span: Span) -> Duration {
    match span {
        Span::Sliding(length) => length,
        Span::Day { .. } => Duration::from_secs(86_400),
    }
}

fn slot_ms(span: Span) -> i64 {
    let length = i64::try_from(length_of(span).as_millis()).unwrap_or(i64::MAX);
    (length / SLOTS).max(1)
}

fn offset_ms(span: Span) -> i64 {
    match span {
        Span::Sliding(_) => 0,
        Span::Day { east } => i64::from(east) * 1000,
    }
}

fn slot(span: Span, at: UnixMs) -> i64 {
    at.0.saturating_add(offset_ms(span))
        .div_euclid(slot_ms(span))
}

/// The oldest slot that counts at `at`.
fn first_slot(span: Span, at: UnixMs) -> i64 {
    let slot = slot(span, at);
    match span {
        Span::Sliding(length) => {
            let length = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
            at.0.saturating_sub(length).div_euclid(slot_ms(span))
        }
        Span::Day { .. } => {
            let midnight = slot - slot.rem_euclid(SLOTS);
            let yesterday = if slot == midnight { SLOTS } else { 0 };
            midnight - yesterday - 1
        }
    }
}

#[cfg(test)]
mod tests;

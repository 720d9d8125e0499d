//! The task behind a desk: load, step, pick, keep, call.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tidegate_core::backoff::Now;
use tidegate_core::breaker::Breaker;
use tidegate_core::lanes::{Lane, Pick, Queue, Work as Paid};
use tidegate_core::placement::Epoch;
use tidegate_core::reconcile::{Action, Object};
use tidegate_core::{AppId, UnixMs};
use tidegate_ledger::LedgerError;
use tidegate_ledger::cdns::ObjectKey;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::call::{self, Call, Ticket};
use super::super::directory::{AccountEntry, CdnDirectory};
use super::super::gather::Slot;
use super::entry::Entry;
use super::{Desk, Event, until};
use crate::engine::Engine;

/// Calls that may be out at once.
const MOST_OUT: usize = 64;
/// Of those, calls that are no takedowns: hung, they leave room for one.
const MOST_BESIDE: usize = 48;
/// Objects read or kept at once.
pub(super) const BATCH: usize = 256;
/// How often the ledger is asked for objects that are due.
pub(super) const SCAN_EVERY: Duration = Duration::from_secs(60);
/// An object that rests for longer than this is not kept in memory.
const KEEP: Duration = Duration::from_secs(90);
/// After the ledger failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// While another process may be calling for an object.
const LEASED: Duration = Duration::from_secs(1);
/// How long a desk that is closed waits for calls that are out.
const LAST_CALLS: Duration = Duration::from_secs(3);

pub(super) struct Work {
    pub(super) engine: Arc<Engine>,
    pub(super) account: Arc<AccountEntry>,
    pub(super) desk: Arc<Desk>,
    pub(super) directory: Arc<CdnDirectory>,
    pub(super) entries: HashMap<ObjectKey, Entry>,
    pub(super) queue: Queue<ObjectKey>,
    pub(super) breaker: Breaker,
    pub(super) budget_dirty: bool,
    /// Who waits until the budget is kept.
    pub(super) drawn: Vec<oneshot::Sender<()>>,
    pub(super) timers: BTreeSet<(UnixMs, ObjectKey)>,
    /// Objects to read, with who waits for them, and in which order they are read.
    pub(super) to_load: HashMap<ObjectKey, Vec<Slot>>,
    pub(super) load_order: VecDeque<ObjectKey>,
    /// Objects with something to keep.
    pub(super) dirty: HashSet<ObjectKey>,
    /// What is to be told to an object once it is read.
    pub(super) after_load: HashMap<ObjectKey, Vec<Event>>,
    /// Objects that somebody waits for.
    pub(super) awaited: HashSet<ObjectKey>,
    pub(super) touched: HashSet<ObjectKey>,
    /// Calls that were begun in this turn and are not out yet.
    pub(super) begun: Vec<Begun>,
    out: usize,
    /// Of those, how many are no takedowns.
    out_beside: usize,
    /// When the queue may have something that fits.
    queue_wait: Option<UnixMs>,
    pub(super) next_scan: UnixMs,
    /// How far the scan under way has come.
    pub(super) scanned: Option<ObjectKey>,
    /// The steady clock was put back: all that was ever kept is read and kept anew, since it may
    /// be put off by as much.
    pub(super) sweep: bool,
    /// What the sweep has found and is not read yet.
    pub(super) swept: HashSet<ObjectKey>,
    /// The steady clock at the last turn.
    latest: UnixMs,
    /// The ledger failed: nothing is tried before this.
    pub(super) rest_until: Option<UnixMs>,
    pub(super) next_look_round: UnixMs,
    stop: CancellationToken,
    /// Since when no more calls are begun.
    stopping: Option<Instant>,
}

/// A call that goes out once it is written down.
pub(super) struct Begun {
    pub(super) call: Call,
    /// The object before.
    pub(super) before: Object,
    /// What was paid for.
    pub(super) work: Paid<ObjectKey>,
}

impl Work {
    pub(super) fn new(
        engine: Arc<Engine>,
        account: Arc<AccountEntry>,
        desk: Arc<Desk>,
        stop: CancellationToken,
    ) -> Self {
        let directory = engine.cdns().directory();
        let sweep = engine.clock.was_set_back();
        Self {
            engine,
            account,
            desk,
            directory,
            entries: HashMap::new(),
            queue: Queue::default(),
            breaker: Breaker::default(),
            budget_dirty: false,
            drawn: Vec::new(),
            timers: BTreeSet::new(),
            to_load: HashMap::new(),
            load_order: VecDeque::new(),
            dirty: HashSet::new(),
            after_load: HashMap::new(),
            awaited: HashSet::new(),
            touched: HashSet::new(),
            begun: Vec::new(),
            out: 0,
            out_beside: 0,
            queue_wait: None,
            next_scan: UnixMs(i64::MIN),
            scanned: None,
            sweep,
            swept: HashSet::new(),
            latest: UnixMs(i64::MIN),
            rest_until: None,
            next_look_round: UnixMs(i64::MIN),
            stop,
            stopping: None,
        }
    }

    pub(super) fn now(&self) -> Now {
        self.engine.clock.now()
    }

    pub(super) fn epoch(&self) -> Epoch {
        Epoch(self.account.account.epoch)
    }

    pub(super) async fn stopped(&self) {
        match self.stopping {
            Some(since) => tokio::time::sleep_until(since + LAST_CALLS).await,
            None => self.stop.cancelled().await,
        }
    }

    /// No more calls are begun; those that are out are given a moment to come to their end. What
    /// is not heard of by then is in doubt, as after a crash.
    pub(super) fn stop(&mut self) {
        self.stopping.get_or_insert_with(Instant::now);
    }

    pub(super) fn is_finished(&self) -> bool {
        let over = |since: Instant| self.out == 0 || since.elapsed() >= LAST_CALLS;
        self.stopping.is_some_and(over)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// How long there is nothing to do.
    pub(super) fn pause(&self) -> Duration {
        let now = self.now();
        if let Some(rest) = self.rest_until {
            return until(rest, now).max(Duration::from_millis(1));
        }
        if !self.to_load.is_empty() || !self.touched.is_empty() {
            return Duration::ZERO;
        }
        let timer = self.timers.first().map(|(at, _)| *at);
        let queue = self.queue_wait.filter(|_| self.out < MOST_OUT);
        let instants = [
            timer,
            queue,
            Some(self.next_scan),
            Some(self.next_look_round),
        ];
        let next = instants.into_iter().flatten().min();
        next.map_or(SCAN_EVERY, |next| until(next, now))
            .clamp(Duration::from_millis(1), SCAN_EVERY)
    }

    /// Does all that can be done now.
    pub(super) async fn turn(&mut self, events: &mut Vec<Event>) {
        for event in events.drain(..) {
            self.on_event(event);
        }
        let now = self.now();
        if now.steady < self.latest {
            self.follow_clock();
        }
        self.latest = now.steady;
        if self.rest_until.is_some_and(|rest| rest > now.steady) {
            return;
        }
        self.rest_until = None;
        if let Err(error) = self.turn_with_ledger(now).await {
            self.engine.ledger_failed(&error);
            self.rest_until = Some(self.now().steady.plus(AFTER_FAILURE));
        }
        self.look_round();
    }

    /// The steady clock was put back: what waits for instants of before would wait too long.
    fn follow_clock(&mut self) {
        self.rest_until = None;
        self.next_look_round = UnixMs(i64::MIN);
        self.scan_anew();
        self.sweep = true;
        for key in self.entries.keys() {
            self.touched.insert(key.clone());
            self.dirty.insert(key.clone());
        }
    }

    pub(super) fn scan_anew(&mut self) {
        self.next_scan = UnixMs(i64::MIN);
        self.scanned = None;
    }

    async fn turn_with_ledger(&mut self, now: Now) -> Result<(), LedgerError> {
        if now.steady >= self.next_scan && self.stopping.is_none() {
            self.scan(now).await?;
        }
        self.load().await?;
        while let Some((at, key)) = self.timers.first().cloned() {
            if at > now.steady {
                break;
            }
            self.timers.remove(&(at, key.clone()));
            self.touched.insert(key);
        }
        for key in std::mem::take(&mut self.touched) {
            self.step(&key);
        }
        if self.stopping.is_none() {
            self.pick();
        }
        self.tell_all();
        self.keep().await?;
        self.send();
        Ok(())
    }

    pub(super) fn on_event(&mut self, event: Event) {
        match event {
            Event::Wake(key, slot) => self.read_first(key, slot),
            Event::Called(called) => {
                self.out = self.out.saturating_sub(1);
                if called.ticket.lane != Lane::Takedown {
                    self.out_beside = self.out_beside.saturating_sub(1);
                }
                self.on_called(*called);
            }
            Event::Seen(key, seen) => self.on_seen(key, seen),
            Event::Listed(key, standing, looked) => self.on_listed(key, standing, looked),
            Event::Drawn(tell) => {
                self.budget_dirty = true;
                self.drawn.push(tell);
            }
            Event::Directory => self.on_directory(),
            Event::Replaced => {
                self.entries.clear();
                self.dirty.clear();
                self.queue = Queue::default();
                self.timers.clear();
                self.scan_anew();
            }
        }
    }

    /// A new key, or other targets: everything in memory is read and tried again.
    fn on_directory(&mut self) {
        self.directory = self.engine.cdns().directory();
        let Some(account) = self.directory.account(self.account.account.id) else {
            return;
        };
        if account.account.epoch != self.account.account.epoch {
            self.account = Arc::clone(account);
            self.breaker = Breaker::default();
            self.desk.budget.lock().forget_stops();
            self.count_apps();
            self.scan_anew();
        }
        let keys: Vec<ObjectKey> = self.entries.keys().cloned().collect();
        for key in keys {
            self.read_soon(key);
        }
    }

    pub(super) fn count_apps(&self) {
        let id = self.account.account.id;
        let targets = self.directory.targets();
        let apps: HashSet<AppId> = targets
            .iter()
            .filter(|entry| entry.target.account == id)
            .map(|entry| entry.target.target.app)
            .collect();
        let apps = u32::try_from(apps.len()).unwrap_or(u32::MAX);
        self.desk.budget.lock().set_apps(apps);
    }

    fn step(&mut self, key: &ObjectKey) {
        let (now, epoch) = (self.now(), self.epoch());
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        let held_ban = entry.object.holds_ban();
        let (plan, settled) = entry.step(epoch, now);
        if settled {
            self.dirty.insert(key.clone());
        }
        if held_ban && !entry.object.holds_ban() {
            self.desk.budget.lock().on_lifted();
            self.budget_dirty = true;
        }
        let leased = !entry.object.is_free_for(&self.engine.cdns().holder, now);
        if entry.plan != Some(plan) {
            self.queue.remove(key);
            // A call of another process may be out, or the target be one not heard of here yet.
            let may_call = entry.target.is_some() && !leased;
            if let Some(work) = plan
                .work(key.clone(), &entry.wants, now)
                .filter(|_| may_call)
            {
                self.queue.push(work);
                self.queue_wait = Some(now.steady);
            }
            entry.plan = may_call.then_some(plan);
        }
        let mut next = plan.next;
        if leased {
            let soon = now.steady.plus(LEASED);
            next = Some(next.map_or(soon, |next| next.min(soon)));
        }
        if let Some(old) = entry.timer.take() {
            self.timers.remove(&(old, key.clone()));
        }
        entry.timer = next;
        if let Some(next) = next {
            self.timers.insert((next, key.clone()));
        }
        if self.tell(key) {
            self.awaited.insert(key.clone());
        }
        self.forget_if_at_rest(key, now);
    }

    fn forget_if_at_rest(&mut self, key: &ObjectKey, now: Now) {
        let horizon = now.steady.plus(KEEP);
        if self.dirty.contains(key) {
            return;
        }
        let Some(entry) = self.entries.get(key).filter(|entry| entry.rests(horizon)) else {
            return;
        };
        if let Some(timer) = entry.timer {
            self.timers.remove(&(timer, key.clone()));
        }
        self.queue.remove(key);
        self.entries.remove(key);
    }

    /// Begins as many calls as limits allow.
    fn pick(&mut self) {
        self.queue_wait = None;
        while self.out + self.begun.len() < MOST_OUT {
            let now = self.now();
            let beside = |begun: &&Begun| begun.call.lane != Lane::Takedown;
            let beside = self.out_beside + self.begun.iter().filter(beside).count();
            let lowest = match beside < MOST_BESIDE {
                true => Lane::Check,
                false => Lane::Takedown,
            };
            let pick = {
                let mut budget = self.desk.budget.lock();
                self.queue
                    .pick_down_to(lowest, &mut budget, &mut self.breaker, now)
            };
            match pick {
                Pick::Do(work) => {
                    self.budget_dirty = true;
                    let mut budget = self.desk.budget.lock();
                    budget.on_sent(work.calls, work.app, now);
                    drop(budget);
                    self.begin(work, now);
                }
                Pick::Wait(until) => {
                    self.queue_wait = Some(until);
                    return;
                }
                Pick::Idle => return,
            }
        }
    }

    fn begin(&mut self, work: Paid<ObjectKey>, now: Now) {
        let (holder, epoch) = (&self.engine.cdns().holder, self.epoch());
        let key = work.key.clone();
        let Some(entry) = self.entries.get_mut(&key) else {
            return self.give_back(&work);
        };
        let plan = entry.plan.take();
        let object = entry.vendor_object(&self.account, &key.stream);
        let before = entry.object.clone();
        let serial = plan.as_ref().and_then(|plan| {
            entry
                .object
                .begin(plan, &entry.wants, holder, &entry.limits, now)
        });
        match (plan, serial, object) {
            (Some(plan), Some(serial), Some(object)) => {
                self.dirty.insert(key.clone());
                if matches!(plan.action, Action::Forbid { .. }) {
                    entry.look_first(&self.desk, &key.stream);
                }
                self.begun.push(Begun {
                    call: Call {
                        key,
                        serial,
                        action: plan.action,
                        object,
                        lane: work.lane,
                        epoch,
                        app: work.app,
                    },
                    before,
                    work,
                });
            }
            _ => {
                entry.object = before;
                self.timers.insert((now.steady.plus(LEASED), key));
                self.give_back(&work);
            }
        }
    }

    /// The call does not go out.
    pub(super) fn give_back(&mut self, work: &Paid<ObjectKey>) {
        self.desk.budget.lock().give_back(work.spending());
        self.budget_dirty = true;
    }

    /// Sends what was written down.
    fn send(&mut self) {
        for begun in std::mem::take(&mut self.begun) {
            let key = begun.call.key.clone();
            self.call(begun.call);
            self.touched.insert(key);
        }
    }

    pub(super) fn call(&mut self, call: Call) {
        self.out += 1;
        self.out_beside += usize::from(call.lane != Lane::Takedown);
        let ticket = call.ticket();
        let (cdn, events) = (Arc::clone(&self.account.cdn), self.desk.sender());
        // Not waited for when the desk closes: what is not heard of by then is in doubt.
        tokio::spawn(async move {
            let called = tokio::spawn(call::make(cdn, call)).await;
            let called = called.unwrap_or_else(|_| call::lost(ticket));
            let _ = events.send(Event::Called(Box::new(called)));
        });
    }

    /// There is something to keep.
    pub(super) fn mark(&mut self, key: &ObjectKey) {
        self.dirty.insert(key.clone());
    }

    /// Objects to keep, a bounded number.
    pub(super) fn dirty(&self) -> Vec<ObjectKey> {
        let known = self
            .dirty
            .iter()
            .filter(|key| self.entries.contains_key(*key));
        known.take(BATCH).cloned().collect()
    }

    pub(super) fn unmark(&mut self, key: &ObjectKey) {
        self.dirty.remove(key);
    }

    pub(super) fn out(&self) -> usize {
        self.out
    }

    /// The second half of moving an end.
    pub(super) fn forbid_at_once(&mut self, first: &Ticket, until: UnixMs) {
        let entry = self.entries.get(&first.key);
        let object = entry.and_then(|entry| entry.vendor_object(&self.account, &first.key.stream));
        let action = Action::Forbid { until };
        match object {
            Some(object) => self.call(Call {
                key: first.key.clone(),
                serial: first.serial,
                action,
                object,
                lane: first.lane,
                epoch: self.epoch(),
                app: first.app,
            }),
            None => self.answered(action, first.app),
        }
    }

    /// What these calls were drawn from counts them from this instant on.
    pub(super) fn answered(&mut self, action: Action, app: AppId) {
        let now = self.now();
        let mut budget = self.desk.budget.lock();
        budget.on_answered(action.calls(), app, now);
        self.budget_dirty = true;
    }
}

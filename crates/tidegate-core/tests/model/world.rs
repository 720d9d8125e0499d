//! A server, its clocks and a vendor, driven by events; faults are drawn from a seed.

use std::time::Duration;

use tidegate_core::backoff::{Jitter, Now};
use tidegate_core::breaker::Breaker;
use tidegate_core::budget::{Budget, CallKind, Rule, Span};
use tidegate_core::lanes::{Lane, Pick, Queue};
use tidegate_core::placement::{
    Change, Epoch, Evidence, Limits, Lookup, Observed, Opening, Owner, OwnerId, Refusal, Want,
};
use tidegate_core::reconcile::{Action, Object, Outcome, Plan, Progress, Report, step};
use tidegate_core::{AppId, Generation, UnixMs, Until};

use crate::vendor::{Ask, Vendor};

pub(crate) const OBJECTS: usize = 3;
pub(crate) const PER_MINUTE: usize = 30;
pub(crate) const PER_HOUR: usize = 200;
pub(crate) const RESERVE: usize = 40;
pub(crate) const HOUR: i64 = 3_600_000;
const PROBE: i64 = 60_000;
const LONGEST: Duration = Duration::from_secs(7200);
const SKEW: Duration = Duration::from_secs(60);

/// A call under way. `ends` is when the client hears of it, `effect` when the vendor acts.
struct Call {
    object: usize,
    serial: u64,
    ask: Ask,
    effect: Option<i64>,
    ends: i64,
    outcome: Option<Outcome>,
    /// The process that made it is still there.
    heard: bool,
}

pub(crate) struct World {
    pub(crate) t: i64,
    pub(crate) jump: i64,
    pub(crate) faults: bool,
    pub(crate) epoch: Epoch,
    pub(crate) owners: Vec<Vec<Owner>>,
    pub(crate) objects: Vec<Object>,
    pub(crate) vendor: Vendor,
    limits: Limits,
    queue: Queue<usize>,
    plans: Vec<Option<Plan>>,
    budget: Budget,
    breaker: Breaker,
    calls: Vec<Call>,
    holder: u32,
    seed: u64,
    probe: i64,
    seen: Vec<(usize, OwnerId, Generation)>,
}

fn rules() -> Vec<Rule> {
    let kinds = vec![
        CallKind::Forbid,
        CallKind::ChangeEnd,
        CallKind::Resume,
        CallKind::Find,
    ];
    let rule = |calls: usize, seconds, reserve: usize| Rule {
        kinds: kinds.clone(),
        calls: u32::try_from(calls).expect("small"),
        span: Span::Sliding(Duration::from_secs(seconds)),
        reserve: u32::try_from(reserve).expect("small"),
    };
    vec![rule(PER_MINUTE, 60, 0), rule(PER_HOUR, 3600, RESERVE)]
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut world = Self {
            t: 1_000_000_000_000,
            jump: 0,
            faults: true,
            epoch: Epoch(0),
            owners: Vec::new(),
            objects: vec![Object::default(); OBJECTS],
            vendor: Vendor {
                bans: vec![None; OBJECTS],
                longest: 2 * HOUR,
                calls: Vec::new(),
                unreserved: Vec::new(),
            },
            limits: Limits {
                longest_ban: LONGEST,
                default_ban: Duration::from_secs(600),
                clock_skew: SKEW,
                change: Change::ResumeFirst,
                lookup: Lookup::Object,
                call_timeout: Duration::from_secs(10),
                scarce: false,
            },
            queue: Queue::default(),
            plans: vec![None; OBJECTS],
            budget: Budget::new(rules(), None),
            breaker: Breaker::default(),
            calls: Vec::new(),
            holder: 0,
            seed,
            probe: 0,
            seen: Vec::new(),
        };
        let random = world.random();
        world.limits.change = [Change::ResumeFirst, Change::Call, Change::Again][random % 3];
        world.limits.lookup = [Lookup::Object, Lookup::Nothing][random / 3 % 2];
        world.budget.set_apps(2);
        for _ in 0..OBJECTS {
            world.owners.push(Vec::new());
        }
        world
    }

    fn random(&mut self) -> usize {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) >> 33).expect("31 bits")
    }

    fn below(&mut self, most: i64) -> i64 {
        i64::try_from(self.random()).expect("31 bits") % most
    }

    fn now(&self) -> Now {
        Now {
            wall: UnixMs(self.t + self.jump),
            steady: UnixMs(self.t),
            ends_held: self.jump.abs() > 300_000,
        }
    }

    pub(crate) fn decide(&mut self, object: usize, app: u32, want: Want) {
        let id = OwnerId(i64::from(app));
        let decided = self.now().wall;
        let owners = &mut self.owners[object];
        let before = owners.iter().find(|owner| owner.id == id);
        let generation = Generation(before.map_or(1, |owner| owner.generation.0 + 1));
        owners.retain(|owner| owner.id != id);
        owners.push(Owner {
            id,
            app: AppId(app),
            generation,
            decided,
            want,
        });
    }

    /// The process dies; calls that are out go on at the vendor. `known`: the next one knows that
    /// this one is gone, else it waits for its leases.
    pub(crate) fn crash(&mut self, known: bool) {
        for call in &mut self.calls {
            call.heard = false;
        }
        self.holder += 1;
        self.queue = Queue::default();
        self.breaker = Breaker::default();
        self.plans = vec![None; OBJECTS];
        let now = self.now();
        for object in &mut self.objects {
            let kept = serde_json::to_string(object).expect("plain data");
            *object = serde_json::from_str(&kept).expect("as written");
            if known {
                object.take_over(now);
            }
        }
        let kept = serde_json::to_string(self.budget.state()).expect("plain data");
        let state = serde_json::from_str(&kept).expect("as written");
        self.budget = Budget::restore(rules(), None, state);
    }

    /// Lets time pass, event by event.
    pub(crate) fn run(&mut self, length: i64) {
        let end = self.t + length;
        let mut events = 0;
        loop {
            let next = self.act().min(end);
            events += 1;
            let rests = events < 20_000;
            assert!(rests, "no rest at {}, {next}: {:?}", self.t, self.plans);
            if next >= end && self.t == end {
                return;
            }
            self.t = next.max(self.t + 1).min(end);
        }
    }

    /// Does all that is due; returns when something is next.
    fn act(&mut self) -> i64 {
        self.lapse();
        self.effects();
        self.answers();
        self.look();
        let mut next = self.probe;
        for object in 0..OBJECTS {
            next = next.min(self.step(object));
        }
        while let Pick::Do(work) = self.pick(&mut next) {
            self.send(work.key, work.lane, work.reserve);
        }
        let calls = self.calls.iter();
        let events = calls.flat_map(|c| [c.effect.unwrap_or(i64::MAX), c.ends]);
        let ends = self
            .owners
            .iter()
            .flatten()
            .filter_map(|owner| match owner.want {
                Want::Banned(Until::At(at)) => Some(at.0 - self.jump),
                _ => None,
            });
        let events = events.chain(ends).filter(|at| *at > self.t);
        events.fold(next, i64::min)
    }

    /// Blocks end by the server's own timer.
    fn lapse(&mut self) {
        let now = self.now();
        if now.ends_held {
            return;
        }
        for owner in self.owners.iter_mut().flatten() {
            if matches!(owner.want, Want::Banned(Until::At(at)) if at <= now.wall) {
                owner.want = Want::Open(Opening::Ended);
                owner.generation.0 += 1;
            }
        }
    }

    fn effects(&mut self) {
        for call in &mut self.calls {
            if call.effect.is_some_and(|at| at <= self.t) {
                let outcome = self.vendor.apply(call.object, call.ask, self.t);
                call.outcome = call.outcome.or(Some(outcome));
                call.effect = None;
            }
        }
    }

    fn answers(&mut self) {
        while let Some(n) = self.calls.iter().position(|c| c.ends <= self.t && c.heard) {
            let call = &mut self.calls[n];
            call.heard = false;
            let outcome = call.outcome.expect("answered with something");
            let (object, serial) = (call.object, call.serial);
            self.answer(object, serial, outcome);
        }
        self.calls
            .retain(|call| call.ends > self.t || call.effect.is_some());
    }

    fn answer(&mut self, object: usize, serial: u64, outcome: Outcome) {
        let now = self.now();
        let jitter = Jitter(u16::try_from(self.random() % 65_536).expect("16 bits"));
        match outcome {
            Outcome::Retry { .. } | Outcome::Unknown => {
                self.breaker.on_failure(jitter, now);
            }
            _ => self.breaker.on_success(),
        }
        let report = Report {
            outcome,
            request_id: None,
            words: String::new(),
        };
        let known = &mut self.objects[object];
        let went = known.on_result(serial, &report, &self.limits, self.epoch, jitter, now);
        assert_ne!(went, Progress::Stale);
        for owner in &self.owners[object] {
            let accepted = known.accepted_generation(owner.id).unwrap_or_default();
            assert!(accepted <= owner.generation);
            let seen = self
                .seen
                .iter()
                .filter(|s| (s.0, s.1) == (object, owner.id));
            assert!(seen.max_by_key(|s| s.2).is_none_or(|s| s.2 <= accepted));
            self.seen.push((object, owner.id, accepted));
        }
        if let Progress::Forbid(until) = went {
            self.call(object, serial, Ask::Forbid(until), false);
        }
    }

    /// The prober: a publisher that never gives up, seen unless it is banned.
    fn look(&mut self) {
        if self.t < self.probe {
            return;
        }
        self.probe = self.t + PROBE;
        let now = self.now();
        for (object, ban) in self.objects.iter_mut().zip(&self.vendor.bans) {
            let evidence = match ban.is_some_and(|end| end.0 > self.t) {
                true => Evidence::Dark,
                false => Evidence::Live,
            };
            let at = now.wall;
            object.on_observed(Observed { evidence, at }, now);
        }
    }

    fn step(&mut self, object: usize) -> i64 {
        let now = self.now();
        let owners = &self.owners[object];
        let mut plan = step(&self.objects[object], owners, &self.limits, self.epoch, now);
        if plan.action == Action::Settle {
            self.objects[object].settle(owners, now);
            plan = step(&self.objects[object], owners, &self.limits, self.epoch, now);
            assert_ne!(plan.action, Action::Settle, "settled once is settled");
        }
        if self.plans[object] != Some(plan) {
            self.queue.remove(&object);
            if let Some(work) = plan.work(object, owners, now) {
                self.queue.push(work);
            }
            self.plans[object] = Some(plan);
        }
        let held = self.objects[object].lease.is_some();
        let next = plan.next.map_or(i64::MAX, |next| next.0);
        if held { next.min(self.t + 1000) } else { next }
    }

    fn pick(&mut self, next: &mut i64) -> Pick<usize> {
        let now = self.now();
        let pick = self.queue.pick(&mut self.budget, &mut self.breaker, now);
        if let Pick::Wait(until) = pick {
            assert!(until > now.steady, "a wait that is over");
            *next = (*next).min(until.0);
        }
        pick
    }

    fn send(&mut self, object: usize, lane: Lane, reserve: bool) {
        let plan = self.plans[object].take().expect("planned");
        let holder = self.holder.to_string();
        let (now, owners) = (self.now(), &self.owners[object]);
        let known = &mut self.objects[object];
        let Some(serial) = known.begin(&plan, owners, &holder, &self.limits, now) else {
            return;
        };
        assert!(!reserve || lane == Lane::Takedown);
        let (Action::Forbid { until }
        | Action::ChangeEnd { until }
        | Action::ResumeThenForbid { until }) = plan.action
        else {
            return self.ask_of(object, serial, plan.action, reserve);
        };
        let least = now.wall.plus(LONGEST - SKEW);
        let latest = latest_end(owners).map(|end| end.min(least));
        assert!(
            latest.is_some_and(|end| until >= end),
            "an owner's end is cut"
        );
        self.ask_of(object, serial, plan.action, reserve);
    }

    fn ask_of(&mut self, object: usize, serial: u64, action: Action, reserve: bool) {
        let owners = &self.owners[object];
        let ask = match action {
            Action::Forbid { until } => Ask::Forbid(until),
            Action::ChangeEnd { until } => Ask::ChangeEnd(until),
            Action::ResumeThenForbid { .. } => Ask::Resume,
            Action::Resume => {
                assert!(latest_end(owners).is_none(), "an owner's ban is lifted");
                Ask::Resume
            }
            other => {
                assert_eq!(other, Action::CheckState);
                Ask::Find
            }
        };
        self.call(object, serial, ask, reserve);
    }

    fn call(&mut self, object: usize, serial: u64, ask: Ask, reserve: bool) {
        let open = self.calls.iter().find(|c| c.object == object && c.heard);
        assert!(open.is_none(), "two calls for one object");
        self.vendor.calls.push(self.t);
        if !reserve {
            self.vendor.unreserved.push(self.t);
        }
        let effect = self.t + 1 + self.below(400);
        let soon = effect + self.below(400);
        let (timeout, late) = (self.t + 10_000, self.t + 10_000 + self.below(15_000));
        let fault = if self.faults { self.random() % 20 } else { 99 };
        let clock = self.jump.abs() > 60_000;
        let after = None;
        let (effect, ends, outcome) = match fault {
            _ if clock => (None, soon, Some(Outcome::Refused(Refusal::Clock))),
            0 | 1 => (None, soon, Some(Outcome::Retry { after })),
            2 => (None, soon, Some(Outcome::Throttled { after })),
            3 => {
                let wait = Duration::from_secs(90);
                (None, soon, Some(Outcome::QuotaSpent { wait }))
            }
            4 => (None, soon, Some(Outcome::Refused(Refusal::Permission))),
            5 | 6 => (None, soon, Some(Outcome::Unknown)),
            7 | 8 => (Some(effect), soon, Some(Outcome::Unknown)),
            9 | 10 => (Some(late), timeout, Some(Outcome::Unknown)),
            11 => (Some(effect), self.t + 9_000, None),
            _ => (Some(effect), soon, None),
        };
        self.calls.push(Call {
            object,
            serial,
            ask,
            effect,
            ends,
            outcome,
            heard: true,
        });
    }

    /// What is wrong with the vendor's state, if anything.
    pub(crate) fn difference(&self, object: usize) -> Option<String> {
        let want = latest_end(&self.owners[object]);
        let ban = self.vendor.bans[object].filter(|end| end.0 > self.t);
        let agrees = want.is_some() == ban.is_some();
        let known = &self.objects[object];
        let covered = self.owners[object]
            .iter()
            .all(|o| known.accepted_generation(o.id) == Some(o.generation));
        (!agrees || !covered)
            .then(|| format!("at {} wanted {want:?}, is {ban:?}\n{known:#?}", self.t))
    }
}

/// Until when any owner wants the object banned, reckoned here and not by what is tested.
fn latest_end(owners: &[Owner]) -> Option<UnixMs> {
    let ends = owners.iter().filter_map(|owner| match owner.want {
        Want::Banned(until) => Some(until.shown()),
        Want::Open(_) => None,
    });
    ends.max()
}

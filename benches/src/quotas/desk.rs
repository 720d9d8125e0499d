//! One account's work on a simulated clock: the pure step, the queue and the budget, with nothing
//! between them and the vendor but the bytes of each call.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tidegate_cdn::Vendor;
use tidegate_core::backoff::{Jitter, Now};
use tidegate_core::breaker::Breaker;
use tidegate_core::budget::{Budget, BudgetState};
use tidegate_core::lanes::{Pick, Queue, Work};
use tidegate_core::placement::{Epoch, Limits, Opening, Owner, OwnerId, Want};
use tidegate_core::reconcile::{Object, Outcome, step};
use tidegate_core::{AppId, Generation, StreamId, UnixMs, Until};
use tidegate_engine::cdns;

use super::line::Line;

/// Apps that share the account.
const APPS: u32 = 4;
/// Which placement of an object; each has only one here.
const OWNER: OwnerId = OwnerId(1);
const START: UnixMs = UnixMs(1_800_000_000_000);

/// What is decided: so many streams are forbidden at once, and the first few of those whose ban was
/// accepted are resumed as soon as it was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) forbids: u32,
    pub(super) resumes: u32,
}

/// How it went.
pub(super) struct Run {
    /// From the decision to the last acceptance.
    pub(super) took: Duration,
    /// Calls that were made.
    pub(super) calls: u64,
    /// Calls that the vendor turned away for rate or quota.
    pub(super) refused: u64,
}

struct Stream {
    id: StreamId,
    object: Object,
    owner: Owner,
}

struct Desk {
    line: Line,
    limits: Limits,
    budget: Budget,
    breaker: Breaker,
    queue: Queue<u32>,
    streams: Vec<Stream>,
    resumes_left: u32,
    refused: u64,
    now: Now,
    /// When streams want to be looked at again.
    due: BTreeSet<(UnixMs, u32)>,
    /// Decisions that are not accepted yet.
    pending: u32,
}

/// Makes the decisions and carries them out.
pub(super) fn run(vendor: Vendor, plan: Plan) -> anyhow::Result<Run> {
    let mut budget = cdns::budget(vendor, BudgetState::default());
    budget.set_apps(APPS);
    let mut desk = Desk {
        line: Line::new(vendor, START)?,
        limits: cdns::object_limits(vendor, true, Duration::from_secs(10)),
        budget,
        breaker: Breaker::default(),
        queue: Queue::default(),
        streams: Vec::new(),
        resumes_left: plan.resumes,
        refused: 0,
        now: Now::agreed(START),
        due: BTreeSet::new(),
        pending: plan.forbids + plan.resumes,
    };
    for n in 0..plan.forbids {
        desk.streams.push(forbidden(n)?);
        desk.step(n)?;
    }
    desk.work_off()?;
    desk.check(plan)?;
    Ok(Run {
        took: START.until(desk.now.wall),
        calls: desk.line.calls(),
        refused: desk.refused.max(desk.line.exceeded()),
    })
}

fn forbidden(n: u32) -> anyhow::Result<Stream> {
    Ok(Stream {
        id: StreamId::parse(&format!("room-{n:06}-camera"))?,
        object: Object::default(),
        owner: Owner {
            id: OWNER,
            app: AppId(1 + n % APPS),
            generation: Generation(1),
            decided: START,
            want: Want::Banned(Until::Lifted),
        },
    })
}

impl Desk {
    /// Until every decision is accepted.
    fn work_off(&mut self) -> anyhow::Result<()> {
        while self.pending > 0 {
            let pick = self
                .queue
                .pick(&mut self.budget, &mut self.breaker, self.now);
            let wait = match pick {
                Pick::Do(work) => {
                    self.call(&work)?;
                    continue;
                }
                Pick::Wait(until) => Some(until),
                Pick::Idle => None,
            };
            let due = self.due.first().map(|(due, _)| *due);
            let next = [wait, due].into_iter().flatten().min();
            let next = next.context("decisions are left that nothing waits for")?;
            self.now = Now::agreed(next.max(self.now.steady));
            self.line.set_clock(self.now.wall);
            while let Some((at, n)) = self.due.first().copied() {
                if at > self.now.steady {
                    break;
                }
                self.due.pop_first();
                self.step(n)?;
            }
        }
        Ok(())
    }

    /// What the newest decision on a stream takes goes into the queue.
    fn step(&mut self, n: u32) -> anyhow::Result<()> {
        let now = self.now;
        let stream = at(&mut self.streams, n)?;
        let owners = [stream.owner];
        let plan = step(&stream.object, &owners, &self.limits, Epoch(0), now);
        match plan.work(n, &owners, now) {
            Some(work) => self.queue.push(work),
            None => self.due.extend(plan.next.map(|next| (next, n))),
        }
        Ok(())
    }

    fn call(&mut self, work: &Work<u32>) -> anyhow::Result<()> {
        let now = self.now;
        let stream = at(&mut self.streams, work.key)?;
        let owners = [stream.owner];
        let plan = step(&stream.object, &owners, &self.limits, Epoch(0), now);
        let begun = stream
            .object
            .begin(&plan, &owners, "bench", &self.limits, now);
        let serial = begun.context("a call that may not begin")?;
        let held = stream.object.holds_ban();
        let before = stream.object.accepted_generation(OWNER);
        let report = self.line.make(plan.action, &stream.id, now.wall)?;
        stream
            .object
            .on_result(serial, &report, &self.limits, Epoch(0), Jitter(0), now);
        if held && !stream.object.holds_ban() {
            self.budget.on_lifted();
        }
        match report.outcome {
            Outcome::Accepted { .. } => self.breaker.on_success(),
            Outcome::Throttled { .. } => self.refused += 1,
            Outcome::QuotaSpent { wait } => {
                self.refused += 1;
                for kind in work.calls {
                    self.budget.on_spent(*kind, wait, now);
                }
            }
            _ => bail!("{}: {}", stream.id, report.words),
        }
        if stream.object.accepted_generation(OWNER) > before {
            self.pending -= 1;
        }
        let banned = stream.object.accepted_generation(OWNER) == Some(Generation(1));
        if banned && stream.owner.generation == Generation(1) && self.resumes_left > 0 {
            self.resumes_left -= 1;
            stream.owner.generation = Generation(2);
            stream.owner.decided = now.wall;
            stream.owner.want = Want::Open(Opening::Resumed);
        }
        self.step(work.key)
    }

    /// That the vendor has what was decided.
    fn check(&self, plan: Plan) -> anyhow::Result<()> {
        let accepted = |stream: &&Stream| {
            stream.object.accepted_generation(OWNER) == Some(stream.owner.generation)
        };
        let done = self.streams.iter().filter(accepted).count();
        ensure!(done == self.streams.len(), "only {done} streams are done");
        let resumed = self.streams.iter().filter(|s| s.owner.generation.0 == 2);
        let resumed = resumed.count();
        ensure!(u32::try_from(resumed)? == plan.resumes, "{resumed} resumed");
        let bans = self.line.bans();
        ensure!(
            bans + resumed == self.streams.len(),
            "{bans} bans stand at the vendor"
        );
        Ok(())
    }
}

fn at(streams: &mut [Stream], n: u32) -> anyhow::Result<&mut Stream> {
    let at = usize::try_from(n)?;
    streams.get_mut(at).context("a stream that is not there")
}

//! The simulator itself: one call in, one verdict out. No sockets, no waiting.

pub(crate) mod desk;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tidegate_core::UnixMs;

use crate::auth::{self, Check, Seen};
use crate::bans::{Ban, Bans, Side, Terms};
use crate::budget::{Budgets, Usage};
use crate::clock::Clock;
use crate::config::Config;
use crate::faults::{Dice, Fault, Faults, Rule, shifted};
use crate::journal::{Effect, Entry, Journal, Outcome};
use crate::media::{Media, Online, StreamName};
use crate::operation::Operation;
use crate::params::Params;
use crate::refusal::Refusal;
use crate::vendor::{self, Route, Scene};
use crate::wire::{Reply, Request};
use desk::{Desk, key_of};

/// One simulated vendor.
pub struct Simulator {
    clock: Arc<dyn Clock>,
    media: Arc<dyn Media>,
    started: UnixMs,
    state: Mutex<State>,
}

struct State {
    config: Config,
    bans: Bans,
    budgets: Budgets,
    faults: Faults,
    journal: Journal,
    seen: Seen,
    dice: Dice,
    cuts: Vec<Cut>,
}

/// A publisher to be thrown out at an instant.
struct Cut {
    at: UnixMs,
    account: String,
    name: StreamName,
}

/// A call that was read and let in or not, with the faults that will hit it.
#[derive(Debug)]
pub struct Plan {
    route: Route,
    params: Result<Params, Refusal>,
    faults: Vec<Fault>,
    arrived: UnixMs,
    /// None where a fault keeps the gateway from looking at it.
    admission: Option<Admission>,
}

/// What the gateway found.
#[derive(Debug, Default)]
struct Admission {
    /// Whose call it is, once the signature is right.
    account: Option<String>,
    refused: Option<Refusal>,
}

impl Plan {
    /// How long to wait before [`Simulator::execute`].
    pub fn wait_before(&self) -> Duration {
        self.wait(false)
    }

    /// How long to wait between [`Simulator::execute`] and the answer.
    pub fn wait_after(&self) -> Duration {
        self.wait(true)
    }

    fn wait(&self, after: bool) -> Duration {
        let waits = self.faults.iter().map(|fault| match fault {
            Fault::Latency { ms, after_effect } if *after_effect == after => *ms,
            _ => 0,
        });
        Duration::from_millis(waits.fold(0, u64::saturating_add))
    }

    fn hit(&self, wanted: impl Fn(&Fault) -> bool) -> bool {
        self.faults.iter().any(wanted)
    }
}

/// What the caller gets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// The answer; none when the connection closes instead.
    pub reply: Option<Reply>,
    /// This side's clock, for the Date header.
    pub date: UnixMs,
}

impl Simulator {
    /// A simulator without bans.
    pub fn new(config: Config, clock: Arc<dyn Clock>, media: Arc<dyn Media>) -> Arc<Self> {
        let started = clock.now();
        let seed = config.seed;
        Arc::new(Self {
            clock,
            media,
            started,
            state: Mutex::new(State {
                bans: Bans::default(),
                budgets: Budgets::default(),
                faults: Faults::seeded(seed),
                journal: Journal::default(),
                seen: Seen::default(),
                dice: Dice(seed ^ 0x5EED),
                cuts: Vec::new(),
                config,
            }),
        })
    }

    /// The vendor's clock: the time source and the configured offset.
    pub fn now(&self) -> UnixMs {
        let offset = self.state.lock().config.clock_offset_s;
        UnixMs(
            self.clock
                .now()
                .0
                .saturating_add(offset.saturating_mul(1000)),
        )
    }

    /// Reads a call, draws the faults that hit it, and has the vendor's gateway look at it:
    /// signature, clock and budgets count when a call comes, however long its effect takes.
    pub fn prepare(&self, request: &Request) -> Plan {
        let age_ms = self.clock.now().0.saturating_sub(self.started.0);
        let arrived = self.now();
        let mut state = self.state.lock();
        let vendor = state.config.vendor;
        let params = vendor::read_params(vendor, request);
        let none = Params::default();
        let route = vendor::route(vendor, request, params.as_ref().unwrap_or(&none));
        let faults = state
            .faults
            .strike(route.operation, route.name.as_ref(), age_ms);
        let mut plan = Plan {
            route,
            params,
            faults,
            arrived,
            admission: None,
        };
        if !plan.hit(|fault| matches!(fault, Fault::DropBefore | Fault::Garbage)) {
            plan.admission = Some(state.admit(&plan, request));
        }
        plan
    }

    /// Carries a call out and says what its caller gets.
    pub fn execute(&self, plan: &Plan, request: &Request) -> Verdict {
        let truth = self.now();
        let now = shifted(truth, &plan.faults);
        let online = self.media.online();
        let verdict = self
            .state
            .lock()
            .execute(plan, request, truth, now, &online);
        self.settle();
        verdict
    }

    /// [`Simulator::prepare`] and [`Simulator::execute`] without the waits.
    pub fn call(&self, request: &Request) -> Verdict {
        let plan = self.prepare(request);
        self.execute(&plan, request)
    }

    /// Whether a publisher of this stream is turned away.
    pub fn is_forbidden(&self, name: &StreamName) -> bool {
        self.held_until(name).is_some()
    }

    /// Until when a publisher of this stream is turned away, as far as it stands by now; none when
    /// it is let in.
    pub fn held_until(&self, name: &StreamName) -> Option<UnixMs> {
        let now = self.now();
        let state = self.state.lock();
        let ends = state.accounts_of(&name.domain).filter_map(|account| {
            let key = key_of(&state.config, account, name, Side::Publish);
            state.bans.held_until(&key, now)
        });
        ends.max()
    }

    /// Carries out cuts that have fallen due. Every call does this too; bans that spread slowly
    /// need it while no call comes.
    pub fn settle(&self) {
        let now = self.now();
        let due: Vec<Cut> = {
            let mut state = self.state.lock();
            state.cuts.extract_if(.., |cut| cut.at <= now).collect()
        };
        if due.is_empty() {
            return;
        }
        let online = self.media.online();
        for cut in due {
            let until = self.held_until(&cut.name);
            self.media.cut(&cut.name, until);
            for other in self.same_ban(&cut, &online) {
                self.media.cut(&other, until);
            }
        }
    }

    /// The other streams that a ban by name alone hits.
    fn same_ban(&self, cut: &Cut, online: &[Online]) -> Vec<StreamName> {
        let state = self.state.lock();
        let key = key_of(&state.config, &cut.account, &cut.name, Side::Publish);
        online
            .iter()
            .map(|online| &online.name)
            .filter(|name| **name != cut.name)
            .filter(|name| state.accounts_of(&name.domain).any(|a| a == cut.account))
            .filter(|name| key_of(&state.config, &cut.account, name, Side::Publish) == key)
            .cloned()
            .collect()
    }

    /// A ban made by hand, in the vendor's console: no call, no budget, no journal.
    pub fn forbid_by_hand(&self, account: &str, name: &StreamName, until: UnixMs) {
        let now = self.now();
        let mut state = self.state.lock();
        let key = key_of(&state.config, account, name, Side::Publish);
        let terms = Terms {
            until,
            spreads_ms: 0,
            lapses_after_ms: None,
        };
        state.bans.put(key, terms, now);
        state.cuts.push(Cut {
            at: now,
            account: account.to_owned(),
            name: name.clone(),
        });
        drop(state);
        self.settle();
    }

    /// A ban lifted by hand; false when there was none.
    pub fn resume_by_hand(&self, account: &str, name: &StreamName) -> bool {
        let now = self.now();
        let mut state = self.state.lock();
        let key = key_of(&state.config, account, name, Side::Publish);
        state.bans.lift(&key, 0, now)
    }

    /// Every standing ban, oldest first.
    pub fn bans(&self) -> Vec<Ban> {
        let now = self.now();
        self.state.lock().bans.list(None, now)
    }

    /// Journal rows after `seq` (0 for all that are kept).
    pub fn journal(&self, seq: u64) -> Vec<Entry> {
        self.state.lock().journal.after(seq)
    }

    /// How every budget was used.
    pub fn usage(&self) -> Vec<Usage> {
        let state = self.state.lock();
        state.budgets.usage(&state.config)
    }

    /// Replaces the faults; counts of hits start over.
    pub fn set_faults(&self, rules: Vec<Rule>) {
        self.state.lock().faults.set(rules);
    }

    /// Adds one fault.
    pub fn add_fault(&self, rule: Rule) {
        self.state.lock().faults.add(rule);
    }

    /// The faults in use.
    pub fn faults(&self) -> Vec<Rule> {
        self.state.lock().faults.rules()
    }

    /// Changes accounts, domains, limits or choices while running.
    pub fn reconfigure(&self, change: impl FnOnce(&mut Config)) {
        change(&mut self.state.lock().config);
    }
}

impl State {
    fn accounts_of<'a>(&'a self, domain: &'a str) -> impl Iterator<Item = &'a str> {
        let domains = &self.config.domains;
        self.config
            .accounts
            .iter()
            .map(|account| account.name.as_str())
            .filter(move |account| {
                domains
                    .iter()
                    .any(|known| known.publish == domain && known.owned_by(account))
            })
    }

    fn execute(
        &mut self,
        plan: &Plan,
        request: &Request,
        truth: UnixMs,
        now: UnixMs,
        online: &[Online],
    ) -> Verdict {
        let vendor = self.config.vendor;
        let request_id = vendor::request_id(vendor, self.dice.roll(), self.dice.roll());
        let mut entry = Entry {
            seq: 0,
            arrived: plan.arrived,
            at: truth,
            answered: truth.plus(plan.wait_after()),
            account: None,
            operation: plan.route.operation,
            action: plan.route.action.clone(),
            name: plan.route.name.clone(),
            effect: Effect::Nothing,
            outcome: Outcome::Dropped,
            request_id: request_id.clone(),
            faults: plan.faults.iter().map(Fault::kind).collect(),
        };
        let mut reply = None;
        if !plan.hit(|fault| *fault == Fault::DropBefore) {
            let done = self.carry_out(plan, request, truth, now, online, &mut entry);
            let scene = Scene {
                host: request.header("host").unwrap_or_default(),
                request_id: &request_id,
            };
            let answer = done.unwrap_or_else(|refusal| vendor::refuse(vendor, &refusal, &scene));
            reply = Some(answer).filter(|_| !plan.hit(|fault| *fault == Fault::DropAfter));
        }
        if let Some(reply) = &reply {
            entry.outcome = Outcome::Answered {
                status: reply.status,
                code: reply.code.clone(),
            };
        }
        self.journal.push(entry, self.config.journal_rows);
        Verdict { reply, date: now }
    }

    /// What a vendor's gateway checks, in its order.
    fn admit(&mut self, plan: &Plan, request: &Request) -> Admission {
        let none = Params::default();
        let check = Check {
            config: &self.config,
            request,
            params: plan.params.as_ref().unwrap_or(&none),
            now: shifted(plan.arrived, &plan.faults),
        };
        let mut admission = Admission::default();
        match auth::authenticate(&check, &mut self.seen) {
            Err(refusal) => admission.refused = Some(refusal),
            Ok(_) if plan.hit(|fault| *fault == Fault::ExpiredKey) => {
                admission.refused = Some(Refusal::ExpiredKey);
            }
            Ok(account) => admission.account = Some(account.name.clone()),
        }
        let operation = plan.route.operation;
        if let Some(account) = &admission.account
            && operation != Operation::Unknown
        {
            let spent = self
                .budgets
                .spend(&self.config, account, operation, plan.arrived);
            admission.refused = spent.err();
        }
        admission
    }

    /// The checks behind the gateway, then the operation itself.
    fn carry_out(
        &mut self,
        plan: &Plan,
        request: &Request,
        truth: UnixMs,
        now: UnixMs,
        online: &[Online],
        entry: &mut Entry,
    ) -> Result<Reply, Refusal> {
        let Some(admission) = &plan.admission else {
            return Ok(garbage());
        };
        entry.account.clone_from(&admission.account);
        if let Some(refusal) = &admission.refused {
            return Err(refusal.clone());
        }
        let mut accounts = self.config.accounts.iter();
        let account = accounts
            .find(|account| Some(&account.name) == entry.account.as_ref())
            .ok_or(Refusal::UnknownKey)?;
        if plan.route.operation == Operation::Unknown {
            return Err(Refusal::UnknownOperation(plan.route.action.clone()));
        }
        refused_by_fault(&plan.faults)?;
        if !account.permission.allows(plan.route.operation) {
            return Err(Refusal::NoPermission);
        }
        let params = plan.params.as_ref().map_err(Clone::clone)?;
        let mut desk = Desk::new(
            &self.config,
            account,
            &mut self.bans,
            &plan.faults,
            online,
            truth,
            now,
            &entry.request_id,
        );
        let done = vendor::perform(&mut desk, &plan.route, request, params);
        let Desk { cuts, effect, .. } = desk;
        entry.effect = effect;
        for (at, name) in cuts {
            self.cuts.push(Cut {
                at,
                account: account.name.clone(),
                name,
            });
        }
        let broken = plan.faults.iter().find_map(|fault| match fault {
            Fault::ServerError {
                status,
                after_effect: true,
            } => Some(*status),
            _ => None,
        });
        match broken {
            Some(status) => Err(Refusal::Broken(status)),
            None => done,
        }
    }
}

fn refused_by_fault(faults: &[Fault]) -> Result<(), Refusal> {
    for fault in faults {
        match fault {
            Fault::Throttle { retry_after_s } => return Err(Refusal::Throttled(*retry_after_s)),
            Fault::QuotaSpent => return Err(Refusal::QuotaSpent),
            Fault::ServerError {
                status,
                after_effect: false,
            } => return Err(Refusal::Broken(*status)),
            _ => {}
        }
    }
    Ok(())
}

fn garbage() -> Reply {
    Reply {
        status: 200,
        headers: vec![("content-type", "text/html".to_owned())],
        body: Bytes::from_static(b"<html><body>It works!</body></html>"),
        code: "garbage".to_owned(),
    }
}

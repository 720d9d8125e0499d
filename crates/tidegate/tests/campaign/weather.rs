//! Faults that change about every second, from a seeded schedule.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tidegate_sim::{Fault, Operation, Rule, Simulator, Vendor};

use crate::callers::Door;
use crate::dice::Dice;
use crate::fleet::Fleet;
use crate::harness::{Place, finish, tidegate, wait_for};

/// How long one kind of weather lasts.
const SPELL: Duration = Duration::from_secs(1);
/// Every so many spells the key of one vendor expires, or its day is spent, and is then renewed.
const REFUSALS_EVERY: usize = 6;
/// Every so many spells all vendors lose answers at once, so that none has luck.
const LOSSES_EVERY: usize = 8;
/// What takes effect.
const CHANGES: [Operation; 3] = [Operation::Forbid, Operation::Change, Operation::Resume];

/// A thread that changes the weather until it is told to clear.
pub(crate) struct Weather {
    stop: Sender<()>,
    thread: JoinHandle<Sky>,
}

/// What the weather is made on.
struct Sky {
    sims: Vec<(Vendor, Arc<Simulator>)>,
    door: Arc<Door>,
    place: Place,
    secret_file: String,
    dice: Dice,
    spells: BTreeMap<&'static str, usize>,
}

impl Weather {
    pub(crate) fn begin(fleet: &Fleet, door: &Arc<Door>, place: &Place, seed: u64) -> Self {
        let sims = fleet.cdns.iter().map(|cdn| (cdn.vendor, cdn.sim.clone()));
        let mut sky = Sky {
            sims: sims.collect(),
            door: Arc::clone(door),
            place: place.clone(),
            secret_file: fleet.secret_file.to_str().expect("text").to_owned(),
            dice: Dice::of(seed, usize::MAX),
            spells: BTreeMap::new(),
        };
        let (stop, stopped) = channel();
        let thread = std::thread::spawn(move || {
            for spell in 1.. {
                sky.turn(spell);
                if stopped.recv_timeout(SPELL) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
            }
            sky
        });
        Self { stop, thread }
    }

    /// Ends all faults and renews every key, as an operator would; says what there was.
    pub(crate) fn clear(self) -> String {
        self.stop.send(()).expect("the thread listens");
        let sky = self.thread.join().expect("the weather");
        for (vendor, sim) in &sky.sims {
            sim.set_faults(Vec::new());
            sky.renew(*vendor);
        }
        let spells = sky.spells.iter().map(|(kind, n)| format!("{kind} {n}"));
        format!("spells of {}", spells.collect::<Vec<_>>().join(", "))
    }
}

impl Sky {
    fn turn(&mut self, spell: usize) {
        let refused = (spell / REFUSALS_EVERY) % self.sims.len();
        for at in 0..self.sims.len() {
            let before = at == refused && spell > 1 && spell % REFUSALS_EVERY == 1;
            let (vendor, sim) = self.sims[at].clone();
            if at == refused && spell.is_multiple_of(REFUSALS_EVERY) {
                let fault = match (spell / REFUSALS_EVERY) % 2 {
                    0 => Fault::QuotaSpent,
                    _ => Fault::ExpiredKey,
                };
                self.note(&fault);
                sim.set_faults(vec![Rule::always(fault)]);
                continue;
            }
            let mut rules: Vec<Rule> = Vec::new();
            for _ in 0..self.dice.below(3) {
                let rule = self.rule();
                // Two waits may add up to more than the longest that a lost call is given.
                let kind = rule.fault.kind();
                if rules.iter().all(|other| other.fault.kind() != kind) {
                    self.note(&rule.fault);
                    rules.push(rule);
                }
            }
            if spell % LOSSES_EVERY == LOSSES_EVERY / 2 {
                rules = vec![Rule::always(Fault::DropAfter).on(&CHANGES).times(3)];
                self.note(&Fault::DropAfter);
            }
            sim.set_faults(rules);
            if before {
                self.renew(vendor);
            }
        }
    }

    fn note(&mut self, fault: &Fault) {
        *self.spells.entry(fault.kind()).or_default() += 1;
    }

    fn rule(&mut self) -> Rule {
        let lists = [Operation::List];
        let after_effect = self.dice.one_in(2);
        let chance = [0.1, 0.3, 0.6][self.dice.below(3)];
        let often = |fault| Rule::always(fault).chance(chance);
        match self.dice.below(14) {
            0 | 1 => often(Fault::Latency {
                ms: 200 + 100 * u64::try_from(self.dice.below(25)).expect("small"),
                after_effect,
            }),
            // Longer than a call may take, so that the effect comes after the caller gave up.
            2 => Rule::always(Fault::Latency {
                ms: 11_000,
                after_effect,
            })
            .on(&CHANGES)
            .times(3),
            3 | 4 => often(Fault::ServerError {
                status: 503,
                after_effect,
            }),
            5 => often(Fault::Throttle {
                retry_after_s: self.dice.one_in(2).then_some(2),
            }),
            6 => often(Fault::DropBefore),
            7 | 8 => often(Fault::DropAfter).on(&CHANGES),
            9 => often(Fault::Garbage),
            10 => often(Fault::SlowPropagation { ms: 1500 }).on(&CHANGES),
            11 => {
                let mut rule = Rule::always(Fault::LapseEarly { ms: 700 });
                rule.stream = Some("-weak".to_owned());
                rule
            }
            12 => Rule::always(Fault::WrongClock {
                seconds: if after_effect { 3600 } else { -3600 },
            }),
            _ if after_effect => Rule::always(Fault::ListMissing {
                entries: Vec::new(),
            })
            .on(&lists),
            _ => Rule::always(Fault::ListStale { ms: 3000 }).on(&lists),
        }
    }

    /// Gives the account its key once more: what was refused for good is tried again.
    fn renew(&self, vendor: Vendor) {
        wait_for("a renewed key", || {
            self.door.address()?;
            let mut command = tidegate();
            command.arg("--data-dir").arg(self.place.data());
            command.args(["account", "rotate", vendor.name()]);
            command.args(["--secret-file", &self.secret_file]);
            (finish(command).code == 0).then_some(())
        });
    }
}

//! Faults on demand: rules that pick calls, and what they do to them.

mod file;

use serde::{Deserialize, Serialize};
use tidegate_core::UnixMs;

use crate::media::StreamName;
use crate::operation::Operation;
use file::Raw;
pub use file::{FaultError, parse};

/// What goes wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The answer is slow.
    Latency {
        /// How slow.
        ms: u64,
        /// The effect comes first, the wait after it.
        after_effect: bool,
    },
    /// The vendor answers with an HTTP status of 500 or more.
    ServerError {
        /// Which.
        status: u16,
        /// The call took effect all the same.
        after_effect: bool,
    },
    /// The vendor says that there were too many calls.
    Throttle {
        /// How long it asks to wait, where the vendor has a way to say so.
        retry_after_s: Option<u32>,
    },
    /// The connection closes before anything happened.
    DropBefore,
    /// The call takes effect and the connection closes without an answer.
    DropAfter,
    /// A page that is no answer of this API, with status 200, and no effect.
    Garbage,
    /// The vendor's clock is off, ahead when positive.
    WrongClock {
        /// By how much.
        seconds: i64,
    },
    /// The key counts as expired.
    ExpiredKey,
    /// The quota counts as spent (as throttling where the vendor has no quota).
    QuotaSpent,
    /// The answer comes at once, the effect later.
    SlowPropagation {
        /// How much later.
        ms: i64,
    },
    /// The ban vanishes before its end.
    LapseEarly {
        /// After how long.
        ms: i64,
    },
    /// Lists leave bans out: those named, or all.
    ListMissing {
        /// Which.
        entries: Vec<StreamName>,
    },
    /// Lists show bans that are not there.
    ListExtra {
        /// Which.
        entries: Vec<StreamName>,
    },
    /// Lists show what stood some time ago.
    ListStale {
        /// How long ago.
        ms: i64,
    },
}

/// A fault and the calls that it hits.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Raw", into = "Raw")]
pub struct Rule {
    /// What goes wrong.
    pub fault: Fault,
    /// Hit only these operations; empty means all.
    pub operations: Vec<Operation>,
    /// Hit only calls for streams whose name contains this.
    pub stream: Option<String>,
    /// Chance of a hit, 0 to 1.
    pub probability: f64,
    /// Calls that are let off first.
    pub skip: u64,
    /// Hits after which the rule rests; none means no end.
    pub count: Option<u64>,
    /// Hit from this long after the start of the simulator, in milliseconds.
    pub from_ms: i64,
    /// Hit until this long after the start of the simulator, in milliseconds.
    pub until_ms: Option<i64>,
}

impl Rule {
    /// A rule that hits every call.
    pub fn always(fault: Fault) -> Self {
        Self {
            fault,
            operations: Vec::new(),
            stream: None,
            probability: 1.0,
            skip: 0,
            count: None,
            from_ms: 0,
            until_ms: None,
        }
    }

    /// Only these operations.
    #[must_use]
    pub fn on(mut self, operations: &[Operation]) -> Self {
        self.operations = operations.to_vec();
        self
    }

    /// Only so many hits.
    #[must_use]
    pub fn times(mut self, count: u64) -> Self {
        self.count = Some(count);
        self
    }

    /// Only with this chance.
    #[must_use]
    pub fn chance(mut self, probability: f64) -> Self {
        self.probability = probability;
        self
    }
}

impl Fault {
    /// Its name in files and in the journal.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Latency { .. } => "latency",
            Self::ServerError { .. } => "server-error",
            Self::Throttle { .. } => "throttle",
            Self::DropBefore => "drop-before",
            Self::DropAfter => "drop-after",
            Self::Garbage => "garbage",
            Self::WrongClock { .. } => "wrong-clock",
            Self::ExpiredKey => "expired-key",
            Self::QuotaSpent => "quota-spent",
            Self::SlowPropagation { .. } => "slow-propagation",
            Self::LapseEarly { .. } => "lapse-early",
            Self::ListMissing { .. } => "list-missing",
            Self::ListExtra { .. } => "list-extra",
            Self::ListStale { .. } => "list-stale",
        }
    }
}

/// The rules in use and how often each was met.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    rules: Vec<(Rule, u64, u64)>,
    dice: Dice,
}

impl Faults {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self {
            rules: Vec::new(),
            dice: Dice(seed),
        }
    }

    pub(crate) fn set(&mut self, rules: Vec<Rule>) {
        self.rules = rules.into_iter().map(|rule| (rule, 0, 0)).collect();
    }

    pub(crate) fn add(&mut self, rule: Rule) {
        self.rules.push((rule, 0, 0));
    }

    pub(crate) fn rules(&self) -> Vec<Rule> {
        self.rules.iter().map(|(rule, ..)| rule.clone()).collect()
    }

    /// The faults that hit this call.
    pub(crate) fn strike(
        &mut self,
        operation: Operation,
        name: Option<&StreamName>,
        age_ms: i64,
    ) -> Vec<Fault> {
        let Self { rules, dice } = self;
        let mut hits = Vec::new();
        for (rule, met, hit) in rules {
            let listed = rule.operations.is_empty() || rule.operations.contains(&operation);
            let named = rule
                .stream
                .as_ref()
                .is_none_or(|part| name.is_some_and(|name| name.stream.contains(part.as_str())));
            let timely = age_ms >= rule.from_ms && rule.until_ms.is_none_or(|end| age_ms < end);
            if !(listed && named && timely) {
                continue;
            }
            *met += 1;
            let rested = rule.count.is_some_and(|count| *hit >= count);
            if *met <= rule.skip || rested || !dice.chance(rule.probability) {
                continue;
            }
            *hit += 1;
            hits.push(rule.fault.clone());
        }
        hits
    }
}

/// SplitMix64: small, seeded, and the same on every machine.
#[derive(Debug, Default)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn chance(&mut self, probability: f64) -> bool {
        let high = u32::try_from(self.roll() >> 32).unwrap_or(u32::MAX);
        f64::from(high) < probability * 4_294_967_296.0
    }
}

/// How far a fault moves this side's clock.
pub(crate) fn shifted(now: UnixMs, faults: &[Fault]) -> UnixMs {
    faults.iter().fold(now, |at, fault| match fault {
        Fault::WrongClock { seconds } => UnixMs(at.0.saturating_add(seconds.saturating_mul(1000))),
        _ => at,
    })
}

//! Conditions that need a person, raised and cleared by the loops that see them.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use serde::Serialize;
use tidegate_core::UnixMs;

/// What is wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmKind {
    /// The ledger cannot be written or read.
    LedgerUnavailable,
    /// A forbid is in force in memory only.
    ForbidUnrecorded,
    /// The wall clock cannot be believed; scheduled ends are held.
    ClockSuspect,
    /// A backup was restored; resumes and ends are held until confirmed.
    ResumesHeld,
}

impl AlarmKind {
    /// All kinds, for metrics.
    pub const ALL: [Self; 4] = [
        Self::LedgerUnavailable,
        Self::ForbidUnrecorded,
        Self::ClockSuspect,
        Self::ResumesHeld,
    ];

    /// The name in metrics and `/v1`.
    pub fn word(self) -> &'static str {
        match self {
            Self::LedgerUnavailable => "ledger_unavailable",
            Self::ForbidUnrecorded => "forbid_unrecorded",
            Self::ClockSuspect => "clock_suspect",
            Self::ResumesHeld => "resumes_held",
        }
    }
}

/// A standing alarm.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Alarm {
    /// What is wrong.
    pub kind: AlarmKind,
    /// Since when.
    pub since: UnixMs,
    /// In words, with what to do about it.
    pub text: String,
}

/// The standing alarms. Each transition is logged once.
#[derive(Default)]
pub struct Alarms {
    standing: Mutex<BTreeMap<AlarmKind, Alarm>>,
}

impl Alarms {
    /// Raises an alarm, or renews the words of one that stands.
    pub fn raise(&self, kind: AlarmKind, now: UnixMs, text: impl Into<String>) {
        let text = text.into();
        let mut standing = self.standing.lock();
        match standing.get_mut(&kind) {
            Some(alarm) => alarm.text = text,
            None => {
                tracing::error!(alarm = kind.word(), "alarm raised: {text}");
                standing.insert(
                    kind,
                    Alarm {
                        kind,
                        since: now,
                        text,
                    },
                );
            }
        }
    }

    /// Clears an alarm; nothing happens if it does not stand.
    pub fn clear(&self, kind: AlarmKind) {
        if self.standing.lock().remove(&kind).is_some() {
            tracing::info!(alarm = kind.word(), "alarm cleared");
        }
    }

    /// Whether an alarm stands.
    pub fn stands(&self, kind: AlarmKind) -> bool {
        self.standing.lock().contains_key(&kind)
    }

    /// The standing alarms, most basic first.
    pub fn list(&self) -> Vec<Alarm> {
        self.standing.lock().values().cloned().collect()
    }
}

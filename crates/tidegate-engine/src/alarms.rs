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
    /// A stream was seen live past the deadline after its ban was accepted.
    StillLive,
    /// Streams have not been at their block at a CDN for long.
    CdnBehind,
    /// A CDN refuses, and goes on refusing until somebody acts.
    CdnRefused,
    /// A CDN's list of bans is full.
    CdnListFull,
    /// A CDN's list of bans differs from the ledger.
    CdnDrift,
}

impl AlarmKind {
    /// All kinds, for metrics.
    pub const ALL: [Self; 9] = [
        Self::LedgerUnavailable,
        Self::ForbidUnrecorded,
        Self::ClockSuspect,
        Self::ResumesHeld,
        Self::StillLive,
        Self::CdnBehind,
        Self::CdnRefused,
        Self::CdnListFull,
        Self::CdnDrift,
    ];

    /// The name in metrics and `/v1`.
    pub fn word(self) -> &'static str {
        match self {
            Self::LedgerUnavailable => "ledger_unavailable",
            Self::ForbidUnrecorded => "forbid_unrecorded",
            Self::ClockSuspect => "clock_suspect",
            Self::ResumesHeld => "resumes_held",
            Self::StillLive => "still_live",
            Self::CdnBehind => "cdn_behind",
            Self::CdnRefused => "cdn_refused",
            Self::CdnListFull => "cdn_list_full",
            Self::CdnDrift => "cdn_drift",
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

/// The standing alarms, by kind and by what they are about. Each transition is logged once.
#[derive(Default)]
pub struct Alarms {
    standing: Mutex<BTreeMap<(AlarmKind, String), Alarm>>,
}

impl Alarms {
    /// Raises an alarm, or renews the words of one that stands.
    pub fn raise(&self, kind: AlarmKind, now: UnixMs, text: impl Into<String>) {
        self.raise_for(kind, "", now, text);
    }

    /// Raises an alarm about one of several things of a kind, such as an account.
    pub fn raise_for(&self, kind: AlarmKind, about: &str, now: UnixMs, text: impl Into<String>) {
        let text = text.into();
        let mut standing = self.standing.lock();
        match standing.get_mut(&(kind, about.to_owned())) {
            Some(alarm) => alarm.text = text,
            None => {
                tracing::error!(alarm = kind.word(), "alarm raised: {text}");
                let alarm = Alarm {
                    kind,
                    since: now,
                    text,
                };
                standing.insert((kind, about.to_owned()), alarm);
            }
        }
    }

    /// Clears an alarm; nothing happens if it does not stand.
    pub fn clear(&self, kind: AlarmKind) {
        self.clear_for(kind, "");
    }

    /// Clears what [`Alarms::raise_for`] raised.
    pub fn clear_for(&self, kind: AlarmKind, about: &str) {
        let cleared = self.standing.lock().remove(&(kind, about.to_owned()));
        if let Some(alarm) = cleared {
            tracing::info!(alarm = kind.word(), "alarm cleared: {}", alarm.text);
        }
    }

    /// Clears all that is about this, whatever its kind.
    pub fn clear_about(&self, about: &str) {
        let mut standing = self.standing.lock();
        standing.retain(|(_, of), _| of != about);
    }

    /// Whether an alarm of this kind stands.
    pub fn stands(&self, kind: AlarmKind) -> bool {
        self.standing.lock().keys().any(|(of, _)| *of == kind)
    }

    /// The standing alarms, most basic first.
    pub fn list(&self) -> Vec<Alarm> {
        self.standing.lock().values().cloned().collect()
    }
}

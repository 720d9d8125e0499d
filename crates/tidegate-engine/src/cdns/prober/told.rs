//! The alarm about streams that are live although their ban was accepted.

use std::collections::BTreeMap;

use tidegate_core::{StreamKey, UnixMs};

use crate::alarms::{AlarmKind, Alarms};

/// Names in the text of an alarm.
const NAMED: usize = 5;

/// Placements that are still live, and since when that has been known.
#[derive(Default)]
pub(super) struct StillLive {
    placements: BTreeMap<(StreamKey, i64), UnixMs>,
}

impl StillLive {
    pub(super) fn add(&mut self, placement: (StreamKey, i64), now: UnixMs) {
        self.placements.entry(placement).or_insert(now);
    }

    pub(super) fn remove(&mut self, placement: &(StreamKey, i64)) {
        self.placements.remove(placement);
    }

    pub(super) fn alarm(&self, alarms: &Alarms, account: &str, now: UnixMs) {
        if self.placements.is_empty() {
            alarms.clear_for(AlarmKind::StillLive, account);
            return;
        }
        let named: Vec<String> = self
            .placements
            .iter()
            .take(NAMED)
            .map(|((stream, _), since)| format!("{stream} since {since}"))
            .collect();
        let more = self.placements.len().saturating_sub(NAMED);
        let more = match more {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let text = format!(
            "account {account}: the CDN accepted the ban and the stream is still live: {}{more}; \
             the ban is sent again by itself, call the vendor if that does not help",
            named.join(", ")
        );
        alarms.raise_for(AlarmKind::StillLive, account, now, text);
    }
}

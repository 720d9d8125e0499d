//! Once a second: how the account fares, and what needs a person.

use std::time::Duration;

use tidegate_core::UnixMs;
use tidegate_core::budget::{Rule, Span};
use tidegate_core::placement::Class;

use super::DeskView;
use super::work::Work;
use crate::alarms::AlarmKind;

const EVERY: Duration = Duration::from_secs(1);
/// A placement that is known not to be at its block for longer than this is an alarm.
const BEHIND_AFTER: Duration = Duration::from_secs(60);

impl Work {
    /// Counts, shows and alarms, about once a second.
    pub(super) fn look_round(&mut self) {
        let now = self.now();
        if now.steady < self.next_look_round || self.is_closed() {
            return;
        }
        self.next_look_round = now.steady.plus(EVERY);
        let mut counted = DeskView::default();
        let mut is_behind = false;
        for entry in self.entries.values().filter(|entry| entry.is_pending()) {
            counted.pending += 1;
            let decided = entry.wants.iter().map(|owner| owner.decided).max();
            // A block that stood for long is no arrear of a target that was just added.
            let known = decided.map(|decided| decided.max(entry.read));
            is_behind |= known.is_some_and(|known| known.until(now.wall) > BEHIND_AFTER);
            counted.oldest = [counted.oldest, decided].into_iter().flatten().min();
            match entry.object.trouble.as_ref().map(|trouble| trouble.class) {
                Some(Class::Refused(_)) => counted.refused += 1,
                Some(Class::ListFull) => counted.list_full += 1,
                _ => {}
            }
        }
        let (limits, standing) = {
            let budget = self.desk.budget.lock();
            let used = budget.used(now);
            let limits: Vec<_> = used
                .map(|(rule, used)| (rule_words(rule), used, rule.calls))
                .collect();
            (limits, budget.standing())
        };
        let (in_flight, breaker_open) = (self.out(), self.breaker.is_open());
        self.desk.update(|view| {
            view.pending = counted.pending;
            view.refused = counted.refused;
            view.list_full = counted.list_full;
            view.oldest = counted.oldest;
            view.in_flight = in_flight;
            view.breaker_open = breaker_open;
            view.limits = limits;
            view.standing = standing;
        });
        self.alarm(&counted, is_behind, now.wall);
    }

    /// What this desk raised goes with it, unless another is at work for the account.
    pub(super) fn close(&self) {
        let cdns = self.engine.cdns();
        if cdns.desk(self.account.account.id).is_none() {
            self.engine.alarms().clear_about(&self.account.account.name);
        }
    }

    fn alarm(&self, counted: &DeskView, is_behind: bool, now: UnixMs) {
        let name = &self.account.account.name;
        let last = self.desk.view().last_error;
        let last = last.map_or(String::new(), |(at, words)| {
            format!("; last error at {at}: {words}")
        });
        let alarms = self.engine.alarms();
        let set = |kind, stands: bool, text: String| match stands {
            true => alarms.raise_for(kind, name, now, text),
            false => alarms.clear_for(kind, name),
        };
        set(
            AlarmKind::CdnBehind,
            is_behind,
            format!(
                "account {name}: {} not at their block, the oldest wanted since {}{last}",
                streams(counted.pending),
                counted.oldest.unwrap_or(now)
            ),
        );
        set(
            AlarmKind::CdnRefused,
            counted.refused > 0,
            format!(
                "account {name}: {} refused; only a change of the account or the target helps, \
                 see `tidegate account test {name}`{last}",
                streams(counted.refused)
            ),
        );
        set(
            AlarmKind::CdnListFull,
            counted.list_full > 0,
            format!(
                "account {name}: the vendor's list of bans is full, {} wait; lift bans that are \
                 no longer needed, nobody else's is lifted to make room",
                streams(counted.list_full)
            ),
        );
    }
}

fn streams(n: usize) -> String {
    match n {
        1 => "1 stream is".to_owned(),
        n => format!("{n} streams are"),
    }
}

/// A limit for people: `500 forbid, resume, kick in 24 h`.
fn rule_words(rule: &Rule) -> String {
    let kinds: Vec<String> = rule
        .kinds
        .iter()
        .map(|kind| format!("{kind:?}").to_lowercase())
        .collect();
    let span = match rule.span {
        Span::Sliding(length) => match length.as_secs() {
            seconds if seconds % 3600 == 0 => format!("{} h", seconds / 3600),
            seconds if seconds % 60 == 0 => format!("{} min", seconds / 60),
            seconds => format!("{seconds} s"),
        },
        Span::Day { .. } => "a day".to_owned(),
    };
    format!("{} in {span}", kinds.join(" + "))
}

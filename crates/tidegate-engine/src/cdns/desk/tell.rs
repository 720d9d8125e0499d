//! Words for those who wait for a decision's results.

use std::time::Duration;

use tidegate_core::backoff::Now;
use tidegate_core::lanes::Hold;
use tidegate_core::placement::{Class, Trouble, Want};
use tidegate_ledger::cdns::ObjectKey;

use super::entry::Entry;
use super::until;
use super::work::Work;
use crate::decide::ResultWord;

impl Work {
    /// Tells everybody who waits for anything what is known, once it is known what goes out.
    pub(super) fn tell_all(&mut self) {
        for key in std::mem::take(&mut self.awaited) {
            if self.tell(&key) {
                self.awaited.insert(key);
            }
        }
    }

    /// Tells everybody who waits for this object what is known; returns whether anybody goes on
    /// waiting.
    pub(super) fn tell(&mut self, key: &ObjectKey) -> bool {
        let now = self.now();
        let hold = {
            let mut budget = self.desk.budget.lock();
            self.queue.waiting_for(key, &mut budget, &self.breaker, now)
        };
        let Some(entry) = self.entries.get_mut(key) else {
            return self.to_load.contains_key(key);
        };
        let mut slots = std::mem::take(&mut entry.slots);
        for slot in &slots {
            let id = tidegate_core::placement::OwnerId(slot.target);
            let accepted = entry.object.accepted_generation(id);
            if accepted.is_some_and(|accepted| accepted >= slot.generation) {
                slot.settle(ResultWord::Success, accepted_words(entry));
                continue;
            }
            match (trouble(entry), &hold) {
                (Some(trouble), _) if trouble.needs_a_person() => {
                    slot.settle(ResultWord::Failed, failed_words(trouble, now));
                }
                (Some(trouble), None) => {
                    let next = until(trouble.next_attempt(), now);
                    slot.note(failed_words(trouble, now), next);
                }
                (_, Some(hold)) => {
                    let (words, next) = held_words(hold, now);
                    slot.note(words, next);
                }
                (None, None) => {
                    let words = match entry.object.in_flight {
                        Some(_) => "recorded; called, no answer yet",
                        None => "recorded; the call waits for its turn",
                    };
                    slot.note(words.to_owned(), Duration::ZERO);
                }
            }
        }
        slots.retain(super::super::gather::Slot::is_open);
        let waits = !slots.is_empty();
        entry.slots = slots;
        waits
    }
}

/// Why the call does not go now, and how long that lasts at least.
fn held_words(hold: &Hold, now: Now) -> (String, Duration) {
    match hold {
        Hold::Breaker(at) => {
            let next = until(*at, now);
            let words = format!(
                "recorded; the account fails call after call, tried again in {} s",
                next.as_secs().saturating_add(1)
            );
            (words, next)
        }
        Hold::Budget {
            until: at, rule, ..
        } => {
            let limit = rule.as_ref().map_or_else(
                || "the vendor said that the account's calls are used up".to_owned(),
                |rule| format!("the account's {rule} are used up"),
            );
            let words = format!("recorded; {limit}, the call goes out from {at} on");
            (words, until(*at, now))
        }
        Hold::ListFull => {
            let words =
                "recorded; the vendor's list of bans is full, and no ban is lifted to make \
                         room"
                    .to_owned();
            (words, Duration::MAX)
        }
    }
}

/// Failures at what is wanted now.
fn trouble(entry: &Entry) -> Option<&Trouble> {
    let want = entry.want()?;
    let trouble = entry.object.trouble.as_ref()?;
    trouble.is_about(want).then_some(trouble)
}

fn accepted_words(entry: &Entry) -> String {
    let kept_by_another = matches!(entry.want(), Some(Want::Banned(_)))
        && entry
            .wants
            .iter()
            .any(|owner| matches!(owner.want, Want::Open(_)));
    if kept_by_another {
        return "accepted; another App's block keeps the same name off the air at this CDN"
            .to_owned();
    }
    match &entry.said {
        Some((words, id)) => with_id(words, id.as_deref()),
        None => match entry.object.accepted.as_ref() {
            Some(accepted) => format!("it stood so already, since {}", accepted.at),
            None => "accepted".to_owned(),
        },
    }
}

fn with_id(words: &str, id: Option<&str>) -> String {
    let words = if words.is_empty() { "accepted" } else { words };
    match id {
        Some(id) if !words.contains(id) => format!("{words} (request {id})"),
        _ => words.to_owned(),
    }
}

/// The vendor's words, and when it is tried again.
pub(crate) fn failed_words(trouble: &Trouble, now: Now) -> String {
    let next = until(trouble.next_attempt(), now).as_secs();
    let again = match trouble.class {
        Class::Refused(_) | Class::ListFull => {
            format!(
                "somebody has to act; tried again in {next} s, and when account or target change"
            )
        }
        _ if next == 0 => "tried again now".to_owned(),
        _ => format!("tried again in {next} s"),
    };
    format!("{}; {again}", trouble.words)
}

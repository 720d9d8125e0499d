//! Words for those who wait for a decision's results.

use tidegate_core::backoff::Now;
use tidegate_core::placement::{Class, Trouble, Want};
use tidegate_ledger::cdns::ObjectKey;

use super::entry::Entry;
use super::until;
use super::work::Work;
use crate::decide::ResultWord;

impl Work {
    /// Tells everybody who waits for this object what is known.
    pub(super) fn tell(&mut self, key: &ObjectKey) {
        let (now, queue_wait) = (self.now(), self.queue_wait());
        let breaker_open = self.breaker.is_open();
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        let slots = std::mem::take(&mut entry.slots);
        for slot in &slots {
            let id = tidegate_core::placement::OwnerId(slot.target);
            let accepted = entry.object.accepted_generation(id);
            if accepted.is_some_and(|accepted| accepted >= slot.generation) {
                slot.settle(ResultWord::Success, accepted_words(entry));
                continue;
            }
            match trouble(entry) {
                Some(trouble) if trouble.needs_a_person() => {
                    slot.settle(ResultWord::Failed, failed_words(trouble, now));
                }
                Some(trouble) => {
                    let next = until(trouble.next_attempt(), now);
                    slot.note(failed_words(trouble, now), next);
                }
                None if entry.object.in_flight.is_none() => {
                    let words = match (breaker_open, queue_wait) {
                        (true, _) => "recorded; the account fails, so the call waits".to_owned(),
                        (false, Some(_)) => {
                            "recorded; the call waits for the account's limits".to_owned()
                        }
                        (false, None) => "recorded; the call is about to go out".to_owned(),
                    };
                    slot.note(words, std::time::Duration::ZERO);
                }
                None => slot.note(
                    "recorded; called, no answer yet".to_owned(),
                    std::time::Duration::ZERO,
                ),
            }
        }
        entry.slots = slots;
        entry.slots.retain(super::super::gather::Slot::is_open);
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

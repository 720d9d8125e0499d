//! What answers, looks and lists change.

use std::sync::atomic::Ordering;

use tidegate_core::UnixMs;
use tidegate_core::backoff::Jitter;
use tidegate_core::budget::{BudgetState, CallKind, Spending};
use tidegate_core::placement::Observed;
use tidegate_core::reconcile::{Action, Drift, Outcome, Progress, Standing};
use tidegate_ledger::cdns::ObjectKey;
use tidegate_ledger::{Attempt, AttemptResult};

use super::super::call::{Called, Health};
use super::super::limits;
use super::Event;
use super::work::Work;
use crate::engine::Engine;

impl Work {
    /// Goes on with the budget where an earlier holder of the account left it.
    pub(super) async fn restore_budget(&mut self) {
        let vendor = self.account.signer.vendor();
        loop {
            match self.engine.ledger().budget(self.account.account.id).await {
                Ok(kept) => {
                    let kept = kept.map(|text| serde_json::from_str::<BudgetState>(&text));
                    let state = match kept {
                        Some(Ok(state)) => state,
                        Some(Err(error)) => {
                            tracing::error!(account = self.account.account.name, %error,
                                "what was kept of a budget cannot be read; it starts untouched");
                            BudgetState::default()
                        }
                        None => BudgetState::default(),
                    };
                    *self.desk.budget.lock() = limits::budget(vendor, state);
                    self.desk.restored.store(true, Ordering::Release);
                    self.count_apps();
                    return;
                }
                Err(error) => self.engine.ledger_failed(&error),
            }
            tokio::select! {
                () = tokio::time::sleep(std::time::Duration::from_secs(1)) => {}
                () = self.stopped() => return self.stop(),
            }
        }
    }

    pub(super) fn on_called(&mut self, called: Called) {
        let now = self.now();
        self.note_account(&called);
        let (key, ticket) = (called.ticket.key.clone(), called.ticket.clone());
        let Some(entry) = self.entries.get_mut(&key) else {
            return self.answered(ticket.action, ticket.app);
        };
        let covers = entry.object.in_flight.as_ref().map(|c| c.covers.clone());
        let held_ban = entry.object.holds_ban();
        let jitter = jitter();
        let progress = entry.object.on_result(
            called.ticket.serial,
            &called.report,
            &entry.limits,
            called.ticket.epoch,
            jitter,
            now,
        );
        match progress {
            Progress::Forbid(_) => self.answered(Action::Resume, ticket.app),
            Progress::Done | Progress::Stale => self.answered(ticket.action, ticket.app),
        }
        if progress == Progress::Stale {
            return;
        }
        let Some(entry) = self.entries.get_mut(&key) else {
            return;
        };
        if held_ban && !entry.object.holds_ban() {
            self.desk.budget.lock().on_lifted();
            self.budget_dirty = true;
        }
        if matches!(
            called.report.outcome,
            Outcome::Accepted { .. } | Outcome::AlreadySo
        ) {
            entry.said = Some((
                called.report.words.clone(),
                called.report.request_id.clone(),
            ));
        }
        self.note_attempt(&called, &covers.unwrap_or_default());
        match progress {
            Progress::Forbid(until) => self.forbid_at_once(&ticket, until),
            Progress::Done | Progress::Stale => {}
        }
        self.mark(&key);
        self.touched.insert(key);
    }

    /// What a call tells of the account.
    fn note_account(&mut self, called: &Called) {
        let now = self.now();
        // What another key was refused says nothing of the present one.
        let present = called.ticket.epoch == self.epoch();
        match called.health {
            Health::Works => self.breaker.on_success(),
            Health::Fails if present => {
                if self.breaker.on_failure(jitter(), now) {
                    tracing::warn!(
                        account = self.account.account.name,
                        "the account fails call after call: all but takedowns wait"
                    );
                }
            }
            Health::Fails | Health::Silent => {}
        }
        let mut budget = self.desk.budget.lock();
        if let Some(stop) = called.stop.filter(|_| present) {
            budget.on_spent(called.kind, stop, now);
            self.budget_dirty = true;
        }
        for _ in 0..called.more_pages {
            let page = Spending {
                kinds: &[CallKind::List],
                app: tidegate_core::AppId(0),
                reserve: false,
                adds_ban: false,
            };
            budget.spend(page, now);
            self.budget_dirty = true;
        }
        drop(budget);
        if let Some(date) = called.date {
            self.engine.heard_date(&self.account.account.name, date);
        }
        let worked = matches!(
            called.report.outcome,
            Outcome::Accepted { .. } | Outcome::AlreadySo | Outcome::Standing(_)
        );
        self.desk.update(|view| {
            *view
                .calls
                .entry((kind_word(called.kind), called.class))
                .or_default() += 1;
            match worked {
                true => view.last_success = Some(now.wall),
                false => view.last_error = Some((now.wall, called.report.words.clone())),
            }
        });
        tracing::info!(account = self.account.account.name,
            object = Engine::shown_object(&called.ticket.key), call = %called.what,
            result = called.class, words = %called.report.words,
            vendor_request_id = called.report.request_id.as_deref().unwrap_or_default(),
            took_ms = u64::try_from(called.took.as_millis()).unwrap_or(u64::MAX),
            "vendor called");
    }

    /// One line of history for each owner that the call was for.
    fn note_attempt(
        &self,
        called: &Called,
        covers: &[(tidegate_core::placement::OwnerId, tidegate_core::Generation)],
    ) {
        let result = match called.report.outcome {
            Outcome::Accepted { .. } | Outcome::AlreadySo | Outcome::Standing(_) => {
                AttemptResult::Accepted
            }
            _ => AttemptResult::Failed,
        };
        let words = match called.report.outcome {
            Outcome::Standing(Standing::Free) => format!("{}: it is not banned", called.what),
            Outcome::Standing(Standing::Banned(None)) => format!("{}: it is banned", called.what),
            Outcome::Standing(Standing::Banned(Some(end))) => {
                format!("{}: it is banned until {end}", called.what)
            }
            _ if called.report.words.is_empty() => called.what.clone(),
            _ => format!("{}: {}", called.what, called.report.words),
        };
        for (owner, generation) in covers {
            let Some(target) = self.directory.target(owner.0) else {
                continue;
            };
            let attempt = Attempt {
                key: tidegate_core::StreamKey::new(
                    target.target.target.app,
                    called.ticket.key.stream.clone(),
                ),
                target: owner.0,
                generation: *generation,
                at: self.now().wall,
                result,
                vendor_request_id: called.report.request_id.clone().unwrap_or_default(),
                words: words.clone(),
            };
            self.engine.recorder.attempt(attempt, self.engine.stats());
        }
    }

    pub(super) fn on_seen(&mut self, key: ObjectKey, seen: Observed) {
        let now = self.now();
        let Some(entry) = self.entries.get_mut(&key) else {
            return self.load_for(key.clone(), Event::Seen(key, seen));
        };
        let before = entry.object.belief;
        entry.object.on_observed(seen, now);
        if before != entry.object.belief {
            self.mark(&key);
        }
        self.touched.insert(key);
    }

    pub(super) fn on_listed(&mut self, key: ObjectKey, standing: Standing, looked: UnixMs) {
        let now = self.now();
        let Some(entry) = self.entries.get_mut(&key) else {
            return self.load_for(key.clone(), Event::Listed(key, standing, looked));
        };
        let held_ban = entry.object.holds_ban();
        let drift = entry.object.on_listed(standing, looked, now);
        if held_ban && !entry.object.holds_ban() {
            self.desk.budget.lock().on_lifted();
            self.budget_dirty = true;
        }
        if drift == Drift::Vanished {
            tracing::warn!(
                account = self.account.account.name,
                object = Engine::shown_object(&key),
                "a ban of ours is gone from the vendor's list: it is set again"
            );
        }
        self.mark(&key);
        self.touched.insert(key);
    }
}

fn jitter() -> Jitter {
    // Without randomness the longest wait is the safe one.
    Jitter(getrandom::u32().map_or(u16::MAX, |n| u16::try_from(n & 0xffff).unwrap_or(u16::MAX)))
}

/// The word of a kind of call in metrics.
fn kind_word(kind: CallKind) -> &'static str {
    match kind {
        CallKind::Forbid => "forbid",
        CallKind::ChangeEnd => "change_end",
        CallKind::Resume => "resume",
        CallKind::Kick => "kick",
        CallKind::List => "list",
        CallKind::Find => "find",
        CallKind::State => "state",
        CallKind::Online => "online",
    }
}

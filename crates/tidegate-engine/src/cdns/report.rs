//! How a stream stands at vendors' CDNs, for people.
//!
//! Put together from the ledger, so that every server that shares it tells the same: nothing here
//! asks the desk that drives the account, but whether its breaker is open. What a decision would do
//! there is [`super::preview`]'s.

mod case;
mod shared;
mod words;

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use tidegate_core::budget::{Budget, BudgetState};
use tidegate_core::placement::{Want, merge};
use tidegate_core::text::printable;
use tidegate_core::{StreamKey, UnixMs};
use tidegate_ledger::LedgerError;

pub(super) use case::Case;
pub use shared::{Shared, Sharer};

use crate::cdns::{AccountEntry, CdnDirectory, budget};
use crate::engine::Engine;

/// Longest text of a vendor that is shown.
const LONGEST: usize = 600;

/// How a stream stands at one target of a vendor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CdnReport {
    /// Name of the account; `None` where its row in the ledger cannot be used.
    pub account: Option<String>,
    /// The target was removed, and goes once the vendor has lifted what is banned there.
    pub leaving: bool,
    /// What this target's own block asks for; `None`: nothing was ever decided.
    pub wanted: Option<Want>,
    /// The call that the vendor took last.
    pub accepted: Option<AcceptedCall>,
    /// Since when a call is out.
    pub called: Option<UnixMs>,
    /// What comes next.
    pub next: Next,
    /// The last failure, if nothing was accepted since.
    pub last_error: Option<LastError>,
    /// It goes on failing until a person acts: what to do.
    pub to_do: Option<String>,
    /// Who else's streams a ban hits; `None` where it hits this stream only.
    pub shared: Option<Shared>,
}

/// A call that the vendor took.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AcceptedCall {
    /// When.
    pub at: UnixMs,
    /// The vendor's id of it; none where no call was needed.
    pub request_id: Option<String>,
}

/// What comes next, or why nothing does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Next {
    /// When, by the wall clock; `None`: that depends on something else than time.
    pub at: Option<UnixMs>,
    /// The call, in words; `None`: none is due.
    pub call: Option<String>,
    /// In words, with the reason of a wait.
    pub words: String,
}

impl Next {
    /// Where rows of the ledger cannot be used nothing is called.
    pub(super) fn unusable() -> Self {
        Self {
            at: None,
            call: None,
            words: "the account or the target as the ledger has it cannot be used here; the log \
                    says why"
                .to_owned(),
        }
    }
}

/// A failure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LastError {
    /// Its class, by the word that logs and metrics use.
    pub class: &'static str,
    /// What happened, with the vendor's own words; escaped.
    pub words: String,
    /// The vendor's id of the call; escaped.
    pub request_id: Option<String>,
    /// When.
    pub at: UnixMs,
    /// How many in a row.
    pub failures: u32,
    /// Whether it was met on the way to what is wanted now, rather than to what an earlier decision
    /// wanted.
    pub about_newest: bool,
}

/// Budgets of accounts as the ledger has them, each read once.
#[derive(Default)]
pub(super) struct Budgets(HashMap<i64, Budget>);

impl Budgets {
    /// What is left of the account's limits.
    pub(super) async fn of(
        &mut self,
        engine: &Engine,
        account: &AccountEntry,
    ) -> Result<&mut Budget, LedgerError> {
        let id = account.account.id;
        Ok(match self.0.entry(id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let kept = engine.ledger().budget(id).await?;
                // One that cannot be read starts untouched, as it does for the desk.
                let state = kept.and_then(|text| serde_json::from_str::<BudgetState>(&text).ok());
                place.insert(budget(account.signer.vendor(), state.unwrap_or_default()))
            }
        })
    }
}

impl Engine {
    /// How the stream stands at each target of a vendor, by the target's row id.
    pub(crate) async fn cdn_reports(
        &self,
        key: &StreamKey,
    ) -> Result<HashMap<i64, CdnReport>, LedgerError> {
        let directory = self.cdns().directory();
        let (now, mut budgets) = (self.clock.now(), Budgets::default());
        let mut reports = HashMap::new();
        for (target, row) in self.ledger().objects_of(key).await? {
            let case = Case::of(self, &directory, target, row, now);
            let report = match case {
                Some(case) => {
                    let budget = budgets.of(self, &case.account).await?;
                    report(&case, &directory, budget, self.breaker_open(&case.account))
                }
                None => unusable(&directory, target),
            };
            reports.insert(target, report);
        }
        Ok(reports)
    }

    pub(super) fn breaker_open(&self, account: &AccountEntry) -> bool {
        let view = self.cdns().view(account.account.id);
        view.is_some_and(|view| view.breaker_open)
    }
}

fn report(
    case: &Case,
    directory: &CdnDirectory,
    budget: &mut Budget,
    breaker_open: bool,
) -> CdnReport {
    let want = merge(&case.wants);
    let trouble = case.object.trouble.as_ref();
    let about = |want: Option<Want>| {
        want.is_some_and(|want| trouble.is_some_and(|trouble| trouble.is_about(want)))
    };
    let last_error = trouble.map(|trouble| LastError {
        class: words::class(trouble.class),
        words: printable(&trouble.words, LONGEST),
        request_id: trouble.request_id.as_deref().map(escaped),
        at: trouble.at,
        failures: trouble.failures,
        about_newest: about(want),
    });
    let stuck = trouble
        .filter(|trouble| trouble.needs_a_person() && trouble.is_under(case.epoch) && about(want));
    CdnReport {
        account: Some(case.account.account.name.clone()),
        leaving: case.target.target.leaving,
        wanted: case.own().map(|row| row.owner.want),
        accepted: case.object.accepted.as_ref().map(|accepted| AcceptedCall {
            at: accepted.at,
            request_id: accepted.request_id.as_deref().map(escaped),
        }),
        called: case.object.in_flight.as_ref().map(|call| call.sent),
        next: case.next(budget, breaker_open),
        last_error,
        to_do: stuck.map(|trouble| {
            let target = case.target.target.target.id;
            words::to_do(trouble.class, &case.account.account.name, target)
        }),
        shared: Shared::of(case, directory),
    }
}

/// Of a target whose rows cannot be used here nothing can be planned.
fn unusable(directory: &CdnDirectory, target: i64) -> CdnReport {
    let known = directory.target(target);
    CdnReport {
        account: None,
        leaving: known.is_some_and(|entry| entry.target.leaving),
        wanted: None,
        accepted: None,
        called: None,
        next: Next::unusable(),
        last_error: None,
        to_do: Some(
            "look for \"cannot be used\" in the server's log; remove the target or the account \
             and add it again"
                .to_owned(),
        ),
        shared: None,
    }
}

fn escaped(id: &str) -> String {
    printable(id, 200)
}

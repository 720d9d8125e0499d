//! What a decision would do, without deciding.

use tidegate_core::placement::{Opening, Owner, OwnerId, Want};
use tidegate_core::{Ask, Generation, Outcome, decide};
use tidegate_ledger::{LedgerError, Target, Vendor};

use super::report::{Budgets, Case, Next, Shared};
use crate::engine::Engine;

/// What a decision would do.
#[derive(Debug)]
pub struct Preview {
    /// On the stream's block.
    pub outcome: Outcome,
    /// At the App's targets, the origin first.
    pub targets: Vec<TargetPreview>,
}

/// What a decision would do at one target.
#[derive(Debug)]
pub struct TargetPreview {
    /// The target.
    pub target: Target,
    /// Name of the account; `None` at the origin.
    pub account: Option<String>,
    /// The call it would take first.
    pub next: Next,
    /// Who else's streams it would hit.
    pub shared: Option<Shared>,
}

impl Engine {
    /// What would become of an ask if it were decided now. Nothing is written, cut or called.
    pub async fn preview(&self, ask: &Ask) -> Result<Preview, LedgerError> {
        let status = self.ledger().status(&ask.key).await?;
        let hold = self.ledger().restore_hold().await?.is_some();
        let newest = status.decisions.first();
        let generation = Generation(newest.map_or(0, |newest| newest.generation.0) + 1);
        let outcome = decide(status.block.as_ref(), ask, generation, hold);
        let mut targets = self.at_origin(ask, &outcome);
        targets.extend(self.at_cdns(ask, &outcome, generation).await?);
        Ok(Preview { outcome, targets })
    }

    fn at_origin(&self, ask: &Ask, outcome: &Outcome) -> Vec<TargetPreview> {
        let live = self.hub().stream(&ask.key);
        let words = match (outcome, live) {
            (Outcome::Held(_), _) => HELD.to_owned(),
            (Outcome::Opened { .. }, _) => "allow publishing".to_owned(),
            (Outcome::Blocked(_), Some(live)) => format!(
                "cut the publisher {} and {} players, and refuse publishing",
                live.publisher, live.players
            ),
            (Outcome::Blocked(_), None) => {
                "refuse publishing; nobody is publishing right now".to_owned()
            }
        };
        let apps = self.apps();
        let targets = apps.get(ask.key.app).map(|entry| entry.targets.iter());
        let origins = targets.into_iter().flatten();
        origins
            .filter(|target| target.vendor == Vendor::Origin)
            .map(|target| TargetPreview {
                target: target.clone(),
                account: None,
                next: Next {
                    at: None,
                    call: None,
                    words: words.clone(),
                },
                shared: None,
            })
            .collect()
    }

    async fn at_cdns(
        &self,
        ask: &Ask,
        outcome: &Outcome,
        generation: Generation,
    ) -> Result<Vec<TargetPreview>, LedgerError> {
        let directory = self.cdns().directory();
        let (now, mut budgets) = (self.clock.now(), Budgets::default());
        let mut previews = Vec::new();
        for (target, row) in self.ledger().objects_of(&ask.key).await? {
            let Some(mut case) = Case::of(self, &directory, target, row, now) else {
                previews.extend(self.unusable(ask, target));
                continue;
            };
            if case.target.target.leaving {
                continue;
            }
            let (want, decided) = match outcome {
                Outcome::Blocked(block) | Outcome::Held(block) => {
                    (Want::Banned(block.until), block.since)
                }
                Outcome::Opened { .. } => (Want::Open(Opening::Resumed), ask.at),
            };
            let owner = Owner {
                id: OwnerId(target),
                app: ask.key.app,
                generation,
                decided,
                want,
            };
            if !matches!(outcome, Outcome::Held(_)) {
                case.wants.retain(|known| known.id != owner.id);
                case.wants.push(owner);
            }
            let breaker_open = self.breaker_open(&case.account);
            let budget = budgets.of(self, &case.account).await?;
            let mut next = case.next(budget, breaker_open);
            if matches!(outcome, Outcome::Held(_)) {
                HELD.clone_into(&mut next.words);
                (next.at, next.call) = (None, None);
            }
            previews.push(TargetPreview {
                target: case.target.target.target.clone(),
                account: Some(case.account.account.name.clone()),
                next,
                shared: Shared::of(&case, &directory),
            });
        }
        Ok(previews)
    }

    fn unusable(&self, ask: &Ask, target: i64) -> Option<TargetPreview> {
        let apps = self.apps();
        let targets = &apps.get(ask.key.app)?.targets;
        let target = targets.iter().find(|known| known.id == target)?;
        Some(TargetPreview {
            target: target.clone(),
            account: None,
            next: Next::unusable(),
            shared: None,
        })
    }
}

const HELD: &str =
    "nothing: resumes are held since a backup was restored; confirm with `tidegate ledger confirm`";

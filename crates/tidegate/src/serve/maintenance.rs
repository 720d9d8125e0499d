//! What the HTTP face needs from the store itself.

use std::path::PathBuf;

use tidegate_core::{Actor, UnixMs};
use tidegate_ledger::LedgerError;
use tidegate_server::{Figure, Maintenance, Work};

use crate::store::Store;

/// Restores and figures, by the open ledger.
pub(super) struct StoreWork(pub(super) Store);

impl Maintenance for StoreWork {
    fn restore(&self, from: PathBuf, by: Actor, at: UnixMs) -> Work<Option<PathBuf>> {
        let store = self.0.clone();
        Box::pin(async move {
            let ledger = match store {
                Store::Sqlite(ledger) => ledger,
                Store::Postgres(_) => {
                    return Err(LedgerError::Conflict(
                        "a PostgreSQL ledger is restored with its servers stopped: stop every \
                         server of this ledger, then run tidegate ledger restore"
                            .into(),
                    ));
                }
            };
            let restored = ledger.restore(&from, Some(by), at).await?;
            Ok(restored.replaced)
        })
    }

    fn figures(&self) -> Vec<Figure> {
        let stats = self.0.stats();
        let waiting = stats.queued;
        let figure = |name, help, rises, value| Figure {
            name,
            help,
            rises,
            value,
        };
        #[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
        let (count, length) = (|n: u64| n as f64, |n: usize| n as f64);
        vec![
            figure(
                "commits",
                "Transactions on disk.",
                true,
                count(stats.commits),
            ),
            figure(
                "failed_commits",
                "Transactions that could not be committed.",
                true,
                count(stats.failed_commits),
            ),
            figure(
                "decisions",
                "Decisions on disk.",
                true,
                count(stats.decisions),
            ),
            figure(
                "last_commit_seconds",
                "How long the newest commit took.",
                false,
                stats.last_commit.as_secs_f64(),
            ),
            figure(
                "checkpoints",
                "Checkpoints of the log.",
                true,
                count(stats.checkpoints),
            ),
            figure(
                "takedowns_waiting",
                "Forbids that wait for the disk.",
                false,
                length(waiting.takedown),
            ),
            figure(
                "others_waiting",
                "Other writes that wait for the disk.",
                false,
                length(waiting.release + waiting.rest + waiting.patient),
            ),
        ]
    }
}

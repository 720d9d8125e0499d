//! After a backup was restored: resumes and ends are held until a person confirms.

use std::collections::HashMap;

use tidegate_core::{Actor, Block, StreamKey, UnixMs};
use tidegate_ledger::LedgerError;

use crate::alarms::AlarmKind;
use crate::engine::Engine;

impl Engine {
    /// Raises or clears the alarm by what the ledger says.
    pub(crate) async fn note_restore_hold(&self) -> Result<(), LedgerError> {
        match self.ledger().restore_hold().await? {
            None => self.alarms().clear(AlarmKind::ResumesHeld),
            Some(hold) => self.alarms().raise(
                AlarmKind::ResumesHeld,
                self.now(),
                format!(
                    "a backup was restored at {}; resumes and scheduled ends are held: check \
                     `tidegate blocks`, then run `tidegate ledger confirm`",
                    hold.restored_at
                ),
            ),
        }
        Ok(())
    }

    /// Ends the hold. Returns the streams that held resumes opened; overdue ends follow at once.
    pub async fn confirm_restore(&self, by: Actor) -> Result<Vec<StreamKey>, LedgerError> {
        let asked = self.blocks().begin_resume();
        let at: UnixMs = self.now();
        let opened = self
            .ledger()
            .confirm_restore(by, at, self.request_id())
            .await?;
        let mut keys = Vec::with_capacity(opened.len());
        for (key, generation) in opened {
            self.blocks().opened(&key, generation, Some(asked));
            self.cdns.wake(&key, HashMap::new());
            keys.push(key);
        }
        self.note_restore_hold().await?;
        self.next_end
            .store(i64::MIN, std::sync::atomic::Ordering::Relaxed);
        self.end_added.notify_one();
        tracing::info!(opened = keys.len(), "restore confirmed");
        Ok(keys)
    }

    /// Runs `replace`, which puts a backup in place of the ledger under this engine, and lets
    /// memory follow. No decision commits meanwhile; a forbid cuts at once all the same. Blocks that
    /// stood and are not in the backup stay in force in memory, with the alarm that says so.
    pub async fn restore_with<T, E: From<LedgerError>>(
        &self,
        replace: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let _alone = self.restoring.write().await;
        let replaced = replace.await?;
        self.reload_after_restore().await?;
        Ok(replaced)
    }

    async fn reload_after_restore(&self) -> Result<(), LedgerError> {
        let mut restored: Vec<(StreamKey, Block)> = Vec::new();
        self.ledger()
            .load_blocks(&mut |key, block| restored.push((key, block)))
            .await?;
        self.blocks().reload(restored);
        self.reload_apps().await?;
        self.note_restore_hold().await?;
        self.note_unrecorded();
        self.cdns.ledger_replaced();
        Ok(())
    }
}

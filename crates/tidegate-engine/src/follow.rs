//! What other servers decide on a shared ledger reaches this server's memory and its origin.
//!
//! The ledger says when something may have changed; history is then read from where the last look
//! ended. This server's own decisions come back too, and change nothing.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tidegate_ledger::{Change, Changes, Cursor, LedgerError};
use tidegate_origin::Refusal;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;

/// Between looks while the ledger cannot be read.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

impl Engine {
    pub(crate) async fn follow(&self, shutdown: &CancellationToken) {
        let mut seen = self.followed_from.clone();
        loop {
            tokio::select! {
                () = self.ledger().changed() => {}
                () = shutdown.cancelled() => return,
            }
            while let Err(error) = self.catch_up(&mut seen).await {
                self.ledger_failed(&error);
                tokio::select! {
                    () = tokio::time::sleep(AFTER_FAILURE) => {}
                    () = shutdown.cancelled() => return,
                }
            }
        }
    }

    async fn catch_up(&self, seen: &mut Cursor) -> Result<(), LedgerError> {
        loop {
            let changes = self.ledger().changes_since(seen).await?;
            self.apply(&changes).await?;
            *seen = changes.next;
            if !changes.more {
                return Ok(());
            }
        }
    }

    async fn apply(&self, changes: &Changes) -> Result<(), LedgerError> {
        if changes.replaced {
            return self.restore_with(async { Ok(()) }).await;
        }
        for change in &changes.streams {
            self.apply_one(change);
        }
        if changes.apps {
            self.reload_apps().await?;
            self.cut_disabled();
        }
        if changes.events {
            self.note_restore_hold().await?;
            self.next_end.store(i64::MIN, Ordering::Relaxed);
            self.end_added.notify_one();
        }
        Ok(())
    }

    fn apply_one(&self, change: &Change) {
        let key = &change.key;
        match &change.block {
            Some(block) => {
                self.blocks().load(key, block);
                self.expect_end(block.until);
                let cut = self.hub().cut(key, &Refusal::Forbidden(block.until));
                if cut.publishers > 0 || cut.players > 0 {
                    tracing::info!(app_id = key.app.0, stream = %key.stream,
                        generation = block.generation.0, publishers = cut.publishers,
                        players = cut.players, "forbidden by another server: cut here");
                }
            }
            // Which forbids of this server came before it is not known: none of those that stand
            // in memory only is lifted.
            None => {
                self.blocks().opened(key, change.generation, None);
            }
        }
        self.cdns.wake(key, HashMap::new());
    }

    /// Apps that another server disabled leave the air here too.
    fn cut_disabled(&self) {
        for entry in self.apps().list().iter().filter(|entry| entry.app.disabled) {
            let why = Refusal::UnknownApp(entry.app.rtmp_app.clone());
            self.hub().cut_app(entry.app.id, &why);
        }
    }
}

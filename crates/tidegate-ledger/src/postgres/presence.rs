//! The connection by which a server shows that it uses the ledger, and hears of others' commits.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::Notify;

use super::error::unavailable;
use super::writer::CHANNEL;
use crate::error::LedgerError;

const BETWEEN_TRIES: Duration = Duration::from_millis(500);

/// Shared by servers, exclusive for copies and restores; the writers' transactions look at it too.
const IN_USE: &str = "SELECT pg_try_advisory_lock_shared(1413958705, 2)";

/// Listens, and marks the ledger as in use for as long as the listener lives.
pub(super) async fn announce(pool: &PgPool) -> Result<PgListener, LedgerError> {
    let told = |e| unavailable("opened", &e);
    let mut listener = PgListener::connect_with(pool).await.map_err(told)?;
    listener.ignore_pool_close_event(true);
    if !mark(&mut listener).await.map_err(told)? {
        return Err(LedgerError::Locked(
            "the ledger is being copied or restored; start the server when that is done".into(),
        ));
    }
    listener.listen(CHANNEL).await.map_err(told)?;
    Ok(listener)
}

async fn mark(listener: &mut PgListener) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(IN_USE).fetch_one(listener).await
}

/// Passes on what is heard, and marks the ledger again after a lost connection. Runs until its
/// task is aborted.
pub(super) async fn keep(mut listener: PgListener, heard: Arc<Notify>) {
    loop {
        match listener.try_recv().await {
            Ok(Some(_)) => heard.notify_one(),
            // Commits made while the connection was away were not heard of.
            Ok(None) => {
                mark_again(&mut listener).await;
                heard.notify_one();
            }
            Err(error) => {
                tracing::debug!(error = %super::error::words(&error), "not listening");
                tokio::time::sleep(BETWEEN_TRIES).await;
            }
        }
    }
}

/// Until the ledger is marked, or the connection is lost once more.
async fn mark_again(listener: &mut PgListener) {
    loop {
        match mark(listener).await {
            Ok(true) => return,
            Ok(false) => tokio::time::sleep(BETWEEN_TRIES).await,
            Err(error) => {
                tracing::debug!(error = %super::error::words(&error), "not marked as in use");
                return;
            }
        }
    }
}

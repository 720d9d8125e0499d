//! Moving the write-ahead log into the database, off the writer's path.
//!
//! A passive checkpoint on a connection of its own does the copying and syncing while the writer
//! goes on appending. Under unbroken load such a checkpoint never catches up to the very end, and
//! only then can the log start over; so past a size the last few pages are finished with the
//! writer held, for at most the busy timeout.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::sync::Notify;

use super::connect;
use crate::stats::Counters;

/// Pages (of 4 KiB) in the log from which it has to start over.
const LONG_LOG: i64 = 16_384;
const BUSY: Duration = Duration::from_millis(100);

/// Checkpoints whenever told. Runs until its task is aborted.
pub(super) async fn run(file: PathBuf, told: Arc<Notify>, counters: Arc<Counters>) {
    let mut conn = None;
    loop {
        told.notified().await;
        if conn.is_none() {
            conn = connect(&file).await;
        }
        let Some(open) = &mut conn else { continue };
        match checkpoint(open).await {
            Ok(()) => Counters::add(&counters.checkpoints, 1),
            Err(error) => {
                tracing::debug!(%error, "checkpoint put off");
                if let Some(broken) = conn.take() {
                    let _ = broken.close().await;
                }
            }
        }
    }
}

async fn connect(file: &Path) -> Option<SqliteConnection> {
    connect::for_writing(file)
        .busy_timeout(BUSY)
        .connect()
        .await
        .ok()
}

async fn checkpoint(conn: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let (_, in_log, _): (i64, i64, i64) = sqlx::query_as("PRAGMA wal_checkpoint(PASSIVE)")
        .fetch_one(&mut *conn)
        .await?;
    if in_log > LONG_LOG {
        sqlx::query("PRAGMA wal_checkpoint(RESTART)")
            .execute(conn)
            .await?;
    }
    Ok(())
}

//! Connections that read, beside the writer.
//!
//! A ledger must be readable when nothing can be written, so that its blocks are in force on a
//! full disk or a read-only directory. SQLite needs a shared-memory file beside a database in WAL
//! mode; where that cannot be made, two other ways in are tried.

use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::RwLock;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteLockingMode, SqlitePoolOptions};
use sqlx::{Sqlite, SqlitePool};

use super::connect;
use super::error::reading;
use crate::error::LedgerError;

const READERS: u32 = 4;
const WAIT: Duration = Duration::from_secs(5);

/// How the file is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Access {
    /// As usual, beside a writer.
    Shared,
    /// The write-ahead log is empty and nothing can change the file.
    Immutable,
    /// One connection that keeps the log's index in its own memory and shuts others out.
    Exclusive,
}

/// The read pool, replaced when the way in changes.
pub(crate) struct Readers {
    file: PathBuf,
    pool: RwLock<(Access, SqlitePool)>,
}

impl Readers {
    /// Opens the first way in that works.
    pub(crate) async fn open(file: &Path) -> Result<Self, LedgerError> {
        let pool = first_that_works(file).await?;
        if pool.0 != Access::Shared {
            tracing::warn!(
                access = ?pool.0,
                "the ledger can be read but not written; blocks are in force"
            );
        }
        Ok(Self {
            file: file.to_owned(),
            pool: RwLock::new(pool),
        })
    }

    /// A connection to read with.
    pub(crate) async fn get(&self) -> Result<PoolConnection<Sqlite>, LedgerError> {
        let pool = self.pool.read().1.clone();
        pool.acquire().await.map_err(|e| reading(&e))
    }

    /// Steps aside for a writer that is about to open the file.
    pub(crate) async fn make_way(&self) {
        let (access, pool) = self.pool.read().clone();
        if access == Access::Exclusive {
            pool.close().await;
        }
    }

    /// Reads beside the writer again if that is possible, after it opened the file or could not.
    pub(crate) async fn settle(&self) {
        if self.pool.read().0 == Access::Shared {
            return;
        }
        if let Ok(pool) = first_that_works(&self.file).await {
            *self.pool.write() = pool;
        }
    }

    /// Waits for readers and closes their connections.
    pub(crate) async fn close(&self) {
        let pool = self.pool.read().1.clone();
        pool.close().await;
    }
}

async fn first_that_works(file: &Path) -> Result<(Access, SqlitePool), LedgerError> {
    let first_error = match connect_as(file, Access::Shared).await {
        Ok(pool) => return Ok((Access::Shared, pool)),
        Err(error) => error,
    };
    let access = if connect::log_is_empty(file) {
        Access::Immutable
    } else {
        Access::Exclusive
    };
    match connect_as(file, access).await {
        Ok(pool) => Ok((access, pool)),
        Err(_) => Err(reading(&first_error)),
    }
}

async fn connect_as(file: &Path, access: Access) -> Result<SqlitePool, sqlx::Error> {
    let options = connect::for_reading(file);
    let (options, connections) = match access {
        Access::Shared => (options, READERS),
        Access::Immutable => (options.read_only(true).immutable(true), READERS),
        Access::Exclusive => (options.locking_mode(SqliteLockingMode::Exclusive), 1),
    };
    let pool = SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(WAIT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_with(options)
        .await?;
    let looked: Result<i64, _> = sqlx::query_scalar("SELECT count(*) FROM sqlite_master")
        .fetch_one(&pool)
        .await;
    match looked {
        Ok(_) => Ok(pool),
        Err(error) => {
            pool.close().await;
            Err(error)
        }
    }
}

//! Opening connections, migrations, and what marks a file as a ledger.

use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, SqlSafeStr, SqliteConnection};

use super::error::{opening, reading};
use crate::error::LedgerError;

/// Marks a SQLite file as a ledger of ours: "TGL1".
pub(crate) const APPLICATION_ID: i32 = 0x5447_4c31;

const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

fn migrations() -> Migrator {
    Migrator::with_migrations(vec![Migration::new(
        1,
        "ledger".into(),
        MigrationType::Simple,
        include_str!("../../migrations/sqlite/0001_ledger.sql").into_sql_str(),
        false,
    )])
}

/// The newest schema that this build knows.
pub(crate) fn newest_schema() -> i64 {
    migrations().iter().map(|m| m.version).max().unwrap_or(0)
}

fn base(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging()
}

/// For the writer. The log is checkpointed elsewhere, off the writer's path.
pub(crate) fn for_writing(file: &Path) -> SqliteConnectOptions {
    base(file)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", "0")
        .pragma("journal_size_limit", "67108864")
        .thread_name(|n| format!("ledger-write-{n}"))
}

/// For readers beside a writer in this process.
pub(crate) fn for_reading(file: &Path) -> SqliteConnectOptions {
    base(file)
        .pragma("query_only", "ON")
        .thread_name(|n| format!("ledger-read-{n}"))
}

/// For a file that others may be using, which is never written.
pub(crate) fn for_looking(file: &Path) -> SqliteConnectOptions {
    base(file).read_only(true).foreign_keys(false)
}

/// Brings the schema up to date. A schema from a newer version is refused.
pub(crate) async fn migrate(conn: &mut SqliteConnection) -> Result<(), LedgerError> {
    check_version(conn).await?;
    migrations()
        .run_direct(None, conn, false)
        .await
        .map_err(|e| match e {
            MigrateError::VersionMismatch(version) => LedgerError::Corrupt(format!(
                "the ledger's schema {version} differs from the one this version made; it was \
             changed by hand or by another build"
            )),
            MigrateError::Execute(error) => opening(&error),
            other => LedgerError::Unavailable {
                doing: "opened",
                why: format!("its schema could not be brought up to date: {other}"),
            },
        })?;
    sqlx::query("PRAGMA application_id = 1413958705")
        .execute(conn)
        .await
        .map_err(|e| opening(&e))?;
    Ok(())
}

/// The schema version of the file; 0 for an empty one.
pub(crate) async fn schema_version(conn: &mut SqliteConnection) -> Result<i64, LedgerError> {
    let known: Option<i64> = sqlx::query_scalar(
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations'",
    )
    .fetch_optional(&mut *conn)
    .await
    .map_err(|e| reading(&e))?;
    if known.is_none() {
        return Ok(0);
    }
    sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM _sqlx_migrations")
        .fetch_one(conn)
        .await
        .map_err(|e| reading(&e))
}

/// Refuses a schema that a newer version made.
pub(crate) async fn check_version(conn: &mut SqliteConnection) -> Result<i64, LedgerError> {
    let found = schema_version(conn).await?;
    let known = newest_schema();
    if found > known {
        return Err(LedgerError::Corrupt(format!(
            "the ledger was written by a newer tidegate: its schema is {found}, this version \
             knows {known}; run the newer version, or restore a backup made by this one"
        )));
    }
    Ok(found)
}

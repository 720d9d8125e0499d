//! Opening connections, migrations, and what marks a file as a ledger.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, SqlSafeStr, SqliteConnection};

use super::error::{opening, reading};
use crate::error::LedgerError;

/// Marks a SQLite file as a ledger of ours: "TGL1".
const APPLICATION_ID: i32 = 1_413_958_705;

const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The triggers that keep history append-only.
pub(crate) const APPEND_ONLY: &str = include_str!("../../migrations/sqlite/0002_append_only.sql");

fn migrations() -> Migrator {
    let all = [
        (
            "ledger",
            include_str!("../../migrations/sqlite/0001_ledger.sql"),
        ),
        ("append only", APPEND_ONLY),
        (
            "cdns",
            include_str!("../../migrations/sqlite/0003_cdns.sql"),
        ),
    ];
    let numbered = (1_i64..).zip(all).map(|(version, (name, sql))| {
        let kind = MigrationType::Simple;
        Migration::new(version, name.into(), kind, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(numbered.collect())
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

/// Opens a ledger that others may be using, without ever writing to it.
///
/// `Unavailable` if there is none; `Corrupt` if it is no ledger that this version can read.
pub(crate) async fn look(file: &Path) -> Result<SqliteConnection, LedgerError> {
    if !file.exists() {
        return Err(LedgerError::Unavailable {
            doing: "read",
            why: format!("there is no ledger {}", file.display()),
        });
    }
    let options = base(file).read_only(true).foreign_keys(false);
    let mut conn = match connect_and_look(&options).await {
        Ok(conn) => conn,
        // Read-only directories cannot hold the files that SQLite puts beside one in WAL mode.
        Err(error) if log_is_empty(file) => connect_and_look(&options.immutable(true))
            .await
            .map_err(|_| reading(&error))?,
        Err(error) => return Err(reading(&error)),
    };
    check_is_ledger(&mut conn, file).await?;
    check_current(&mut conn, file).await?;
    Ok(conn)
}

async fn connect_and_look(options: &SqliteConnectOptions) -> Result<SqliteConnection, sqlx::Error> {
    let mut conn = options.connect().await?;
    sqlx::query("SELECT count(*) FROM sqlite_master")
        .execute(&mut conn)
        .await?;
    Ok(conn)
}

/// Whether all that was committed is in the database file itself.
pub(crate) fn log_is_empty(file: &Path) -> bool {
    beside(file, "-wal")
        .metadata()
        .map_or(true, |m| m.len() == 0)
}

/// A path with something added to its last part.
pub(crate) fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// Length of a SQLite file's header.
pub(crate) const HEADER: usize = 100;

/// Whether a file begins as a ledger does: SQLite's magic, and our id at byte 68.
pub(crate) fn is_header_of_ledger(head: &[u8]) -> bool {
    head.starts_with(b"SQLite format 3\0")
        && head.get(68..72) == Some(&APPLICATION_ID.to_be_bytes()[..])
}

/// Refuses views: no ledger has one, and reading one runs whatever it says.
pub(crate) async fn refuse_views(conn: &mut SqliteConnection) -> Result<(), String> {
    let sql = "SELECT name FROM sqlite_master WHERE type = 'view' LIMIT 1";
    let view: Option<String> = sqlx::query_scalar(sql)
        .fetch_optional(conn)
        .await
        .map_err(|e| e.to_string())?;
    view.map_or(Ok(()), |name| Err(strange("view", &name)))
}

/// Refuses a ledger whose tables, indexes or triggers are not those that the migrations make: a
/// trigger put into a backup would go on working in the ledger restored from it.
pub(crate) async fn refuse_foreign_schema(conn: &mut SqliteConnection) -> Result<(), String> {
    let mut fresh = SqliteConnectOptions::new()
        .in_memory(true)
        .connect()
        .await
        .map_err(|e| e.to_string())?;
    migrate(&mut fresh).await.map_err(|e| e.to_string())?;
    let (wanted, found) = (schema(&mut fresh).await, schema(conn).await);
    let (wanted, found) = (
        wanted.map_err(|e| e.to_string())?,
        found.map_err(|e| e.to_string())?,
    );
    let odd = found.iter().find(|object| !wanted.contains(object));
    let missing = wanted.iter().find(|object| !found.contains(object));
    match (odd, missing) {
        (Some((kind, name, _)), _) => Err(strange(kind, name)),
        (None, Some((kind, name, _))) => Err(format!("the {kind} {name} is missing")),
        (None, None) => Ok(()),
    }
}

fn strange(kind: &str, name: &str) -> String {
    let name = tidegate_core::text::printable(name, 64);
    format!("it has a {kind} {name} that tidegate did not make")
}

/// Kind, name and words of everything in the schema but what SQLite makes for itself. The words of
/// the table of migrations are left out: they are the library's.
async fn schema(conn: &mut SqliteConnection) -> Result<Vec<(String, String, String)>, sqlx::Error> {
    sqlx::query_as(
        "SELECT type, name, iif(name = '_sqlx_migrations', '', coalesce(sql, ''))
         FROM sqlite_master WHERE name NOT GLOB 'sqlite_*'",
    )
    .fetch_all(conn)
    .await
}

/// Refuses a SQLite file that is something else.
pub(crate) async fn check_is_ledger(
    conn: &mut SqliteConnection,
    file: &Path,
) -> Result<(), LedgerError> {
    let id: i32 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut *conn)
        .await
        .map_err(|e| reading(&e))?;
    if id != APPLICATION_ID {
        return Err(LedgerError::Corrupt(format!(
            "{} is not a tidegate ledger",
            file.display()
        )));
    }
    Ok(())
}

async fn check_current(conn: &mut SqliteConnection, file: &Path) -> Result<(), LedgerError> {
    let found = check_version(conn).await?;
    let known = newest_schema();
    if found < known {
        return Err(LedgerError::Corrupt(format!(
            "{} has schema {found}, and this version reads {known}; start the server on it once",
            file.display()
        )));
    }
    Ok(())
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

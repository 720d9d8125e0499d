//! Connections, what a server must be like, and migrations.

use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, PgConnection, PgPool, SqlSafeStr};

use super::error::{reading, unavailable, words};
use crate::error::LedgerError;

/// The longest that a connection takes to open.
pub(crate) const CONNECT: Duration = Duration::from_secs(5);
const READERS: u32 = 6;

/// Plans that look rows up by an index stay right however fast a table grows; one that scans a
/// table which was empty when it was planned does not. A writer that hangs must let go of the
/// lock that all writers share.
const WRITER: &str = "
    SET default_transaction_isolation = 'read committed';
    SET statement_timeout = '30s';
    SET lock_timeout = '10s';
    SET idle_in_transaction_session_timeout = '15s';
    SET client_min_messages = 'warning';
    SET jit = off; SET enable_seqscan = off; SET enable_bitmapscan = off;
    SET enable_hashjoin = off; SET enable_mergejoin = off";

const READER: &str = "
    SET default_transaction_isolation = 'read committed';
    SET statement_timeout = '60s';
    SET idle_in_transaction_session_timeout = '120s';
    SET client_min_messages = 'warning';
    SET jit = off";

fn migrations() -> Migrator {
    let all = [
        (
            "ledger",
            include_str!("../../migrations/postgres/0001_ledger.sql"),
        ),
        (
            "append only",
            include_str!("../../migrations/postgres/0002_append_only.sql"),
        ),
        (
            "cdns",
            include_str!("../../migrations/postgres/0003_cdns.sql"),
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

/// Opens a connection that writes.
pub(crate) async fn for_writing(options: &PgConnectOptions) -> Result<PgConnection, LedgerError> {
    one(options, WRITER).await
}

/// Opens one connection that reads.
pub(crate) async fn look(options: &PgConnectOptions) -> Result<PgConnection, LedgerError> {
    let mut conn = one(options, READER).await?;
    let found = check_version(&mut conn).await?;
    let known = newest_schema();
    if found == 0 {
        return Err(LedgerError::Unavailable {
            doing: "read",
            why: "there is no ledger in this database".into(),
        });
    }
    if found < known {
        return Err(LedgerError::Corrupt(format!(
            "the ledger has schema {found}, and this version reads {known}; start the server on \
             it once"
        )));
    }
    Ok(conn)
}

async fn one(
    options: &PgConnectOptions,
    settings: &'static str,
) -> Result<PgConnection, LedgerError> {
    let connecting = async {
        let mut conn = options.connect().await?;
        sqlx::raw_sql(settings).execute(&mut conn).await?;
        Ok(conn)
    };
    match tokio::time::timeout(CONNECT, connecting).await {
        Ok(connected) => connected.map_err(|e: sqlx::Error| unavailable("opened", &e)),
        Err(_) => Err(LedgerError::Unavailable {
            doing: "opened",
            why: format!("the PostgreSQL server did not answer within {CONNECT:?}"),
        }),
    }
}

/// The pool that reads use. Connects when asked for a connection.
pub(crate) fn readers(options: &PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(CONNECT)
        .idle_timeout(Duration::from_secs(600))
        .max_lifetime(None)
        .after_connect(|conn, _| {
            Box::pin(async move { sqlx::raw_sql(READER).execute(conn).await.map(|_| ()) })
        })
        .connect_lazy_with(options.clone())
}

/// Refuses a server that answers before a commit is on disk, or cannot hold all text.
pub(crate) async fn check_server(conn: &mut PgConnection) -> Result<(), LedgerError> {
    let (synchronous, fsync, encoding): (String, String, String) = sqlx::query_as(
        "SELECT current_setting('synchronous_commit'), current_setting('fsync'),
             current_setting('server_encoding')",
    )
    .fetch_one(conn)
    .await
    .map_err(|e| unavailable("opened", &e))?;
    if let Some(why) = not_durable(&synchronous) {
        return Err(LedgerError::Unsuitable(why));
    }
    if fsync != "on" {
        return Err(LedgerError::Unsuitable(format!(
            "the PostgreSQL server runs with fsync = {fsync}, so a power cut loses decisions that \
             were answered; set fsync = on"
        )));
    }
    if encoding != "UTF8" {
        return Err(LedgerError::Unsuitable(format!(
            "the PostgreSQL database has the encoding {encoding}; make one with ENCODING 'UTF8'"
        )));
    }
    Ok(())
}

/// Why commits with this `synchronous_commit` are not on disk when they are answered.
pub(super) fn not_durable(synchronous: &str) -> Option<String> {
    match synchronous {
        "on" | "remote_apply" => None,
        other => Some(format!(
            "the PostgreSQL server runs with synchronous_commit = {other}, so a crash loses \
             decisions that were answered; set synchronous_commit = on for this database or role"
        )),
    }
}

/// Brings the schema up to date. Servers that start together take turns.
pub(crate) async fn migrate(conn: &mut PgConnection) -> Result<(), LedgerError> {
    check_version(conn).await?;
    migrations()
        .run_direct(None, conn, false)
        .await
        .map_err(|e| match e {
            MigrateError::VersionMismatch(version) => LedgerError::Corrupt(format!(
                "the ledger's schema {version} differs from the one this version made; it was \
                 changed by hand or by another build"
            )),
            other => LedgerError::Unavailable {
                doing: "opened",
                why: format!(
                    "its schema could not be brought up to date: {}",
                    told(&other)
                ),
            },
        })
}

fn told(error: &MigrateError) -> String {
    match error {
        MigrateError::Execute(e) | MigrateError::ExecuteMigration(e, _) => words(e),
        other => other.to_string(),
    }
}

/// The schema version; 0 for a database without a ledger. Refuses a newer one.
pub(crate) async fn check_version(conn: &mut PgConnection) -> Result<i64, LedgerError> {
    let there: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(&mut *conn)
        .await
        .map_err(|e| reading(&e))?;
    if !there {
        return Ok(0);
    }
    let found: i64 = sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM _sqlx_migrations")
        .fetch_one(conn)
        .await
        .map_err(|e| reading(&e))?;
    let known = newest_schema();
    if found > known {
        return Err(LedgerError::Corrupt(format!(
            "the ledger was written by a newer tidegate: its schema is {found}, this version \
             knows {known}; run the newer version"
        )));
    }
    Ok(found)
}

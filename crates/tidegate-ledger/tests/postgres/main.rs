//! What is particular to the PostgreSQL back end: servers that share a ledger, lost connections,
//! crashes of the server, keys, copies.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking"
)]

#[path = "../support/cluster.rs"]
mod cluster;
mod copy;
mod crash;
#[path = "../contract/fixture.rs"]
#[allow(dead_code)]
mod fixture;
mod server;
mod sharing;

use std::path::Path;

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;
use tidegate_ledger::{LedgerError, LedgerUrl, OpenOptions, PostgresLedger};

/// A data directory whose key is the one of `other`.
fn dir_with_key_of(other: &Path) -> TempDir {
    let dir = tempfile::tempdir().expect("temp dir");
    std::fs::copy(other.join("secrets.key"), dir.path().join("secrets.key")).expect("copied");
    dir
}

async fn try_open(url: &str, dir: &Path) -> Result<PostgresLedger, LedgerError> {
    let url = LedgerUrl::parse(url).expect("a URL");
    PostgresLedger::open(&url, &OpenOptions::new(dir)).await
}

async fn open(url: &str, dir: &Path) -> PostgresLedger {
    try_open(url, dir).await.expect("the ledger opens")
}

/// Runs SQL as the owner of the database.
async fn sql(url: &str, text: &str) -> Result<(), sqlx::Error> {
    let mut conn = PgConnection::connect(url).await.expect("connected");
    let done = sqlx::raw_sql(AssertSqlSafe(text.to_owned()))
        .execute(&mut conn)
        .await;
    conn.close().await.expect("closed");
    done.map(|_| ())
}

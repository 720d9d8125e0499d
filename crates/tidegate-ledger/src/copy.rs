//! A whole ledger from one back end to another: moves, backups of a PostgreSQL ledger (which are
//! SQLite files like any other backup), and their restore.
//!
//! History is verified before and after. What receives is empty before, and has everything or
//! nothing afterwards.

mod meta;
mod place;
mod rows;
mod tables;
mod transfer;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tidegate_core::UnixMs;

use crate::audit;
use crate::data_dir::DataDir;
use crate::error::LedgerError;
use crate::keys::{KeyMarks, SealingKey, key_path, sync_parent, write_new_file};
use crate::model::{Head, Verdict};
use crate::postgres;
use crate::postgres::error as pg;
use crate::postgres::read::SNAPSHOT;
use crate::postgres::url::LedgerUrl;
use crate::sqlite::OpenOptions;
use crate::sqlite::connect::{self as lite_connect, beside};
use crate::sqlite::error as lite;
use crate::sqlite::open::{self, FILE};
use crate::sqlite::restore::{Candidate, Restored, replaced_path};
use place::Held;
use rows::{Sink, Source};
use tables::TABLES;
use transfer::{Secrets, transfer};

/// Where a ledger is.
#[derive(Clone, Debug)]
pub enum Address {
    /// A SQLite ledger in a data directory.
    Directory(OpenOptions),
    /// A PostgreSQL ledger, and where its key is.
    Postgres(LedgerUrl, OpenOptions),
}

/// A copy that was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Copied {
    /// The end of the chain, the same in both.
    pub head: Head,
    /// Rows of each table.
    pub rows: BTreeMap<&'static str, u64>,
    /// Whether secrets were sealed anew, because the ledgers have different keys.
    pub resealed: bool,
}

/// Copies a whole ledger into an empty place, with no server on either.
///
/// `Locked`: a server uses one of them. `Conflict`: there is a ledger where the copy should go.
/// `Corrupt`: the history of the source does not verify. `Key`: a key file is missing or wrong.
pub async fn copy(from: &Address, to: &Address) -> Result<Copied, LedgerError> {
    let mut source = Held::source(from).await?;
    let mut target = Held::target(to).await?;
    let outcome = copy_held(&mut source, &mut target).await;
    source.close().await;
    let finished = target.finish(outcome.is_ok()).await;
    let copied = outcome?;
    finished?;
    Ok(copied)
}

async fn copy_held(source: &mut Held, target: &mut Held) -> Result<Copied, LedgerError> {
    let before = verified(source.verify().await?, "the ledger to be copied")?;
    let old = source.marks().await?.matching(source.key_file())?;
    target.refuse_unless_empty().await?;
    let new = SealingKey::load_or_create(target.key_file())?;
    let resealed = old.id() != new.id();
    let secrets = if resealed {
        Secrets::Reseal(&old, &new)
    } else {
        Secrets::Keep
    };
    target.begin().await?;
    let rows = transfer(
        source.as_source(),
        target.as_sink(),
        &secrets,
        &KeyMarks::of(&new)?,
    )
    .await?;
    for table in &TABLES {
        let there = target.as_source().count(table).await?;
        if rows.get(table.name) != Some(&there) {
            return Err(LedgerError::Corrupt(format!(
                "the copy has {there} rows in {}, and the source has another number",
                table.name
            )));
        }
    }
    let head = verified(target.verify().await?, "the copy")?;
    if head != before {
        return Err(LedgerError::Corrupt(
            "the ledger was changed while it was copied".into(),
        ));
    }
    target.commit().await?;
    Ok(Copied {
        head,
        rows,
        resealed,
    })
}

fn verified(verdict: Verdict, what: &str) -> Result<Head, LedgerError> {
    match verdict {
        Verdict::Intact(head) => Ok(head),
        Verdict::Broken(words) => Err(LedgerError::Corrupt(format!(
            "the history of {what} does not verify: {words}"
        ))),
    }
}

/// Writes a consistent copy of a PostgreSQL ledger in use to the new SQLite file `to`, mode 0600,
/// synced: a backup like those of a SQLite ledger.
pub(crate) async fn backup(from: &PgConnectOptions, to: &Path) -> Result<(), LedgerError> {
    let failed = |error: io::Error| LedgerError::Unavailable {
        doing: "backed up",
        why: match error.kind() {
            io::ErrorKind::AlreadyExists => format!(
                "{} exists already; a backup never overwrites a file",
                to.display()
            ),
            _ => format!("{}: {error}", to.display()),
        },
    };
    let to = &std::path::absolute(to).map_err(failed)?;
    write_new_file(to, b"").map_err(failed)?;
    let written = write_backup(from, to).await;
    if written.is_err() {
        for suffix in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(beside(to, suffix));
        }
        return written;
    }
    File::open(to)
        .and_then(|copy| copy.sync_all())
        .and_then(|()| sync_parent(to))
        .map_err(failed)
}

async fn write_backup(from: &PgConnectOptions, to: &Path) -> Result<(), LedgerError> {
    let mut source = postgres::connect::look(from).await?;
    sqlx::query("SET statement_timeout = 0")
        .execute(&mut source)
        .await
        .map_err(|e| pg::reading(&e))?;
    sqlx::query("SET idle_in_transaction_session_timeout = 0")
        .execute(&mut source)
        .await
        .map_err(|e| pg::reading(&e))?;
    let begun = source.begin_with(SNAPSHOT).await;
    let mut snapshot = begun.map_err(|e| pg::reading(&e))?;
    let marks = postgres::key_marks(&mut snapshot).await?;
    let marks = marks.ok_or_else(|| LedgerError::Corrupt("the ledger names no key".into()))?;
    let mut conn = new_file(to).await?;
    let told = |e| lite::writing(&e);
    let mut tx = conn.begin().await.map_err(told)?;
    let sink = Sink::Sqlite(&mut tx);
    transfer(
        Source::Postgres(&mut snapshot),
        sink,
        &Secrets::Keep,
        &marks,
    )
    .await?;
    tx.commit().await.map_err(told)?;
    verified(
        audit::verify_connection(&mut conn, None).await?,
        "the backup",
    )?;
    fold_and_close(conn).await
}

/// Makes the tables in an empty file.
async fn new_file(path: &Path) -> Result<SqliteConnection, LedgerError> {
    let mut conn = lite_connect::for_writing(path)
        .connect()
        .await
        .map_err(|e| lite::opening(&e))?;
    lite_connect::migrate(&mut conn).await?;
    Ok(conn)
}

/// Leaves everything in the file itself, with no log beside it.
async fn fold_and_close(mut conn: SqliteConnection) -> Result<(), LedgerError> {
    let told = |e| lite::writing(&e);
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
        .execute(&mut conn)
        .await
        .map_err(told)?;
    conn.close().await.map_err(told)
}

/// Restores a backup into a PostgreSQL ledger whose servers are stopped. The ledger that is
/// replaced is kept as a SQLite file in the data directory. Afterwards resumes are held, and
/// generations go on far above all that were used.
///
/// Errors as for a SQLite ledger; the ledger in place is then as it was.
pub async fn restore_postgres(
    url: &LedgerUrl,
    options: &OpenOptions,
    backup: &Path,
    at: UnixMs,
) -> Result<Restored, LedgerError> {
    let dir = DataDir::lock(&options.data_dir)?;
    let file = dir.path().join(FILE);
    let key_file = key_path(dir.path(), options.key_file.as_deref());
    let mut target = Held::postgres(url, key_file.clone()).await?;
    let outcome = restore_held(&mut target, url, &file, &key_file, backup, at).await;
    let finished = target.finish(outcome.is_ok()).await;
    let restored = outcome?;
    finished?;
    Ok(restored)
}

async fn restore_held(
    target: &mut Held,
    url: &LedgerUrl,
    file: &Path,
    key_file: &Path,
    from: &Path,
    at: UnixMs,
) -> Result<Restored, LedgerError> {
    let candidate = Candidate::prepare(from, file, key_file).await?;
    let replaced: PathBuf = replaced_path(file, at);
    let kept = target.has_ledger().await?;
    if kept {
        let options = url.options().map_err(|e| pg::unavailable("opened", &e))?;
        backup(&options, &replaced).await?;
    }
    let head = candidate.finish(&replaced, key_file, at).await?;
    let mut conn = lite_connect::look(&candidate.path).await?;
    let marks = open::key_marks(&mut conn).await?;
    target.begin().await?;
    target.clear().await?;
    let source = Source::Sqlite(&mut conn);
    transfer(source, target.as_sink(), &Secrets::Keep, &marks).await?;
    let there = verified(target.verify().await?, "the restored ledger")?;
    if there != head {
        return Err(LedgerError::Corrupt(
            "the restored ledger is not what the backup holds".into(),
        ));
    }
    target.commit().await?;
    let _ = conn.close().await;
    Ok(Restored {
        replaced: kept.then_some(replaced),
        head,
    })
}

//! Restoring a backup, into a stopped ledger or a running one.
//!
//! Either way the backup is copied beside the ledger and checked there in full; the ledger that
//! is replaced is kept. Afterwards resumes are held, and generations go on far above all that
//! were used, because vendors may have seen numbers that the backup does not know.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};
use tidegate_core::{Actor, UnixMs};

use super::connect::{self, beside};
use super::decide::append_event;
use super::error::{OpError, opening, reading, writing};
use super::open::{FILE, matching_key};
use super::operation::{Memory, Operation, Tx, meta_int};
use super::rows;
use super::writer::run;
use super::{OpenOptions as LedgerOptions, SqliteLedger, backup};
use crate::audit;
use crate::chain::{RawActor, RawEvent};
use crate::data_dir::DataDir;
use crate::error::LedgerError;
use crate::keys::{SealingKey, key_path, sync_parent};
use crate::lanes::Lane;
use crate::model::{Head, Verdict};

/// More decisions than any stream can have had since a backup was made.
const GENERATION_GAP: i64 = 1_000_000;

/// A restore that was done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Restored {
    /// Where the ledger that was replaced is kept, if there was one.
    pub replaced: Option<PathBuf>,
    /// The end of the chain, which records the restore.
    pub head: Head,
}

/// Restores a backup into a data directory whose server is stopped.
///
/// `Locked`: a server is running. `Key`: the backup was sealed with another key. `Corrupt`: it is
/// no complete, untouched backup. In each case the ledger in place is as it was.
pub async fn restore(
    options: &LedgerOptions,
    backup: &Path,
    at: UnixMs,
) -> Result<Restored, LedgerError> {
    let dir = DataDir::lock(&options.data_dir)?;
    let file = dir.path().join(FILE);
    let key_file = key_path(dir.path(), options.key_file.as_deref());
    let candidate = Candidate::prepare(backup, &file, &key_file).await?;
    let head = candidate.finish(&file, &key_file, at).await?;
    let replaced = put_in_place(&candidate.path, &file, at)
        .await
        .map_err(|error| io_error("restored", &file, &error))?;
    Ok(Restored { replaced, head })
}

impl SqliteLedger {
    /// Restores a backup while the ledger is in use, in one transaction. What was in memory of
    /// the old state (blocks, Apps, nonces) has to be loaded again by whoever holds it.
    ///
    /// Errors as [`restore`]; the ledger is then as it was.
    pub async fn restore(
        &self,
        backup: &Path,
        by: Option<Actor>,
        at: UnixMs,
    ) -> Result<Restored, LedgerError> {
        let candidate = Candidate::prepare(backup, &self.file, &self.key_file).await?;
        let replaced = replaced_path(&self.file, at);
        let by = by.as_ref().map(rows::actor_columns).unwrap_or_default();
        let head = self
            .write(ReplaceAll {
                file: self.file.clone(),
                candidate: candidate.path.clone(),
                replaced: replaced.clone(),
                by,
                at,
            })
            .await?;
        Ok(Restored {
            replaced: Some(replaced),
            head,
        })
    }
}

/// A checked copy of a backup beside the ledger. Its files go when it is dropped, unless it was
/// put in place.
pub(crate) struct Candidate {
    pub(crate) path: PathBuf,
}

impl Drop for Candidate {
    fn drop(&mut self) {
        remove_with_log(&self.path);
    }
}

fn remove_with_log(path: &Path) {
    // A journal that a crash left would be rolled back into the next copy.
    for suffix in ["-journal", "-wal", "-shm", ""] {
        let _ = fs::remove_file(beside(path, suffix));
    }
}

impl Candidate {
    /// Copies a backup beside the ledger `file` and checks it there.
    pub(crate) async fn prepare(
        backup: &Path,
        file: &Path,
        key_file: &Path,
    ) -> Result<Self, LedgerError> {
        if !connect::log_is_empty(backup) {
            return Err(LedgerError::Corrupt(format!(
                "{} has a write-ahead log beside it, so it is a ledger in use and no backup; \
                 make one with tidegate ledger backup",
                backup.display()
            )));
        }
        let candidate = Self {
            path: beside(file, ".restoring"),
        };
        remove_with_log(&candidate.path);
        let (from, to) = (backup.to_owned(), candidate.path.clone());
        let copied = tokio::task::spawn_blocking(move || copy_private(&from, &to)).await;
        let copied = copied.unwrap_or_else(|error| Err(io::Error::other(error)));
        if !copied.map_err(|error| io_error("read", backup, &error))? {
            return Err(LedgerError::Corrupt(format!(
                "{} is not a tidegate ledger; name a file that tidegate ledger backup wrote",
                backup.display()
            )));
        }
        let mut conn = candidate.connect().await?;
        let checked = check(&mut conn, backup, key_file).await;
        let _ = conn.close().await;
        checked.map(|()| candidate)
    }

    async fn connect(&self) -> Result<SqliteConnection, LedgerError> {
        connect::for_writing(&self.path)
            .connect()
            .await
            .map_err(|e| opening(&e))
    }

    /// Takes over from the ledger in place what must not go back in time, and records the restore.
    pub(crate) async fn finish(
        &self,
        old: &Path,
        key_file: &Path,
        at: UnixMs,
    ) -> Result<Head, LedgerError> {
        let mut conn = self.connect().await?;
        let sealing = matching_key(&mut conn, key_file).await?;
        let old = readable(old).await;
        if let Some(old) = &old {
            attach(&mut conn, old).await.map_err(refused)?;
        }
        let finished = finish_offline(&mut conn, &sealing, old.is_some(), at).await;
        let truncated = run(&mut conn, "PRAGMA wal_checkpoint(TRUNCATE)").await;
        let _ = conn.close().await;
        let head = finished?;
        truncated.map_err(|e| writing(&e))?;
        Ok(head)
    }
}

/// The path of a ledger that can be read, if it is one.
async fn readable(file: &Path) -> Option<PathBuf> {
    match connect::look(file).await {
        Ok(conn) => {
            let _ = conn.close().await;
            Some(file.to_owned())
        }
        Err(error) => {
            if file.exists() {
                tracing::warn!(%error, "the ledger in place cannot be read; nothing is taken over");
            }
            None
        }
    }
}

async fn check(
    conn: &mut SqliteConnection,
    backup: &Path,
    key_file: &Path,
) -> Result<(), LedgerError> {
    let unfit = |why: String| {
        LedgerError::Corrupt(format!("{} cannot be restored: {why}", backup.display()))
    };
    // Before anything else is read or written: a view or a trigger would take part in it.
    connect::check_is_ledger(conn, backup).await?;
    connect::refuse_views(conn).await.map_err(unfit)?;
    connect::migrate(conn).await?;
    connect::refuse_foreign_schema(conn).await.map_err(unfit)?;
    let sound: String = sqlx::query_scalar("PRAGMA integrity_check(1)")
        .fetch_one(&mut *conn)
        .await
        .map_err(|e| unfit(e.to_string()))?;
    if sound != "ok" {
        return Err(unfit(sound));
    }
    matching_key(conn, key_file).await?;
    match audit::verify_connection(conn, None).await? {
        Verdict::Intact(_) => Ok(()),
        Verdict::Broken(words) => Err(unfit(words)),
    }
}

/// False, and no copy, if it is no ledger by its first bytes. A pipe or a device is an error: the
/// one may never give a byte, the other never an end.
fn copy_private(from: &Path, to: &Path) -> io::Result<bool> {
    if !fs::metadata(from)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut source = File::open(from)?;
    let mut head = Vec::with_capacity(connect::HEADER);
    (&mut source)
        .take(connect::HEADER as u64)
        .read_to_end(&mut head)?;
    if !connect::is_header_of_ledger(&head) {
        return Ok(false);
    }
    source.rewind()?;
    let mut copy = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)?;
    io::copy(&mut source, &mut copy)?;
    copy.sync_all()?;
    Ok(true)
}

async fn attach(conn: &mut SqliteConnection, file: &Path) -> Result<(), OpError> {
    let Some(path) = file.to_str() else {
        return Err(LedgerError::Unavailable {
            doing: "restored",
            why: format!("the path {} is not UTF-8", file.display()),
        }
        .into());
    };
    sqlx::query("ATTACH DATABASE $1 AS other")
        .bind(path)
        .execute(conn)
        .await?;
    Ok(())
}

async fn finish_offline(
    conn: &mut SqliteConnection,
    sealing: &SealingKey,
    beside_old: bool,
    at: UnixMs,
) -> Result<Head, LedgerError> {
    let mut memory = Memory::load(conn).await.map_err(|e| reading(&e))?;
    run(conn, "BEGIN IMMEDIATE")
        .await
        .map_err(|e| writing(&e))?;
    let mut tx = Tx {
        conn,
        memory: &mut memory,
        sealing,
    };
    let mut floor = used_generations(tx.conn, false).await.map_err(refused)?;
    if beside_old {
        let used = used_generations(tx.conn, true).await.map_err(refused)?;
        floor = floor.max(used);
        run(
            tx.conn,
            "INSERT OR IGNORE INTO nonces SELECT * FROM other.nonces
                 WHERE app_id IN (SELECT id FROM apps);
             INSERT OR REPLACE INTO meta SELECT * FROM other.meta
                 WHERE name IN ('instance', 'admin_token', 'newest');
             INSERT OR REPLACE INTO clock SELECT * FROM other.clock",
        )
        .await
        .map_err(|e| writing(&e))?;
    }
    mark_restored(&mut tx, floor, RawActor::default(), at)
        .await
        .map_err(refused)?;
    run(tx.conn, "COMMIT").await.map_err(|e| writing(&e))?;
    Ok(memory.tip.head())
}

/// The highest generation that was used, in the main database or the attached one.
async fn used_generations(conn: &mut SqliteConnection, other: bool) -> Result<i64, OpError> {
    let sql = if other {
        "SELECT max((SELECT coalesce(max(generation), 0) FROM other.decisions),
             coalesce((SELECT value FROM other.meta WHERE name = 'generation_floor'), 0))"
    } else {
        "SELECT max((SELECT coalesce(max(generation), 0) FROM main.decisions),
             coalesce((SELECT value FROM main.meta WHERE name = 'generation_floor'), 0))"
    };
    Ok(sqlx::query_scalar(sql).fetch_one(conn).await?)
}

/// Vendors have moved on since the backup was made, so whatever stands is brought to them again.
const FORGET_ACCEPTED: &str = "
    DELETE FROM main.objects WHERE EXISTS (
        SELECT 1 FROM main.targets t JOIN main.blocks b ON b.app_id = t.app_id
        WHERE b.stream = objects.stream AND t.account = objects.account
            AND objects.site IN ('*', t.publish_domain || '/' || t.rtmp_app));
    UPDATE main.placements SET accepted = NULL, accepted_ms = NULL
    WHERE target IN (SELECT id FROM main.targets WHERE vendor <> 'origin')
        AND EXISTS (SELECT 1 FROM main.blocks b
            WHERE b.app_id = placements.app_id AND b.stream = placements.stream)";

/// Holds resumes, lifts generations above all that were used, and appends the event.
async fn mark_restored(
    tx: &mut Tx<'_>,
    used: i64,
    by: RawActor,
    at: UnixMs,
) -> Result<(), OpError> {
    let floor = used.saturating_add(GENERATION_GAP);
    let head = tx.memory.tip.head();
    let event = RawEvent {
        verb: "restore".to_owned(),
        by,
        detail: format!(
            "backup of {} links, head {}; generations go on after {floor}",
            head.length, head.hash
        ),
        at_ms: at.0,
        request_id: None,
    };
    append_event(tx, &event).await?;
    run(tx.conn, FORGET_ACCEPTED).await?;
    let newest = tx.memory.newest.max(meta_int(tx.conn, "newest").await?);
    tx.memory.newest = newest;
    sqlx::query(
        "INSERT OR REPLACE INTO meta (name, value)
         VALUES ('restore_hold', $1), ('generation_floor', $2), ('newest', $3)",
    )
    .bind(at.0)
    .bind(floor)
    .bind(newest)
    .execute(&mut *tx.conn)
    .await?;
    Ok(())
}

/// Where the ledger that a restore replaces is kept.
pub(crate) fn replaced_path(file: &Path, at: UnixMs) -> PathBuf {
    let time = at.to_string().replace(['-', ':'], "");
    let mut path = beside(file, &format!(".replaced-{time}"));
    // The time has whole seconds, and a second restore may come within one.
    let mut n = 2;
    while path.exists() {
        path = beside(file, &format!(".replaced-{time}-{n}"));
        n += 1;
    }
    path
}

/// Keeps the old ledger under another name and puts the new one in its place, so that a crash at
/// any point leaves one or the other.
async fn put_in_place(new: &Path, file: &Path, at: UnixMs) -> io::Result<Option<PathBuf>> {
    let replaced = file.exists().then(|| replaced_path(file, at));
    if let Some(replaced) = &replaced {
        fold_log(file).await;
        fs::hard_link(file, replaced)?;
        // A log that could not be folded in belongs to the old file, and would be replayed into
        // the new one.
        let log = beside(file, "-wal");
        if log.exists() {
            fs::rename(&log, beside(replaced, "-wal"))?;
        }
        let _ = fs::remove_file(beside(file, "-shm"));
        sync_parent(file)?;
    }
    fs::rename(new, file)?;
    sync_parent(file)?;
    Ok(replaced)
}

async fn fold_log(file: &Path) {
    if let Ok(mut conn) = connect::for_writing(file).connect().await {
        let _ = run(&mut conn, "PRAGMA wal_checkpoint(TRUNCATE)").await;
        let _ = conn.close().await;
    }
}

/// Replaces every row of a running ledger by those of a checked copy.
struct ReplaceAll {
    file: PathBuf,
    candidate: PathBuf,
    replaced: PathBuf,
    by: RawActor,
    at: UnixMs,
}

/// Nonces are joined rather than replaced: a signed request seen since the backup stays used.
/// `WHERE true` keeps SQLite from copying Apps page by page, which would not settle the deferred
/// foreign keys of those nonces.
const REPLACE: &str = "
    PRAGMA defer_foreign_keys = ON;
    DROP TRIGGER chain_keeps_rows; DROP TRIGGER chain_keeps_words;
    DROP TRIGGER decisions_keeps_rows; DROP TRIGGER decisions_keeps_words;
    DROP TRIGGER attempts_keeps_rows; DROP TRIGGER attempts_keeps_words;
    DROP TRIGGER events_keeps_rows; DROP TRIGGER events_keeps_words;
    DELETE FROM main.placements; DELETE FROM main.blocks; DELETE FROM main.attempts;
    DELETE FROM main.decisions; DELETE FROM main.events; DELETE FROM main.chain;
    DELETE FROM main.objects; DELETE FROM main.budgets; DELETE FROM main.server_secrets;
    DELETE FROM main.targets; DELETE FROM main.accounts; DELETE FROM main.apps;
    INSERT INTO main.apps SELECT * FROM other.apps WHERE true;
    INSERT INTO main.accounts SELECT * FROM other.accounts;
    INSERT INTO main.targets SELECT * FROM other.targets;
    INSERT INTO main.objects SELECT * FROM other.objects;
    INSERT INTO main.budgets SELECT * FROM other.budgets;
    INSERT INTO main.server_secrets SELECT * FROM other.server_secrets;
    INSERT INTO main.chain SELECT * FROM other.chain;
    INSERT INTO main.decisions SELECT * FROM other.decisions;
    INSERT INTO main.attempts SELECT * FROM other.attempts;
    INSERT INTO main.events SELECT * FROM other.events;
    INSERT INTO main.blocks SELECT * FROM other.blocks;
    INSERT INTO main.placements SELECT * FROM other.placements;
    INSERT OR IGNORE INTO main.nonces SELECT * FROM other.nonces;
    DELETE FROM main.nonces WHERE app_id NOT IN (SELECT id FROM main.apps)";

#[async_trait]
impl Operation for ReplaceAll {
    type Out = Head;

    fn lane(&self) -> Lane {
        Lane::Rest
    }

    fn runs_alone(&self) -> bool {
        true
    }

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Head, OpError> {
        // The transaction is open, so this copy has every decision that was answered.
        backup::backup(&self.file, &self.replaced).await?;
        attach(tx.conn, &self.candidate).await?;
        let used = used_generations(tx.conn, false).await?;
        let used = used.max(used_generations(tx.conn, true).await?);
        run(tx.conn, REPLACE).await?;
        sqlx::query(AssertSqlSafe(connect::APPEND_ONLY))
            .execute(&mut *tx.conn)
            .await?;
        let newest = tx.memory.newest;
        *tx.memory = Memory::load(tx.conn).await?;
        tx.memory.newest = newest;
        mark_restored(tx, used, self.by.clone(), self.at).await?;
        Ok(tx.memory.tip.head())
    }
}

fn refused(error: OpError) -> LedgerError {
    match error {
        OpError::Refused(error) => error,
        OpError::Broken(error) => writing(&error),
    }
}

fn io_error(doing: &'static str, path: &Path, error: &io::Error) -> LedgerError {
    LedgerError::Unavailable {
        doing,
        why: format!("{}: {error}", path.display()),
    }
}

//! The one writer: a batch of operations is one transaction and one fsync.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::sync::Notify;

use super::connect;
use super::error::opening;
use super::operation::{Job, Memory, Stop, Tx};
use super::readers::Readers;
use crate::error::LedgerError;
use crate::keys::SealingKey;
use crate::lanes::{Batch, Intake};
use crate::stats::Counters;

const QUIET: Duration = Duration::from_millis(500);
/// Operations after which the log is worth a checkpoint; about 10 MB when each commits alone.
const CHECKPOINT_AFTER: usize = 500;

pub(super) type Boxed = Box<dyn Job>;

/// The writer's own state.
pub(crate) struct Writer {
    pub file: PathBuf,
    pub sealing: Arc<SealingKey>,
    pub readers: Arc<Readers>,
    pub counters: Arc<Counters>,
    /// Told that there is something to checkpoint.
    pub checkpoint: Arc<Notify>,
    pub store: Option<(SqliteConnection, Memory)>,
    /// Operations since the last checkpoint was asked for.
    pub in_log: usize,
}

impl Writer {
    /// Works until every sender is gone, then checkpoints and closes.
    pub(crate) async fn run(mut self, mut intake: Intake<Boxed>) {
        let mut last_urgent = 0;
        while let Some(mut batch) = self.next(&mut intake).await {
            intake.fill(&mut batch);
            let last = self.counters.last_commit_us.load(Ordering::Relaxed);
            intake
                .linger(&mut batch, last_urgent, Duration::from_micros(last))
                .await;
            last_urgent = batch.urgent();
            let (alone, together): (Vec<_>, Vec<_>) = batch
                .in_order()
                .into_iter()
                .partition(|job| job.runs_alone());
            self.settle(together).await;
            for job in alone {
                self.settle(vec![job]).await;
                self.drop_connection().await;
            }
        }
        self.close().await;
    }

    /// The next batch; a quiet spell is used for the checkpoint.
    async fn next(&mut self, intake: &mut Intake<Boxed>) -> Option<Batch<Boxed>> {
        if let Ok(batch) = tokio::time::timeout(QUIET, intake.first()).await {
            return batch;
        }
        if self.in_log > 0 {
            self.ask_for_checkpoint();
        }
        intake.first().await
    }

    /// Commits a batch and answers every caller. If it cannot be committed, the takedowns in it
    /// are tried once more by themselves: they may fit where a bulk of attempts did not.
    async fn settle(&mut self, mut jobs: Vec<Boxed>) {
        if jobs.is_empty() {
            return;
        }
        let mut failed = self.commit(&mut jobs).await.err();
        if let Some(why) = &failed {
            let (takedowns, others): (Vec<_>, Vec<_>) =
                jobs.into_iter().partition(|job| job.is_takedown());
            jobs = takedowns;
            let retry = !jobs.is_empty() && !others.is_empty();
            for job in others {
                job.answer(Some(why));
            }
            if retry {
                failed = self.commit(&mut jobs).await.err();
            }
        }
        for job in jobs {
            job.answer(failed.as_deref());
        }
    }

    async fn commit(&mut self, jobs: &mut [Boxed]) -> Result<(), String> {
        let started = Instant::now();
        let result = match self.open().await {
            Ok((conn, memory, sealing)) => transact(conn, memory, sealing, jobs).await,
            Err(LedgerError::Unavailable { why, .. }) => Err(why),
            Err(error) => Err(error.to_string()),
        };
        match result {
            Ok(decisions) => {
                let took = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
                let operations = jobs.len() as u64;
                self.counters.last_commit_us.store(took, Ordering::Relaxed);
                self.counters
                    .largest_batch
                    .fetch_max(operations, Ordering::Relaxed);
                Counters::add(&self.counters.commits, 1);
                Counters::add(&self.counters.operations, operations);
                Counters::add(&self.counters.decisions, decisions);
                self.in_log += jobs.len();
                if self.in_log >= CHECKPOINT_AFTER {
                    self.ask_for_checkpoint();
                }
                Ok(())
            }
            Err(why) => {
                Counters::add(&self.counters.failed_commits, 1);
                self.drop_connection().await;
                Err(why)
            }
        }
    }

    fn ask_for_checkpoint(&mut self) {
        self.in_log = 0;
        self.checkpoint.notify_one();
    }

    async fn drop_connection(&mut self) {
        if let Some((conn, _)) = self.store.take() {
            let _ = conn.close().await;
        }
    }

    /// The connection, opened afresh after a failure.
    async fn open(
        &mut self,
    ) -> Result<(&mut SqliteConnection, &mut Memory, &SealingKey), LedgerError> {
        if self.store.is_none() {
            self.readers.make_way().await;
            let reopened = reopen(&self.file).await;
            self.readers.settle().await;
            self.store = Some(reopened?);
        }
        match &mut self.store {
            Some((conn, memory)) => Ok((conn, memory, &self.sealing)),
            None => Err(LedgerError::Unavailable {
                doing: "written",
                why: "it is closed".into(),
            }),
        }
    }

    async fn close(mut self) {
        if let Some((mut conn, _)) = self.store.take() {
            let _ = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
                .execute(&mut conn)
                .await;
            let _ = conn.close().await;
        }
    }
}

async fn reopen(file: &Path) -> Result<(SqliteConnection, Memory), LedgerError> {
    let mut conn = connect::for_writing(file)
        .connect()
        .await
        .map_err(|e| opening(&e))?;
    connect::migrate(&mut conn).await?;
    let memory = Memory::load(&mut conn).await.map_err(|e| opening(&e))?;
    Ok((conn, memory))
}

/// Runs the jobs in one transaction and commits it. Returns how many decisions it holds.
async fn transact(
    conn: &mut SqliteConnection,
    memory: &mut Memory,
    sealing: &SealingKey,
    jobs: &mut [Boxed],
) -> Result<u64, String> {
    let told = |e: sqlx::Error| super::error::writing_words(&e);
    run(conn, "BEGIN IMMEDIATE").await.map_err(told)?;
    memory.decisions = 0;
    let mut tx = Tx {
        conn,
        memory,
        sealing,
    };
    for job in jobs {
        match guarded(job, &mut tx).await {
            Ok(()) => {}
            Err(error) => {
                let _ = run(tx.conn, "ROLLBACK").await;
                return Err(told(error));
            }
        }
    }
    let decisions = tx.memory.decisions;
    commit(tx.conn, tx.memory).await.map_err(told)?;
    Ok(decisions)
}

/// Runs one job so that its failure takes back its own writes only.
async fn guarded(job: &mut Boxed, tx: &mut Tx<'_>) -> Result<(), sqlx::Error> {
    let outside = !job.saves_itself();
    let (tip, decisions) = (tx.memory.tip, tx.memory.decisions);
    if outside {
        run(tx.conn, "SAVEPOINT op").await?;
    }
    match job.run(tx).await {
        Ok(()) if outside => run(tx.conn, "RELEASE op").await,
        Ok(()) => Ok(()),
        Err(Stop::Refused) => {
            tx.memory.tip = tip;
            tx.memory.decisions = decisions;
            tx.memory.forget_targets();
            if outside {
                run(tx.conn, "ROLLBACK TO op; RELEASE op").await?;
            }
            Ok(())
        }
        Err(Stop::Broken(error)) => Err(error),
    }
}

async fn commit(conn: &mut SqliteConnection, memory: &mut Memory) -> Result<(), sqlx::Error> {
    if memory.newest == memory.newest_stored {
        return run(conn, "COMMIT").await;
    }
    sqlx::query("INSERT OR REPLACE INTO meta (name, value) VALUES ('newest', $1); COMMIT")
        .bind(memory.newest)
        .execute(conn)
        .await?;
    memory.newest_stored = memory.newest;
    Ok(())
}

/// Runs a statement without arguments or rows.
pub(crate) async fn run(conn: &mut SqliteConnection, sql: &'static str) -> Result<(), sqlx::Error> {
    sqlx::query(sql).execute(conn).await.map(|_| ())
}

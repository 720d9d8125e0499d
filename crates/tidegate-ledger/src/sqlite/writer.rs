//! The one writer: queues by lane, and batches that share a transaction and so an fsync.
//!
//! Lanes say which operations get into a batch when not all fit; inside a batch operations run in
//! the order in which they arrived, so a resume that came before a forbid is applied before it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::sync::{Notify, mpsc};

use super::connect;
use super::error::opening;
use super::operation::{Job, Lane, Memory, Stop, Tx};
use super::readers::Readers;
use crate::error::LedgerError;
use crate::keys::SealingKey;
use crate::stats::{Counters, Queued};

const URGENT_QUEUE: usize = 8192;
const REST_QUEUE: usize = 1024;
const URGENT_BATCH: usize = 256;
const REST_BATCH: usize = 64;
/// How long an operation that may wait does wait for others.
const PATIENCE: Duration = Duration::from_millis(20);
/// The longest that a batch is held open for callers that the previous one has just answered.
const LINGER: Duration = Duration::from_millis(1);
const QUIET: Duration = Duration::from_millis(500);
/// Operations after which the log is worth a checkpoint; about 10 MB when each commits alone.
const CHECKPOINT_AFTER: usize = 500;

type Boxed = Box<dyn Job>;

/// The sending ends.
#[derive(Clone)]
pub(crate) struct Queues {
    takedown: mpsc::Sender<Boxed>,
    release: mpsc::Sender<Boxed>,
    rest: mpsc::Sender<Boxed>,
    patient: mpsc::Sender<Boxed>,
}

impl Queues {
    /// The queue of a lane.
    pub(crate) fn lane(&self, lane: Lane) -> &mpsc::Sender<Boxed> {
        match lane {
            Lane::Takedown => &self.takedown,
            Lane::Release => &self.release,
            Lane::Rest => &self.rest,
            Lane::Patient => &self.patient,
        }
    }

    /// How many operations wait.
    pub(crate) fn lengths(&self) -> Queued {
        let length = |queue: &mpsc::Sender<Boxed>| queue.max_capacity() - queue.capacity();
        Queued {
            takedown: length(&self.takedown),
            release: length(&self.release),
            rest: length(&self.rest),
            patient: length(&self.patient),
        }
    }
}

/// The receiving ends.
pub(crate) struct Intake {
    takedown: mpsc::Receiver<Boxed>,
    release: mpsc::Receiver<Boxed>,
    rest: mpsc::Receiver<Boxed>,
    patient: mpsc::Receiver<Boxed>,
}

/// Both ends of all lanes.
pub(crate) fn queues() -> (Queues, Intake) {
    let takedown = mpsc::channel(URGENT_QUEUE);
    let release = mpsc::channel(URGENT_QUEUE);
    let rest = mpsc::channel(REST_QUEUE);
    let patient = mpsc::channel(REST_QUEUE);
    let queues = Queues {
        takedown: takedown.0,
        release: release.0,
        rest: rest.0,
        patient: patient.0,
    };
    let intake = Intake {
        takedown: takedown.1,
        release: release.1,
        rest: rest.1,
        patient: patient.1,
    };
    (queues, intake)
}

/// Operations of one transaction, by lane.
#[derive(Default)]
struct Batch {
    takedown: Vec<Boxed>,
    release: Vec<Boxed>,
    rest: Vec<Boxed>,
    patient: Vec<Boxed>,
}

impl Batch {
    fn urgent(&self) -> usize {
        self.takedown.len() + self.release.len()
    }

    fn in_order(self) -> Vec<Boxed> {
        let mut jobs = self.takedown;
        jobs.extend(self.release);
        jobs.extend(self.rest);
        jobs.extend(self.patient);
        jobs.sort_by_key(|job| job.ticket());
        jobs
    }
}

impl Intake {
    /// Waits for the first operation of a batch. `None` once every sender is gone and every queue
    /// is empty.
    async fn first(&mut self) -> Option<Batch> {
        let mut batch = Batch::default();
        tokio::select! {
            biased;
            Some(job) = self.takedown.recv() => batch.takedown.push(job),
            Some(job) = self.release.recv() => batch.release.push(job),
            Some(job) = self.rest.recv() => batch.rest.push(job),
            Some(job) = self.patient.recv() => batch.patient.push(job),
            else => return None,
        }
        if !batch.patient.is_empty() {
            let company = async {
                tokio::select! {
                    biased;
                    Some(job) = self.takedown.recv() => batch.takedown.push(job),
                    Some(job) = self.release.recv() => batch.release.push(job),
                    Some(job) = self.rest.recv() => batch.rest.push(job),
                    else => {}
                }
            };
            let _ = tokio::time::timeout(PATIENCE, company).await;
        }
        Some(batch)
    }

    /// Adds what waits, up to the bounds of a batch.
    fn fill(&mut self, batch: &mut Batch) {
        while batch.urgent() < URGENT_BATCH {
            match self.takedown.try_recv() {
                Ok(job) => batch.takedown.push(job),
                Err(_) => break,
            }
        }
        while batch.urgent() < URGENT_BATCH {
            match self.release.try_recv() {
                Ok(job) => batch.release.push(job),
                Err(_) => break,
            }
        }
        for (queue, jobs) in [
            (&mut self.rest, &mut batch.rest),
            (&mut self.patient, &mut batch.patient),
        ] {
            while jobs.len() < REST_BATCH {
                match queue.try_recv() {
                    Ok(job) => jobs.push(job),
                    Err(_) => break,
                }
            }
        }
    }
}

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
    pub(crate) async fn run(mut self, mut intake: Intake) {
        let mut last_urgent = 0;
        while let Some(mut batch) = self.next(&mut intake).await {
            intake.fill(&mut batch);
            self.linger(&mut intake, &mut batch, last_urgent).await;
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
    async fn next(&mut self, intake: &mut Intake) -> Option<Batch> {
        if let Ok(batch) = tokio::time::timeout(QUIET, intake.first()).await {
            return batch;
        }
        if self.in_log > 0 {
            self.ask_for_checkpoint();
        }
        intake.first().await
    }

    /// Callers answered by the previous batch come back within microseconds. Taking them along
    /// halves the fsyncs under load; a lone caller is never held.
    async fn linger(&self, intake: &mut Intake, batch: &mut Batch, expected: usize) {
        if expected < 2 || batch.urgent() == 0 {
            return;
        }
        let last = Duration::from_micros(self.counters.last_commit_us.load(Ordering::Relaxed));
        let until = Instant::now() + (last / 2).min(LINGER);
        while batch.urgent() < expected.min(URGENT_BATCH) && Instant::now() < until {
            tokio::task::yield_now().await;
            intake.fill(batch);
        }
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

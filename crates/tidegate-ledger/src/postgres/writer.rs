//! The writer of this process: one transaction a batch.
//!
//! All writers of a ledger, in all processes, take turns by an advisory lock that each transaction
//! holds to its end. So links are numbered and committed in the same order, a generation follows
//! from what is committed, and nothing deadlocks; a batch shares the lock and the commit among
//! many callers. Each batch also leaves its number in `writers`: when a connection is lost during
//! the commit, the lock says when the old transaction is over, and that number what became of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use super::connect;
use super::decide;
use super::error::{self, Trouble, is_plain_refusal, trouble};
use super::operation::{Job, State, Stop, Targets, Tx, Work};
use crate::chain::Tip;
use crate::error::LedgerError;
use crate::keys::SealingKey;
use crate::lanes::Intake;
use crate::stats::Counters;

/// How often a batch is tried whose failure may pass.
const TRIES: u32 = 3;
/// How long the server may take over a transaction, commit apart.
const TRANSACTION: Duration = Duration::from_secs(20);
const COMMIT: Duration = Duration::from_secs(20);
/// How long the outcome of a commit is asked for before the callers are told that it is unknown.
const FIND_OUT: Duration = Duration::from_secs(15);
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// The channel on which writers say that something was committed.
pub(super) const CHANNEL: &str = "tidegate_ledger";

/// First half of the advisory locks' keys: "TGL1". The second half: 1 for the writers' turns, 2
/// for "in use", shared by servers and exclusive for copies.
macro_rules! begin {
    () => {
        "BEGIN; SELECT pg_advisory_xact_lock(1413958705, 1);
         SELECT current_setting('synchronous_commit'),
             pg_try_advisory_xact_lock_shared(1413958705, 2),
             (SELECT max(version) FROM _sqlx_migrations),
             (SELECT seq FROM chain ORDER BY seq DESC LIMIT 1),
             (SELECT hash FROM chain ORDER BY seq DESC LIMIT 1),
             (SELECT number FROM meta WHERE name = 'generation_floor'),
             (SELECT number FROM meta WHERE name = 'restore_hold'),
             (SELECT number FROM meta WHERE name = 'newest'),
             (SELECT number FROM meta WHERE name = 'revision')"
    };
}

/// The writer's own state.
pub(super) struct Writer {
    pub options: PgConnectOptions,
    pub sealing: Arc<SealingKey>,
    pub counters: Arc<Counters>,
    pub conn: Option<PgConnection>,
    pub targets: Targets,
    /// Names this writer in `writers`; hex.
    pub id: String,
    pub batch: i64,
}

/// Why a batch is not committed.
enum Failure {
    /// In words.
    Known(String, Trouble),
    /// The connection was lost during the commit.
    Unknown(String),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Known(error::words(&error), trouble(&error))
    }
}

impl Writer {
    /// Works until every sender is gone.
    pub(super) async fn run(mut self, mut intake: Intake<Job>) {
        let mut last_urgent = 0;
        while let Some(mut batch) = intake.first().await {
            intake.fill(&mut batch);
            let last = self.counters.last_commit_us.load(Ordering::Relaxed);
            intake
                .linger(&mut batch, last_urgent, Duration::from_micros(last))
                .await;
            last_urgent = batch.urgent();
            self.settle(batch.in_order()).await;
        }
        if let Some(conn) = self.conn.take() {
            let _ = tokio::time::timeout(connect::CONNECT, conn.close()).await;
        }
    }

    /// Commits a batch and answers every caller. A batch that holds a value which cannot be stored
    /// is taken apart; of one that fails otherwise the takedowns are tried once more alone.
    async fn settle(&mut self, mut jobs: Vec<Job>) {
        let Err((why, trouble)) = self.commit(&mut jobs).await else {
            return answer_all(jobs, None);
        };
        if trouble == Trouble::Values && jobs.len() > 1 {
            for job in jobs {
                let mut alone = vec![job];
                let failed = self.commit(&mut alone).await.err();
                answer_all(alone, failed.map(|(why, _)| why).as_deref());
            }
            return;
        }
        let (mut takedowns, others): (Vec<_>, Vec<_>) =
            jobs.into_iter().partition(Job::is_takedown);
        let retry = trouble == Trouble::Lasting && !takedowns.is_empty() && !others.is_empty();
        answer_all(others, Some(&why));
        let failed = if retry {
            self.commit(&mut takedowns).await.err().map(|(why, _)| why)
        } else {
            Some(why)
        };
        answer_all(takedowns, failed.as_deref());
    }

    async fn commit(&mut self, jobs: &mut [Job]) -> Result<(), (String, Trouble)> {
        let started = Instant::now();
        let mut tries = 0;
        let decisions = loop {
            tries += 1;
            let outcome = match self.transact(jobs).await {
                Err(Failure::Unknown(why)) => self.find_out(why).await,
                other => other,
            };
            match outcome {
                Ok(decisions) => break decisions,
                Err(failure) => {
                    self.conn = None;
                    Counters::add(&self.counters.failed_commits, 1);
                    match failure {
                        Failure::Known(_, Trouble::Passing) if tries < TRIES => {
                            tokio::time::sleep(BETWEEN_TRIES).await;
                        }
                        Failure::Known(why, trouble) => return Err((why, trouble)),
                        Failure::Unknown(why) => return Err((why, Trouble::Passing)),
                    }
                }
            }
        };
        let took = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let operations = jobs.len() as u64;
        self.counters.last_commit_us.store(took, Ordering::Relaxed);
        self.counters
            .largest_batch
            .fetch_max(operations, Ordering::Relaxed);
        Counters::add(&self.counters.commits, 1);
        Counters::add(&self.counters.operations, operations);
        Counters::add(&self.counters.decisions, decisions);
        Ok(())
    }

    /// One try. Returns how many decisions it committed.
    async fn transact(&mut self, jobs: &mut [Job]) -> Result<u64, Failure> {
        self.open().await?;
        let Some(conn) = &mut self.conn else {
            return Err(Failure::Known("it is closed".into(), Trouble::Lasting));
        };
        let targets = &mut self.targets;
        let sealing = &*self.sealing;
        let working = async {
            let (mut state, newest_stored) = begin(conn).await?;
            if targets.revision != state.revision {
                targets.by_app.clear();
                targets.revision = state.revision;
            }
            let before = (state.tip, state.revision);
            let mut tx = Tx {
                conn,
                state: &mut state,
                targets,
                sealing,
            };
            for run in jobs.chunk_by_mut(|a, b| a.is_decision() && b.is_decision()) {
                work(&mut tx, run).await?;
            }
            targets.revision = state.revision;
            let newest = (state.newest != newest_stored).then_some(state.newest);
            let told = (state.tip, state.revision) != before;
            Ok((state.decisions, newest.flatten(), told))
        };
        let worked = tokio::time::timeout(TRANSACTION, working).await;
        let (decisions, newest, tell) = worked.unwrap_or_else(|_| {
            Err(Failure::Known(
                format!("PostgreSQL did not finish within {TRANSACTION:?}"),
                Trouble::Lasting,
            ))
        })?;
        self.batch += 1;
        let last = self.last_statements(newest, tell);
        let Some(conn) = &mut self.conn else {
            return Err(Failure::Known("it is closed".into(), Trouble::Lasting));
        };
        let committing = sqlx::raw_sql(AssertSqlSafe(last)).execute(conn);
        match tokio::time::timeout(COMMIT, committing).await {
            Ok(Ok(_)) => Ok(decisions),
            Ok(Err(error)) if is_plain_refusal(&error) => Err(error.into()),
            Ok(Err(error)) => Err(Failure::Unknown(error::words(&error))),
            Err(_) => Err(Failure::Unknown(format!(
                "PostgreSQL did not commit within {COMMIT:?}"
            ))),
        }
    }

    /// Numbers and hex only, so the text needs no arguments and is one trip with the commit.
    fn last_statements(&self, newest: Option<i64>, tell: bool) -> String {
        let (id, batch) = (&self.id, self.batch);
        let mut sql = format!(
            "INSERT INTO writers (id, batch) VALUES ('{id}', {batch})
             ON CONFLICT (id) DO UPDATE SET batch = excluded.batch, seen = now();"
        );
        if let Some(newest) = newest {
            sql.push_str(&format!(
                "INSERT INTO meta (name, number) VALUES ('newest', {newest})
                 ON CONFLICT (name) DO UPDATE SET number = excluded.number;"
            ));
        }
        if tell {
            sql.push_str("NOTIFY tidegate_ledger;");
        }
        sql.push_str("COMMIT");
        sql
    }

    /// What became of a commit during which the connection was lost.
    async fn find_out(&mut self, why: String) -> Result<u64, Failure> {
        tracing::warn!(%why, "the connection to PostgreSQL was lost during a commit");
        let until = Instant::now() + FIND_OUT;
        loop {
            self.conn = None;
            match self.newest_batch().await {
                // What was decided is in the replies already; the count is for metrics only.
                Ok(newest) if newest >= self.batch => return Ok(0),
                Ok(_) => return Err(Failure::Known(why, Trouble::Passing)),
                Err(error) if Instant::now() >= until => {
                    tracing::error!(%error, "whether the commit happened could not be learned");
                    return Err(Failure::Unknown(format!(
                        "the connection was lost during the commit ({why}) and did not come back \
                         ({error}); whether it is recorded is not known"
                    )));
                }
                Err(_) => tokio::time::sleep(BETWEEN_TRIES).await,
            }
        }
    }

    /// The newest batch of this writer that is committed, once none of its transactions is open.
    async fn newest_batch(&mut self) -> Result<i64, LedgerError> {
        let mut conn = connect::for_writing(&self.options).await?;
        let told = |e| error::reading(&e);
        sqlx::raw_sql("BEGIN; SELECT pg_advisory_xact_lock(1413958705, 1)")
            .execute(&mut conn)
            .await
            .map_err(told)?;
        let newest: Option<i64> = sqlx::query_scalar("SELECT batch FROM writers WHERE id = $1")
            .bind(&self.id)
            .fetch_optional(&mut conn)
            .await
            .map_err(told)?;
        sqlx::raw_sql("COMMIT")
            .execute(&mut conn)
            .await
            .map_err(told)?;
        self.conn = Some(conn);
        Ok(newest.unwrap_or(0))
    }

    async fn open(&mut self) -> Result<(), Failure> {
        if self.conn.is_some() {
            return Ok(());
        }
        match connect::for_writing(&self.options).await {
            Ok(conn) => {
                self.conn = Some(conn);
                Ok(())
            }
            Err(LedgerError::Unavailable { why, .. }) => Err(Failure::Known(why, Trouble::Passing)),
            Err(error) => Err(Failure::Known(error.to_string(), Trouble::Lasting)),
        }
    }
}

fn answer_all(jobs: Vec<Job>, failed: Option<&str>) {
    for job in jobs {
        job.answer(failed);
    }
}

/// Opens a transaction, waits for its turn, and reads what every batch depends on. The reading
/// statement starts after the lock is held, so it sees the newest commit.
async fn begin(conn: &mut PgConnection) -> Result<(State, Option<i64>), Failure> {
    let rows = sqlx::raw_sql(begin!()).fetch_all(conn).await?;
    let Some(row) = rows.last() else {
        return Err(Failure::Known(
            "PostgreSQL gave no row".into(),
            Trouble::Lasting,
        ));
    };
    let refused = |why: String| Err(Failure::Known(why, Trouble::Lasting));
    if let Some(why) = connect::not_durable(row.try_get(0)?) {
        return refused(why);
    }
    if !row.try_get::<bool, _>(1)? {
        return refused("it is being copied or restored".into());
    }
    if row.try_get::<i64, _>(2)? > connect::newest_schema() {
        return refused("a newer tidegate has changed its schema; update this server".into());
    }
    let newest: Option<i64> = row.try_get(7)?;
    let state = State {
        tip: tip(row)?,
        floor: row.try_get::<Option<i64>, _>(5)?.unwrap_or(0),
        hold: row.try_get(6)?,
        newest,
        revision: row.try_get::<Option<i64>, _>(8)?.unwrap_or(0),
        decisions: 0,
    };
    Ok((state, newest))
}

fn tip(row: &PgRow) -> Result<Tip, sqlx::Error> {
    let Some(seq) = row.try_get(3)? else {
        return Ok(Tip::EMPTY);
    };
    let hash: Vec<u8> = row.try_get(4)?;
    let hash = hash
        .try_into()
        .map_err(|_| sqlx::Error::Protocol("a hash of the chain has not 32 bytes".into()))?;
    Ok(Tip { seq, hash })
}

/// Does a run of decisions together, or one other job so that its failure takes back its own
/// writes only.
async fn work(tx: &mut Tx<'_>, run: &mut [Job]) -> Result<(), Failure> {
    let task = match run {
        [
            Job {
                work: Work::Other(task),
                ..
            },
        ] => task,
        decisions => return Ok(decide::decide_all(tx, decisions).await?),
    };
    let before = tx.state.clone();
    simple(tx.conn, "SAVEPOINT op").await?;
    match task.run(tx).await {
        Ok(()) => simple(tx.conn, "RELEASE op").await?,
        Err(Stop::Refused) => {
            *tx.state = before;
            tx.targets.by_app.clear();
            simple(tx.conn, "ROLLBACK TO op; RELEASE op").await?;
        }
        Err(Stop::Broken(error)) => return Err(error.into()),
    }
    Ok(())
}

/// Runs statements without arguments or rows.
pub(super) async fn simple(conn: &mut PgConnection, sql: &'static str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(sql).execute(conn).await.map(|_| ())
}

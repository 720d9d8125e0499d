//! What the writer works on: jobs, and the open transaction.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::PgConnection;
use tidegate_core::{AppId, Ask, Generation, StreamKey, UnixMs};
use tokio::sync::oneshot;

use super::error::OpError;
use super::rows;
use crate::chain::{Hash, LinkKind, Tip};
use crate::error::LedgerError;
use crate::keys::SealingKey;
use crate::lanes::{Lane, Waiting};
use crate::model::{Bound, NonceUse, Target};

/// A caller, and what it will be told once the batch is committed.
pub(super) struct Reply<T> {
    sender: oneshot::Sender<Result<T, LedgerError>>,
    pub outcome: Option<Result<T, LedgerError>>,
}

impl<T> Reply<T> {
    pub(super) fn new() -> (Self, oneshot::Receiver<Result<T, LedgerError>>) {
        let (sender, answer) = oneshot::channel();
        let outcome = None;
        (Self { sender, outcome }, answer)
    }

    fn send(self, failed: Option<&str>) {
        let outcome = match (failed, self.outcome) {
            (None, Some(outcome)) | (Some(_), Some(outcome @ Err(_))) => outcome,
            (failed, _) => Err(LedgerError::Unavailable {
                doing: "written",
                why: failed.unwrap_or("the writer stopped").to_owned(),
            }),
        };
        let _ = self.sender.send(outcome);
    }
}

/// A write in a queue. It may be applied more than once.
pub(super) struct Job {
    pub ticket: u64,
    pub work: Work,
}

/// What a job is. Decisions are worked on together, everything else one by one.
pub(super) enum Work {
    Decide {
        ask: Ask,
        nonce: Option<NonceUse>,
        reply: Box<Reply<Bound>>,
    },
    Lapse {
        key: StreamKey,
        block: Generation,
        at: UnixMs,
        reply: Reply<Option<Generation>>,
    },
    Other(Box<dyn Task>),
}

impl Waiting for Job {
    fn ticket(&self) -> u64 {
        self.ticket
    }

    fn weight(&self) -> usize {
        match &self.work {
            Work::Decide { .. } | Work::Lapse { .. } => 1,
            Work::Other(task) => task.weight(),
        }
    }
}

impl Job {
    /// Whether it survives a batch that cannot be committed as a whole.
    pub(super) fn is_takedown(&self) -> bool {
        matches!(&self.work, Work::Decide { ask, .. } if ask.kind != tidegate_core::AskKind::Resume)
    }

    /// Whether it is worked on together with its neighbours.
    pub(super) fn is_decision(&self) -> bool {
        !matches!(self.work, Work::Other(_))
    }

    /// Tells the caller; `failed` says why nothing was committed.
    pub(super) fn answer(self, failed: Option<&str>) {
        match self.work {
            Work::Decide { reply, .. } => reply.send(failed),
            Work::Lapse { reply, .. } => reply.send(failed),
            Work::Other(task) => task.answer(failed),
        }
    }
}

/// A write that is no decision.
#[async_trait]
pub(super) trait Operation: Send + Sync + 'static {
    /// What the caller gets after the commit.
    type Out: Send + Sync + 'static;

    /// Where it waits.
    fn lane(&self) -> Lane {
        Lane::Rest
    }

    /// How much of a batch it takes up.
    fn weight(&self) -> usize {
        1
    }

    /// Does the work inside the batch's transaction.
    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Self::Out, OpError>;
}

/// Why a task did not go through.
pub(super) enum Stop {
    /// This task alone.
    Refused,
    /// The batch.
    Broken(sqlx::Error),
}

/// An operation with its caller.
#[async_trait]
pub(super) trait Task: Send + Sync {
    async fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), Stop>;
    fn weight(&self) -> usize;
    fn answer(self: Box<Self>, failed: Option<&str>);
}

/// The one kind of [`Task`].
pub(super) struct Pending<O: Operation> {
    pub operation: O,
    pub reply: Reply<O::Out>,
}

#[async_trait]
impl<O: Operation> Task for Pending<O> {
    async fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), Stop> {
        match self.operation.apply(tx).await {
            Ok(out) => {
                self.reply.outcome = Some(Ok(out));
                Ok(())
            }
            Err(OpError::Refused(error)) => {
                self.reply.outcome = Some(Err(error));
                Err(Stop::Refused)
            }
            Err(OpError::Broken(error)) => Err(Stop::Broken(error)),
        }
    }

    fn weight(&self) -> usize {
        self.operation.weight().max(1)
    }

    fn answer(self: Box<Self>, failed: Option<&str>) {
        self.reply.send(failed);
    }
}

/// What a transaction found when it got the lock that all writers share, and what it has changed
/// since. Nobody else can change it before the transaction ends.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// End of the chain.
    pub tip: Tip,
    /// Generations up to here may have been used before a restore.
    pub floor: i64,
    /// When a backup was restored, while resumes are held.
    pub hold: Option<i64>,
    /// Newest instant of any entry.
    pub newest: Option<i64>,
    /// Rises whenever an App, a secret or a target changes.
    pub revision: i64,
    /// Decisions in this transaction.
    pub decisions: u64,
}

impl State {
    /// Takes note of an instant.
    pub(super) fn saw(&mut self, at_ms: i64) {
        self.newest = Some(self.newest.map_or(at_ms, |newest| newest.max(at_ms)));
    }
}

/// Targets by App, as of a revision.
#[derive(Default)]
pub(super) struct Targets {
    pub revision: i64,
    pub by_app: HashMap<AppId, Arc<[Target]>>,
}

/// The open transaction.
pub(super) struct Tx<'a> {
    pub conn: &'a mut PgConnection,
    pub state: &'a mut State,
    pub targets: &'a mut Targets,
    pub sealing: &'a SealingKey,
}

impl Tx<'_> {
    /// A row id that was never given out in a table that counts them.
    pub(super) async fn next_id(&mut self, table: &'static str) -> Result<i64, OpError> {
        Ok(
            sqlx::query_scalar("SELECT nextval(pg_get_serial_sequence($1, 'id'))")
                .bind(table)
                .fetch_one(&mut *self.conn)
                .await?,
        )
    }

    /// Appends a link of the chain whose history row is inserted beside it.
    pub(super) async fn append_link(
        &mut self,
        kind: LinkKind,
        digest: &Hash,
    ) -> Result<i64, OpError> {
        let tip = self.state.tip.next(kind, digest);
        sqlx::query("INSERT INTO chain (seq, kind, digest, hash) VALUES ($1, $2, $3, $4)")
            .bind(tip.seq)
            .bind(kind.word())
            .bind(&digest[..])
            .bind(&tip.hash[..])
            .execute(&mut *self.conn)
            .await?;
        self.state.tip = tip;
        Ok(tip.seq)
    }

    /// Apps, secrets or targets change with this transaction.
    pub(super) async fn bump_revision(&mut self) -> Result<(), OpError> {
        let revision = self.state.revision.saturating_add(1);
        sqlx::query(
            "INSERT INTO meta (name, number) VALUES ('revision', $1)
             ON CONFLICT (name) DO UPDATE SET number = excluded.number",
        )
        .bind(revision)
        .execute(&mut *self.conn)
        .await?;
        self.state.revision = revision;
        self.targets.by_app.clear();
        Ok(())
    }
}

/// `NoSuchApp` unless the App exists.
pub(super) async fn require_app(conn: &mut PgConnection, app: AppId) -> Result<(), OpError> {
    let known: Option<i64> = sqlx::query_scalar("SELECT id FROM apps WHERE id = $1")
        .bind(i64::from(app.0))
        .fetch_optional(conn)
        .await?;
    match known {
        Some(_) => Ok(()),
        None => Err(LedgerError::NoSuchApp(app.0).into()),
    }
}

/// The targets of an App that decisions reach, its origin first.
pub(super) async fn read_targets(
    conn: &mut PgConnection,
    app: AppId,
) -> Result<Vec<Target>, OpError> {
    let rows = sqlx::query(
        "SELECT id, app_id, vendor, publish_domain, rtmp_app FROM targets
         WHERE app_id = $1 AND leaving_ms IS NULL ORDER BY vendor <> 'origin', id",
    )
    .bind(i64::from(app.0))
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| rows::target(row, 0).map_err(OpError::from))
        .collect()
}

/// A number in `meta`.
pub(super) async fn meta_int(
    conn: &mut PgConnection,
    name: &str,
) -> Result<Option<i64>, sqlx::Error> {
    let number: Option<Option<i64>> = sqlx::query_scalar("SELECT number FROM meta WHERE name = $1")
        .bind(name)
        .fetch_optional(conn)
        .await?;
    Ok(number.flatten())
}

/// The newest link of the chain.
pub(crate) async fn read_tip(conn: &mut PgConnection) -> Result<Tip, sqlx::Error> {
    let row: Option<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT seq, hash FROM chain ORDER BY seq DESC LIMIT 1")
            .fetch_optional(conn)
            .await?;
    let Some((seq, hash)) = row else {
        return Ok(Tip::EMPTY);
    };
    let hash = hash
        .try_into()
        .map_err(|_| sqlx::Error::Protocol("a hash of the chain has not 32 bytes".into()))?;
    Ok(Tip { seq, hash })
}

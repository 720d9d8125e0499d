//! What an operation of the writer is, and what it works on.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::{Row, SqliteConnection};
use tidegate_core::AppId;
use tokio::sync::oneshot;

use super::error::OpError;
use super::rows;
use crate::chain::{Hash, LinkKind, Tip};
use crate::error::LedgerError;
use crate::keys::SealingKey;
use crate::lanes::{Lane, Waiting};
use crate::model::Target;

/// A write. It may be applied more than once: a batch that cannot be committed is tried again
/// without what is not a takedown.
#[async_trait]
pub(crate) trait Operation: Send + Sync + 'static {
    /// What the caller gets after the commit.
    type Out: Send + 'static;

    /// Where it waits.
    fn lane(&self) -> Lane;

    /// How much of a batch it takes up.
    fn weight(&self) -> usize {
        1
    }

    /// Whether it opens and releases savepoint `op` around its own writes, to save statements.
    fn saves_itself(&self) -> bool {
        false
    }

    /// Whether it needs a transaction and afterwards a fresh connection for itself.
    fn runs_alone(&self) -> bool {
        false
    }

    /// Does the work inside the batch's transaction.
    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Self::Out, OpError>;
}

/// The open transaction and what the writer remembers beside it.
pub(crate) struct Tx<'a> {
    pub conn: &'a mut SqliteConnection,
    pub memory: &'a mut Memory,
    pub sealing: &'a SealingKey,
}

/// What the writer would otherwise read for each decision. It is the only writer, so what it
/// remembers stays true; after any failure it is read again.
pub(crate) struct Memory {
    /// End of the chain.
    pub tip: Tip,
    /// Generations up to here may have been used before a restore.
    pub floor: i64,
    /// When a backup was restored, while resumes are held.
    pub hold: Option<i64>,
    /// Newest instant of any entry.
    pub newest: Option<i64>,
    /// The newest instant that is in the database.
    pub newest_stored: Option<i64>,
    /// Decisions in this transaction.
    pub decisions: u64,
    targets: HashMap<AppId, Arc<[Target]>>,
}

impl Memory {
    /// Reads everything afresh.
    pub(crate) async fn load(conn: &mut SqliteConnection) -> Result<Self, sqlx::Error> {
        let newest: Option<i64> = meta_int(conn, "newest").await?;
        Ok(Self {
            tip: read_tip(conn).await?,
            floor: meta_int(conn, "generation_floor").await?.unwrap_or(0),
            hold: meta_int(conn, "restore_hold").await?,
            newest,
            newest_stored: newest,
            decisions: 0,
            targets: HashMap::new(),
        })
    }

    /// Takes note of an instant.
    pub(crate) fn saw(&mut self, at_ms: i64) {
        self.newest = Some(self.newest.map_or(at_ms, |newest| newest.max(at_ms)));
    }

    /// Targets are read again before the next decision.
    pub(crate) fn forget_targets(&mut self) {
        self.targets.clear();
    }
}

impl Tx<'_> {
    /// The targets of an App, its origin first; `NoSuchApp` if there is none.
    pub(crate) async fn targets(&mut self, app: AppId) -> Result<Arc<[Target]>, OpError> {
        if let Some(targets) = self.memory.targets.get(&app) {
            return Ok(Arc::clone(targets));
        }
        require_app(self.conn, app).await?;
        let targets: Arc<[Target]> = read_targets(self.conn, app).await?.into();
        self.memory.targets.insert(app, Arc::clone(&targets));
        Ok(targets)
    }

    /// Apps, secrets or targets change with this transaction.
    pub(crate) async fn bump_revision(&mut self) -> Result<(), OpError> {
        sqlx::query(
            "INSERT INTO meta (name, value) VALUES ('revision', 1)
             ON CONFLICT (name) DO UPDATE SET value = value + 1",
        )
        .execute(&mut *self.conn)
        .await?;
        self.memory.forget_targets();
        Ok(())
    }

    /// A row id that was never given out in a table that counts them.
    pub(crate) async fn next_id(&mut self, table: &'static str) -> Result<i64, OpError> {
        let used: Option<i64> =
            sqlx::query_scalar("SELECT seq FROM sqlite_sequence WHERE name = $1")
                .bind(table)
                .fetch_optional(&mut *self.conn)
                .await?;
        Ok(used.unwrap_or(0).saturating_add(1))
    }

    /// Appends a link of the chain whose history row is inserted beside it.
    pub(crate) async fn append_link(
        &mut self,
        kind: LinkKind,
        digest: &Hash,
    ) -> Result<i64, OpError> {
        let tip = self.memory.tip.next(kind, digest);
        sqlx::query("INSERT INTO chain (seq, kind, digest, hash) VALUES ($1, $2, $3, $4)")
            .bind(tip.seq)
            .bind(kind.word())
            .bind(digest.to_vec())
            .bind(tip.hash.to_vec())
            .execute(&mut *self.conn)
            .await?;
        self.memory.tip = tip;
        Ok(tip.seq)
    }
}

/// `NoSuchApp` unless the App exists.
pub(crate) async fn require_app(conn: &mut SqliteConnection, app: AppId) -> Result<(), OpError> {
    let known: Option<i64> = sqlx::query_scalar("SELECT id FROM apps WHERE id = $1")
        .bind(app.0)
        .fetch_optional(conn)
        .await?;
    match known {
        Some(_) => Ok(()),
        None => Err(LedgerError::NoSuchApp(app.0).into()),
    }
}

/// The targets of an App that decisions reach, its origin first.
pub(crate) async fn read_targets(
    conn: &mut SqliteConnection,
    app: AppId,
) -> Result<Vec<Target>, OpError> {
    let rows = sqlx::query(
        "SELECT id, app_id, vendor, publish_domain, rtmp_app FROM targets
         WHERE app_id = $1 AND leaving_ms IS NULL ORDER BY vendor <> 'origin', id",
    )
    .bind(app.0)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| rows::target(row, 0).map_err(OpError::from))
        .collect()
}

/// A number in `meta`.
pub(crate) async fn meta_int(
    conn: &mut SqliteConnection,
    name: &'static str,
) -> Result<Option<i64>, sqlx::Error> {
    let value: Option<Option<i64>> = sqlx::query_scalar("SELECT value FROM meta WHERE name = $1")
        .bind(name)
        .fetch_optional(conn)
        .await?;
    Ok(value.flatten())
}

/// The newest link of the chain.
pub(crate) async fn read_tip(conn: &mut SqliteConnection) -> Result<Tip, sqlx::Error> {
    let row = sqlx::query("SELECT seq, hash FROM chain ORDER BY seq DESC LIMIT 1")
        .fetch_optional(conn)
        .await?;
    let Some(row) = row else {
        return Ok(Tip::EMPTY);
    };
    let hash: Vec<u8> = row.try_get(1)?;
    Ok(Tip {
        seq: row.try_get(0)?,
        hash: hash
            .try_into()
            .map_err(|_| sqlx::Error::Protocol("a hash of the chain has not 32 bytes".into()))?,
    })
}

/// An operation with its caller, in a queue.
#[async_trait]
pub(crate) trait Job: Waiting {
    /// Whether it survives a batch that cannot be committed as a whole.
    fn is_takedown(&self) -> bool;

    /// As [`Operation::saves_itself`].
    fn saves_itself(&self) -> bool;

    /// As [`Operation::runs_alone`].
    fn runs_alone(&self) -> bool;

    /// Applies it and keeps what came out. A refusal is handed to the caller later; the error says
    /// whether the savepoint has to be rolled back.
    async fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), Stop>;

    /// Tells the caller; `failed` says why nothing was committed.
    fn answer(self: Box<Self>, failed: Option<&str>);
}

/// Why a job did not go through.
pub(crate) enum Stop {
    /// This job alone.
    Refused,
    /// The batch.
    Broken(sqlx::Error),
}

/// The one kind of [`Job`].
pub(crate) struct Pending<O: Operation> {
    pub operation: O,
    pub ticket: u64,
    pub reply: oneshot::Sender<Result<O::Out, LedgerError>>,
    pub outcome: Option<Result<O::Out, LedgerError>>,
}

impl<O: Operation> Waiting for Pending<O> {
    fn ticket(&self) -> u64 {
        self.ticket
    }

    fn weight(&self) -> usize {
        self.operation.weight().max(1)
    }
}

impl Waiting for Box<dyn Job> {
    fn ticket(&self) -> u64 {
        (**self).ticket()
    }

    fn weight(&self) -> usize {
        (**self).weight()
    }
}

#[async_trait]
impl<O: Operation> Job for Pending<O> {
    fn is_takedown(&self) -> bool {
        self.operation.lane() == Lane::Takedown
    }

    fn saves_itself(&self) -> bool {
        self.operation.saves_itself()
    }

    fn runs_alone(&self) -> bool {
        self.operation.runs_alone()
    }

    async fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), Stop> {
        match self.operation.apply(tx).await {
            Ok(out) => {
                self.outcome = Some(Ok(out));
                Ok(())
            }
            Err(OpError::Refused(error)) => {
                self.outcome = Some(Err(error));
                Err(Stop::Refused)
            }
            Err(OpError::Broken(error)) => Err(Stop::Broken(error)),
        }
    }

    fn answer(self: Box<Self>, failed: Option<&str>) {
        let outcome = match (failed, self.outcome) {
            (None, Some(outcome)) | (Some(_), Some(outcome @ Err(_))) => outcome,
            (failed, _) => Err(LedgerError::Unavailable {
                doing: "written",
                why: failed.unwrap_or("the writer stopped").to_owned(),
            }),
        };
        let _ = self.reply.send(outcome);
    }
}

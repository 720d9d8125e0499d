//! The ledger on a PostgreSQL server, shared by the servers of a cluster.
//!
//! Each process has one writer with group commit; the writers take turns by a lock on the server.
//! The data directory stays each machine's own: it is locked as with SQLite, and holds the key.

mod apps;
mod cdns;
mod changes;
mod confirm;
pub(crate) mod connect;
mod decide;
pub(crate) mod error;
mod notes;
mod operation;
mod presence;
pub(crate) mod read;
mod record;
pub(crate) mod rows;
pub(crate) mod url;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection, PgPool, Postgres};
use tidegate_core::{
    Actor, AppId, Ask, AskKind, Block, Generation, RequestId, Secret, StreamKey, UnixMs,
};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::columns::corrupt;
use crate::copy;
use crate::data_dir::DataDir;
use crate::error::LedgerError;
use crate::keys::{KeyMarks, SealingKey, key_path};
use crate::lanes::{self, Lane, Queues};
use crate::model::{
    App, Attempt, Bound, Changes, ClockMark, Cursor, Head, NonceRecord, NonceUse, RestoreHold,
    SavedAnswer, StreamStatus, Target,
};
use crate::sqlite::OpenOptions;
use crate::stats::{Counters, Stats};
use crate::store::Ledger;
use error::{OpError, reading, unavailable};
pub(crate) use operation::read_tip;
use operation::{Job, Operation, Pending, Reply, Targets, Work};
use url::LedgerUrl;
use writer::Writer;

/// How long a change may go unheard.
const POLL: Duration = Duration::from_secs(1);
/// The longest that [`PostgresLedger::close`] takes.
const CLOSE_WITHIN: Duration = Duration::from_secs(10);

/// A ledger on a PostgreSQL server. Dropping it without [`PostgresLedger::close`] loses nothing
/// that was answered.
pub struct PostgresLedger {
    dir: DataDir,
    options: PgConnectOptions,
    sealing: Arc<SealingKey>,
    readers: PgPool,
    queues: Mutex<Option<Queues<Job>>>,
    tickets: AtomicU64,
    counters: Arc<Counters>,
    heard: Arc<Notify>,
    writer: Mutex<Option<JoinHandle<()>>>,
    presence: JoinHandle<()>,
}

impl Drop for PostgresLedger {
    fn drop(&mut self) {
        self.presence.abort();
    }
}

impl PostgresLedger {
    /// Locks the data directory and opens the ledger in a database; makes its tables if there are
    /// none, and the key file if nothing was ever sealed with another.
    ///
    /// `Locked`: another process has the directory, or the ledger is being copied. `Key`: the key
    /// file is missing or is not the one the ledger was sealed with. `Unsuitable`: the server does
    /// not promise that what is committed is on disk. `Corrupt`: written by a newer version.
    /// `Unavailable`: the server cannot be reached, or refuses.
    pub async fn open(url: &LedgerUrl, options: &OpenOptions) -> Result<Self, LedgerError> {
        let dir = DataDir::lock(&options.data_dir)?;
        let key_file = key_path(dir.path(), options.key_file.as_deref());
        let options = url.options().map_err(|e| unavailable("opened", &e))?;
        let mut conn = connect::for_writing(&options).await?;
        connect::check_server(&mut conn).await?;
        connect::migrate(&mut conn).await?;
        let marks = marks_or_new(&mut conn, &key_file).await?;
        let sealing = Arc::new(marks.matching(&key_file)?);
        sqlx::query("DELETE FROM writers WHERE seen < now() - interval '7 days'")
            .execute(&mut conn)
            .await
            .map_err(|e| unavailable("opened", &e))?;
        let readers = connect::readers(&options);
        let listener = presence::announce(&readers).await?;
        let heard = Arc::new(Notify::new());
        let presence = tokio::spawn(presence::keep(listener, Arc::clone(&heard)));
        let counters = Arc::new(Counters::default());
        let (queues, intake) = lanes::queues();
        let writer = Writer {
            options: options.clone(),
            sealing: Arc::clone(&sealing),
            counters: Arc::clone(&counters),
            conn: Some(conn),
            targets: Targets::default(),
            id: writer_id()?,
            batch: 0,
        };
        Ok(Self {
            dir,
            options,
            sealing,
            readers,
            queues: Mutex::new(Some(queues)),
            tickets: AtomicU64::new(0),
            counters,
            heard,
            writer: Mutex::new(Some(tokio::spawn(writer.run(intake)))),
            presence,
        })
    }

    /// Waits for what is queued and closes the connections, within a bounded time.
    pub async fn close(&self) {
        drop(self.queues.lock().take());
        let writer = self.writer.lock().take();
        let finish = async {
            if let Some(writer) = writer {
                let _ = writer.await;
            }
            self.presence.abort();
            self.readers.close().await;
        };
        if tokio::time::timeout(CLOSE_WITHIN, finish).await.is_err() {
            tracing::warn!("the ledger took too long to close");
        }
    }

    /// Figures for metrics.
    pub fn stats(&self) -> Stats {
        let queued = self.queues.lock().as_ref().map(Queues::lengths);
        self.counters.snapshot(queued.unwrap_or_default())
    }

    /// The data directory.
    pub fn data_dir(&self) -> &Path {
        self.dir.path()
    }

    async fn reader(&self) -> Result<PoolConnection<Postgres>, LedgerError> {
        self.readers.acquire().await.map_err(|e| reading(&e))
    }

    async fn write<O: Operation>(&self, operation: O) -> Result<O::Out, LedgerError> {
        let lane = operation.lane();
        let (reply, answer) = Reply::new();
        let task = Box::new(Pending { operation, reply });
        self.queue(lane, Work::Other(task)).await?;
        answer.await.map_err(|_| closed())?
    }

    async fn queue(&self, lane: Lane, work: Work) -> Result<(), LedgerError> {
        let queue = match &*self.queues.lock() {
            Some(queues) => queues.lane(lane).clone(),
            None => return Err(closed()),
        };
        // Owned, because a sender that lived until the answer would keep `close` waiting.
        let room = queue.reserve_owned().await.map_err(|_| closed())?;
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        drop(room.send(Job { ticket, work }));
        Ok(())
    }

    async fn meta_int(&self, name: &str) -> Result<Option<i64>, LedgerError> {
        let mut conn = self.reader().await?;
        operation::meta_int(&mut conn, name)
            .await
            .map_err(|e| reading(&e))
    }
}

fn closed() -> LedgerError {
    LedgerError::Unavailable {
        doing: "written",
        why: "it is closed".into(),
    }
}

fn refused(error: OpError) -> LedgerError {
    match error {
        OpError::Refused(error) => error,
        OpError::Broken(error) => reading(&error),
    }
}

/// 128 random bits as hex.
fn writer_id() -> Result<String, LedgerError> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| LedgerError::Unavailable {
        doing: "opened",
        why: format!("the system gives no random numbers: {error}"),
    })?;
    Ok(hex::encode(bytes))
}

/// The marks of the key that the ledger is sealed with, if it is a finished ledger.
pub(crate) async fn key_marks(conn: &mut PgConnection) -> Result<Option<KeyMarks>, LedgerError> {
    let words: Option<Option<String>> =
        sqlx::query_scalar("SELECT words FROM meta WHERE name = 'key_id'")
            .fetch_optional(&mut *conn)
            .await
            .map_err(|e| reading(&e))?;
    let bytes: Option<Option<Vec<u8>>> =
        sqlx::query_scalar("SELECT bytes FROM meta WHERE name = 'key_check'")
            .fetch_optional(conn)
            .await
            .map_err(|e| reading(&e))?;
    let pair = words.flatten().zip(bytes.flatten());
    Ok(pair.map(|(id, check)| KeyMarks { id, check }))
}

/// As [`key_marks`]; a ledger that has none yet is tied to the key of this server. Servers that
/// start together on an empty database take turns.
async fn marks_or_new(conn: &mut PgConnection, key_file: &Path) -> Result<KeyMarks, LedgerError> {
    if let Some(marks) = key_marks(conn).await? {
        return Ok(marks);
    }
    let told = |e| unavailable("opened", &e);
    let mut turn = conn.begin().await.map_err(told)?;
    sqlx::query("SELECT pg_advisory_xact_lock(1413958705, 1)")
        .execute(&mut *turn)
        .await
        .map_err(told)?;
    if let Some(marks) = key_marks(&mut turn).await? {
        return Ok(marks);
    }
    let marks = KeyMarks::of(&SealingKey::load_or_create(key_file)?)?;
    sqlx::query("INSERT INTO meta (name, words, bytes) VALUES ('key_id', $1, NULL), ('key_check', NULL, $2)")
        .bind(&marks.id)
        .bind(&marks.check)
        .execute(&mut *turn)
        .await
        .map_err(told)?;
    turn.commit().await.map_err(told)?;
    Ok(marks)
}

#[async_trait]
impl Ledger for PostgresLedger {
    async fn next_instance(&self) -> Result<u64, LedgerError> {
        self.write(notes::NextInstance).await
    }

    async fn apps(&self, now: UnixMs) -> Result<Vec<App>, LedgerError> {
        let mut conn = self.reader().await?;
        apps::read_apps(&mut conn, &self.sealing, now).await
    }

    async fn create_app(&self, app: &App) -> Result<(), LedgerError> {
        self.write(apps::CreateApp(app.clone())).await
    }

    async fn rotate_secret(
        &self,
        app: AppId,
        secret: &Secret,
        now: UnixMs,
        earlier_end: UnixMs,
    ) -> Result<(), LedgerError> {
        let secret = secret.clone();
        self.write(apps::RotateSecret {
            app,
            secret,
            now,
            earlier_end,
        })
        .await
    }

    async fn rotate_publish_key(
        &self,
        app: AppId,
        key: &Secret,
        keep_earlier: bool,
    ) -> Result<(), LedgerError> {
        let key = key.clone();
        self.write(apps::RotatePublishKey {
            app,
            key,
            keep_earlier,
        })
        .await
    }

    async fn set_disabled(&self, app: AppId, disabled: bool) -> Result<(), LedgerError> {
        self.write(apps::SetDisabled { app, disabled }).await
    }

    async fn targets(&self, app: AppId) -> Result<Vec<Target>, LedgerError> {
        let mut conn = self.reader().await?;
        operation::read_targets(&mut conn, app)
            .await
            .map_err(refused)
    }

    async fn admin_token(&self) -> Result<Option<[u8; 32]>, LedgerError> {
        let mut conn = self.reader().await?;
        let digest: Option<Vec<u8>> =
            sqlx::query_scalar("SELECT bytes FROM meta WHERE name = 'admin_token'")
                .fetch_optional(&mut *conn)
                .await
                .map_err(|e| reading(&e))?;
        digest
            .map(|bytes| bytes.try_into().map_err(|_| corrupt("the admin token")))
            .transpose()
    }

    async fn set_admin_token(&self, digest: [u8; 32]) -> Result<(), LedgerError> {
        self.write(notes::SetAdminToken(digest)).await
    }

    async fn decide(&self, ask: Ask, nonce: Option<NonceUse>) -> Result<Bound, LedgerError> {
        let lane = match ask.kind {
            AskKind::Forbid(_) => Lane::Takedown,
            AskKind::Resume => Lane::Release,
        };
        let (reply, answer) = Reply::new();
        let reply = Box::new(reply);
        self.queue(lane, Work::Decide { ask, nonce, reply }).await?;
        answer.await.map_err(|_| closed())?
    }

    async fn save_answers(&self, answers: Vec<SavedAnswer>) -> Result<(), LedgerError> {
        self.write(notes::SaveAnswers(answers)).await
    }

    async fn live_nonces(&self, now: UnixMs) -> Result<Vec<NonceRecord>, LedgerError> {
        // A ledger that cannot be written still has to say which nonces are taken.
        if let Err(error) = self.write(notes::ForgetNonces { now }).await {
            tracing::debug!(%error, "expired nonces are kept");
        }
        let mut conn = self.reader().await?;
        read::live_nonces(&mut conn, now).await
    }

    async fn load_blocks(
        &self,
        visit: &mut (dyn FnMut(StreamKey, Block) + Send),
    ) -> Result<(), LedgerError> {
        let mut conn = self.reader().await?;
        read::load_blocks(&mut conn, visit).await
    }

    async fn due_ends(
        &self,
        now: UnixMs,
        limit: usize,
    ) -> Result<(Vec<(StreamKey, Block)>, Option<UnixMs>), LedgerError> {
        let mut conn = self.reader().await?;
        read::due_ends(&mut conn, now, limit).await
    }

    async fn lapse(
        &self,
        key: StreamKey,
        block: Generation,
        at: UnixMs,
    ) -> Result<Option<Generation>, LedgerError> {
        let (reply, answer) = Reply::new();
        let work = Work::Lapse {
            key,
            block,
            at,
            reply,
        };
        self.queue(Lane::Release, work).await?;
        answer.await.map_err(|_| closed())?
    }

    async fn status(&self, key: &StreamKey) -> Result<StreamStatus, LedgerError> {
        let mut conn = self.reader().await?;
        read::status(&mut conn, key).await
    }

    async fn record_attempts(&self, attempts: Vec<Attempt>) -> Result<(), LedgerError> {
        if attempts.is_empty() {
            return Ok(());
        }
        self.write(notes::RecordAttempts(attempts)).await
    }

    async fn restore_hold(&self) -> Result<Option<RestoreHold>, LedgerError> {
        let restored = self.meta_int("restore_hold").await?;
        Ok(restored.map(|at| RestoreHold {
            restored_at: UnixMs(at),
        }))
    }

    async fn confirm_restore(
        &self,
        by: Actor,
        at: UnixMs,
        request_id: RequestId,
    ) -> Result<Vec<(StreamKey, Generation)>, LedgerError> {
        self.write(confirm::Confirm { by, at, request_id }).await
    }

    async fn clock_mark(&self) -> Result<Option<ClockMark>, LedgerError> {
        let mut conn = self.reader().await?;
        read::clock_mark(&mut conn).await
    }

    async fn set_clock_mark(&self, mark: ClockMark) -> Result<(), LedgerError> {
        self.write(notes::SetClockMark(mark)).await
    }

    async fn newest_instant(&self) -> Result<Option<UnixMs>, LedgerError> {
        Ok(self.meta_int("newest").await?.map(UnixMs))
    }

    async fn head(&self) -> Result<Head, LedgerError> {
        let mut conn = self.reader().await?;
        let tip = read_tip(&mut conn).await;
        Ok(tip.map_err(|e| reading(&e))?.head())
    }

    async fn cursor(&self) -> Result<Cursor, LedgerError> {
        let mut conn = self.reader().await?;
        changes::cursor(&mut conn).await
    }

    async fn changes_since(&self, seen: &Cursor) -> Result<Changes, LedgerError> {
        let mut conn = self.reader().await?;
        changes::since(&mut conn, seen).await
    }

    async fn changed(&self) {
        let _ = tokio::time::timeout(POLL, self.heard.notified()).await;
    }

    async fn backup(&self, to: &Path) -> Result<(), LedgerError> {
        copy::backup(&self.options, to).await
    }

    async fn probe(&self) -> Result<(), LedgerError> {
        self.write(notes::Probe).await
    }
}

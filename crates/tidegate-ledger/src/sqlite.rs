//! The ledger in one SQLite file, for one machine.
//!
//! WAL with `synchronous=FULL`, one writer task with group commit, a few read connections, and
//! the data directory's lock held for as long as the ledger is open.

mod apps;
mod backup;
mod cdns;
mod changes;
mod checkpoint;
pub(crate) mod connect;
mod decide;
pub(crate) mod error;
mod notes;
pub(crate) mod open;
pub(crate) mod operation;
mod read;
mod readers;
pub(crate) mod restore;
mod rows;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tidegate_core::{Actor, AppId, Ask, Block, Generation, RequestId, Secret, StreamKey, UnixMs};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::data_dir::DataDir;
use crate::error::LedgerError;
use crate::keys::{self, SealingKey};
use crate::lanes::{self, Queues};
use crate::model::{
    App, Attempt, Bound, Changes, ClockMark, Cursor, Head, NonceRecord, NonceUse, RestoreHold,
    SavedAnswer, StreamStatus, Target,
};
use crate::stats::{Counters, Stats};
use crate::store::Ledger;
use error::{OpError, reading};
use operation::{Operation, Pending};
use readers::Readers;
use writer::{Boxed, Writer};

/// The longest that [`SqliteLedger::close`] takes.
const CLOSE_WITHIN: Duration = Duration::from_secs(10);

/// Where a ledger is.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// The data directory; made if absent.
    pub data_dir: PathBuf,
    /// The key file; `None`: `secrets.key` in the data directory.
    pub key_file: Option<PathBuf>,
}

impl OpenOptions {
    /// A data directory with its key inside.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            key_file: None,
        }
    }
}

/// A ledger in one SQLite file. Dropping it without [`SqliteLedger::close`] loses nothing that was
/// answered.
pub struct SqliteLedger {
    dir: DataDir,
    file: PathBuf,
    key_file: PathBuf,
    sealing: Arc<SealingKey>,
    readers: Arc<Readers>,
    queues: Mutex<Option<Queues<Boxed>>>,
    tickets: AtomicU64,
    counters: Arc<Counters>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl SqliteLedger {
    /// Locks the data directory and opens its ledger; makes both, and the key, if there is none.
    ///
    /// An existing ledger that can be read but not written (full disk, read-only directory) is
    /// opened: reads work, writes give `Unavailable` until the disk recovers.
    ///
    /// `Locked`: another process has the directory. `Key`: the key file is missing or is not the
    /// one the ledger was sealed with. `Corrupt`: written by a newer version, or damaged.
    pub async fn open(options: OpenOptions) -> Result<Self, LedgerError> {
        let dir = DataDir::lock(&options.data_dir)?;
        let file = dir.path().join(open::FILE);
        let key_file = keys::key_path(dir.path(), options.key_file.as_deref());
        let opened = open::open(&file, &key_file).await?;
        let sealing = Arc::new(opened.sealing);
        let readers = Arc::new(opened.readers);
        let counters = Arc::new(Counters::default());
        let checkpoint = Arc::new(Notify::new());
        let (queues, intake) = lanes::queues();
        let writer = Writer {
            file: file.clone(),
            sealing: Arc::clone(&sealing),
            readers: Arc::clone(&readers),
            counters: Arc::clone(&counters),
            checkpoint: Arc::clone(&checkpoint),
            store: opened.store,
            in_log: 0,
        };
        let tasks = vec![
            tokio::spawn(writer.run(intake)),
            tokio::spawn(checkpoint::run(
                file.clone(),
                checkpoint,
                Arc::clone(&counters),
            )),
        ];
        Ok(Self {
            dir,
            file,
            key_file,
            sealing,
            readers,
            queues: Mutex::new(Some(queues)),
            tickets: AtomicU64::new(0),
            counters,
            tasks: Mutex::new(tasks),
        })
    }

    /// Finishes what was asked, moves the write-ahead log into the database and closes it; takes
    /// at most 10 seconds. Later calls give `Unavailable`.
    pub async fn close(&self) {
        self.queues.lock().take();
        let tasks = std::mem::take(&mut *self.tasks.lock());
        let finish = async {
            self.readers.close().await;
            let mut tasks = tasks.into_iter();
            let writer = tasks.next();
            for other in tasks {
                other.abort();
                let _ = other.await;
            }
            if let Some(writer) = writer {
                let _ = writer.await;
            }
        };
        if tokio::time::timeout(CLOSE_WITHIN, finish).await.is_err() {
            tracing::warn!("the ledger took too long to close; its log is replayed at next start");
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

    async fn write<O: Operation>(&self, operation: O) -> Result<O::Out, LedgerError> {
        let queue = match &*self.queues.lock() {
            Some(queues) => queues.lane(operation.lane()).clone(),
            None => return Err(closed()),
        };
        // Owned, because a sender that lived until the answer would keep `close` waiting.
        let room = queue.reserve_owned().await.map_err(|_| closed())?;
        let (reply, answer) = oneshot::channel();
        let pending = Box::new(Pending {
            operation,
            ticket: self.tickets.fetch_add(1, Ordering::Relaxed),
            reply,
            outcome: None,
        });
        drop(room.send(pending));
        answer.await.map_err(|_| closed())?
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

#[async_trait]
impl Ledger for SqliteLedger {
    async fn next_instance(&self) -> Result<u64, LedgerError> {
        self.write(notes::NextInstance).await
    }

    async fn apps(&self, now: UnixMs) -> Result<Vec<App>, LedgerError> {
        let mut conn = self.readers.get().await?;
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
        let mut conn = self.readers.get().await?;
        operation::read_targets(&mut conn, app)
            .await
            .map_err(refused)
    }

    async fn admin_token(&self) -> Result<Option<[u8; 32]>, LedgerError> {
        let mut conn = self.readers.get().await?;
        let digest: Option<Vec<u8>> =
            sqlx::query_scalar("SELECT value FROM meta WHERE name = 'admin_token'")
                .fetch_optional(&mut *conn)
                .await
                .map_err(|e| reading(&e))?;
        digest
            .map(|bytes| {
                bytes
                    .try_into()
                    .map_err(|_| rows::corrupt("the admin token"))
            })
            .transpose()
    }

    async fn set_admin_token(&self, digest: [u8; 32]) -> Result<(), LedgerError> {
        self.write(notes::SetAdminToken(digest)).await
    }

    async fn decide(&self, ask: Ask, nonce: Option<NonceUse>) -> Result<Bound, LedgerError> {
        self.write(decide::Decide { ask, nonce }).await
    }

    async fn save_answers(&self, answers: Vec<SavedAnswer>) -> Result<(), LedgerError> {
        self.write(notes::SaveAnswers(answers)).await
    }

    async fn live_nonces(&self, now: UnixMs) -> Result<Vec<NonceRecord>, LedgerError> {
        // A ledger that cannot be written still has to say which nonces are taken.
        if let Err(error) = self.write(notes::ForgetNonces { now }).await {
            tracing::debug!(%error, "expired nonces are kept");
        }
        let mut conn = self.readers.get().await?;
        read::live_nonces(&mut conn, now).await
    }

    async fn load_blocks(
        &self,
        visit: &mut (dyn FnMut(StreamKey, Block) + Send),
    ) -> Result<(), LedgerError> {
        let mut conn = self.readers.get().await?;
        let (pages, mut arrived) = mpsc::channel(2);
        let sender = tokio::spawn(async move { read::send_block_pages(&mut conn, pages).await });
        while let Some(page) = arrived.recv().await {
            read::visit_page(&page?, visit)?;
        }
        sender.await.map_err(|_| closed())
    }

    async fn due_ends(
        &self,
        now: UnixMs,
        limit: usize,
    ) -> Result<(Vec<(StreamKey, Block)>, Option<UnixMs>), LedgerError> {
        let mut conn = self.readers.get().await?;
        read::due_ends(&mut conn, now, limit).await
    }

    async fn lapse(
        &self,
        key: StreamKey,
        block: Generation,
        at: UnixMs,
    ) -> Result<Option<Generation>, LedgerError> {
        self.write(decide::Lapse { key, block, at }).await
    }

    async fn status(&self, key: &StreamKey) -> Result<StreamStatus, LedgerError> {
        let mut conn = self.readers.get().await?;
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
        self.write(decide::Confirm { by, at, request_id }).await
    }

    async fn clock_mark(&self) -> Result<Option<ClockMark>, LedgerError> {
        let mut conn = self.readers.get().await?;
        read::clock_mark(&mut conn).await
    }

    async fn set_clock_mark(&self, mark: ClockMark) -> Result<(), LedgerError> {
        self.write(notes::SetClockMark(mark)).await
    }

    async fn newest_instant(&self) -> Result<Option<UnixMs>, LedgerError> {
        Ok(self.meta_int("newest").await?.map(UnixMs))
    }

    async fn head(&self) -> Result<Head, LedgerError> {
        let mut conn = self.readers.get().await?;
        let tip = operation::read_tip(&mut conn).await;
        Ok(tip.map_err(|e| reading(&e))?.head())
    }

    async fn cursor(&self) -> Result<Cursor, LedgerError> {
        let mut conn = self.readers.get().await?;
        changes::cursor(&mut conn).await
    }

    async fn changes_since(&self, seen: &Cursor) -> Result<Changes, LedgerError> {
        let mut conn = self.readers.get().await?;
        changes::since(&mut conn, seen).await
    }

    async fn changed(&self) {
        std::future::pending().await
    }

    async fn backup(&self, to: &Path) -> Result<(), LedgerError> {
        backup::backup(&self.file, to).await
    }

    async fn probe(&self) -> Result<(), LedgerError> {
        self.write(notes::Probe).await
    }
}

impl SqliteLedger {
    async fn meta_int(&self, name: &'static str) -> Result<Option<i64>, LedgerError> {
        let mut conn = self.readers.get().await?;
        operation::meta_int(&mut conn, name)
            .await
            .map_err(|e| reading(&e))
    }
}

//! The engine's state, and what happens at start.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use tidegate_core::{AppId, BlockSet, RequestId, UnixMs};
use tidegate_ledger::{Cursor, Ledger, LedgerError};
use tidegate_origin::Hub;
use tokio::sync::{Mutex, Notify, RwLock};
use tokio_util::sync::CancellationToken;

use crate::alarms::{AlarmKind, Alarms};
use crate::apps::Directory;
use crate::cdns::{CdnOptions, Cdns};
use crate::clock::{Clock, wall};
use crate::nonces::{Claim, Nonces};
use crate::recorder::Recorder;
use crate::stats::Stats;

/// Settings of the engine.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Overrides the instance number in RequestIds; tests use it.
    pub instance: Option<u64>,
    /// How vendors are called and looked at.
    pub cdn: CdnOptions,
}

/// One server's engine. Shared by the HTTP faces, the origin's gate and the loops.
pub struct Engine {
    ledger: Arc<dyn Ledger>,
    hub: Hub,
    blocks: BlockSet,
    apps: ArcSwap<Directory>,
    /// Serialises reloads, so that an older snapshot never replaces a newer one.
    pub(crate) reloading: Mutex<()>,
    /// Read by each decision from its commit to its settlement, written while the ledger is
    /// replaced.
    pub(crate) restoring: RwLock<()>,
    pub(crate) nonces: Arc<Nonces>,
    pub(crate) clock: Clock,
    pub(crate) recorder: Recorder,
    alarms: Alarms,
    stats: Stats,
    instance: u64,
    sequence: AtomicU64,
    /// The earliest end that the ends loop has to wake for, in milliseconds.
    pub(crate) next_end: AtomicI64,
    pub(crate) end_added: Notify,
    /// Where the ledger was before anything was loaded from it.
    pub(crate) followed_from: Cursor,
    pub(crate) cdns: Cdns,
}

impl Engine {
    /// Loads Apps, blocks and nonces. An engine that is returned enforces every recorded block.
    /// A ledger that can be read but not written is good enough: that raises an alarm.
    pub async fn start(
        ledger: Arc<dyn Ledger>,
        hub: Hub,
        options: Options,
    ) -> Result<Arc<Self>, LedgerError> {
        let now = wall();
        let alarms = Alarms::default();
        let blocks = BlockSet::default();
        let followed_from = ledger.cursor().await?;
        ledger
            .load_blocks(&mut |key, block| blocks.load(&key, &block))
            .await?;
        let apps = Directory::load(&*ledger).await?;
        let mark = ledger.clock_mark().await?;
        let clock = Clock::start(mark.as_ref(), ledger.newest_instant().await?);
        let nonces = Arc::new(Nonces::default());
        nonces.load(ledger.live_nonces(now).await?);
        let instance = match options.instance {
            Some(instance) => instance,
            None => ledger.next_instance().await.unwrap_or_else(|error| {
                alarms.raise(AlarmKind::LedgerUnavailable, now, error.to_string());
                // Request ids stay unique with all but certainty until the next start.
                getrandom::u64().unwrap_or(0)
            }),
        };
        let holder = format!("{instance}-{:08x}", getrandom::u32().unwrap_or(0));
        let cdns = Cdns::load(&*ledger, options.cdn, holder).await?;
        let engine = Arc::new(Self {
            ledger,
            hub,
            blocks,
            apps: ArcSwap::from_pointee(apps),
            reloading: Mutex::default(),
            restoring: RwLock::default(),
            nonces,
            clock,
            recorder: Recorder::default(),
            alarms,
            stats: Stats::default(),
            instance,
            sequence: AtomicU64::new(0),
            next_end: AtomicI64::new(i64::MIN),
            end_added: Notify::new(),
            followed_from,
            cdns,
        });
        engine.note_restore_hold().await?;
        tracing::info!(
            blocks = engine.blocks.len(),
            apps = engine.apps().list().len(),
            "loaded"
        );
        Ok(engine)
    }

    /// Runs the loops until told to stop; then records what is still queued.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        tokio::join!(
            self.carry_out_ends(&shutdown),
            self.record_beside_cdns(&shutdown),
            self.follow(&shutdown)
        );
    }

    /// The ledger.
    pub fn ledger(&self) -> &dyn Ledger {
        &*self.ledger
    }

    /// The origin's table of live streams.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// The blocks in force.
    pub fn blocks(&self) -> &BlockSet {
        &self.blocks
    }

    /// The Apps, as they are right now.
    pub fn apps(&self) -> Arc<Directory> {
        self.apps.load_full()
    }

    /// The standing alarms.
    pub fn alarms(&self) -> &Alarms {
        &self.alarms
    }

    /// Counters.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The wall clock.
    pub fn now(&self) -> UnixMs {
        wall()
    }

    /// A RequestId that no other request gets.
    pub fn request_id(&self) -> RequestId {
        RequestId::compose(self.instance, self.sequence.fetch_add(1, Ordering::Relaxed))
    }

    /// Claims a nonce for the mutating request whose content has this digest. Waits while the very
    /// same request is under way.
    pub async fn claim_nonce(&self, app: AppId, nonce: &str, digest: [u8; 32]) -> Claim {
        let claim = self.nonces.claim(app, nonce, digest, wall()).await;
        if matches!(claim, Claim::Answered(_) | Claim::Decided(_)) {
            self.stats.replays.bump();
        }
        claim
    }

    /// An operator vouches for the wall clock: held ends go ahead by it.
    pub fn accept_clock(&self) {
        self.clock.accept();
        self.end_added.notify_one();
    }

    /// Reads Apps, accounts and targets again, after somebody changed them in the ledger.
    pub async fn reload(&self) -> Result<(), LedgerError> {
        self.reload_apps().await
    }

    pub(crate) async fn reload_apps(&self) -> Result<(), LedgerError> {
        let _one_at_a_time = self.reloading.lock().await;
        self.apps
            .store(Arc::new(Directory::load(&*self.ledger).await?));
        self.cdns.reload(&*self.ledger).await
    }

    /// A removed target is gone: Apps and targets are read again soon.
    pub(crate) fn targets_left(self: &Arc<Self>) {
        let engine = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(error) = engine.reload_apps().await {
                engine.ledger_failed(&error);
            }
        });
    }

    /// A vendor's answer carried this time.
    pub(crate) fn heard_date(&self, account: &str, date: UnixMs) {
        self.clock.heard(account, date);
    }

    /// Drives CDNs, and records what they say to the very last.
    async fn record_beside_cdns(self: &Arc<Self>, shutdown: &CancellationToken) {
        let driven = CancellationToken::new();
        let drive = async {
            self.drive_cdns(shutdown).await;
            driven.cancel();
        };
        tokio::join!(drive, self.record(&driven));
    }

    /// The ledger failed: alarm.
    pub(crate) fn ledger_failed(&self, error: &LedgerError) {
        self.alarms
            .raise(AlarmKind::LedgerUnavailable, wall(), error.to_string());
    }

    /// The ledger took a write: no alarm.
    pub(crate) fn ledger_works(&self) {
        self.alarms.clear(AlarmKind::LedgerUnavailable);
    }
}

//! Vendors' CDNs: who drives which account, and how decisions reach them.
//!
//! One server at a time drives an account: it holds the account's lease in the ledger and runs a
//! desk for it. The engine takes leases, opens desks and closes them. What is to be done for one
//! object is decided in `tidegate_core::reconcile`; how to ask a vendor for it is `tidegate-cdn`'s.

mod admin;
mod call;
mod desk;
mod directory;
mod drift;
mod gather;
mod limits;
mod preview;
mod prober;
mod report;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tidegate_cdn::{ClientError, ClientOptions, HttpClient};
use tidegate_core::StreamKey;
use tidegate_ledger::cdns::ObjectKey;
use tidegate_ledger::{Ledger, LedgerError};
use tidegate_probe::{Looker, LookerError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use admin::{
    AddedTarget, CdnError, Check, NewAccount, NewCdnTarget, NewKey, Problem, Trial, blast_radius,
    cdn_vendor,
};
pub use desk::{DeskView, Held};
pub use directory::{AccountEntry, CdnDirectory, TargetEntry, Unusable};
pub use drift::DriftView;
pub(crate) use gather::{Gather, Slot};
pub use limits::{budget, call_kind, object_limits, rules};
pub use preview::{Preview, TargetPreview};
pub use report::{AcceptedCall, CdnReport, LastError, Next, Shared, Sharer};

use self::desk::Desk;
use crate::engine::Engine;

/// How long a lease on an account lasts; a server that died is replaced after so long.
const LEASE: Duration = Duration::from_secs(15);
/// How often leases are renewed.
const RENEW: Duration = Duration::from_secs(4);

/// How vendors are called and looked at.
#[derive(Clone, Debug)]
pub struct CdnOptions {
    /// Bounds of a call.
    pub client: ClientOptions,
    /// How long a decision's answer waits for what CDNs say.
    pub answer_within: Duration,
    /// A stream still live so long after its ban was accepted is an alarm.
    pub alarm_after: Duration,
    /// How often an account's bans are compared with the vendor's list; zero: never.
    pub drift_check: Duration,
    /// A ban accepted more recently than this may be missing from a vendor's list.
    pub drift_grace: Duration,
    /// Most bytes of one look at a play URL.
    pub look_bytes: u64,
    /// Most bytes of all looks at one target's play URLs in 24 hours.
    pub daily_look_bytes: u64,
}

impl Default for CdnOptions {
    /// Calls as [`ClientOptions::default`], answers within 2 s, an alarm after 30 s, lists once an
    /// hour, looks of 512 KiB and 256 MiB a day and target.
    fn default() -> Self {
        Self {
            client: ClientOptions::default(),
            answer_within: Duration::from_secs(2),
            alarm_after: tidegate_core::probe::ALARM_AFTER,
            drift_check: Duration::from_secs(3600),
            drift_grace: Duration::from_secs(300),
            look_bytes: 512 << 10,
            daily_look_bytes: 256 << 20,
        }
    }
}

/// The vendors' side of an engine.
pub struct Cdns {
    options: CdnOptions,
    client: HttpClient,
    looker: Looker,
    directory: ArcSwap<CdnDirectory>,
    desks: Mutex<HashMap<i64, OpenDesk>>,
    /// Accounts changed, or all has to be loaded again.
    changed: Notify,
    holder: String,
    tasks: TaskTracker,
}

/// A desk that is at work.
struct OpenDesk {
    desk: Arc<Desk>,
    stop: CancellationToken,
    name: String,
}

impl Cdns {
    /// Loads accounts and targets. `holder` names this process among all that share the ledger.
    pub(crate) async fn load(
        ledger: &dyn Ledger,
        options: CdnOptions,
        holder: String,
    ) -> Result<Self, LedgerError> {
        let client = HttpClient::new(options.client)
            .map_err(|error: ClientError| LedgerError::Unsuitable(error.to_string()))?;
        let directory = CdnDirectory::load(ledger, &client, &CdnDirectory::default()).await?;
        let looker = Looker::new(tidegate_probe::Options {
            max_bytes: options.look_bytes,
            ..Default::default()
        })
        .map_err(|error: LookerError| LedgerError::Unsuitable(error.to_string()))?;
        Ok(Self {
            options,
            client,
            looker,
            directory: ArcSwap::from_pointee(directory),
            desks: Mutex::default(),
            changed: Notify::new(),
            holder,
            tasks: TaskTracker::new(),
        })
    }

    /// Accounts and targets, as they are right now.
    pub fn directory(&self) -> Arc<CdnDirectory> {
        self.directory.load_full()
    }

    /// What vendors are called through.
    pub fn client(&self) -> &HttpClient {
        &self.client
    }

    /// What play URLs are looked at with.
    pub fn looker(&self) -> &Looker {
        &self.looker
    }

    /// The settings.
    pub fn options(&self) -> &CdnOptions {
        &self.options
    }

    /// What the desk of an account shows; `None` where another server drives it, or none yet.
    pub fn view(&self, account: i64) -> Option<DeskView> {
        self.desk(account).map(|desk| desk.view())
    }

    pub(crate) async fn reload(&self, ledger: &dyn Ledger) -> Result<(), LedgerError> {
        let before = self.directory.load();
        let directory = CdnDirectory::load(ledger, &self.client, &before).await?;
        self.directory.store(Arc::new(directory));
        for open in self.desks.lock().values() {
            open.desk.directory_changed();
        }
        self.changed.notify_one();
        Ok(())
    }

    /// Something was decided on this stream: its objects are stepped. `slots` are told what comes
    /// of it, by target; those of accounts that are not driven here come back.
    pub(crate) fn wake(
        &self,
        key: &StreamKey,
        mut slots: HashMap<i64, Slot>,
    ) -> HashMap<i64, Slot> {
        let directory = self.directory.load();
        let desks = self.desks.lock();
        for target in directory.targets_of(key.app) {
            let object = directory.object_key(target, &key.stream);
            if let (Some(open), Some(object)) = (desks.get(&target.target.account), object) {
                let slot = slots.remove(&target.target.target.id);
                open.desk.wake(object, slot);
            }
        }
        slots
    }

    /// The ledger was replaced: nothing that was loaded from it counts any more.
    pub(crate) fn ledger_replaced(&self) {
        for open in self.desks.lock().values() {
            open.desk.ledger_replaced();
        }
    }

    fn desk(&self, account: i64) -> Option<Arc<Desk>> {
        let desks = self.desks.lock();
        desks.get(&account).map(|open| Arc::clone(&open.desk))
    }

    /// Opens desks for the accounts held and closes all others.
    fn arrange(&self, engine: &Arc<Engine>, held: &[i64]) {
        let directory = self.directory.load();
        let mut desks = self.desks.lock();
        desks.retain(|account, open| {
            let stays = held.contains(account) && directory.account(*account).is_some();
            if !stays {
                open.stop.cancel();
                engine.alarms().clear_about(&open.name);
            }
            stays
        });
        for account in held {
            let Some(entry) = directory.account(*account) else {
                continue;
            };
            if desks.contains_key(account) {
                continue;
            }
            let stop = CancellationToken::new();
            let desk = Desk::open(Arc::clone(engine), entry, stop.clone(), &self.tasks);
            let name = entry.account.name.clone();
            desks.insert(*account, OpenDesk { desk, stop, name });
        }
    }

    fn close_all(&self) {
        for (_, open) in self.desks.lock().drain() {
            open.stop.cancel();
        }
    }
}

impl Engine {
    /// Vendors' CDNs.
    pub fn cdns(&self) -> &Cdns {
        &self.cdns
    }

    /// Takes leases and keeps a desk at work for each account held, until told to stop; then gives
    /// calls that are out a moment to come to their end.
    pub(crate) async fn drive_cdns(self: &Arc<Self>, shutdown: &CancellationToken) {
        let cdns = &self.cdns;
        let mut renewed: Option<tokio::time::Instant> = None;
        while !shutdown.is_cancelled() {
            let asked = tokio::time::Instant::now();
            match self.ledger().lease_accounts(&cdns.holder, LEASE).await {
                Ok(held) => {
                    renewed = Some(asked);
                    cdns.arrange(self, &held);
                }
                Err(error) => {
                    self.ledger_failed(&error);
                    // A lease that may have run out is another server's by now.
                    let lost = renewed.is_none_or(|at| at.elapsed() + RENEW >= LEASE);
                    if lost && !self.ledger().is_exclusive() {
                        cdns.close_all();
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(RENEW) => {}
                () = cdns.changed.notified() => {}
                () = shutdown.cancelled() => {}
            }
        }
        cdns.close_all();
        cdns.tasks.close();
        cdns.tasks.wait().await;
        if let Err(error) = self.ledger().release_accounts(&cdns.holder).await {
            tracing::debug!(%error, "leases on accounts run out by themselves");
        }
    }

    /// The names of objects in logs.
    pub(crate) fn shown_object(key: &ObjectKey) -> String {
        format!("{}/{}", key.site, key.stream)
    }
}

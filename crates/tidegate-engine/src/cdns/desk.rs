//! The desk of one account: all that this server does with it goes through one task.
//!
//! Level-triggered on the ledger: whatever wakes an object, its owners are read afresh. Objects
//! that rest are not kept in memory; the ledger knows when they are due.

mod draw;
mod entry;
mod load;
mod persist;
mod settle;
mod tell;
mod watchdog;
mod work;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use parking_lot::Mutex;
use tidegate_core::backoff::Now;
use tidegate_core::budget::Budget;
use tidegate_core::placement::Observed;
use tidegate_core::reconcile::Standing;
use tidegate_core::{StreamKey, UnixMs};
use tidegate_ledger::cdns::ObjectKey;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use self::draw::Drawn;
use super::call::Called;
use super::directory::AccountEntry;
use super::drift::{self, DriftView};
use super::gather::Slot;
use super::limits;
use super::prober;
use crate::engine::Engine;

/// The handle of a desk.
pub(crate) struct Desk {
    events: UnboundedSender<Event>,
    pub(crate) budget: Mutex<Budget>,
    /// The budget goes on where an earlier holder of the account left it.
    restored: AtomicBool,
    view: Mutex<DeskView>,
    /// The earliest look that is due, on the steady clock.
    pub(crate) next_look: AtomicI64,
    pub(crate) look_added: Notify,
    first_looks: Mutex<Vec<(StreamKey, i64)>>,
}

pub(crate) enum Event {
    /// Something was decided.
    Wake(ObjectKey, Option<Slot>),
    /// A call has ended.
    Called(Box<Called>),
    /// The stream of an object was looked at.
    Seen(ObjectKey, Observed),
    /// The object was compared with the vendor's list, as of an instant of the wall clock.
    Listed(ObjectKey, Standing, UnixMs),
    /// Something was drawn from the budget beside the queue; to be told once that is kept.
    Drawn(oneshot::Sender<()>),
    /// Accounts or targets changed.
    Directory,
    /// The ledger was replaced.
    Replaced,
}

/// How an account fares, for people and metrics.
#[derive(Clone, Debug, Default)]
pub struct DeskView {
    /// Objects that are not at their block.
    pub pending: usize,
    /// Of those, refused for good until somebody acts.
    pub refused: usize,
    /// Of those, without room in the vendor's list.
    pub list_full: usize,
    /// Since when the oldest of them has been wanted.
    pub oldest: Option<UnixMs>,
    /// Calls that are out.
    pub in_flight: usize,
    /// Calls wait because the account failed again and again.
    pub breaker_open: bool,
    /// For each published limit, in words: calls that count against it, and how many it allows.
    pub limits: Vec<(String, u32, u32)>,
    /// Bans believed to stand, and the most there may be.
    pub standing: (u32, Option<u32>),
    /// The last failure.
    pub last_error: Option<(UnixMs, String)>,
    /// The last call that the vendor took.
    pub last_success: Option<UnixMs>,
    /// What the last comparison with the vendor's lists showed.
    pub drift: Option<DriftView>,
    /// Calls by kind and class.
    pub calls: BTreeMap<(&'static str, &'static str), u64>,
}

/// What holds back the work of an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Held {
    /// Why, in words.
    pub why: String,
    /// Until when on the steady clock, where that is known.
    pub until: Option<UnixMs>,
}

impl Desk {
    /// Puts a task to work on the account, until `stop`.
    pub(crate) fn open(
        engine: Arc<Engine>,
        account: &Arc<AccountEntry>,
        stop: CancellationToken,
        tasks: &TaskTracker,
    ) -> Arc<Self> {
        let (events, inbox) = unbounded_channel();
        let desk = Arc::new(Self {
            events,
            budget: Mutex::new(limits::budget(account.signer.vendor(), Default::default())),
            restored: AtomicBool::new(false),
            view: Mutex::default(),
            next_look: AtomicI64::new(i64::MIN),
            look_added: Notify::new(),
            first_looks: Mutex::default(),
        });
        let (beside, beside_stop) = (Arc::clone(&engine), stop.clone());
        let work = work::Work::new(engine, Arc::clone(account), Arc::clone(&desk), stop);
        tasks.spawn(run(work, inbox));
        tasks.spawn(drift::run(
            Arc::clone(&beside),
            Arc::clone(account),
            Arc::clone(&desk),
            beside_stop.clone(),
        ));
        tasks.spawn(prober::run(
            beside,
            Arc::clone(account),
            Arc::clone(&desk),
            beside_stop,
        ));
        desk
    }

    pub(crate) fn wake(&self, key: ObjectKey, slot: Option<Slot>) {
        self.send(Event::Wake(key, slot));
    }

    pub(crate) fn directory_changed(&self) {
        self.look_added.notify_one();
        self.send(Event::Directory);
    }

    pub(crate) fn ledger_replaced(&self) {
        self.send(Event::Replaced);
    }

    pub(crate) fn seen(&self, key: ObjectKey, seen: Observed) {
        self.send(Event::Seen(key, seen));
    }

    pub(crate) fn listed(&self, key: ObjectKey, standing: Standing, looked: UnixMs) {
        self.send(Event::Listed(key, standing, looked));
    }

    pub(crate) fn compared(&self, drift: DriftView) {
        self.update(|view| view.drift = Some(drift));
    }

    /// How the account fares.
    pub(crate) fn view(&self) -> DeskView {
        self.view.lock().clone()
    }

    /// A look is due then, on the steady clock.
    pub(crate) fn look_due(&self, at: UnixMs) {
        if at.0 < self.next_look.fetch_min(at.0, Ordering::Relaxed) {
            self.look_added.notify_one();
        }
    }

    /// The stream is about to be cut on this target: whoever wants to see it live looks now.
    pub(crate) fn look_first(&self, stream: StreamKey, target: i64) {
        self.first_looks.lock().push((stream, target));
        self.look_added.notify_one();
    }

    pub(crate) fn take_first_looks(&self) -> Vec<(StreamKey, i64)> {
        std::mem::take(&mut *self.first_looks.lock())
    }

    fn sender(&self) -> UnboundedSender<Event> {
        self.events.clone()
    }

    fn send(&self, event: Event) {
        // A desk that is closed has no use for it: whoever drives the account next reads it all.
        let _ = self.events.send(event);
    }

    fn update(&self, update: impl FnOnce(&mut DeskView)) {
        update(&mut self.view.lock());
    }
}

/// Most events taken at once.
const EVENTS: usize = 1024;

async fn run(mut work: work::Work, mut inbox: UnboundedReceiver<Event>) {
    work.restore_budget().await;
    let mut events = Vec::new();
    loop {
        work.turn(&mut events).await;
        if work.is_finished() {
            return work.close();
        }
        let pause = work.pause();
        tokio::select! {
            _ = inbox.recv_many(&mut events, EVENTS) => {}
            () = tokio::time::sleep(pause) => {}
            () = work.stopped() => work.stop(),
        }
    }
}

/// How far a deadline on the steady clock is away.
fn until(deadline: UnixMs, now: Now) -> std::time::Duration {
    now.steady.until(deadline)
}

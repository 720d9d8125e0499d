//! The open connections, and which one goes when there are too many.
//!
//! Idle connections must never keep a takedown out: at the limit the oldest idle one is closed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// All open connections.
#[derive(Default)]
pub(crate) struct Connections {
    next: AtomicU64,
    open: Mutex<BTreeMap<u64, Arc<State>>>,
}

#[derive(Default)]
struct State {
    is_busy: AtomicBool,
    evict: CancellationToken,
}

/// One open connection; dropping it makes room.
pub(crate) struct Connection {
    all: Arc<Connections>,
    id: u64,
    state: Arc<State>,
}

impl Connections {
    /// Takes up a connection. `None`: there are `limit`, and each is in the middle of a request.
    pub(crate) fn open(self: &Arc<Self>, limit: usize) -> Option<Connection> {
        let mut open = self.open.lock();
        if open.len() >= limit {
            let idle = |(_, state): &(&u64, &Arc<State>)| !state.is_busy.load(Relaxed);
            let oldest = open.iter().find(idle).map(|(id, _)| *id)?;
            if let Some(state) = open.remove(&oldest) {
                state.evict.cancel();
            }
        }
        let id = self.next.fetch_add(1, Relaxed);
        let state = Arc::new(State::default());
        open.insert(id, Arc::clone(&state));
        Some(Connection {
            all: Arc::clone(self),
            id,
            state,
        })
    }

    /// How many are open.
    pub(crate) fn count(&self) -> usize {
        self.open.lock().len()
    }
}

impl Connection {
    /// Marks the start and the end of a request.
    pub(crate) fn set_busy(&self, busy: bool) {
        self.state.is_busy.store(busy, Relaxed);
    }

    /// Whether a request is under way.
    pub(crate) fn is_busy(&self) -> bool {
        self.state.is_busy.load(Relaxed)
    }

    /// Resolves when another connection needs the room.
    pub(crate) async fn evicted(&self) {
        self.state.evict.cancelled().await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.all.open.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_idle_connection_makes_room() {
        let all = Arc::new(Connections::default());
        let busy = all.open(2).expect("room");
        busy.set_busy(true);
        let idle = all.open(2).expect("room");
        let newest = all.open(2).expect("the idle one goes");
        assert!(idle.state.evict.is_cancelled() && !busy.state.evict.is_cancelled());
        newest.set_busy(true);
        assert!(all.open(2).is_none(), "both are busy");
        drop(newest);
        assert!(all.open(2).is_some());
    }
}

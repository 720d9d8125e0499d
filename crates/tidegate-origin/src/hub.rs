//! The table of live streams, and the cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tidegate_core::{AppId, StreamKey, UnixMs};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::gate::Refusal;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::stream::{Ending, Stream, StreamInfo};

/// All live streams. Cheap to clone; all clones are the same table.
#[derive(Clone)]
pub struct Hub {
    pub(crate) shared: Arc<Shared>,
}

/// What everything in the origin shares.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) metrics: Arc<Metrics>,
    /// Cancelled when the time for a polite end is over.
    pub(crate) abort: CancellationToken,
    pub(crate) tasks: TaskTracker,
    /// Cancelled when the origin stops: nothing starts any more.
    pub(crate) stop: CancellationToken,
    streams: Mutex<FxHashMap<StreamKey, Arc<Stream>>>,
}

/// What a cut met.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Cut {
    /// Publishers that are being closed.
    pub publishers: u32,
    /// Players that are being closed.
    pub players: u32,
}

/// Why a publish cannot be registered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Busy {
    AlreadyLive,
    Closing,
}

pub(crate) fn wall_clock() -> UnixMs {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    UnixMs(0).plus(since.unwrap_or_default())
}

impl Shared {
    /// Runs a task that a stop waits for, and ends when waiting is over.
    pub(crate) fn spawn(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        let abort = self.abort.clone();
        self.tasks.spawn(async move {
            abort.run_until_cancelled(task).await;
        });
    }
}

impl Hub {
    /// An empty table.
    pub fn new(options: &Options) -> Self {
        Self {
            shared: Arc::new(Shared {
                options: options.clone(),
                metrics: Arc::default(),
                abort: CancellationToken::new(),
                tasks: TaskTracker::new(),
                stop: CancellationToken::new(),
                streams: Mutex::default(),
            }),
        }
    }

    /// Takes a stream off the air: its publisher and players are told `why` and closed, its GOP
    /// cache is emptied. Returns at once; the sockets close within milliseconds. The block must
    /// already be standing at the gate, or the publisher may be back before the players are gone.
    pub fn cut(&self, key: &StreamKey, why: &Refusal) -> Cut {
        let stream = self.shared.streams.lock().remove(key);
        stream.map_or_else(Cut::default, |s| self.cut_stream(&s, why))
    }

    /// As [`Hub::cut`], for every stream of an App.
    pub fn cut_app(&self, app: AppId, why: &Refusal) -> Cut {
        let mut streams = Vec::new();
        self.shared.streams.lock().retain(|key, stream| {
            let stays = key.app != app;
            if !stays {
                streams.push(Arc::clone(stream));
            }
            stays
        });
        streams.iter().fold(Cut::default(), |sum, stream| {
            let cut = self.cut_stream(stream, why);
            Cut {
                publishers: sum.publishers + cut.publishers,
                players: sum.players.saturating_add(cut.players),
            }
        })
    }

    fn cut_stream(&self, stream: &Stream, why: &Refusal) -> Cut {
        let players = u32::try_from(stream.players()).unwrap_or(u32::MAX);
        let ending = Ending::Cut {
            why: why.clone(),
            at: Instant::now(),
        };
        if !stream.end(ending) {
            return Cut::default();
        }
        self.shared.metrics.cut_publishers.add(1);
        tracing::info!(stream = %stream.key, players, "cut: {why}");
        Cut {
            publishers: 1,
            players,
        }
    }

    /// The live streams, of one App or of all, in no order.
    pub fn streams(&self, app: Option<AppId>) -> Vec<StreamInfo> {
        let streams: Vec<_> = {
            let table = self.shared.streams.lock();
            let wanted = table
                .values()
                .filter(|s| app.is_none_or(|a| s.key.app == a));
            wanted.cloned().collect()
        };
        streams.iter().map(|s| s.info()).collect()
    }

    /// One live stream.
    pub fn stream(&self, key: &StreamKey) -> Option<StreamInfo> {
        self.live(key).map(|s| s.info())
    }

    /// The origin's counters.
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.shared.metrics)
    }

    pub(crate) fn live(&self, key: &StreamKey) -> Option<Arc<Stream>> {
        self.shared.streams.lock().get(key).cloned()
    }

    /// Registers a publisher. `wake` is notified when its stream is ended from elsewhere.
    pub(crate) fn publish(
        &self,
        key: StreamKey,
        peer: SocketAddr,
        wake: Arc<Notify>,
    ) -> Result<Publication, Busy> {
        let mut streams = self.shared.streams.lock();
        // Looked at under the lock, so that a stop sees every stream or refuses it.
        if self.shared.stop.is_cancelled() {
            return Err(Busy::Closing);
        }
        if streams.contains_key(&key) {
            return Err(Busy::AlreadyLive);
        }
        let stream = Stream::new(Arc::clone(&self.shared), key.clone(), peer, wake);
        let stream = Arc::new(stream);
        streams.insert(key, Arc::clone(&stream));
        drop(streams);
        self.shared.metrics.publishers.rise();
        Ok(Publication {
            hub: self.clone(),
            stream,
        })
    }

    /// Ends every stream and lets none start.
    pub(crate) fn close(&self) {
        let streams: Vec<_> = {
            let mut table = self.shared.streams.lock();
            self.shared.stop.cancel();
            table.drain().map(|(_, stream)| stream).collect()
        };
        for stream in streams {
            stream.end(Ending::Shutdown);
        }
    }
}

/// A registered publisher; dropping it takes the stream off the table.
pub(crate) struct Publication {
    hub: Hub,
    pub(crate) stream: Arc<Stream>,
}

impl Drop for Publication {
    fn drop(&mut self) {
        let mut streams = self.hub.shared.streams.lock();
        // After a cut, the name may already belong to another publisher.
        if streams
            .get(&self.stream.key)
            .is_some_and(|s| Arc::ptr_eq(s, &self.stream))
        {
            streams.remove(&self.stream.key);
        }
        drop(streams);
        self.stream.end(Ending::Unpublished);
        self.hub.shared.metrics.publishers.fall();
    }
}

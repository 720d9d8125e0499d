//! One live stream: its headers and GOP cache, and the hand-over to its distributors.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tidegate_core::{StreamKey, UnixMs};
use tidegate_media::packet::Codec;
use tokio::sync::Notify;

use crate::distributor;
use crate::frame::{Frame, Headers};
use crate::gate::Refusal;
use crate::gop::{FRAME_COST, Gop};
use crate::hub::Shared;
use crate::metrics::Protocol;
use crate::player::Player;

/// Why a stream is over.
#[derive(Clone, Debug)]
pub(crate) enum Ending {
    /// The publisher left or was lost.
    Unpublished,
    /// It may not be on the air.
    Cut {
        /// Why.
        why: Refusal,
        /// When it was asked for.
        at: Instant,
    },
    /// The server stops.
    Shutdown,
}

/// What is known about a live stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StreamInfo {
    /// Which one.
    pub key: StreamKey,
    /// The publisher's address.
    pub publisher: SocketAddr,
    /// When the publish was accepted.
    pub since: UnixMs,
    /// As far as packets told.
    pub video: Option<Codec>,
    /// As far as packets told.
    pub audio: Option<Codec>,
    /// Players, all protocols.
    pub players: u64,
    /// Media bytes received.
    pub bytes_in: u64,
    /// Bytes written to players.
    pub bytes_out: u64,
    /// What the publisher sent over the last whole second.
    pub kbit_per_s: u64,
}

/// A live stream, shared by its publisher, its distributors and the hub.
pub(crate) struct Stream {
    pub(crate) key: StreamKey,
    pub(crate) shared: Arc<Shared>,
    publisher: SocketAddr,
    since: UnixMs,
    born: Instant,
    is_ended: AtomicBool,
    wake_publisher: Arc<Notify>,
    wake_distributors: Box<[Notify]>,
    players: AtomicUsize,
    bytes_out: AtomicU64,
    state: Mutex<State>,
}

struct State {
    ending: Option<Ending>,
    headers: Arc<Headers>,
    gop: Gop,
    inboxes: Box<[Inbox]>,
    bytes_in: u64,
    rate: Rate,
}

/// What waits for one distributor.
#[derive(Default)]
struct Inbox {
    runs: bool,
    players: usize,
    frames: Vec<Frame>,
    bytes: usize,
    waits_for_key: bool,
    joins: Vec<Player>,
}

/// What a distributor takes out of its inbox.
pub(crate) struct Intake {
    pub(crate) frames: Vec<Frame>,
    pub(crate) joins: Vec<Player>,
    pub(crate) ending: Option<Ending>,
}

struct Rate {
    from: Instant,
    bytes: u64,
    kbit_per_s: u64,
}

impl Rate {
    fn add(&mut self, now: Instant, bytes: u64) {
        self.bytes += bytes;
        let span = now.duration_since(self.from);
        if span >= Duration::from_secs(1) {
            let ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1);
            self.kbit_per_s = self.bytes.saturating_mul(8) / ms;
            self.bytes = 0;
            self.from = now;
        }
    }

    fn at(&self, now: Instant) -> u64 {
        let is_stale = now.duration_since(self.from) > Duration::from_secs(3);
        if is_stale { 0 } else { self.kbit_per_s }
    }
}

/// Players that one distributor takes before the next one is started.
const PLAYERS_BEFORE_SPREADING: usize = 256;

impl Stream {
    pub(crate) fn new(
        shared: Arc<Shared>,
        key: StreamKey,
        publisher: SocketAddr,
        wake_publisher: Arc<Notify>,
    ) -> Self {
        let options = &shared.options;
        let distributors = options.distributors.max(1);
        let now = Instant::now();
        let state = State {
            ending: None,
            headers: Arc::default(),
            gop: Gop::new(options.gop_bytes, options.gop_duration),
            inboxes: (0..distributors).map(|_| Inbox::default()).collect(),
            bytes_in: 0,
            rate: Rate {
                from: now,
                bytes: 0,
                kbit_per_s: 0,
            },
        };
        Self {
            key,
            publisher,
            since: crate::hub::wall_clock(),
            born: now,
            is_ended: AtomicBool::new(false),
            wake_publisher,
            wake_distributors: (0..distributors).map(|_| Notify::new()).collect(),
            players: AtomicUsize::new(0),
            bytes_out: AtomicU64::new(0),
            state: Mutex::new(state),
            shared,
        }
    }

    /// Takes in a frame from the publisher and hands it to the distributors. False once the
    /// stream is over.
    pub(crate) fn push(&self, frame: Frame) -> bool {
        let size = frame.payload.len();
        let mut state = self.state.lock();
        if state.ending.is_some() {
            return false;
        }
        let state = &mut *state;
        state.bytes_in += size as u64;
        state.rate.add(Instant::now(), size as u64);
        self.shared.metrics.bytes_in.add(size as u64);
        if state.headers.is_changed_by(&frame) {
            Arc::make_mut(&mut state.headers).note(&frame);
        }
        state.gop.push(&frame);
        let most = self.shared.options.player_queue_bytes;
        let has_keys = state.headers.seen_key;
        for (inbox, wake) in state.inboxes.iter_mut().zip(&self.wake_distributors) {
            if inbox.runs && inbox.push(&frame, most, has_keys) {
                wake.notify_one();
            }
        }
        true
    }

    /// Ends the stream, empties its caches and wakes everybody. Returns false when it had ended.
    pub(crate) fn end(&self, ending: Ending) -> bool {
        {
            let mut state = self.state.lock();
            if state.ending.is_some() {
                return false;
            }
            if matches!(ending, Ending::Cut { .. }) {
                for inbox in &mut state.inboxes {
                    inbox.clear();
                }
            }
            state.gop.clear();
            state.ending = Some(ending);
            self.is_ended.store(true, SeqCst);
        }
        for wake in &self.wake_distributors {
            wake.notify_one();
        }
        // Woken last, a task runs first when the caller is on the same worker thread.
        self.wake_publisher.notify_one();
        true
    }

    /// Whether the stream is over. Cheap enough to ask before each write.
    pub(crate) fn is_ended(&self) -> bool {
        self.is_ended.load(SeqCst)
    }

    /// Why it is over, once it is.
    pub(crate) fn ending(&self) -> Option<Ending> {
        self.state.lock().ending.clone()
    }

    /// Counts a player in, as long as the stream is live.
    pub(crate) fn ticket(self: &Arc<Self>, protocol: Protocol) -> Option<Ticket> {
        // Counted first, so that a cut never misses a player that it will end.
        let ticket = Ticket::new(Arc::clone(self), protocol);
        (!self.is_ended()).then_some(ticket)
    }

    /// Hands a player to a distributor. If the stream is over, that distributor ends it.
    pub(crate) fn join(self: &Arc<Self>, player: Player) {
        let mut state = self.state.lock();
        let at = state.least_loaded();
        let State {
            inboxes,
            gop,
            headers,
            ..
        } = &mut *state;
        let Some(inbox) = inboxes.get_mut(at) else {
            return;
        };
        inbox.joins.push(player);
        inbox.players += 1;
        if inbox.runs {
            if let Some(wake) = self.wake_distributors.get(at) {
                wake.notify_one();
            }
            return;
        }
        inbox.runs = true;
        inbox.frames.extend_from_slice(gop.frames());
        let headers = Arc::clone(headers);
        drop(state);
        let task = distributor::run(Arc::clone(self), at, headers);
        self.shared.spawn(task);
    }

    /// Empties a distributor's inbox.
    pub(crate) fn take(&self, at: usize) -> Intake {
        let mut state = self.state.lock();
        let ending = state.ending.clone();
        let (frames, joins) = state
            .inboxes
            .get_mut(at)
            .map_or_else(Default::default, |i| {
                i.bytes = 0;
                (std::mem::take(&mut i.frames), std::mem::take(&mut i.joins))
            });
        Intake {
            frames,
            joins,
            ending,
        }
    }

    /// Tells how many players a distributor has. With none, it is to stop if this returns true.
    pub(crate) fn settle(&self, at: usize, players: usize) -> bool {
        let mut state = self.state.lock();
        let Some(inbox) = state.inboxes.get_mut(at) else {
            return true;
        };
        inbox.players = players + inbox.joins.len();
        let stops = inbox.players == 0;
        if stops {
            *inbox = Inbox::default();
        }
        stops
    }

    /// Waits until there is something for a distributor.
    pub(crate) async fn woken(&self, at: usize) {
        match self.wake_distributors.get(at) {
            Some(wake) => wake.notified().await,
            None => std::future::pending().await,
        }
    }

    /// How long it has been live.
    pub(crate) fn age(&self) -> Duration {
        self.born.elapsed()
    }

    /// How many players it has.
    pub(crate) fn players(&self) -> usize {
        self.players.load(Relaxed)
    }

    pub(crate) fn count_out(&self, bytes: u64) {
        self.bytes_out.fetch_add(bytes, Relaxed);
        self.shared.metrics.bytes_out.add(bytes);
    }

    pub(crate) fn info(&self) -> StreamInfo {
        let state = self.state.lock();
        StreamInfo {
            key: self.key.clone(),
            publisher: self.publisher,
            since: self.since,
            video: state.headers.video_codec,
            audio: state.headers.audio_codec,
            players: self.players() as u64,
            bytes_in: state.bytes_in,
            bytes_out: self.bytes_out.load(Relaxed),
            kbit_per_s: state.rate.at(Instant::now()),
        }
    }

    #[cfg(test)]
    pub(crate) fn cached_frames(&self) -> usize {
        self.state.lock().gop.frames().len()
    }
}

impl State {
    fn least_loaded(&self) -> usize {
        let loads = || self.inboxes.iter().map(|i| i.players).enumerate();
        let roomy = loads().find(|(_, load)| *load < PLAYERS_BEFORE_SPREADING);
        let (at, _) = roomy
            .or_else(|| loads().min_by_key(|(_, load)| *load))
            .unwrap_or((0, 0));
        at
    }
}

impl Inbox {
    /// A distributor that is not scheduled for long must not let this grow: what does not fit is
    /// dropped up to the next key frame. Returns whether there is something to wake up for.
    fn push(&mut self, frame: &Frame, most: usize, has_keys: bool) -> bool {
        if frame.is_key() {
            self.waits_for_key = false;
        }
        if self.waits_for_key {
            return false;
        }
        if self.bytes > most {
            self.clear();
            self.waits_for_key = has_keys;
            return false;
        }
        self.bytes += frame.payload.len() + FRAME_COST;
        self.frames.push(frame.clone());
        self.frames.len() == 1
    }

    fn clear(&mut self) {
        self.bytes = 0;
        self.frames = Vec::new();
    }
}

/// A player's place in the counts; given back when dropped.
pub(crate) struct Ticket {
    pub(crate) stream: Arc<Stream>,
    pub(crate) protocol: Protocol,
}

impl Ticket {
    fn new(stream: Arc<Stream>, protocol: Protocol) -> Self {
        stream.players.fetch_add(1, SeqCst);
        stream.shared.metrics.players(protocol).rise();
        Self { stream, protocol }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let metrics = &self.stream.shared.metrics;
        metrics.players(self.protocol).fall();
        let was_last = self.stream.players.fetch_sub(1, SeqCst) == 1;
        if self.stream.is_ended()
            && let Some(Ending::Cut { at, .. }) = self.stream.ending()
        {
            metrics.cut_players.add(1);
            if was_last {
                metrics.cut_to_players_closed.observe(at.elapsed());
            }
        }
    }
}

//! The task that owns some of a stream's players and writes to them.
//!
//! One pass visits every player once: a system call each, no wake-ups, no locks. With few players
//! a pass follows each frame at once; with many, frames are held back for a moment so that one
//! write carries more of them. A cut is looked for before each write.

pub(crate) mod preludes;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{sleep, sleep_until, timeout};

use self::preludes::Preludes;
use crate::container::FlvFlags;
use crate::frame::Headers;
use crate::player::{Goodbye, Leave, Limits, Pass, Player};
use crate::player_input::InputError;
use crate::queue::{Bounds, Queue};
use crate::stream::{Ending, Intake, Stream};

/// Longest that a pass keeps its thread from other tasks.
const SLICE: Duration = Duration::from_micros(500);

/// Players between two looks at the clock.
const STRIDE: usize = 16;

/// With fewer players than this on the whole server, media is not held back.
const PLAYERS_BEFORE_HOLDING: u32 = 128;

/// The time between two passes with many players: a part that lets a frame or two gather, and a
/// part that grows with what a pass costs beside the bytes.
const HOLD: Duration = Duration::from_millis(10);

/// See [`HOLD`].
const HOLD_PER_PLAYER: Duration = Duration::from_micros(18);

/// How often players are looked at when no media comes.
const IDLE_PASS: Duration = Duration::from_secs(1);

/// How often, when some of them are behind.
const RETRY_PASS: Duration = Duration::from_millis(50);

/// Room for what players send, looked at in each pass.
const SCRATCH: usize = 4096;

/// How often the players that are slow to take their goodbye are tried again.
const GOODBYE_RETRY: Duration = Duration::from_millis(5);

/// Serves the players of distributor number `at` until the stream ends or none is left.
pub(crate) async fn run(stream: Arc<Stream>, at: usize, headers: Arc<Headers>) {
    Box::pin(Distributor::new(stream, at, headers).run()).await;
}

struct Distributor {
    stream: Arc<Stream>,
    at: usize,
    queue: Queue,
    players: Vec<Player>,
    preludes: Preludes,
    scratch: Box<[u8]>,
    limits: Limits,
}

impl Distributor {
    fn new(stream: Arc<Stream>, at: usize, headers: Arc<Headers>) -> Self {
        let options = &stream.shared.options;
        let bounds = Bounds {
            gop_bytes: options.gop_bytes,
            gop_ms: u32::try_from(options.gop_duration.as_millis()).unwrap_or(u32::MAX),
            behind_bytes: options.player_queue_bytes,
        };
        let limits = Limits {
            blocked: options.write_timeout,
            behind: options.player_queue_time,
            behind_bytes: options.player_queue_bytes.max(options.gop_bytes) as u64,
        };
        Self {
            at,
            queue: Queue::new(headers, bounds),
            players: Vec::new(),
            preludes: Preludes::default(),
            scratch: vec![0; SCRATCH].into(),
            limits,
            stream,
        }
    }

    async fn run(mut self) {
        loop {
            let started = Instant::now();
            let ending = self.take_in();
            if let Some(ending) = ending {
                return self.end(ending).await;
            }
            let is_behind = self.pass().await;
            if self.stream.is_ended() {
                continue;
            }
            if self.stream.settle(self.at, self.players.len()) {
                return;
            }
            let idle = if is_behind { RETRY_PASS } else { IDLE_PASS };
            let _ = timeout(idle, self.stream.woken(self.at)).await;
            self.hold(started).await;
        }
    }

    /// Lets frames gather until the next pass is worth its cost.
    async fn hold(&self, last_pass: Instant) {
        let options = &self.stream.shared.options;
        let all = self.stream.shared.metrics.all_players();
        let all = u32::try_from(all).unwrap_or(u32::MAX);
        if all < PLAYERS_BEFORE_HOLDING {
            return;
        }
        let hold = HOLD + HOLD_PER_PLAYER.saturating_mul(all);
        let due = last_pass + hold.min(options.max_batch);
        while !self.stream.is_ended() && Instant::now() < due {
            tokio::select! {
                () = sleep_until(due.into()) => {}
                () = self.stream.woken(self.at) => {}
            }
        }
    }

    fn take_in(&mut self) -> Option<Ending> {
        let Intake {
            frames,
            joins,
            ending,
        } = self.stream.take(self.at);
        self.queue.push(frames);
        for mut player in joins {
            player.place(&mut self.queue);
            tracing::debug!(stream = %self.stream.key, peer = %player.peer(), "player joined");
            self.players.push(player);
        }
        ending
    }

    /// Visits every player once. Returns whether some are behind.
    ///
    /// Frames that arrive meanwhile go to the players that are yet to be visited, so that none of
    /// them waits for longer than the time between two visits.
    async fn pass(&mut self) -> bool {
        let headers = self.queue.headers();
        // Until a second has passed, what was not seen may still come.
        let is_young = self.stream.age() < Duration::from_secs(1);
        let flags = FlvFlags {
            audio: is_young || headers.has_audio,
            video: is_young || headers.has_video,
        };
        let mut slice = Instant::now();
        let mut now = slice;
        let mut at = 0;
        let mut visited = 0_usize;
        let mut is_behind = false;
        let mut needed = self.queue.end();
        while at < self.players.len() && !self.stream.is_ended() {
            visited += 1;
            if visited.is_multiple_of(STRIDE) {
                now = Instant::now();
                if now.duration_since(slice) >= SLICE {
                    tokio::task::yield_now().await;
                    slice = Instant::now();
                    self.take_in();
                }
            }
            let mut pass = Pass {
                queue: &self.queue,
                preludes: &mut self.preludes,
                flags,
                now,
                limits: self.limits,
                scratch: &mut self.scratch,
                written: 0,
                skips: 0,
            };
            let Some(player) = self.players.get_mut(at) else {
                break;
            };
            let result = player.step(&mut pass);
            self.stream.count_out(pass.written);
            if pass.skips > 0 {
                self.stream.shared.metrics.skips.add(pass.skips);
            }
            match result {
                Ok(()) => {
                    is_behind |= !player.is_caught_up(&self.queue);
                    needed = needed.min(player.next());
                    at += 1;
                }
                Err(leave) => self.remove(at, &leave),
            }
        }
        self.queue.trim(needed);
        is_behind
    }

    fn remove(&mut self, at: usize, leave: &Leave) {
        let player = self.players.swap_remove(at);
        let (stream, peer) = (&self.stream.key, player.peer());
        let metrics = &self.stream.shared.metrics;
        match leave {
            Leave::Left | Leave::Input(InputError::Goodbye) => {
                tracing::debug!(%stream, %peer, "player {leave}");
            }
            Leave::Stuck(_) => {
                metrics.dropped_players.add(1);
                tracing::info!(%stream, %peer, "player {leave}");
                player.abort();
            }
            Leave::Input(_) => {
                metrics.protocol_errors.add(1);
                tracing::info!(%stream, %peer, "player {leave}");
            }
        }
    }

    /// Ends every player, each in its protocol's way.
    async fn end(mut self, ending: Ending) {
        let options = &self.stream.shared.options;
        let (grace, words, code) = match &ending {
            Ending::Cut { why, .. } => (options.cut_grace, why.to_string(), 1008),
            Ending::Unpublished => (options.cut_grace, "the stream has ended".to_owned(), 1000),
            Ending::Shutdown => (options.cut_grace, "the server is stopping".to_owned(), 1001),
        };
        if matches!(ending, Ending::Cut { .. }) {
            self.queue.clear();
        } else {
            self.drain().await;
        }
        let goodbye = Goodbye {
            code,
            words: &words,
        };
        let (mut done, mut slow) = (Vec::new(), Vec::new());
        let mut slice = Instant::now();
        for mut player in std::mem::take(&mut self.players) {
            player.say_goodbye(&goodbye);
            if player.finish(&mut self.scratch) {
                done.push(player);
            } else {
                slow.push(player);
            }
            if slice.elapsed() >= SLICE {
                tokio::task::yield_now().await;
                slice = Instant::now();
            }
        }
        while !done.is_empty() {
            done.truncate(done.len().saturating_sub(STRIDE));
            tokio::task::yield_now().await;
        }
        let deadline = Instant::now() + grace;
        while !slow.is_empty() && Instant::now() < deadline {
            sleep(GOODBYE_RETRY).await;
            slow.retain_mut(|player| !player.finish(&mut self.scratch));
        }
        slow.into_iter().for_each(Player::abort);
        self.end_late_joiners(&goodbye);
    }

    /// Those who were handed over while the others were being ended.
    fn end_late_joiners(&mut self, goodbye: &Goodbye<'_>) {
        loop {
            for mut player in self.stream.take(self.at).joins {
                player.place(&mut self.queue);
                player.say_goodbye(goodbye);
                player.finish(&mut self.scratch);
            }
            if self.stream.settle(self.at, 0) {
                return;
            }
        }
    }

    /// Lets players receive what is queued after a regular end.
    async fn drain(&mut self) {
        let deadline = Instant::now() + self.stream.shared.options.drain;
        loop {
            let flags = FlvFlags {
                audio: self.queue.headers().has_audio,
                video: self.queue.headers().has_video,
            };
            let mut is_behind = false;
            let mut at = 0;
            while let Some(player) = self.players.get_mut(at) {
                let mut pass = Pass {
                    queue: &self.queue,
                    preludes: &mut self.preludes,
                    flags,
                    now: Instant::now(),
                    limits: self.limits,
                    scratch: &mut self.scratch,
                    written: 0,
                    skips: 0,
                };
                let result = player.step(&mut pass);
                self.stream.count_out(pass.written);
                match result {
                    Ok(()) => {
                        is_behind |= !player.is_caught_up(&self.queue);
                        at += 1;
                    }
                    Err(leave) => self.remove(at, &leave),
                }
                if at.is_multiple_of(STRIDE) {
                    tokio::task::yield_now().await;
                }
            }
            if !is_behind || Instant::now() >= deadline {
                return;
            }
            sleep(GOODBYE_RETRY).await;
        }
    }
}

//! The load side: one thread that publishes one stream, holds thousands of players and makes API
//! calls, noting when each thing is seen.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::player::{Player, Source};
use crate::poll::{Got, Interest, Poller, Ready, read};
use crate::process::own_cpu_seconds;
use crate::publisher::Publisher;
use crate::report;
use crate::rtmp::Target;
use crate::stats::{Lags, Samples, float, float64};
use crate::verify::Findings;

const PUBLISHER: u64 = u64::MAX;
const CALL: u64 = u64::MAX - 1;

/// How often the lag of all players is looked at in a window.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long this thread sleeps when it finds nothing to do. It never waits for a socket, since then
/// every write of the server would pay for waking it: a network card that coalesces interrupts
/// sends no such bill.
const NAP: Duration = Duration::from_micros(500);

/// Most bytes thrown away at once.
const ROOM: usize = 1 << 20;

/// Publisher, players and one API connection.
pub(crate) struct Rig {
    poller: Poller,
    room: Vec<u8>,
    ready: Vec<Ready>,
    pub(crate) publisher: Option<Publisher>,
    stuck: bool,
    players: Vec<Player>,
    call: Option<Call>,
    received: u64,
    playing_over: usize,
    last_end: Option<Instant>,
}

struct Call {
    stream: TcpStream,
    answer: Vec<u8>,
    answered_at: Option<Instant>,
}

/// What a window showed.
pub(crate) struct Window {
    pub(crate) players: usize,
    /// Players that the server had dropped by its end.
    pub(crate) lost: usize,
    pub(crate) seconds: f64,
    /// Bytes that all players took.
    pub(crate) bytes: f64,
    /// The lag of all players, looked at every so often.
    pub(crate) lag: Lags,
    /// Each player's longest delay of any byte.
    pub(crate) worst: Samples,
    /// How busy this thread was, 0 to 1.
    pub(crate) busy: f64,
}

impl Rig {
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            poller: Poller::new()?,
            room: vec![0; ROOM],
            ready: Vec::new(),
            publisher: None,
            stuck: false,
            players: Vec::new(),
            call: None,
            received: 0,
            playing_over: 0,
            last_end: None,
        })
    }

    /// Starts the publisher.
    pub(crate) fn publish(&mut self, target: &Target) -> anyhow::Result<()> {
        let publisher = Publisher::start(target)?;
        self.poller
            .add(&publisher.stream, PUBLISHER, Interest::Read)?;
        self.publisher = Some(publisher);
        self.stuck = false;
        Ok(())
    }

    /// Brings the number of players to `count`, a few at a time while media flows.
    pub(crate) fn set_players(
        &mut self,
        count: usize,
        source: &Source,
        checkers: usize,
    ) -> anyhow::Result<()> {
        self.players.truncate(count);
        while self.players.len() < count {
            for _ in 0..(count - self.players.len()).min(10) {
                let checks = self.players.len() < checkers;
                let player = Player::join(source, checks)?;
                let token = u64::try_from(self.players.len())?;
                self.poller.add(&player.stream, token, Interest::Read)?;
                self.players.push(player);
            }
            self.turn(Duration::ZERO)?;
        }
        Ok(())
    }

    /// Drops everything that the last round left.
    pub(crate) fn clear(&mut self) {
        self.players.clear();
        self.publisher = None;
        self.playing_over = 0;
        self.last_end = None;
    }

    pub(crate) fn players(&self) -> usize {
        self.players.len()
    }

    /// Runs until every player has media.
    pub(crate) fn wait_until_playing(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.players.iter().all(Player::is_playing) {
            if self.players.iter().any(|player| player.failed) {
                bail!("a player was refused");
            }
            if Instant::now() > deadline {
                let playing = self.players.iter().filter(|p| p.is_playing()).count();
                bail!("{playing} of {} players got media in 20 s", self.players());
            }
            self.run_for(Duration::from_millis(20))?;
        }
        Ok(())
    }

    pub(crate) fn run_for(&mut self, time: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.turn(left)?;
        }
    }

    /// Sends `request` on an API connection and gives the instant just before.
    pub(crate) fn call(&mut self, stream: TcpStream, request: &[u8]) -> anyhow::Result<Instant> {
        self.poller.add(&stream, CALL, Interest::Read)?;
        let call = self.call.insert(Call {
            stream,
            answer: Vec::new(),
            answered_at: None,
        });
        let at = Instant::now();
        call.stream.write_all(request)?;
        Ok(at)
    }

    /// The answer's bytes and when it came, once it has.
    pub(crate) fn answer(&self) -> Option<(Instant, &[u8])> {
        let call = self.call.as_ref()?;
        Some((call.answered_at?, &call.answer))
    }

    /// When the last player ended, once all have.
    pub(crate) fn all_players_ended(&self) -> Option<Instant> {
        self.last_end
            .filter(|_| self.playing_over >= self.players.len())
    }

    pub(crate) fn publisher_closed(&self) -> Option<Instant> {
        self.publisher.as_ref()?.closed_at
    }

    /// Measures for so long.
    pub(crate) fn window(&mut self, time: Duration) -> anyhow::Result<Window> {
        for player in &mut self.players {
            player.reset();
        }
        let (from, received, cpu) = (Instant::now(), self.received, own_cpu_seconds());
        let mut lag = Lags::default();
        while from.elapsed() < time {
            self.run_for(LOOK_EVERY)?;
            let now = Instant::now();
            if let Some(publisher) = &self.publisher {
                for player in self.players.iter_mut().filter(|p| !p.is_over()) {
                    if let Some(time) = player.lag(&publisher.curve, now) {
                        lag.note(time);
                    }
                }
            }
        }
        let seconds = from.elapsed().as_secs_f64();
        let mut worst = Samples::default();
        let mut lost = 0;
        for player in &self.players {
            if player.is_over() {
                lost += 1;
            } else if player.findings().is_none() {
                worst.push(player.worst);
            }
        }
        Ok(Window {
            players: self.players.len(),
            lost,
            seconds,
            bytes: float64(self.received - received),
            lag,
            worst,
            busy: (own_cpu_seconds() - cpu) / seconds,
        })
    }

    /// What the checking players found, added up.
    pub(crate) fn findings(&self) -> Findings {
        let all = self.players.iter().filter_map(Player::findings);
        all.fold(Findings::default(), |sum, found| Findings {
            right: sum.right + found.right,
            wrong: sum.wrong + found.wrong,
            missing: sum.missing + found.missing,
        })
    }

    /// Sends what is due, waits at most so long, takes what came.
    pub(crate) fn turn(&mut self, at_most: Duration) -> anyhow::Result<()> {
        let mut wait = at_most;
        if let Some(publisher) = &mut self.publisher {
            let now = Instant::now();
            publisher.pump(now);
            if publisher.closed_at.is_none() {
                wait = wait.min(publisher.due_in(now));
            }
            if publisher.closed_at.is_none() && publisher.is_stuck() != self.stuck {
                self.stuck = publisher.is_stuck();
                let interest = if self.stuck {
                    Interest::ReadWrite
                } else {
                    Interest::Read
                };
                self.poller.modify(&publisher.stream, PUBLISHER, interest)?;
            }
        }
        let mut ready = std::mem::take(&mut self.ready);
        ready.clear();
        self.poller.wait(&mut ready, Duration::ZERO)?;
        if ready.is_empty() && !wait.is_zero() {
            std::thread::sleep(wait.min(NAP));
        }
        for event in &ready {
            self.on_ready(*event);
        }
        self.ready = ready;
        Ok(())
    }

    fn on_ready(&mut self, event: Ready) {
        match event.token {
            PUBLISHER => {
                if let Some(publisher) = &mut self.publisher {
                    publisher.flush();
                    publisher.on_readable(&mut self.room);
                    if publisher.closed_at.is_some() {
                        let _ = self.poller.remove(&publisher.stream);
                    }
                }
            }
            CALL => self.on_answer(),
            player => {
                let at = usize::try_from(player).unwrap_or(usize::MAX);
                let Some(player) = self.players.get_mut(at) else {
                    return;
                };
                let curve = self.publisher.as_ref().map(|p| &p.curve);
                loop {
                    let len = player.on_readable(curve, &mut self.room);
                    self.received += u64::try_from(len).unwrap_or(0);
                    if len == 0 || !event.is_ending {
                        break;
                    }
                }
                if player.is_over() {
                    self.playing_over += 1;
                    self.last_end = player.ended_at;
                    let _ = self.poller.remove(&player.stream);
                }
            }
        }
    }

    fn on_answer(&mut self) {
        let Some(call) = &mut self.call else { return };
        match read(&call.stream, &mut self.room) {
            Got::Bytes(len) => {
                let bytes = self.room.get(..len).unwrap_or_default();
                call.answer.extend_from_slice(bytes);
                if crate::api::answer_len(&call.answer).is_some_and(|n| call.answer.len() >= n) {
                    call.answered_at.get_or_insert_with(Instant::now);
                }
            }
            Got::Nothing => {}
            Got::End | Got::Reset => {
                report::progress("the API connection was closed");
                self.call = None;
            }
        }
    }

    /// Takes the API connection back for the next call.
    pub(crate) fn take_call(&mut self) -> Option<TcpStream> {
        let call = self.call.take()?;
        let _ = self.poller.remove(&call.stream);
        Some(call.stream)
    }
}

impl Window {
    pub(crate) fn gigabytes(&self) -> f64 {
        self.bytes / 1e9
    }

    /// What each player received, in Mb/s, on average.
    pub(crate) fn megabits_each(&self) -> f64 {
        self.bytes * 8.0 / 1e6 / self.seconds / float(self.players.max(1))
    }
}

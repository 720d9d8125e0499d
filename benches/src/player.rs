//! One player: joins over HTTP-FLV or RTMP, then throws away what it receives as cheaply as the
//! kernel allows, keeping count of how far behind the publisher it is.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tidegate_media::rtmp::client::{Event, Purpose, Session};

use crate::curve::Curve;
use crate::media::last_marker;
use crate::poll::{Got, discard, read};
use crate::rtmp::Target;
use crate::verify::{Checker, Findings};

/// How often a player looks at real bytes to find out where it is. Between two looks it counts
/// bytes, and framing that is not FLV's makes the count drift.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How much it looks at.
const LOOK: usize = 16 << 10;

/// What a player plays.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// `http://addr{path}`.
    Http {
        addr: SocketAddr,
        path: String,
        /// Whether there is a publisher to lag behind.
        live: bool,
    },
    /// RTMP play.
    Rtmp(Target),
}

enum Stage {
    /// The head of the HTTP answer has not come.
    Head,
    /// Shaking hands.
    Asking(Box<Session>),
    /// Throwing away.
    Discarding,
    /// Reading and comparing.
    Checking(Box<Checker>),
    /// The connection is over.
    Over,
}

/// One player.
pub(crate) struct Player {
    pub(crate) stream: TcpStream,
    stage: Stage,
    checks: bool,
    live: bool,
    /// Bytes read from the socket.
    pub(crate) received: u64,
    anchor: Option<Anchor>,
    /// Longest time that media took to arrive since [`Player::reset`].
    pub(crate) worst: Duration,
    /// When the server ended it.
    pub(crate) ended_at: Option<Instant>,
    /// Whether the server refused it, or broke the protocol.
    pub(crate) failed: bool,
}

#[derive(Clone, Copy)]
struct Anchor {
    received: u64,
    position: u64,
    at: Instant,
}

impl Player {
    /// Connects and asks to play. A player that `checks` reads and compares everything.
    pub(crate) fn join(source: &Source, checks: bool) -> anyhow::Result<Self> {
        let (addr, stage, first, live) = match source {
            Source::Http { addr, path, live } => {
                let request = format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\n\r\n");
                let stage = if checks {
                    Stage::Checking(Box::new(Checker::flv()))
                } else {
                    Stage::Head
                };
                (*addr, stage, request.into_bytes(), *live)
            }
            Source::Rtmp(target) => {
                let mut session = Box::new(target.session(Purpose::Play)?);
                let first = session.take_output().to_vec();
                (target.addr, Stage::Asking(session), first, true)
            }
        };
        let mut stream = TcpStream::connect(addr).context("connecting a player")?;
        stream.write_all(&first)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            stage,
            checks,
            live,
            received: 0,
            anchor: None,
            worst: Duration::ZERO,
            ended_at: None,
            failed: false,
        })
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// Whether media has come.
    pub(crate) fn is_playing(&self) -> bool {
        match &self.stage {
            Stage::Discarding => self.anchor.is_some() || !self.live,
            Stage::Checking(checker) => checker.findings.right > 0,
            Stage::Head | Stage::Asking(_) | Stage::Over => false,
        }
    }

    pub(crate) fn findings(&self) -> Option<Findings> {
        match &self.stage {
            Stage::Checking(checker) => Some(checker.findings),
            _ => None,
        }
    }

    /// Starts a new window.
    pub(crate) fn reset(&mut self) {
        self.worst = Duration::ZERO;
    }

    /// How long ago the first byte that has not come was sent; zero when all has come. None
    /// before it has found its place in the stream.
    pub(crate) fn lag(&mut self, curve: &Curve, now: Instant) -> Option<Duration> {
        let anchor = self.anchor?;
        let position = (anchor.position + self.received).saturating_sub(anchor.received);
        let lag = curve.age(position, now).unwrap_or_default();
        self.worst = self.worst.max(lag);
        Some(lag)
    }

    /// Takes what the socket holds. Gives the bytes read.
    pub(crate) fn on_readable(&mut self, curve: Option<&Curve>, room: &mut [u8]) -> usize {
        let looks = self.live
            && self
                .anchor
                .is_none_or(|anchor| anchor.at.elapsed() >= LOOK_EVERY);
        let discarding = matches!(self.stage, Stage::Discarding);
        let got = if discarding && !looks {
            discard(&self.stream, room)
        } else {
            let look = room.get_mut(..LOOK).unwrap_or_default();
            read(&self.stream, look)
        };
        match got {
            Got::Nothing => 0,
            Got::End | Got::Reset => {
                self.ended_at = Some(Instant::now());
                self.failed |= matches!(self.stage, Stage::Head | Stage::Asking(_));
                self.stage = Stage::Over;
                0
            }
            Got::Bytes(len) => {
                let before = self.received;
                self.received += u64::try_from(len).unwrap_or(0);
                if let Some(curve) = curve.filter(|_| discarding) {
                    if looks {
                        self.look(room.get(..len).unwrap_or_default(), before, curve);
                    }
                    self.note_delay(before, curve, Instant::now());
                }
                if !discarding {
                    self.take(room.get(..len).unwrap_or_default(), curve);
                }
                len
            }
        }
    }

    fn look(&mut self, bytes: &[u8], before: u64, curve: &Curve) {
        let Some((at, index)) = last_marker(bytes) else {
            return;
        };
        if let Some(position) = curve.marker_position(index) {
            self.anchor = Some(Anchor {
                received: before + u64::try_from(at).unwrap_or(0),
                position,
                at: Instant::now(),
            });
        }
    }

    /// The byte that came `received` bytes into the connection was sent when?
    fn note_delay(&mut self, received: u64, curve: &Curve, now: Instant) {
        let Some(anchor) = self.anchor else { return };
        let position = (anchor.position + received).saturating_sub(anchor.received);
        if let Some(delay) = curve.age(position, now) {
            self.worst = self.worst.max(delay);
        }
    }

    fn take(&mut self, bytes: &[u8], curve: Option<&Curve>) {
        match &mut self.stage {
            Stage::Head => {
                if bytes.starts_with(b"HTTP/1.1 200 ") {
                    self.stage = Stage::Discarding;
                } else {
                    self.fail();
                }
            }
            Stage::Asking(session) => match ask(session, bytes, &self.stream) {
                Ok(false) => {}
                Ok(true) => {
                    let stage = std::mem::replace(&mut self.stage, Stage::Discarding);
                    if let Stage::Asking(session) = stage
                        && self.checks
                    {
                        self.stage = Stage::Checking(Box::new(Checker::rtmp(session)));
                    }
                }
                Err(_) => self.fail(),
            },
            Stage::Checking(checker) => {
                if let Some(curve) = curve {
                    checker.input(bytes, curve);
                }
            }
            Stage::Discarding | Stage::Over => {}
        }
    }

    fn fail(&mut self) {
        self.failed = true;
        self.stage = Stage::Over;
    }
}

/// Moves the handshake on. Gives whether the play has been accepted.
fn ask(session: &mut Session, bytes: &[u8], mut stream: &TcpStream) -> anyhow::Result<bool> {
    session.handle_input(bytes)?;
    let mut playing = false;
    while !playing {
        match session.poll_event()? {
            Some(Event::Playing) => playing = true,
            Some(Event::Refused { code, .. }) => anyhow::bail!("play was refused: {code}"),
            Some(_) => {}
            None => break,
        }
    }
    if session.has_output() {
        // A few hundred bytes on an idle socket: it takes them whole.
        stream.write_all(&session.take_output())?;
    }
    Ok(playing)
}

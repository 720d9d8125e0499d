//! One player: its socket, where it is in the stream, and what it still has to be sent.
//!
//! A player has no task. Its distributor calls [`Player::step`] in each pass, which writes what
//! the socket takes and never waits.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use smallvec::SmallVec;
use tokio::net::TcpStream;

use crate::container::{Container, FlvFlags};
use crate::distributor::preludes::Preludes;
use crate::listener::Place;
use crate::player_input::{Input, InputError};
use crate::queue::{Form, Queue, Seq};
use crate::stream::Ticket;

/// Most pieces in one write.
const MAX_PIECES: usize = 32;

/// Most that one player is sent in one write while it catches up, so that others have their turn.
const MAX_WRITE: usize = 512 << 10;

/// Writes to one player in one pass.
const MAX_WRITES: usize = 4;

/// Someone who receives a stream.
pub(crate) struct Player {
    socket: TcpStream,
    peer: SocketAddr,
    container: Container,
    form: Form,
    input: Input,
    out: VecDeque<Bytes>,
    /// Whether the front of `out` has been written in part.
    is_mid: bool,
    next: Seq,
    waits_for_key: bool,
    /// Version of the headers it was sent; `None` before the first frame.
    version: Option<u64>,
    blocked_since: Option<Instant>,
    behind_since: Option<Instant>,
    /// Given back once nothing more will be sent.
    ticket: Option<Ticket>,
    _place: Place,
}

/// Why a player is gone.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Leave {
    #[error("left")]
    Left,
    #[error("dropped: it took nothing for {0:?}")]
    Stuck(Duration),
    #[error("dropped: {0}")]
    Input(#[from] InputError),
}

/// What a player needs to know in a pass.
pub(crate) struct Pass<'a> {
    pub(crate) queue: &'a Queue,
    pub(crate) preludes: &'a mut Preludes,
    pub(crate) flags: FlvFlags,
    pub(crate) now: Instant,
    pub(crate) limits: Limits,
    pub(crate) scratch: &'a mut [u8],
    pub(crate) written: u64,
    pub(crate) skips: u64,
}

/// When a player is too slow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) blocked: Duration,
    pub(crate) behind: Duration,
    pub(crate) behind_bytes: u64,
}

/// What an open connection brings along when it becomes a player.
pub(crate) struct Seat {
    pub(crate) socket: TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) place: Place,
    pub(crate) ticket: Ticket,
    pub(crate) container: Container,
    pub(crate) input: Input,
    /// Written before anything else.
    pub(crate) first: Bytes,
}

impl Player {
    pub(crate) fn new(seat: Seat) -> Self {
        let mut out = VecDeque::new();
        if !seat.first.is_empty() {
            out.push_back(seat.first);
        }
        Self {
            socket: seat.socket,
            peer: seat.peer,
            container: seat.container,
            form: 0,
            input: seat.input,
            out,
            is_mid: false,
            next: 0,
            waits_for_key: false,
            version: None,
            blocked_since: None,
            behind_since: None,
            ticket: Some(seat.ticket),
            _place: seat.place,
        }
    }

    /// Puts a joining player at its place.
    pub(crate) fn place(&mut self, queue: &mut Queue) {
        self.form = queue.form_of(self.container);
        let at = queue.join_at();
        self.waits_for_key = at.is_none();
        self.next = at.unwrap_or_else(|| queue.end());
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    pub(crate) fn next(&self) -> Seq {
        self.next
    }

    /// Whether it has been sent everything up to the end of the queue.
    pub(crate) fn is_caught_up(&self, queue: &Queue) -> bool {
        self.out.is_empty() && (self.waits_for_key || self.next >= queue.end())
    }

    /// Reads what came in and writes what the socket takes.
    pub(crate) fn step(&mut self, pass: &mut Pass<'_>) -> Result<(), Leave> {
        self.read(pass.scratch)?;
        if self.blocked_since.is_some() && self.is_stuck(pass) {
            return Err(Leave::Stuck(pass.limits.blocked));
        }
        for _ in 0..MAX_WRITES {
            self.find_place(pass);
            let Some(all_taken) = self.write(pass)? else {
                self.behind_since = None;
                break;
            };
            if !all_taken {
                break;
            }
        }
        Ok(())
    }

    fn is_stuck(&self, pass: &Pass<'_>) -> bool {
        let blocked = self.blocked_since.map(|at| pass.now.duration_since(at));
        blocked.is_some_and(|time| time >= pass.limits.blocked)
    }

    fn read(&mut self, scratch: &mut [u8]) -> Result<(), Leave> {
        for _ in 0..4 {
            match self.socket.try_read(scratch) {
                Ok(0) => return Err(Leave::Left),
                Ok(n) => {
                    let input = scratch.get(..n).unwrap_or_default();
                    self.input.handle(input)?;
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return Err(Leave::Left),
            }
        }
        if self.out.is_empty()
            && let Some(answer) = self.input.take_answer()
        {
            self.out.push_back(answer);
        }
        Ok(())
    }

    /// Skips ahead if the player is too slow, and queues the headers that its next batch needs.
    fn find_place(&mut self, pass: &mut Pass<'_>) {
        let queue = pass.queue;
        if self.waits_for_key {
            let Some(key) = queue.last_key().filter(|key| *key >= self.next) else {
                return;
            };
            self.next = key;
            self.waits_for_key = false;
        }
        if self.next < queue.end() {
            let since = *self.behind_since.get_or_insert(pass.now);
            let is_lost = queue.get(self.next).is_none();
            let is_late = pass.now.duration_since(since) > pass.limits.behind;
            if is_lost || is_late || queue.behind(self.next) > pass.limits.behind_bytes {
                self.skip(pass);
            }
        }
        let Some(batch) = queue.get(self.next).filter(|_| !self.waits_for_key) else {
            return;
        };
        if self.version != Some(batch.before.version) {
            let fresh = self.version.is_none().then_some(pass.flags);
            let prelude = pass.preludes.get(self.container, batch, fresh);
            if !prelude.is_empty() {
                self.out.push_back(prelude);
            }
            self.version = Some(batch.before.version);
        }
    }

    fn skip(&mut self, pass: &mut Pass<'_>) {
        let queue = pass.queue;
        let newer_key = queue.last_key().filter(|key| *key > self.next);
        self.waits_for_key = newer_key.is_none() && queue.has_keys();
        self.next = newer_key.unwrap_or_else(|| queue.end());
        self.behind_since = Some(pass.now);
        pass.skips += 1;
    }

    /// One write. `None` when there was nothing to write, else whether the socket took all.
    fn write(&mut self, pass: &mut Pass<'_>) -> Result<Option<bool>, Leave> {
        let queue = pass.queue;
        let mut pieces: SmallVec<[IoSlice<'_>; 4]> = SmallVec::new();
        let mut size = 0;
        for piece in self.out.iter().take(MAX_PIECES) {
            pieces.push(IoSlice::new(piece));
            size += piece.len();
        }
        let mut next = self.next;
        let mut version = self.version;
        while let Some(batch) = queue.get(next).filter(|_| !self.waits_for_key) {
            let is_full = pieces.len() >= MAX_PIECES || size >= MAX_WRITE;
            if is_full || version != Some(batch.before.version) {
                break;
            }
            let form = batch.form(self.form);
            pieces.push(IoSlice::new(form));
            size += form.len();
            version = Some(batch.after);
            next += 1;
        }
        if pieces.is_empty() {
            return Ok(None);
        }
        let result = match pieces.as_slice() {
            [one] => self.socket.try_write(one),
            many => self.socket.try_write_vectored(many),
        };
        match result {
            Ok(0) => Err(Leave::Left),
            Ok(n) => {
                drop(pieces);
                pass.written += n as u64;
                self.consume(n, queue);
                self.blocked_since = (n < size).then_some(pass.now);
                Ok(Some(n == size))
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                self.blocked_since.get_or_insert(pass.now);
                Ok(Some(false))
            }
            Err(_) => Err(Leave::Left),
        }
    }

    fn consume(&mut self, mut n: usize, queue: &Queue) {
        while let Some(front) = self.out.front_mut() {
            if n < front.len() {
                front.advance(n);
                self.is_mid |= n > 0;
                return;
            }
            n -= front.len();
            self.out.pop_front();
            self.is_mid = false;
        }
        while n > 0 {
            let Some(batch) = queue.get(self.next) else {
                return;
            };
            let form = batch.form(self.form);
            self.next += 1;
            self.version = Some(batch.after);
            if n < form.len() {
                // Holding the rest of the bytes lets the queue move on without this player.
                self.out.push_back(form.slice(n..));
                self.is_mid = true;
                return;
            }
            n -= form.len();
        }
    }

    /// Queues the protocol's goodbye behind what was begun, in place of everything else.
    pub(crate) fn say_goodbye(&mut self, goodbye: &Goodbye<'_>) {
        self.out.truncate(usize::from(self.is_mid));
        let last = match self.container {
            Container::Plain => Bytes::new(),
            Container::Chunked => Bytes::from_static(b"0\r\n\r\n"),
            Container::WebSocket => {
                crate::http::websocket::close_frame(goodbye.code, goodbye.words)
            }
            Container::Rtmp { msid } => self.input.end_play(msid, goodbye.words),
        };
        if !last.is_empty() {
            self.out.push_back(last);
        }
    }

    /// Writes what is left and says whether that was all; if so, the FIN is on its way too. The
    /// costlier close is left to the drop, so that others need not wait for it.
    pub(crate) fn finish(&mut self, scratch: &mut [u8]) -> bool {
        while let Some(front) = self.out.front() {
            let sent = if self.out.len() == 1 {
                self.send_last()
            } else {
                self.socket.try_write(front)
            };
            match sent {
                Ok(n) if n > 0 => {
                    if let Some(front) = self.out.front_mut() {
                        front.advance(n);
                        if front.is_empty() {
                            self.out.pop_front();
                        }
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return false,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                _ => self.out.clear(),
            }
        }
        // Unread input would turn the close into a reset, which can overtake the last bytes.
        for _ in 0..16 {
            if !matches!(self.socket.try_read(scratch), Ok(n) if n > 0) {
                break;
            }
        }
        let _ = socket2::SockRef::from(&self.socket).shutdown(Shutdown::Write);
        self.ticket = None;
        true
    }

    /// Lets the last bytes and the FIN that follows share a segment.
    fn send_last(&self) -> io::Result<usize> {
        #[cfg(target_os = "linux")]
        const MORE: i32 = 0x8000;
        #[cfg(not(target_os = "linux"))]
        const MORE: i32 = 0;
        let front = self.out.front().map_or(&[][..], |front| front);
        socket2::SockRef::from(&self.socket).send_with_flags(front, MORE)
    }

    /// Closes with a reset: the peer did not take its goodbye in time.
    pub(crate) fn abort(self) {
        let _ = socket2::SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
    }
}

/// How a player is told that the stream is over.
pub(crate) struct Goodbye<'a> {
    /// WebSocket close code.
    pub(crate) code: u16,
    /// The words.
    pub(crate) words: &'a str,
}

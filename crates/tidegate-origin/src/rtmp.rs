//! One RTMP connection: a socket around the sans-I/O session, until it publishes and ends, or
//! plays and is handed to a distributor.

mod admit;

use std::cell::RefCell;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use smallvec::SmallVec;
use tidegate_core::text::printable;
use tidegate_media::rtmp::server::{Event, Session};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{sleep_until, timeout};

use crate::container::Container;
use crate::frame::Frame;
use crate::hub::Publication;
use crate::listener::{Context, Place};
use crate::player::{Player, Seat};
use crate::player_input::Input;
use crate::stream::{Ending, Ticket};

/// Most that is read at once.
const READ: usize = 64 << 10;

/// Reads in one turn, so that one fast publisher does not keep the thread.
const READS: usize = 4;

/// Longest that a status may wait for room in the socket before a close.
const LAST_WORDS: Duration = Duration::from_millis(100);

thread_local! {
    /// Shared by all connections of a thread: an idle one holds no read buffer.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into());
}

/// Code of the status that tells a publisher it may not publish, or may not any longer.
const DENIED: &str = "NetStream.Publish.Denied";

struct Connection {
    context: Arc<Context>,
    socket: TcpStream,
    peer: SocketAddr,
    session: Box<Session>,
    out: Bytes,
    app: String,
    /// Of its `tcUrl`.
    host: Box<str>,
    publications: SmallVec<[Published; 1]>,
    play: Option<(Ticket, u32)>,
    is_refused: bool,
    wake: Arc<Notify>,
    /// When the current phase began: accept, handshake, end of the last publish.
    phase: Instant,
    was_established: bool,
    last_input: Instant,
    blocked_since: Option<Instant>,
}

struct Published {
    msid: u32,
    publication: Publication,
}

/// Why a connection is over.
enum End {
    /// The peer closed or was lost.
    Left,
    /// The peer was told why; close after it.
    Refused,
    /// It plays: a distributor takes it.
    Plays(Ticket, u32),
    /// A published stream was ended from elsewhere.
    Ended(Ending),
    Stop,
    Timeout(&'static str, Duration),
    Protocol(String),
}

/// Serves one connection.
pub(crate) async fn serve(
    context: Arc<Context>,
    socket: TcpStream,
    peer: SocketAddr,
    place: Place,
) {
    let now = Instant::now();
    let limits = context.hub.shared.options.rtmp_limits();
    let mut connection = Box::new(Connection {
        session: Box::new(Session::new(limits, crate::listener::seed())),
        context,
        socket,
        peer,
        out: Bytes::new(),
        app: String::new(),
        host: Box::default(),
        publications: SmallVec::new(),
        play: None,
        is_refused: false,
        wake: Arc::default(),
        phase: now,
        was_established: false,
        last_input: now,
        blocked_since: None,
    });
    match connection.run().await {
        End::Plays(ticket, msid) => connection.become_player(ticket, msid, place),
        end => {
            connection.log(&end);
            // Boxed, because it is needed once and every idle publisher would carry it.
            Box::pin(connection.close(end)).await;
        }
    }
}

impl Connection {
    async fn run(&mut self) -> End {
        loop {
            if let Err(end) = self.flush() {
                return end;
            }
            if self.out.is_empty() {
                if self.is_refused {
                    return End::Refused;
                }
                if let Some((ticket, msid)) = self.play.take() {
                    return End::Plays(ticket, msid);
                }
            }
            let interest = match self.out.is_empty() {
                true => Interest::READABLE,
                false => Interest::WRITABLE,
            };
            let (deadline, overdue, limit) = self.deadline();
            let stop = &self.context.hub.shared.stop;
            let is_idle = self.publications.is_empty();
            tokio::select! {
                biased;
                () = self.wake.notified() => {
                    if let Some(ending) = self.ended() {
                        return End::Ended(ending);
                    }
                }
                ready = self.socket.ready(interest) => {
                    let result = match ready {
                        Ok(_) if self.out.is_empty() => self.read(),
                        Ok(_) => Ok(()),
                        Err(_) => Err(End::Left),
                    };
                    if let Err(end) = result {
                        return end;
                    }
                }
                () = stop.cancelled(), if is_idle => return End::Stop,
                () = sleep_until(deadline.into()) => return End::Timeout(overdue, limit),
            }
        }
    }

    /// Until when something must happen, what, and how long it had.
    fn deadline(&self) -> (Instant, &'static str, Duration) {
        let options = &self.context.hub.shared.options;
        let (from, what, limit) = if let Some(since) = self.blocked_since {
            (since, "it took nothing", options.write_timeout)
        } else if !self.was_established {
            (
                self.phase,
                "no complete handshake",
                options.handshake_timeout,
            )
        } else if self.publications.is_empty() {
            (self.phase, "no publish or play", options.command_timeout)
        } else {
            (
                self.last_input,
                "the publisher sent nothing",
                options.publish_read_timeout,
            )
        };
        (from + limit, what, limit)
    }

    fn ended(&self) -> Option<Ending> {
        let mut streams = self.publications.iter().map(|p| &p.publication.stream);
        streams.find_map(|stream| stream.ending())
    }

    fn read(&mut self) -> Result<(), End> {
        for _ in 0..READS {
            let taken = SCRATCH.with_borrow_mut(|scratch| {
                let n = match self.socket.try_read(scratch) {
                    Ok(0) => return Err(End::Left),
                    Ok(n) => n,
                    Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(0),
                    Err(_) => return Err(End::Left),
                };
                let input = scratch.get(..n).unwrap_or_default();
                self.session.handle_input(input).map_err(protocol)?;
                Ok(n)
            })?;
            if taken == 0 {
                return Ok(());
            }
            self.last_input = Instant::now();
            self.handle_events()?;
            if taken < READ || self.session.has_output() || self.play.is_some() || self.is_refused {
                break;
            }
        }
        Ok(())
    }

    fn handle_events(&mut self) -> Result<(), End> {
        while !self.is_refused && self.play.is_none() {
            let Some(event) = self.session.poll_event().map_err(protocol)? else {
                break;
            };
            match event {
                Event::Media(media) => {
                    let mut published = self.publications.iter().filter(|p| p.msid == media.msid);
                    if let Some(published) = published.next() {
                        let stream = &published.publication.stream;
                        if !stream.push(Frame::new(media))
                            && let Some(ending) = stream.ending()
                        {
                            return Err(End::Ended(ending));
                        }
                    }
                }
                Event::Connect(connect) => self.connect(&connect),
                Event::Publish(publish) => self.publish(&publish),
                Event::Play(play) => self.start_play(&play),
                Event::Unpublish { msid } => self.unpublish(msid),
                _ => {}
            }
        }
        if !self.was_established && self.session.is_established() {
            self.was_established = true;
            self.phase = Instant::now();
        }
        Ok(())
    }

    fn unpublish(&mut self, msid: u32) {
        self.publications.retain(|p| {
            if p.msid == msid {
                let (stream, peer) = (&p.publication.stream.key, self.peer);
                tracing::info!(%stream, %peer, "publish ended: the publisher ended it");
            }
            p.msid != msid
        });
        self.phase = Instant::now();
    }

    /// Writes what the socket takes.
    fn flush(&mut self) -> Result<(), End> {
        loop {
            if self.out.is_empty() {
                if !self.session.has_output() {
                    self.blocked_since = None;
                    return Ok(());
                }
                self.out = self.session.take_output();
            }
            match self.socket.try_write(&self.out) {
                Ok(0) => return Err(End::Left),
                Ok(n) => {
                    self.out.advance(n);
                    self.blocked_since = None;
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    self.blocked_since.get_or_insert_with(Instant::now);
                    return Ok(());
                }
                Err(_) => return Err(End::Left),
            }
        }
    }

    fn become_player(mut self: Box<Self>, ticket: Ticket, msid: u32, place: Place) {
        let options = &self.context.hub.shared.options;
        let _ = socket2::SockRef::from(&self.socket).set_send_buffer_size(options.send_buffer);
        let mut first = BytesMut::from(self.out);
        first.extend_from_slice(&self.session.take_output());
        let stream = Arc::clone(&ticket.stream);
        stream.join(Player::new(Seat {
            socket: self.socket,
            peer: self.peer,
            place,
            ticket,
            container: Container::Rtmp { msid },
            input: Input::Rtmp(self.session),
            first: first.freeze(),
        }));
    }

    /// Says the last words, closes the sending side, and gives the peer a moment to read them.
    async fn close(mut self: Box<Self>, end: End) {
        let (code, words, cut_at) = match &end {
            End::Ended(Ending::Cut { why, at }) => (DENIED, why.to_string(), Some(*at)),
            End::Timeout(what, limit) => (DENIED, format!("{what} for {limit:?}"), None),
            _ => (DENIED, "the server is stopping".to_owned(), None),
        };
        if !matches!(end, End::Left | End::Refused | End::Protocol(_)) {
            for published in &self.publications {
                let words = published.words(&end, &words);
                self.session.end_publish(published.msid, code, words);
            }
        }
        let is_flushed = !matches!(end, End::Left) && self.write_last_words().await;
        let is_shut = is_flushed
            && socket2::SockRef::from(&self.socket)
                .shutdown(std::net::Shutdown::Write)
                .is_ok();
        if !is_shut {
            let _ = socket2::SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
        }
        let metrics = Arc::clone(&self.context.hub.shared.metrics);
        self.publications.clear();
        if is_shut {
            if let Some(at) = cut_at {
                metrics.cut_to_publisher_closed.observe(at.elapsed());
            }
            let linger = self.context.hub.shared.options.linger;
            let _ = timeout(linger, self.drain()).await;
        } else {
            drop(self);
            if let Some(at) = cut_at {
                metrics.cut_to_publisher_closed.observe(at.elapsed());
            }
        }
    }

    async fn write_last_words(&mut self) -> bool {
        let deadline = Instant::now() + LAST_WORDS;
        while self.flush().is_ok() {
            if self.out.is_empty() {
                return true;
            }
            tokio::select! {
                ready = self.socket.writable() => if ready.is_err() { return false },
                () = sleep_until(deadline.into()) => return false,
            }
        }
        false
    }

    /// Reads until the peer closes too: closing with unread input would reset the connection and
    /// take the last words with it.
    async fn drain(&self) {
        let mut left = 64_usize;
        while left > 0 && self.socket.readable().await.is_ok() {
            let read = SCRATCH.with_borrow_mut(|scratch| self.socket.try_read(scratch));
            match read {
                Ok(n) if n > 0 => left -= 1,
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                _ => return,
            }
        }
    }

    /// The one line about how the connection ended.
    fn log(&self, end: &End) {
        let peer = self.peer;
        let metrics = &self.context.hub.shared.metrics;
        let words = match end {
            End::Left => "the publisher left".to_owned(),
            End::Ended(Ending::Cut { why, .. }) => why.to_string(),
            End::Ended(_) | End::Stop => "the server is stopping".to_owned(),
            End::Timeout(what, limit) => {
                metrics.timeouts.add(1);
                format!("{what} for {limit:?}")
            }
            End::Protocol(words) => {
                metrics.protocol_errors.add(1);
                words.clone()
            }
            // Told in one line when it was refused.
            End::Refused | End::Plays(..) => return,
        };
        if self.publications.is_empty() {
            if matches!(end, End::Left | End::Stop) && self.was_established {
                tracing::debug!(%peer, "RTMP connection closed: {words}");
            } else if matches!(end, End::Left) {
                tracing::info!(%peer, "RTMP connection closed: the peer left before the end of the handshake");
            } else {
                tracing::info!(%peer, "RTMP connection closed: {words}");
            }
        }
        for published in &self.publications {
            let stream = &published.publication.stream.key;
            let words = published.words(end, &words);
            tracing::info!(%stream, %peer, "publish ended: {words}");
        }
    }
}

impl Published {
    /// What to say about the end of this publish; `words` if the connection's end is its own.
    fn words<'a>(&self, end: &End, words: &'a str) -> &'a str {
        match end {
            End::Ended(_) if self.publication.stream.ending().is_none() => {
                "another stream of this connection was taken off the air: publish this one again"
            }
            _ => words,
        }
    }
}

fn protocol(error: tidegate_media::rtmp::Error) -> End {
    End::Protocol(printable(&error.to_string(), 200))
}

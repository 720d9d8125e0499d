//! The publisher of the synthetic stream, in real time, on a socket that never blocks.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use tidegate_media::rtmp::client::Session;

use crate::curve::Curve;
use crate::media::{Source, headers};
use crate::poll::{Got, read};
use crate::rtmp::{self, Target};

/// One publisher and what it has sent.
pub(crate) struct Publisher {
    pub(crate) stream: TcpStream,
    session: Session,
    source: Source,
    started: Instant,
    body: Vec<u8>,
    pending: Vec<u8>,
    pub(crate) curve: Curve,
    /// When its socket was seen closed.
    pub(crate) closed_at: Option<Instant>,
}

impl Publisher {
    /// Publishes and sends the headers.
    pub(crate) fn start(target: &Target) -> anyhow::Result<Self> {
        let open = rtmp::publish(target)?;
        open.stream.set_nonblocking(true)?;
        let mut publisher = Self {
            stream: open.stream,
            session: open.session,
            source: Source::new(),
            started: Instant::now(),
            body: Vec::new(),
            pending: Vec::new(),
            curve: Curve::default(),
            closed_at: None,
        };
        for (kind, payload) in headers() {
            publisher.session.send_media(kind, 0, &payload);
        }
        publisher.flush();
        Ok(publisher)
    }

    /// How long until the next frame is due.
    pub(crate) fn due_in(&self, now: Instant) -> Duration {
        let due = self.started + Duration::from_millis(self.source.next_due_ms());
        due.saturating_duration_since(now)
    }

    /// Sends every frame that is due. Its time of sending is the one at which it is handed over,
    /// whether or not the server takes it.
    pub(crate) fn pump(&mut self, now: Instant) {
        if self.closed_at.is_some() {
            return;
        }
        while self.due_in(now).is_zero() {
            let index = self.curve.next_index();
            let shape = self.source.step();
            self.source.body(shape, index, &mut self.body);
            self.session
                .send_media(shape.kind, shape.timestamp, &self.body);
            self.curve.push(shape, Instant::now());
            self.flush();
        }
    }

    /// Whether output waits for room in the socket.
    pub(crate) fn is_stuck(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Writes what the socket takes.
    pub(crate) fn flush(&mut self) {
        if self.session.has_output() {
            let output = self.session.take_output();
            self.pending.extend_from_slice(&output);
        }
        while !self.pending.is_empty() {
            match std::io::Write::write(&mut (&self.stream), &self.pending) {
                Ok(0) => break,
                Ok(written) => drop(self.pending.drain(..written)),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                // The read side reports how it ended.
                Err(_) => self.pending.clear(),
            }
        }
    }

    /// Takes in what the server says; notes the close.
    pub(crate) fn on_readable(&mut self, room: &mut [u8]) {
        match read(&self.stream, room) {
            Got::Bytes(len) => {
                let input = room.get(..len).unwrap_or_default();
                let broken = self.session.handle_input(input).is_err();
                while let Ok(Some(_)) = self.session.poll_event() {}
                if !broken {
                    self.flush();
                }
            }
            Got::Nothing => {}
            Got::End | Got::Reset => {
                self.closed_at.get_or_insert_with(Instant::now);
            }
        }
    }
}

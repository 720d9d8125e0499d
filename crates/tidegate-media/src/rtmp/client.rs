//! The client's end of one RTMP connection: publish one stream or play one.
//!
//! Write [`Session::take_output`] first, then feed input and poll events as with the server.

mod replies;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use bytes::Bytes;

use super::chunk_read::Message;
use super::chunk_write::put_media;
use super::link::Link;
use super::message::Aggregate;
use super::{Error, Limits, Media, Seed};
use crate::flv::TagKind;

/// What the client came for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Send one stream.
    Publish,
    /// Receive one stream.
    Play,
}

/// Which handshake the client opens with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Handshake {
    /// As published by Adobe: random bytes, echoed.
    Simple,
    /// With HMAC digests, as Flash Player and most encoders do; `schema` is 0 or 1, the place
    /// of the digest.
    Digest {
        /// 0 or 1.
        schema: u8,
    },
}

/// Where to connect and what to ask for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Publish or play.
    pub purpose: Purpose,
    /// The app name, such as `live`.
    pub app: String,
    /// Such as `rtmp://host/live`.
    pub tc_url: String,
    /// The stream name, with its query.
    pub name: String,
    /// What the client calls itself.
    pub flash_ver: String,
    /// How it shakes hands.
    pub handshake: Handshake,
}

impl Options {
    /// Options with the simple handshake and a usual client name.
    pub fn new(purpose: Purpose, app: &str, tc_url: &str, name: &str) -> Self {
        Self {
            purpose,
            app: app.to_owned(),
            tc_url: tc_url.to_owned(),
            name: name.to_owned(),
            flash_ver: "FMLE/3.0 (compatible; Tidegate)".to_owned(),
            handshake: Handshake::Simple,
        }
    }
}

/// What the server did.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// Connected; the stream is being asked for.
    Connected,
    /// `NetStream.Publish.Start`: media may be sent.
    Published,
    /// `NetStream.Play.Start`: media will come.
    Playing,
    /// Media of the stream played.
    Media(Media),
    /// The server said no, to the connect, the publish or the play, or cut a running one: any
    /// status of level error, and `_error`.
    Refused {
        /// Such as `NetStream.Publish.BadName`.
        code: String,
        /// The server's words.
        description: String,
    },
    /// Any other status.
    Status {
        /// Such as `NetStream.Play.UnpublishNotify`.
        code: String,
        /// The server's words.
        description: String,
    },
    /// Stream EOF: the stream played has ended.
    Ended,
    /// The server asks for the connection to be closed.
    Closed,
}

/// One connection.
#[derive(Debug)]
pub struct Session {
    link: Link,
    limits: Limits,
    options: Options,
    stage: Stage,
    msid: Option<u32>,
    aggregate: Option<Aggregate>,
    events: VecDeque<Event>,
    held: Vec<u8>,
    failed: Option<Error>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Handshake,
    Connecting,
    Creating,
    /// Publish or play is sent.
    Asked,
    Running,
    /// Refused, cut, or closed by this end.
    Over,
}

/// Transaction numbers, one for each command that is answered.
const CONNECT: f64 = 1.0;
const RELEASE_STREAM: f64 = 2.0;
const FC_PUBLISH: f64 = 3.0;
const CREATE_STREAM: f64 = 4.0;
const UNANSWERED: f64 = 0.0;
const GOODBYE: f64 = 6.0;

/// Milliseconds of media that a server may send ahead to this player.
const BUFFER_LENGTH: u32 = 1000;

impl Session {
    /// A session with its first handshake bytes ready to be taken.
    pub fn new(options: Options, limits: Limits, seed: Seed) -> Self {
        let mut output = Vec::new();
        let handshake = super::handshake::Handshake::client(options.handshake, seed, &mut output);
        let mut link = Link::new(handshake, output, &limits);
        link.reader.set_max_message(limits.message);
        Self {
            link,
            limits,
            options,
            stage: Stage::Handshake,
            msid: None,
            aggregate: None,
            events: VecDeque::new(),
            held: Vec::new(),
            failed: None,
        }
    }

    /// Takes in what was read from the socket, in pieces of any size.
    pub fn handle_input(&mut self, input: &[u8]) -> Result<(), Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.link.count(input.len());
        let mut rest = input;
        if self.held.is_empty() {
            self.advance(&mut rest)?;
        }
        self.held.extend_from_slice(rest);
        Ok(())
    }

    /// The next event; `None` when more input is needed. Poll until `None` after each input.
    pub fn poll_event(&mut self) -> Result<Option<Event>, Error> {
        if self.events.is_empty() {
            if let Some(error) = &self.failed {
                return Err(error.clone());
            }
            let held = std::mem::take(&mut self.held);
            let mut rest = &held[..];
            let outcome = self.advance(&mut rest);
            self.held = rest.to_vec();
            outcome?;
        }
        Ok(self.events.pop_front())
    }

    /// What is to be written to the socket, in whole messages; empty when there is nothing.
    pub fn take_output(&mut self) -> Bytes {
        self.link.take_output()
    }

    /// Whether [`Self::take_output`] has anything to give.
    pub fn has_output(&self) -> bool {
        !self.link.output.is_empty()
    }

    /// The message stream the server gave, once it has.
    pub fn msid(&self) -> Option<u32> {
        self.msid
    }

    /// Queues one media message; only after [`Event::Published`], else it is dropped and false
    /// comes back. The output is not bounded here: take it before sending more.
    pub fn send_media(&mut self, kind: TagKind, timestamp: u32, payload: &[u8]) -> bool {
        let (Stage::Running, Purpose::Publish, Some(msid)) =
            (self.stage, self.options.purpose, self.msid)
        else {
            return false;
        };
        put_media(&mut self.link.output, kind, msid, timestamp, payload);
        true
    }

    /// Says goodbye: FCUnpublish and deleteStream for a publisher, deleteStream for a player.
    pub fn close(&mut self) {
        let (Some(msid), Stage::Asked | Stage::Running) = (self.msid, self.stage) else {
            return;
        };
        self.stage = Stage::Over;
        if self.options.purpose == Purpose::Publish {
            let name = self.options.name.as_str().into();
            self.call("FCUnpublish", GOODBYE, name);
        }
        self.call("deleteStream", UNANSWERED, f64::from(msid).into());
    }

    fn advance(&mut self, input: &mut &[u8]) -> Result<(), Error> {
        while self.events.len() < self.limits.events {
            let step = match self.next_message(input) {
                Ok(Some(message)) => self.handle_message(message),
                Ok(None) => return Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = step.and_then(|()| self.link.check_answers()) {
                self.failed = Some(error.clone());
                return Err(error);
            }
        }
        Ok(())
    }

    fn next_message(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Error> {
        if let Some(aggregate) = &mut self.aggregate {
            if let Some(part) = aggregate.next()? {
                return Ok(Some(part));
            }
            self.aggregate = None;
        }
        let message = self.link.read(input)?;
        if self.stage == Stage::Handshake && self.link.is_established() {
            self.stage = Stage::Connecting;
            self.connect();
        }
        Ok(message)
    }
}

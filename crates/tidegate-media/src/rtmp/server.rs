//! The server's end of one RTMP connection.
//!
//! Feed it with [`Session::handle_input`], then call [`Session::poll_event`] until it gives
//! `None`, then write [`Session::take_output`]. [`Event::Connect`], [`Event::Publish`] and
//! [`Event::Play`] ask for a decision: until one of `accept_…` or `refuse_…` is called, nothing
//! that the peer sent after them is looked at, so answers keep their order and no media can come
//! ahead of a publish. Stop reading the socket while [`Session::wants_input`] is false.
//!
//! Media for players does not go through the session: write [`super::chunk_write::put_media`]
//! to the socket, between two outputs of the session, once the play is accepted.

mod answers;
mod commands;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use bytes::Bytes;

use super::chunk_read::Message;
use super::handshake::Handshake;
use super::link::Link;
use super::message::{self, Aggregate, Command};
use super::{Error, Limits, Media, Seed};

/// Room for events that a session keeps while it has none.
const SPARE_EVENTS: usize = 16;

const MEDIA_BEFORE_PUBLISH: Error = Error::OutOfOrder {
    what: "media",
    when: "before a publish was accepted",
};

/// What the peer did. Texts are the peer's own: escape them before logging.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// Answer with [`Session::accept_connect`] or [`Session::refuse_connect`].
    Connect(Box<Connect>),
    /// Answer with [`Session::accept_publish`] or [`Session::refuse_publish`].
    Publish(Publish),
    /// Answer with [`Session::accept_play`] or [`Session::refuse_play`].
    Play(Play),
    /// Media of an accepted publish.
    Media(Media),
    /// The publisher ended its publish; the connection may go on.
    Unpublish {
        /// The message stream.
        msid: u32,
    },
    /// The player ended its play; the connection may go on.
    StopPlay {
        /// The message stream.
        msid: u32,
    },
}

/// The connect command.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Connect {
    /// The app as sent, query and all.
    pub app: String,
    /// The URL that the peer believes it connects to; empty when not sent.
    pub tc_url: String,
    /// What the peer calls itself; empty when not sent.
    pub flash_ver: String,
    /// Empty when not sent.
    pub swf_url: String,
    /// Empty when not sent.
    pub page_url: String,
    /// Whether the peer asked for AMF3.
    pub amf3: bool,
}

/// The publish command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Publish {
    /// The message stream.
    pub msid: u32,
    /// The stream name as sent, query and all.
    pub name: String,
    /// `live`, `record`, `append` or what else was sent; `live` when nothing was.
    pub kind: String,
}

/// The play command.
#[derive(Clone, PartialEq, Debug)]
pub struct Play {
    /// The message stream.
    pub msid: u32,
    /// The stream name as sent, query and all.
    pub name: String,
    /// As sent: -1 is live only, -2 (also when not sent) live or recorded. Some players send
    /// milliseconds, others seconds.
    pub start: f64,
}

/// One connection.
#[derive(Debug)]
pub struct Session {
    link: Link,
    limits: Limits,
    stage: Stage,
    /// Message stream n is at n - 1.
    streams: Vec<Stream>,
    pending: Option<Pending>,
    /// The peer sent FCPublish and wants to be told in its own way.
    fc_publish: bool,
    aggregate: Option<Aggregate>,
    events: VecDeque<Event>,
    /// Input that waits for a decision or for events to be polled.
    held: Vec<u8>,
    held_from: usize,
    failed: Option<Error>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Nothing but connect is in order.
    New,
    Connected,
    /// Connect was refused; what still comes is of no interest.
    Refused,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stream {
    /// Deleted, to be given out again.
    Free,
    /// Created; never published.
    Idle,
    Publishing,
    Playing,
    /// A publish or play ended or was refused; late media is dropped, another may begin.
    Ended,
}

/// The decision that the caller owes.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Pending {
    Connect {
        transaction: f64,
        amf3: bool,
        enhanced: bool,
    },
    Publish {
        msid: u32,
    },
    Play {
        msid: u32,
    },
}

impl Session {
    /// A session that waits for the peer's handshake.
    pub fn new(limits: Limits, seed: Seed) -> Self {
        Self {
            link: Link::new(Handshake::server(seed), Vec::new(), &limits),
            limits,
            stage: Stage::New,
            streams: Vec::new(),
            pending: None,
            fc_publish: false,
            aggregate: None,
            events: VecDeque::new(),
            held: Vec::new(),
            held_from: 0,
            failed: None,
        }
    }

    /// Takes in what was read from the socket, in pieces of any size. Events that came ahead of
    /// an error can still be polled.
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
        if self.pending.is_some() && self.held.len() - self.held_from > self.limits.held_input {
            return self.fail(Error::TooMuchHeld(self.limits.held_input));
        }
        Ok(())
    }

    /// The next event; `None` when more input or a decision is needed first.
    pub fn poll_event(&mut self) -> Result<Option<Event>, Error> {
        if self.events.is_empty() {
            if let Some(error) = &self.failed {
                return Err(error.clone());
            }
            self.advance_held()?;
        }
        let event = self.events.pop_front();
        if self.events.is_empty() && self.events.capacity() > SPARE_EVENTS {
            self.events = VecDeque::new();
        }
        Ok(event)
    }

    /// What is to be written to the socket, in whole messages; empty when there is nothing. Take
    /// it only when the socket can take it: output left here is what bounds a peer that floods.
    pub fn take_output(&mut self) -> Bytes {
        self.link.take_output()
    }

    /// Whether [`Self::take_output`] has anything to give.
    pub fn has_output(&self) -> bool {
        !self.link.output.is_empty()
    }

    /// False while a decision is pending: reading more would only fill memory.
    pub fn wants_input(&self) -> bool {
        self.pending.is_none()
    }

    /// Whether the handshake is done.
    pub fn is_established(&self) -> bool {
        self.link.is_established()
    }

    /// Bytes taken in so far, over the whole connection.
    pub fn bytes_received(&self) -> u64 {
        self.link.received()
    }

    fn fail<T>(&mut self, error: Error) -> Result<T, Error> {
        self.failed = Some(error.clone());
        Err(error)
    }

    fn advance_held(&mut self) -> Result<(), Error> {
        let held = std::mem::take(&mut self.held);
        let mut rest = held.get(self.held_from..).unwrap_or_default();
        let outcome = self.advance(&mut rest);
        self.held_from = held.len() - rest.len();
        if rest.is_empty() {
            self.held_from = 0;
        } else {
            self.held = held;
        }
        outcome
    }

    /// Works through `input` until it is used up, a decision is due, or events must be polled.
    fn advance(&mut self, input: &mut &[u8]) -> Result<(), Error> {
        while self.pending.is_none() && self.events.len() < self.limits.events {
            let step = match self.next_message(input) {
                Ok(Some(message)) => self.handle_message(message),
                Ok(None) => return Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = step.and_then(|()| self.link.check_answers()) {
                return self.fail(error);
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
        self.link.read(input)
    }

    fn handle_message(&mut self, message: Message) -> Result<(), Error> {
        if self.stage == Stage::Refused {
            return Ok(());
        }
        match message.type_id {
            message::COMMAND | message::COMMAND_AMF3 => {
                let msid = message.msid;
                self.handle_command(msid, Command::read(&message)?)
            }
            message::AGGREGATE if self.aggregate.is_none() => {
                self.aggregate = Some(Aggregate::new(message));
                Ok(())
            }
            _ => self.handle_media(&message),
        }
    }

    fn handle_media(&mut self, message: &Message) -> Result<(), Error> {
        let Some(mut media) = message::media(message) else {
            return Ok(());
        };
        match self.stream(media.msid) {
            Some(Stream::Publishing) => {}
            Some(Stream::Free | Stream::Ended | Stream::Playing) => return Ok(()),
            // Some encoders send everything on message stream 0.
            None if media.msid == 0 && self.streams.iter().any(|s| *s != Stream::Idle) => {
                let Some(msid) = self.first(|stream| *stream == Stream::Publishing) else {
                    return Ok(());
                };
                media.msid = msid;
            }
            Some(Stream::Idle) | None => return Err(MEDIA_BEFORE_PUBLISH),
        }
        self.events.push_back(Event::Media(media));
        Ok(())
    }

    fn stream(&self, msid: u32) -> Option<Stream> {
        let at = usize::try_from(msid).ok()?.checked_sub(1)?;
        self.streams.get(at).copied()
    }

    fn set_stream(&mut self, msid: u32, state: Stream) {
        let at = usize::try_from(msid).ok().and_then(|n| n.checked_sub(1));
        if let Some(stream) = at.and_then(|at| self.streams.get_mut(at)) {
            *stream = state;
        }
    }

    /// The lowest message stream in a state.
    fn first(&self, wanted: impl Fn(&Stream) -> bool) -> Option<u32> {
        let at = self.streams.iter().position(wanted)?;
        u32::try_from(at + 1).ok()
    }
}

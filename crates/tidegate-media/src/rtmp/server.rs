//! The server's end of one RTMP connection.
//!
//! Feed it with [`Session::handle_input`], then call [`Session::poll_event`] until it gives
//! `None`, then write [`Session::take_output`]. [`Event::Connect`], [`Event::Publish`] and
//! [`Event::Play`] ask for a decision: until one of `accept_…` or `refuse_…` is called, nothing
//! that the peer sent after them is looked at, so answers keep their order and no media can come
//! ahead of a publish. Stop reading the socket while [`Session::wants_input`] is false.
//!
//! Media for players does not go through the session: write [`super::chunk_write::media`] to the
//! socket, between two outputs of the session, once the play is accepted.

use bytes::Bytes;

use super::{Error, Limits, Media, Seed};

/// What the peer did. Texts are the peer's own: escape them before logging.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// Answer with [`Session::accept_connect`] or [`Session::refuse_connect`].
    Connect(Connect),
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
    /// Seconds, or -1 for live only, or -2 (also when not sent) for live or recorded.
    pub start: f64,
}

/// One connection.
pub struct Session {
    _limits: Limits,
}

impl Session {
    /// A session that waits for the peer's handshake.
    pub fn new(limits: Limits, seed: Seed) -> Self {
        let _ = seed;
        Self { _limits: limits }
    }

    /// Takes in what was read from the socket, in pieces of any size, 64 KiB at most being kind
    /// to memory.
    pub fn handle_input(&mut self, input: &[u8]) -> Result<(), Error> {
        let _ = input;
        Ok(())
    }

    /// The next event; `None` when more input or a decision is needed first.
    pub fn poll_event(&mut self) -> Result<Option<Event>, Error> {
        Ok(None)
    }

    /// What is to be written to the socket, in whole messages; empty when there is nothing. Take
    /// it only when the socket can take it: output left here is what bounds a peer that floods.
    pub fn take_output(&mut self) -> Bytes {
        Bytes::new()
    }

    /// Whether [`Self::take_output`] has anything to give.
    pub fn has_output(&self) -> bool {
        false
    }

    /// False while a decision is pending: reading more would only fill memory.
    pub fn wants_input(&self) -> bool {
        true
    }

    /// Whether the handshake is done.
    pub fn is_established(&self) -> bool {
        false
    }

    /// Bytes taken in so far, over the whole connection.
    pub fn bytes_received(&self) -> u64 {
        0
    }

    /// Answers the pending connect with `NetConnection.Connect.Success`. Without a pending
    /// connect this does nothing, and so for the other answers.
    pub fn accept_connect(&mut self) {}

    /// Answers the pending connect with `NetConnection.Connect.Rejected`; then close.
    pub fn refuse_connect(&mut self, description: &str) {
        let _ = description;
    }

    /// Answers the pending publish on `msid` with `NetStream.Publish.Start`.
    pub fn accept_publish(&mut self, msid: u32) {
        let _ = msid;
    }

    /// Answers the pending publish with a status of level error, such as
    /// `NetStream.Publish.BadName`. The message stream may publish again.
    pub fn refuse_publish(&mut self, msid: u32, code: &str, description: &str) {
        let _ = (msid, code, description);
    }

    /// Answers the pending play with stream begin, `NetStream.Play.Reset` and
    /// `NetStream.Play.Start`. Media may follow on the socket.
    pub fn accept_play(&mut self, msid: u32) {
        let _ = msid;
    }

    /// Answers the pending play with a status of level error, such as
    /// `NetStream.Play.StreamNotFound`.
    pub fn refuse_play(&mut self, msid: u32, code: &str, description: &str) {
        let _ = (msid, code, description);
    }

    /// Cuts a running publisher: a status of level error with `code` and `description`. Media
    /// that still arrives is dropped; close once the output is written.
    pub fn end_publish(&mut self, msid: u32, code: &str, description: &str) {
        let _ = (msid, code, description);
    }

    /// Ends a running play: `NetStream.Play.UnpublishNotify` and stream EOF.
    pub fn end_play(&mut self, msid: u32, description: &str) {
        let _ = (msid, description);
    }
}

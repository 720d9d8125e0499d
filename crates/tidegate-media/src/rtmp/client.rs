//! The client's end of one RTMP connection: publish one stream or play one.
//!
//! Write [`Session::take_output`] first, then feed input and poll events as with the server.

use bytes::Bytes;

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
}

/// One connection.
pub struct Session {
    _limits: Limits,
}

impl Session {
    /// A session with its first handshake bytes ready to be taken.
    pub fn new(options: Options, limits: Limits, seed: Seed) -> Self {
        let _ = (options, seed);
        Self { _limits: limits }
    }

    /// Takes in what was read from the socket.
    pub fn handle_input(&mut self, input: &[u8]) -> Result<(), Error> {
        let _ = input;
        Ok(())
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Result<Option<Event>, Error> {
        Ok(None)
    }

    /// What is to be written to the socket.
    pub fn take_output(&mut self) -> Bytes {
        Bytes::new()
    }

    /// Whether [`Self::take_output`] has anything to give.
    pub fn has_output(&self) -> bool {
        false
    }

    /// The message stream the server gave, once it has.
    pub fn msid(&self) -> Option<u32> {
        None
    }

    /// Queues one media message; only after [`Event::Published`], else it is dropped and false
    /// comes back. The output is not bounded here: take it before sending more.
    pub fn send_media(&mut self, kind: TagKind, timestamp: u32, payload: &[u8]) -> bool {
        let _ = (kind, timestamp, payload);
        false
    }

    /// Says goodbye: FCUnpublish and deleteStream for a publisher, deleteStream for a player.
    pub fn close(&mut self) {}
}

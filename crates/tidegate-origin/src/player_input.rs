//! What players send: nothing that matters over HTTP, control frames over WebSocket, commands
//! over RTMP. All of it is bounded.

use bytes::Bytes;
use tidegate_core::text::printable;
use tidegate_media::rtmp::server::{Event, Session};

use crate::http::websocket;

/// Most that an HTTP player may send after its request.
const MAX_HTTP_INPUT: usize = 64 << 10;

/// The receiving half of a player.
pub(crate) enum Input {
    /// HTTP: input is thrown away; carries how much there was.
    Http(usize),
    /// WebSocket.
    WebSocket(Box<websocket::Reader>),
    /// RTMP.
    Rtmp(Box<Session>),
}

/// Why a player's input ends it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum InputError {
    #[error("it keeps sending after its request")]
    TooMuch,
    #[error("{0}")]
    WebSocket(#[from] websocket::Error),
    #[error("{0}")]
    Rtmp(String),
    /// The peer said goodbye.
    #[error("it ended the play")]
    Goodbye,
}

impl Input {
    pub(crate) fn handle(&mut self, input: &[u8]) -> Result<(), InputError> {
        match self {
            Self::Http(total) => {
                *total += input.len();
                if *total > MAX_HTTP_INPUT {
                    return Err(InputError::TooMuch);
                }
                Ok(())
            }
            Self::WebSocket(reader) => match reader.handle(input) {
                Err(websocket::Error::Closed) => Err(InputError::Goodbye),
                other => Ok(other?),
            },
            Self::Rtmp(session) => {
                let fault = |e: tidegate_media::rtmp::Error| {
                    InputError::Rtmp(printable(&e.to_string(), 200))
                };
                session.handle_input(input).map_err(fault)?;
                while let Some(event) = session.poll_event().map_err(fault)? {
                    handle_event(session, event)?;
                }
                Ok(())
            }
        }
    }

    /// What is to be sent back, if anything. Asked for only when nothing else is waiting, so that
    /// a peer that asks and does not read costs what one answer costs.
    pub(crate) fn take_answer(&mut self) -> Option<Bytes> {
        match self {
            Self::Http(_) => None,
            Self::WebSocket(reader) => reader.take_pong(),
            Self::Rtmp(session) => session.has_output().then(|| session.take_output()),
        }
    }

    /// The RTMP goodbye; empty for the others.
    pub(crate) fn end_play(&mut self, msid: u32, words: &str) -> Bytes {
        let Self::Rtmp(session) = self else {
            return Bytes::new();
        };
        session.end_play(msid, words);
        session.take_output()
    }
}

fn handle_event(session: &mut Session, event: Event) -> Result<(), InputError> {
    match event {
        Event::StopPlay { .. } => return Err(InputError::Goodbye),
        Event::Publish(publish) => session.refuse_publish(
            publish.msid,
            "NetStream.Publish.Denied",
            "this connection plays a stream",
        ),
        Event::Play(play) => session.refuse_play(
            play.msid,
            "NetStream.Play.Failed",
            "this connection already plays a stream",
        ),
        Event::Connect(_) => session.refuse_connect("already connected"),
        _ => {}
    }
    Ok(())
}

//! RTMP, both ends: [`server::Session`] and [`client::Session`] turn input bytes into events and
//! output bytes; [`chunk_write`] serialises media once for all players.

pub mod chunk_read;
pub mod chunk_write;
pub mod client;
mod error;
mod handshake;
mod limits;
mod link;
mod message;
pub mod server;

use bytes::Bytes;

pub use error::Error;
pub use limits::Limits;

use crate::flv::TagKind;

/// 32 random bytes from the caller, from which a session expands what its handshake needs.
/// They need not be secret, only unlike those of other sessions.
pub type Seed = [u8; 32];

/// One audio, video or script message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Media {
    /// The message stream it came on.
    pub msid: u32,
    /// Audio, video or script.
    pub kind: TagKind,
    /// Absolute, in milliseconds, wrapping at 2^32.
    pub timestamp: u32,
    /// The FLV tag body. A script body starts with its name (`onMetaData`); the `@setDataFrame`
    /// wrapper is gone. Never empty.
    pub payload: Bytes,
}

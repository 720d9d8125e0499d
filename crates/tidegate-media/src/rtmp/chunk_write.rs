//! Serialising messages into chunks, so that one media message is cut up once and written
//! verbatim to every player.

use bytes::Bytes;

use crate::flv::TagKind;

/// The chunk size that both our sessions announce and that [`put_media`] cuts by.
pub const CHUNK_SIZE: usize = 65_536;

/// The message stream that [`media`] writes.
pub const MEDIA_MSID: u32 = 1;

/// Where and when a message belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Chunk stream, 2 to 65,599.
    pub csid: u32,
    /// Message type, such as 9 for video.
    pub type_id: u8,
    /// Message stream.
    pub msid: u32,
    /// Absolute, in milliseconds.
    pub timestamp: u32,
}

/// Appends one message, its first chunk with a full header (fmt 0), the others with none (fmt 3).
/// `payload` is at most 2^24 - 1 bytes, the most that the length field can say.
pub fn put_message(out: &mut Vec<u8>, header: Header, payload: &[u8], chunk_size: usize) {
    let _ = (out, header, payload, chunk_size);
}

/// One media message for message stream [`MEDIA_MSID`], cut by [`CHUNK_SIZE`]: the bytes that
/// every RTMP player is sent.
pub fn media(kind: TagKind, timestamp: u32, payload: &[u8]) -> Bytes {
    let _ = (kind, timestamp, payload);
    Bytes::new()
}

/// A copy of what [`media`] made, for the player whose message stream is not [`MEDIA_MSID`].
pub fn with_msid(media: &Bytes, msid: u32) -> Bytes {
    let _ = msid;
    media.clone()
}

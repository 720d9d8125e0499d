//! Serialising messages into chunks, so that one media message is cut up once and written
//! verbatim to every player.

use bytes::Bytes;

use crate::flv::TagKind;

/// The chunk size that both our sessions announce and that [`media`] cuts by.
pub const CHUNK_SIZE: usize = 65_536;

/// The message stream that [`media`] writes.
pub const MEDIA_MSID: u32 = 1;

/// Longest message, as the length field has 24 bits.
pub const MAX_MESSAGE: usize = 0xff_ffff;

/// Where the message stream id stands in what [`media`] makes.
const MSID_OFFSET: usize = 8;

const EXTENDED: u32 = 0xff_ffff;

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
/// A payload past [`MAX_MESSAGE`] is cut there; `chunk_size` counts as at least 1.
pub fn put_message(out: &mut Vec<u8>, header: Header, payload: &[u8], chunk_size: usize) {
    let payload = payload.get(..MAX_MESSAGE).unwrap_or(payload);
    let chunk_size = chunk_size.max(1);
    out.reserve(18 + payload.len() + payload.len() / chunk_size * 7);
    let [_, length @ ..] = u32::try_from(payload.len())
        .unwrap_or_default()
        .to_be_bytes();
    let [_, short @ ..] = header.timestamp.min(EXTENDED).to_be_bytes();
    put_basic_header(out, 0, header.csid);
    out.extend_from_slice(&short);
    out.extend_from_slice(&length);
    out.push(header.type_id);
    out.extend_from_slice(&header.msid.to_le_bytes());
    let extended = (header.timestamp >= EXTENDED).then(|| header.timestamp.to_be_bytes());
    let mut chunks = payload.chunks(chunk_size);
    out.extend(extended.iter().flatten());
    out.extend_from_slice(chunks.next().unwrap_or_default());
    for chunk in chunks {
        put_basic_header(out, 3, header.csid);
        out.extend(extended.iter().flatten());
        out.extend_from_slice(chunk);
    }
}

fn put_basic_header(out: &mut Vec<u8>, fmt: u8, csid: u32) {
    let fmt = fmt << 6;
    let [_, _, high, low] = csid.saturating_sub(64).to_be_bytes();
    match csid {
        ..64 => {
            let [_, _, _, id] = csid.to_be_bytes();
            out.push(fmt | id);
        }
        64..320 => out.extend_from_slice(&[fmt, low]),
        _ => out.extend_from_slice(&[fmt | 1, low, high]),
    }
}

/// The chunk stream that media of a kind goes out on.
pub(super) fn media_csid(kind: TagKind) -> u32 {
    match kind {
        TagKind::Audio => 4,
        TagKind::Script => 5,
        TagKind::Video => 6,
    }
}

/// One media message for message stream [`MEDIA_MSID`], cut by [`CHUNK_SIZE`]: the bytes that
/// every RTMP player is sent.
pub fn media(kind: TagKind, timestamp: u32, payload: &[u8]) -> Bytes {
    let mut out = Vec::new();
    let header = Header {
        csid: media_csid(kind),
        type_id: kind.type_id(),
        msid: MEDIA_MSID,
        timestamp,
    };
    put_message(&mut out, header, payload, CHUNK_SIZE);
    out.into()
}

/// What [`media`] made, for the player whose message stream is not [`MEDIA_MSID`]: a copy, unless
/// it is.
pub fn with_msid(media: &Bytes, msid: u32) -> Bytes {
    if msid == MEDIA_MSID {
        return media.clone();
    }
    let mut copy = media.to_vec();
    if let Some(field) = copy.get_mut(MSID_OFFSET..MSID_OFFSET + 4) {
        field.copy_from_slice(&msid.to_le_bytes());
    }
    copy.into()
}

//! Serialising messages into chunks, so that one media message is cut up once and written
//! verbatim to every player.

use crate::flv::TagKind;

/// The chunk size that both sessions announce and that [`put_media`] cuts by.
pub const CHUNK_SIZE: usize = 65_536;

/// Longest message, as the length field has 24 bits.
pub const MAX_MESSAGE: usize = 0xff_ffff;

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

/// Appends one media message, on the chunk stream of its kind and cut by [`CHUNK_SIZE`].
pub fn put_media(out: &mut Vec<u8>, kind: TagKind, msid: u32, timestamp: u32, payload: &[u8]) {
    let header = Header {
        csid: match kind {
            TagKind::Audio => 4,
            TagKind::Script => 5,
            TagKind::Video => 6,
        },
        type_id: kind.type_id(),
        msid,
        timestamp,
    };
    put_message(out, header, payload, CHUNK_SIZE);
}

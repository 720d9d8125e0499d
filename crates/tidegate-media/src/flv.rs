//! FLV: the file header, tags, and an incremental reader.

#[cfg(test)]
mod tests;

use bytes::{Buf, Bytes, BytesMut};

/// What a tag carries.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TagKind {
    /// Type 8.
    Audio,
    /// Type 9.
    Video,
    /// Type 18: `onMetaData` and its like, in AMF0.
    Script,
}

impl TagKind {
    /// The tag type, which is also the RTMP message type.
    pub fn type_id(self) -> u8 {
        match self {
            Self::Audio => 8,
            Self::Video => 9,
            Self::Script => 18,
        }
    }

    /// The kind for a tag type.
    pub fn from_type_id(id: u8) -> Option<Self> {
        match id {
            8 => Some(Self::Audio),
            9 => Some(Self::Video),
            18 => Some(Self::Script),
            _ => None,
        }
    }
}

/// Length of a tag's header.
pub const TAG_HEADER: usize = 11;

/// Longest body a tag can carry.
pub const MAX_BODY: usize = 0xff_ffff;

/// The file header with the first previous-tag-size.
pub fn file_header(audio: bool, video: bool) -> [u8; 13] {
    let flags = u8::from(audio) << 2 | u8::from(video);
    [b'F', b'L', b'V', 1, flags, 0, 0, 0, 9, 0, 0, 0, 0]
}

/// Appends one whole tag: header, `payload`, previous-tag-size. Milliseconds; a payload past
/// [`MAX_BODY`] is cut there.
pub fn put_tag(out: &mut Vec<u8>, kind: TagKind, timestamp_ms: u32, payload: &[u8]) {
    let payload = payload.get(..MAX_BODY).unwrap_or(payload);
    let size = u32::try_from(payload.len()).unwrap_or_default();
    let [_, size @ ..] = size.to_be_bytes();
    let [high, low @ ..] = timestamp_ms.to_be_bytes();
    out.reserve(TAG_HEADER + payload.len() + 4);
    out.push(kind.type_id());
    out.extend_from_slice(&size);
    out.extend_from_slice(&low);
    out.extend_from_slice(&[high, 0, 0, 0]);
    out.extend_from_slice(payload);
    let total = u32::from_be_bytes([0, size[0], size[1], size[2]]) + 11;
    out.extend_from_slice(&total.to_be_bytes());
}

/// One tag as [`Bytes`]: what every HTTP-FLV player is sent.
pub fn tag(kind: TagKind, timestamp_ms: u32, payload: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(TAG_HEADER + payload.len() + 4);
    put_tag(&mut out, kind, timestamp_ms, payload);
    out.into()
}

/// One tag read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tag {
    /// What it carries.
    pub kind: TagKind,
    /// Milliseconds.
    pub timestamp: u32,
    /// The tag's body.
    pub payload: Bytes,
}

/// Why bytes are not FLV.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file header.
    #[error("not FLV: it starts with {0:02x?}, FLV starts with 46 4c 56 01")]
    Signature([u8; 4]),
    /// The file header says where the tags start: 9, or a little later.
    #[error("the FLV header says it is {0} bytes long, 9 was expected")]
    HeaderLength(u32),
    /// A tag of a kind that no FLV has, so the place in the stream is lost.
    #[error("FLV tag of type {0:#04x}, expected 8 (audio), 9 (video) or 18 (script)")]
    TagType(u8),
}

/// Incremental reader of an FLV file or stream, for tests and load tools. Holds what was fed and
/// not yet polled: poll it empty after each input.
#[derive(Default, Debug)]
pub struct Reader {
    buffer: BytesMut,
    place: Place,
}

#[derive(Clone, Copy, Default, Debug)]
enum Place {
    #[default]
    FileHeader,
    /// Bytes to drop before the next tag: previous-tag-size, or a long file header.
    Skip(usize),
    Tag,
}

/// No file has a longer header; nobody has defined what would be in it.
const LONGEST_HEADER: u32 = 64;

impl Reader {
    /// Takes in bytes.
    pub fn handle_input(&mut self, input: &[u8]) {
        self.buffer.extend_from_slice(input);
    }

    /// The next tag; `None` when more input is needed. After an error every call gives it again.
    pub fn poll_tag(&mut self) -> Result<Option<Tag>, Error> {
        loop {
            match self.place {
                Place::FileHeader => {
                    let Some(header) = self.buffer.first_chunk::<9>() else {
                        return Ok(None);
                    };
                    let [a, b, c, d, _, length @ ..] = *header;
                    if [a, b, c, d] != *b"FLV\x01" {
                        return Err(Error::Signature([a, b, c, d]));
                    }
                    let length = u32::from_be_bytes(length);
                    if !(9..=LONGEST_HEADER).contains(&length) {
                        return Err(Error::HeaderLength(length));
                    }
                    self.place = Place::Skip(length as usize + 4);
                }
                Place::Skip(count) => {
                    if self.buffer.len() < count {
                        return Ok(None);
                    }
                    self.buffer.advance(count);
                    self.place = Place::Tag;
                }
                Place::Tag => return self.tag(),
            }
        }
    }

    fn tag(&mut self) -> Result<Option<Tag>, Error> {
        let Some(header) = self.buffer.first_chunk::<TAG_HEADER>() else {
            return Ok(None);
        };
        let [id, s0, s1, s2, t0, t1, t2, t3, ..] = *header;
        let kind = TagKind::from_type_id(id).ok_or(Error::TagType(id))?;
        let size = u32::from_be_bytes([0, s0, s1, s2]) as usize;
        if self.buffer.len() < TAG_HEADER + size {
            return Ok(None);
        }
        self.buffer.advance(TAG_HEADER);
        let payload = self.buffer.split_to(size).freeze();
        self.place = Place::Skip(4);
        Ok(Some(Tag {
            kind,
            timestamp: u32::from_be_bytes([t3, t0, t1, t2]),
            payload,
        }))
    }
}

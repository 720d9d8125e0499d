//! FLV: the file header, tags, and an incremental reader.

use bytes::Bytes;

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
    let _ = (out, kind, timestamp_ms, payload);
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
    #[error("not FLV: the signature is missing")]
    Signature,
}

/// Incremental reader of an FLV file or stream, for tests and load tools.
#[derive(Default, Debug)]
pub struct Reader {
    _private: (),
}

impl Reader {
    /// Takes in bytes.
    pub fn handle_input(&mut self, input: &[u8]) {
        let _ = input;
    }

    /// The next tag; `None` when more input is needed.
    pub fn poll_tag(&mut self) -> Result<Option<Tag>, Error> {
        Ok(None)
    }
}

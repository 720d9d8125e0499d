//! The forms in which a stream leaves: each is serialised once and shared by all its players.

use bytes::Bytes;
use tidegate_media::flv::{self, TagKind};
use tidegate_media::rtmp::chunk_write::put_media;

use crate::frame::{Frame, Headers};

/// One form of the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Container {
    /// FLV in HTTP/1.1 chunks.
    Chunked,
    /// FLV as it is, ended by the close.
    Plain,
    /// FLV in WebSocket messages.
    WebSocket,
    /// RTMP chunks for one message stream.
    Rtmp {
        /// The message stream.
        msid: u32,
    },
}

/// Room for the longest frame header of any container: a chunk size line or a WebSocket header.
const HEAD_ROOM: usize = 18;

impl Container {
    /// These frames as one piece that can be written after any other piece.
    pub(crate) fn batch(self, frames: &[Frame]) -> Bytes {
        let payload: usize = frames.iter().map(|f| f.payload.len() + 32).sum();
        let mut out = self.start(payload);
        for frame in frames {
            self.put(&mut out, frame.kind, frame.timestamp, &frame.payload);
        }
        self.finish(out)
    }

    /// What comes ahead of the first frame: the FLV header for who is `fresh`, then the stream's
    /// headers stamped `timestamp`.
    pub(crate) fn prelude(
        self,
        headers: &Headers,
        timestamp: u32,
        fresh: Option<FlvFlags>,
    ) -> Bytes {
        let mut out = self.start(1024);
        if let (Some(flags), false) = (fresh, matches!(self, Self::Rtmp { .. })) {
            out.extend_from_slice(&flv::file_header(flags.audio, flags.video));
        }
        for (kind, payload) in headers.packets() {
            // ffmpeg takes metadata with a time other than zero for a subtitle track.
            let at = if kind == TagKind::Script {
                0
            } else {
                timestamp
            };
            self.put(&mut out, kind, at, payload);
        }
        self.finish(out)
    }

    fn put(self, out: &mut Vec<u8>, kind: TagKind, timestamp: u32, payload: &[u8]) {
        match self {
            Self::Rtmp { msid } => put_media(out, kind, msid, timestamp, payload),
            _ => flv::put_tag(out, kind, timestamp, payload),
        }
    }

    fn start(self, payload: usize) -> Vec<u8> {
        let room = match self {
            Self::Chunked | Self::WebSocket => HEAD_ROOM,
            Self::Plain | Self::Rtmp { .. } => 0,
        };
        let mut out = Vec::with_capacity(room + payload + 2);
        out.resize(room, 0);
        out
    }

    /// Writes the header, whose length depends on the body's, into the end of the room left for
    /// it, so that the body is not moved.
    fn finish(self, mut out: Vec<u8>) -> Bytes {
        let body = out.len().saturating_sub(HEAD_ROOM);
        let head = match self {
            Self::Plain | Self::Rtmp { .. } => return out.into(),
            _ if body == 0 => return Bytes::new(),
            Self::Chunked => format!("{body:x}\r\n").into_bytes(),
            Self::WebSocket => websocket_head(body),
        };
        let from = HEAD_ROOM.saturating_sub(head.len());
        if let Some(room) = out.get_mut(from..HEAD_ROOM) {
            room.copy_from_slice(&head);
        }
        if self == Self::Chunked {
            out.extend_from_slice(b"\r\n");
        }
        Bytes::from(out).slice(from..)
    }
}

/// Which kinds of packets an FLV header announces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FlvFlags {
    pub(crate) audio: bool,
    pub(crate) video: bool,
}

/// The header of an unmasked, final, binary message.
fn websocket_head(length: usize) -> Vec<u8> {
    const BINARY: u8 = 0x82;
    let mut head = vec![BINARY];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..126), _) => head.push(short),
        (_, Ok(medium)) => {
            head.push(126);
            head.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            head.push(127);
            head.extend_from_slice(&u64::try_from(length).unwrap_or(u64::MAX).to_be_bytes());
        }
    }
    head
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_media::packet::Class;

    fn frame(size: usize) -> Frame {
        Frame {
            kind: TagKind::Video,
            class: Class::OPAQUE,
            timestamp: 7,
            payload: Bytes::from(vec![9; size]),
        }
    }

    #[test]
    fn a_chunk_says_its_own_length() {
        let bytes = Container::Chunked.batch(&[frame(300), frame(5)]);
        let at = bytes.windows(2).position(|w| w == b"\r\n").expect("line");
        let line = std::str::from_utf8(&bytes[..at]).expect("ascii");
        let body = usize::from_str_radix(line, 16).expect("hex");
        assert_eq!(bytes.len(), at + 2 + body + 2);
        assert!(bytes.ends_with(b"\r\n"));
        assert_eq!(body, 300 + 5 + 2 * 15);
    }

    #[test]
    fn a_websocket_message_says_its_own_length() {
        for (size, head) in [(20, 2), (300, 4), (70_000, 10)] {
            let bytes = Container::WebSocket.batch(&[frame(size)]);
            assert_eq!(bytes.len(), head + size + 15, "{size}");
            assert_eq!(bytes[0], 0x82, "{size}");
        }
    }

    #[test]
    fn all_forms_carry_the_same_tags() {
        let plain = Container::Plain.batch(&[frame(300)]);
        let chunked = Container::Chunked.batch(&[frame(300)]);
        let socket = Container::WebSocket.batch(&[frame(300)]);
        assert_eq!(&chunked[5..chunked.len() - 2], &plain[..]);
        assert_eq!(&socket[4..], &plain[..]);
    }
}

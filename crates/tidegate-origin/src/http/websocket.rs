//! The little of WebSocket (RFC 6455) that a player needs: the accept key, a reader of control
//! frames, the close frame. Media frames are made in [`crate::container`].

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sha1::{Digest, Sha1};

/// Longest frame that a player may send.
const MAX_FRAME: usize = 4096;

/// Longest payload of a control frame, by the RFC.
const MAX_CONTROL: usize = 125;

/// Why a player's WebSocket is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("it sent a WebSocket frame without a mask")]
    Unmasked,
    #[error("it sent a WebSocket frame with reserved bits or an unknown type")]
    Reserved,
    #[error("it sent a WebSocket frame longer than {MAX_FRAME} bytes")]
    TooLong,
    #[error("it sent a close frame")]
    Closed,
}

/// The value of `Sec-WebSocket-Accept`, or `None` if the key is not 16 bytes in base64.
pub(crate) fn accept(key: &str) -> Option<String> {
    let decoded = STANDARD.decode(key).ok()?;
    if decoded.len() != 16 {
        return None;
    }
    let mut sha1 = Sha1::new();
    sha1.update(key);
    sha1.update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    Some(STANDARD.encode(sha1.finalize()))
}

/// A close frame with a code and as much of the words as a control frame holds.
pub(crate) fn close_frame(code: u16, words: &str) -> Bytes {
    let words = &words[..words.floor_char_boundary(MAX_CONTROL - 2)];
    let length = u8::try_from(words.len() + 2).unwrap_or(2);
    let mut frame = vec![0x88, length];
    frame.extend_from_slice(&code.to_be_bytes());
    frame.extend_from_slice(words.as_bytes());
    frame.into()
}

/// Reads what a player sends. Pings are answered, text and binary are thrown away.
#[derive(Default)]
pub(crate) struct Reader {
    held: Vec<u8>,
    pong: Option<Bytes>,
}

struct Head {
    opcode: u8,
    mask: [u8; 4],
    length: usize,
    size: usize,
}

impl Reader {
    pub(crate) fn handle(&mut self, input: &[u8]) -> Result<(), Error> {
        self.held.extend_from_slice(input);
        let mut at = 0;
        while let Some(rest) = self.held.get(at..)
            && let Some(head) = head(rest)?
            && let Some(payload) = rest.get(head.size..head.size + head.length)
        {
            match head.opcode {
                8 => return Err(Error::Closed),
                9 => self.pong = Some(pong(payload, head.mask)),
                _ => {}
            }
            at += head.size + head.length;
        }
        // Gives the memory back while nothing is held, which is nearly always.
        if at >= self.held.len() {
            self.held = Vec::new();
        } else {
            self.held.drain(..at);
        }
        Ok(())
    }

    /// The answer to the newest ping; older ones need none.
    pub(crate) fn take_pong(&mut self) -> Option<Bytes> {
        self.pong.take()
    }
}

fn head(bytes: &[u8]) -> Result<Option<Head>, Error> {
    let (Some(&first), Some(&second)) = (bytes.first(), bytes.get(1)) else {
        return Ok(None);
    };
    let opcode = first & 0x0f;
    let is_control = opcode & 0x08 != 0;
    let is_final = first & 0x80 != 0;
    if first & 0x70 != 0 || !matches!(opcode, 0..=2 | 8..=10) || (is_control && !is_final) {
        return Err(Error::Reserved);
    }
    if second & 0x80 == 0 {
        return Err(Error::Unmasked);
    }
    let (length, size) = match second & 0x7f {
        126 => match bytes.get(2..4).and_then(|b| b.try_into().ok()) {
            Some(b) => (usize::from(u16::from_be_bytes(b)), 4),
            None => return Ok(None),
        },
        127 => return Err(Error::TooLong),
        short => (usize::from(short), 2),
    };
    if length > MAX_FRAME || (is_control && length > MAX_CONTROL) {
        return Err(Error::TooLong);
    }
    let Some(mask) = bytes.get(size..size + 4).and_then(|b| b.try_into().ok()) else {
        return Ok(None);
    };
    Ok(Some(Head {
        opcode,
        mask,
        length,
        size: size + 4,
    }))
}

fn pong(payload: &[u8], mask: [u8; 4]) -> Bytes {
    let length = u8::try_from(payload.len()).unwrap_or(0);
    let unmasked = payload.iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m);
    [0x8a, length].into_iter().chain(unmasked).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let mut frame = vec![first, 0x80 | u8::try_from(payload.len()).unwrap()];
        frame.extend_from_slice(&mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m));
        frame
    }

    #[test]
    fn accepts_the_key_of_the_rfc() {
        assert_eq!(
            accept("dGhlIHNhbXBsZSBub25jZQ==").as_deref(),
            Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        );
        assert_eq!(accept("c2hvcnQ="), None);
        assert_eq!(accept("not base64!"), None);
    }

    #[test]
    fn a_ping_is_answered_however_it_is_cut() {
        let ping = masked(0x89, b"hello");
        for cut in 0..ping.len() {
            let mut reader = Reader::default();
            let (a, b) = ping.split_at(cut);
            reader.handle(a).unwrap();
            reader.handle(b).unwrap();
            let pong = reader.take_pong().expect("a pong");
            assert_eq!(&pong[..], b"\x8a\x05hello", "{cut}");
        }
    }

    #[test]
    fn what_the_rfc_forbids_ends_it() {
        for (input, error) in [
            (vec![0x81, 0x01, b'x'], Error::Unmasked),
            (masked(0xf1, b"x"), Error::Reserved),
            (masked(0x83, b"x"), Error::Reserved),
            (masked(0x09, b"x"), Error::Reserved),
            (vec![0x82, 0xff], Error::TooLong),
            (vec![0x82, 0xfe, 0x20, 0], Error::TooLong),
            (vec![0x89, 0xfe, 0x00, 0x80], Error::TooLong),
            (masked(0x88, b""), Error::Closed),
        ] {
            assert_eq!(Reader::default().handle(&input), Err(error), "{input:?}");
        }
    }

    #[test]
    fn text_is_thrown_away_and_not_kept() {
        let mut reader = Reader::default();
        for _ in 0..1000 {
            reader.handle(&masked(0x81, &[b'x'; 100])).unwrap();
        }
        assert_eq!(reader.held.capacity(), 0);
        assert_eq!(reader.take_pong(), None);
    }

    #[test]
    fn a_close_frame_fits_a_control_frame() {
        let frame = close_frame(1008, &"é".repeat(100));
        assert_eq!(usize::from(frame[1]) + 2, frame.len());
        assert!(frame.len() <= 127);
        assert!(std::str::from_utf8(&frame[4..]).is_ok());
    }
}

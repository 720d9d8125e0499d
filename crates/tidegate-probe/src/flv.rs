//! Whether an HTTP-FLV answer carries media: a reader that keeps no frame, only its first bytes.

use reqwest::Url;
use tidegate_core::probe::Look;
use tidegate_media::flv::{TAG_HEADER, TagKind};
use tidegate_media::packet::{Role, classify};

use crate::http::{Http, Piece};
use crate::look::{Run, Verdict};

/// Enough of a packet to tell a frame from a sequence header.
const HEAD: usize = 32;
/// A packet that is not understood counts as a frame when it is longer than any command.
const COMMAND: usize = 16;
const FILE_HEADER: usize = 9;
/// The size of each tag is repeated behind it.
const PREVIOUS_SIZE: usize = 4;
const SIGNATURE: [u8; 4] = *b"FLV\x01";
/// Longest file header; the format has 9 and room for what nobody has defined.
const LONGEST_HEADER: u32 = 64;

/// One look at an HTTP-FLV URL.
pub(crate) async fn look(http: &Http, run: &mut Run, url: Url) -> Verdict {
    let mut answer = match http.get(run, url).await {
        Ok(answer) => answer,
        Err(verdict) => return verdict,
    };
    let says_other = answer.is_declared_text();
    let mut scan = Scan::default();
    loop {
        let bytes = match answer.piece(run).await {
            Piece::Bytes(bytes) => bytes,
            Piece::End | Piece::Late if says_other && !scan.is_flv() => {
                return Verdict::new(Look::NoAnswer, "HTTP 200 with a text instead of FLV");
            }
            Piece::End => {
                let frames = scan.frames;
                let words = format!("the answer ended after {frames} frames");
                return Verdict::new(Look::Absent, words);
            }
            Piece::Late if scan.is_within_tag() => {
                let words = "media came too slowly to be sure: a tag was not complete in time";
                return Verdict::new(Look::NoAnswer, words);
            }
            Piece::Late => {
                let frames = scan.frames;
                let words = format!("HTTP 200, then silence after {frames} frames");
                return Verdict::new(Look::Absent, words);
            }
            Piece::Spent => {
                let words = "the byte budget was spent before two frames had come";
                return Verdict::new(Look::NoAnswer, words);
            }
            Piece::Broken(words) => {
                return Verdict::new(Look::NoAnswer, format!("the answer broke off: {words}"));
            }
        };
        match scan.feed(&bytes) {
            Ok(true) => return Verdict::new(Look::Media, "FLV frames with moving timestamps"),
            Ok(false) => {}
            Err(bad) => return Verdict::new(Look::NoAnswer, bad.to_string()),
        }
    }
}

/// Why an answer is not FLV.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
enum Bad {
    #[error("HTTP 200 with something that is not FLV, it starts with {0:02x?}")]
    Signature(Vec<u8>),
    #[error("an FLV header that says it is {0} bytes long, 9 was expected")]
    HeaderLength(u32),
    #[error("an FLV tag of type {0:#04x}, expected 8 (audio), 9 (video) or 18 (script)")]
    TagType(u8),
}

/// Reads FLV and remembers how many frames came and whether their timestamps move.
#[derive(Default, Debug)]
struct Scan {
    place: Place,
    /// The part of the present piece that has come; never longer than [`LONGEST_HEADER`].
    stash: Vec<u8>,
    first: Option<u32>,
    frames: u32,
}

#[derive(Clone, Copy, Default, Debug)]
enum Place {
    #[default]
    FileHeader,
    /// Bytes to drop before the next tag.
    Skip(usize),
    TagHeader,
    /// The first bytes of a body.
    Head {
        kind: TagKind,
        timestamp: u32,
        size: usize,
    },
}

impl Scan {
    /// Whether the file header has come.
    fn is_flv(&self) -> bool {
        !matches!(self.place, Place::FileHeader)
    }

    /// Whether more of a tag is due, so that silence may be a slow network.
    fn is_within_tag(&self) -> bool {
        match self.place {
            Place::FileHeader | Place::TagHeader => !self.stash.is_empty(),
            Place::Skip(count) => count > PREVIOUS_SIZE,
            Place::Head { .. } => true,
        }
    }

    /// Takes in bytes; true once two frames at different times have begun.
    fn feed(&mut self, mut input: &[u8]) -> Result<bool, Bad> {
        loop {
            let wanted = match self.place {
                Place::Skip(count) => {
                    let Some((_, rest)) = input.split_at_checked(count) else {
                        self.place = Place::Skip(count - input.len());
                        return Ok(false);
                    };
                    input = rest;
                    self.place = Place::TagHeader;
                    continue;
                }
                Place::FileHeader => FILE_HEADER,
                Place::TagHeader => TAG_HEADER,
                Place::Head { size, .. } => size.min(HEAD),
            };
            let take = wanted.saturating_sub(self.stash.len()).min(input.len());
            let (piece, rest) = input.split_at(take);
            self.stash.extend_from_slice(piece);
            input = rest;
            if !self.is_flv() {
                let known = self.stash.len().min(SIGNATURE.len());
                if self.stash.get(..known) != SIGNATURE.get(..known) {
                    return Err(Bad::Signature(self.stash.clone()));
                }
            }
            if self.stash.len() < wanted {
                return Ok(false);
            }
            let moved = self.piece()?;
            self.stash.clear();
            if moved {
                return Ok(true);
            }
        }
    }

    /// Acts on a complete piece in `stash`.
    fn piece(&mut self) -> Result<bool, Bad> {
        match self.place {
            Place::FileHeader => {
                let length = self
                    .stash
                    .last_chunk::<4>()
                    .map_or(0, |b| u32::from_be_bytes(*b));
                if !(9..=LONGEST_HEADER).contains(&length) {
                    return Err(Bad::HeaderLength(length));
                }
                // What is left of the header, and the first previous-tag-size.
                self.place = Place::Skip(length as usize - FILE_HEADER + PREVIOUS_SIZE);
            }
            Place::TagHeader => {
                let Some([id, s0, s1, s2, t0, t1, t2, t3, ..]) =
                    self.stash.first_chunk::<TAG_HEADER>().copied()
                else {
                    return Ok(false);
                };
                self.place = Place::Head {
                    kind: TagKind::from_type_id(id).ok_or(Bad::TagType(id))?,
                    timestamp: u32::from_be_bytes([t3, t0, t1, t2]),
                    size: u32::from_be_bytes([0, s0, s1, s2]) as usize,
                };
            }
            Place::Head {
                kind,
                timestamp,
                size,
            } => {
                self.place = Place::Skip(size - self.stash.len() + PREVIOUS_SIZE);
                if is_frame(kind, &self.stash, size) {
                    self.frames = self.frames.saturating_add(1);
                    return Ok(*self.first.get_or_insert(timestamp) != timestamp);
                }
            }
            Place::Skip(_) => {}
        }
        Ok(false)
    }
}

/// Whether a packet of `size` bytes that starts with `head` is coded media.
pub(crate) fn is_frame(kind: TagKind, head: &[u8], size: usize) -> bool {
    if kind == TagKind::Script {
        return false;
    }
    match classify(kind, head).role {
        Role::KeyFrame | Role::Frame => true,
        Role::Opaque => size > COMMAND,
        Role::SequenceHeader | Role::EndOfSequence | Role::Metadata | Role::Script => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidegate_media::flv::{file_header, put_tag};

    use super::*;

    fn prelude() -> Vec<u8> {
        let mut out = file_header(true, true).to_vec();
        put_tag(&mut out, TagKind::Script, 0, b"\x02\0\x0aonMetaData");
        put_tag(&mut out, TagKind::Video, 0, &[0x17, 0, 0, 0, 0, 1, 2]);
        put_tag(&mut out, TagKind::Audio, 0, &[0xaf, 0, 0x12, 0x10]);
        out
    }

    fn frame(out: &mut Vec<u8>, timestamp: u32, size: usize) {
        let mut payload = vec![0x17, 1, 0, 0, 0];
        payload.resize(size.max(5), 0xab);
        put_tag(out, TagKind::Video, timestamp, &payload);
    }

    #[test]
    fn two_frames_at_different_times_are_media() {
        let mut bytes = prelude();
        let headers = bytes.len();
        frame(&mut bytes, 1000, 90_000);
        let one = bytes.len();
        frame(&mut bytes, 1000, 10);
        let still = bytes.len();
        frame(&mut bytes, 1040, 500);
        for step in [1, 7, 4096, usize::MAX >> 1] {
            let mut scan = Scan::default();
            let mut flows = None;
            for (n, piece) in bytes.chunks(step).enumerate() {
                if scan.feed(piece).unwrap() {
                    flows = Some(n * step);
                    break;
                }
                assert!(scan.stash.len() <= LONGEST_HEADER as usize);
            }
            assert!(flows.is_some(), "step {step}");
            for (end, frames) in [(headers, 0), (one, 1), (still, 2)] {
                let mut scan = Scan::default();
                for piece in bytes[..end].chunks(step) {
                    assert!(!scan.feed(piece).unwrap());
                }
                assert_eq!(
                    (scan.frames, scan.is_within_tag()),
                    (frames, false),
                    "step {step}"
                );
            }
        }
    }

    #[test]
    fn a_tag_cut_short_is_noticed() {
        let mut bytes = prelude();
        let headers = bytes.len();
        frame(&mut bytes, 0, 9000);
        for end in [1, headers - 6, headers + 3, headers + 11, bytes.len() - 100] {
            let mut scan = Scan::default();
            assert!(!scan.feed(&bytes[..end]).unwrap());
            assert!(scan.is_within_tag(), "{end}");
        }
    }

    #[test]
    fn what_is_not_flv_is_named() {
        for (bytes, words) in [
            (&b"<"[..], "not FLV"),
            (b"FLV\x02", "not FLV"),
            (b"FLV\x01\x05\0\0\0\x08", "8 bytes long"),
            (b"FLV\x01\x05\xff\xff\xff\xff", "4294967295 bytes long"),
        ] {
            let error = Scan::default().feed(bytes).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        let mut bytes = prelude();
        bytes.extend_from_slice(&[0x11; 11]);
        let error = Scan::default().feed(&bytes).unwrap_err();
        assert_eq!(error, Bad::TagType(0x11));
    }

    proptest! {
        #[test]
        fn never_panics_and_splits_do_not_matter(
            noise in prop::collection::vec(any::<u8>(), 0..400),
            place in 0_usize..400,
        ) {
            let mut bytes = prelude();
            bytes.extend_from_slice(&noise);
            let whole = Scan::default().feed(&bytes);
            let mut scan = Scan::default();
            let (head, tail) = bytes.split_at(place.min(bytes.len()));
            let split = scan.feed(head).and_then(|done| if done { Ok(true) } else { scan.feed(tail) });
            prop_assert_eq!(whole, split);
        }
    }
}

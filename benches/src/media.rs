//! A synthetic stream of 2.5 Mb/s: H.264 at 25 frames a second with a key frame every 2 s, and
//! AAC at 43 frames a second, as valid FLV tag bodies.
//!
//! Every frame carries a marker with its index, so that a player finds out where in the stream
//! it is from any stretch of bytes, whatever framing they came in.

use tidegate_media::flv::TagKind;

/// Starts a marker; its first byte occurs nowhere else in a payload.
const MAGIC: [u8; 8] = [RARE, b't', b'i', b'd', b'e', b'm', b'r', b'k'];

/// The byte that only markers hold.
const RARE: u8 = 0xa7;

/// Length of a marker.
const MARKER: usize = MAGIC.len() + 8;

const VIDEO_MS: u64 = 40;
const FRAMES_PER_GOP: u64 = 50;
const KEY_FRAME: usize = 90_000;
const INTER_FRAME: usize = 10_260;
const AUDIO_FRAME: usize = 357;

/// Length of a frame's body ahead of its marker.
pub(crate) fn marker_offset(kind: TagKind) -> usize {
    match kind {
        TagKind::Video => 10,
        TagKind::Audio | TagKind::Script => 2,
    }
}

/// A frame of the stream: everything about it but its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Shape {
    pub(crate) kind: TagKind,
    pub(crate) key: bool,
    pub(crate) timestamp: u32,
    pub(crate) len: usize,
}

/// Generates the stream; the same index always has the same bytes.
pub(crate) struct Source {
    noise: Vec<u8>,
    video: u64,
    audio: u64,
}

impl Source {
    pub(crate) fn new() -> Self {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let noise = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_be_bytes()
        })
        .flatten()
        // A zero could form a start code, and the rare byte a marker.
        .filter(|byte| *byte != RARE && *byte != 0)
        .take(KEY_FRAME + 4096)
        .collect();
        Self {
            noise,
            video: 0,
            audio: 0,
        }
    }

    /// Milliseconds from the start of the stream at which the next frame is due.
    pub(crate) fn next_due_ms(&self) -> u64 {
        (self.video * VIDEO_MS).min(audio_ms(self.audio))
    }

    /// Moves on by one frame.
    pub(crate) fn step(&mut self) -> Shape {
        let (video_ms, audio_ms) = (self.video * VIDEO_MS, audio_ms(self.audio));
        if video_ms <= audio_ms {
            let key = self.video.is_multiple_of(FRAMES_PER_GOP);
            self.video += 1;
            Shape {
                kind: TagKind::Video,
                key,
                timestamp: wrapped(video_ms),
                len: if key { KEY_FRAME } else { INTER_FRAME },
            }
        } else {
            self.audio += 1;
            Shape {
                kind: TagKind::Audio,
                key: false,
                timestamp: wrapped(audio_ms),
                len: AUDIO_FRAME,
            }
        }
    }

    /// Writes the body of frame `index` to `out`.
    pub(crate) fn body(&self, shape: Shape, index: u64, out: &mut Vec<u8>) {
        out.clear();
        match shape.kind {
            TagKind::Video => {
                out.extend_from_slice(if shape.key {
                    &[0x17, 1, 0, 0, 0]
                } else {
                    &[0x27, 1, 0, 0, 0]
                });
                let unit = u32::try_from(shape.len.saturating_sub(9)).unwrap_or(u32::MAX);
                out.extend_from_slice(&unit.to_be_bytes());
                out.push(if shape.key { 0x65 } else { 0x41 });
            }
            TagKind::Audio | TagKind::Script => out.extend_from_slice(&[0xaf, 1]),
        }
        out.extend_from_slice(&MAGIC);
        // Four bits a byte: never zero and never the rare byte. 2^32 frames last five years.
        out.extend((0u32..8).rev().map(|at| index_byte(index, at)));
        let skip = usize::try_from(index % 4096).unwrap_or(0);
        let rest = shape.len.saturating_sub(out.len());
        out.extend(self.noise.iter().skip(skip).take(rest));
    }
}

/// Four bits of the index, high bits first.
fn index_byte(index: u64, at: u32) -> u8 {
    let nibble = (index >> (at * 4)) & 0xf;
    0x40 | u8::try_from(nibble).unwrap_or(0)
}

/// The last whole marker in `bytes`: where it starts and the index it carries.
pub(crate) fn last_marker(bytes: &[u8]) -> Option<(usize, u64)> {
    let mut end = bytes.len();
    while let Some(at) = bytes.get(..end)?.iter().rposition(|byte| *byte == RARE) {
        if let Some(index) = bytes.get(at..).and_then(marker) {
            return Some((at, index));
        }
        end = at;
    }
    None
}

/// The index in the marker at the start of `bytes`.
pub(crate) fn marker(bytes: &[u8]) -> Option<u64> {
    bytes
        .get(..MARKER)?
        .strip_prefix(&MAGIC)?
        .iter()
        .try_fold(0u64, |index, digit| {
            (digit & 0xf0 == 0x40).then_some(index << 4 | u64::from(digit & 0x0f))
        })
}

/// What a player must have before any frame: metadata and both sequence headers.
pub(crate) fn headers() -> [(TagKind, Vec<u8>); 3] {
    let mut metadata = b"\x02\x00\x0aonMetaData\x08\x00\x00\x00\x05".to_vec();
    for (name, value) in [
        ("width", 1280.0f64),
        ("height", 720.0),
        ("framerate", 25.0),
        ("videocodecid", 7.0),
        ("audiocodecid", 10.0),
    ] {
        let len = u16::try_from(name.len()).unwrap_or(0);
        metadata.extend_from_slice(&len.to_be_bytes());
        metadata.extend_from_slice(name.as_bytes());
        metadata.push(0);
        metadata.extend_from_slice(&value.to_be_bytes());
    }
    metadata.extend_from_slice(&[0, 0, 9]);
    // AVCDecoderConfigurationRecord: High profile, level 3.1, one SPS (1280x720), one PPS.
    let sps = [
        0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb, 0x01, 0x10, 0x00, 0x00, 0x03,
        0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0x20, 0xf1, 0x83, 0x19, 0x60,
    ];
    let pps = [0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0];
    let mut video = vec![0x17, 0, 0, 0, 0, 1, 0x64, 0x00, 0x1f, 0xff, 0xe1, 0, 26];
    video.extend_from_slice(&sps);
    video.extend_from_slice(&[1, 0, 6]);
    video.extend_from_slice(&pps);
    let audio = vec![0xaf, 0, 0x12, 0x10];
    [
        (TagKind::Script, metadata),
        (TagKind::Video, video),
        (TagKind::Audio, audio),
    ]
}

fn audio_ms(frames: u64) -> u64 {
    frames * 1024 * 1000 / 44_100
}

fn wrapped(ms: u64) -> u32 {
    u32::try_from(ms & u64::from(u32::MAX)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_two_and_a_half_megabits_a_second() {
        let mut source = Source::new();
        let mut body = Vec::new();
        let mut bytes = 0;
        for index in 0.. {
            if source.next_due_ms() >= 20_000 {
                break;
            }
            let shape = source.step();
            source.body(shape, index, &mut body);
            assert_eq!(body.len(), shape.len);
            bytes += body.len() + 15;
        }
        let megabits = bytes as f64 * 8.0 / 20.0 / 1e6;
        assert!((2.45..2.55).contains(&megabits), "{megabits}");
    }

    #[test]
    fn the_last_marker_of_any_stretch_is_found() {
        let mut source = Source::new();
        let (mut body, mut wire) = (Vec::new(), Vec::new());
        let mut starts = Vec::new();
        for index in 0..40 {
            let shape = source.step();
            source.body(shape, index, &mut body);
            starts.push(wire.len() + marker_offset(shape.kind));
            wire.extend_from_slice(&body);
        }
        assert_eq!(last_marker(&wire), Some((starts[39], 39)));
        assert_eq!(
            last_marker(&wire[..starts[39] + 15]),
            Some((starts[38], 38))
        );
        assert_eq!(last_marker(&wire[..8]), None);
        assert_eq!(last_marker(&[]), None);
    }
}

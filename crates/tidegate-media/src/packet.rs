//! What an FLV audio or video packet is, as far as caching and joining need to know: its codec
//! and whether it is a sequence header or a key frame. Payloads are never rewritten.

mod enhanced;
#[cfg(test)]
mod tests;

use crate::flv::TagKind;

/// A codec, from the legacy FLV numbers or the FourCC of enhanced RTMP.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Codec {
    /// H.264: legacy id 7 or `avc1`.
    H264,
    /// HEVC: legacy id 12, as many Chinese encoders send, or `hvc1`.
    Hevc,
    /// `av01`, or the unofficial legacy id 13.
    Av1,
    /// `vp09`.
    Vp9,
    /// `vp08`.
    Vp8,
    /// AAC: legacy id 10 or `mp4a`.
    Aac,
    /// MP3: legacy ids 2 and 14, or `.mp3`.
    Mp3,
    /// `Opus`, or the unofficial legacy id 13.
    Opus,
    /// `fLaC`.
    Flac,
    /// `ac-3`.
    Ac3,
    /// `ec-3`.
    Eac3,
    /// Speex, legacy id 11.
    Speex,
    /// G.711 A-law, legacy id 7.
    G711A,
    /// G.711 mu-law, legacy id 8.
    G711U,
    /// Any other legacy audio id.
    LegacyAudio(u8),
    /// Any other legacy video id, such as 2 for Sorenson H.263 or 4 for VP6.
    LegacyVideo(u8),
    /// A FourCC not known here.
    FourCc([u8; 4]),
}

/// What part a packet plays in its stream.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// Decoder configuration: cached and sent ahead of everything to whoever joins.
    SequenceHeader,
    /// A video frame from which decoding can start.
    KeyFrame,
    /// Any other coded frame, and every audio frame.
    Frame,
    /// The coded sequence ends here.
    EndOfSequence,
    /// Enhanced video metadata such as HDR colour information; worth sending to whoever joins.
    Metadata,
    /// A script message.
    Script,
    /// Not understood, truncated, or a command frame: pass it through, cache by position only.
    Opaque,
}

/// The result of [`classify`].
///
/// Multitrack packets pass through like any other. A cache of sequence headers keeps one per
/// (audio or video, `multitrack`, `track`), within a bound, so that a second track's header never
/// replaces the first one's; a packet for tracks other than 0 alone is never [`Role::KeyFrame`],
/// so a group of pictures starts with the main track.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Class {
    /// The codec, when the packet says.
    pub codec: Option<Codec>,
    /// Its part in the stream.
    pub role: Role,
    /// Wrapped in enhanced RTMP's multitrack packet.
    pub multitrack: bool,
    /// The first track in a multitrack packet, otherwise 0.
    pub track: u8,
}

impl Class {
    /// What is passed through without being understood.
    pub const OPAQUE: Self = Self {
        codec: None,
        role: Role::Opaque,
        multitrack: false,
        track: 0,
    };

    const fn plain(codec: Codec, role: Role) -> Self {
        Self {
            codec: Some(codec),
            role,
            multitrack: false,
            track: 0,
        }
    }

    /// Whether it configures the decoder.
    pub fn is_sequence_header(&self) -> bool {
        self.role == Role::SequenceHeader
    }

    /// Whether decoding can start here.
    pub fn is_key_frame(&self) -> bool {
        self.role == Role::KeyFrame
    }
}

/// Looks at the first bytes of a packet. Never fails: what it cannot read is [`Class::OPAQUE`].
pub fn classify(kind: TagKind, payload: &[u8]) -> Class {
    match kind {
        TagKind::Script => Class {
            role: Role::Script,
            ..Class::OPAQUE
        },
        TagKind::Video => match payload.first() {
            Some(first) if first & 0x80 != 0 => enhanced::classify(payload, &enhanced::VIDEO),
            Some(_) => legacy_video(payload),
            None => Class::OPAQUE,
        },
        TagKind::Audio => match payload.first() {
            Some(first) if first >> 4 == 9 => enhanced::classify(payload, &enhanced::AUDIO),
            Some(_) => legacy_audio(payload),
            None => Class::OPAQUE,
        },
    }
}

/// Whether a video packet's frame type (high nibble, without the enhanced bit) can be decoded
/// from alone. 4 is a key frame that a server generated.
fn is_key(frame_type: u8) -> bool {
    matches!(frame_type, 1 | 4)
}

const COMMAND_FRAME: u8 = 5;

fn legacy_video(payload: &[u8]) -> Class {
    let (Some(first), second) = (payload.first(), payload.get(1)) else {
        return Class::OPAQUE;
    };
    let frame_type = first >> 4;
    let (codec, has_packet_type) = match first & 0x0f {
        7 => (Codec::H264, true),
        12 => (Codec::Hevc, true),
        13 => (Codec::Av1, true),
        id => (Codec::LegacyVideo(id), false),
    };
    if frame_type == COMMAND_FRAME {
        return Class::plain(codec, Role::Opaque);
    }
    let frame = if is_key(frame_type) {
        Role::KeyFrame
    } else {
        Role::Frame
    };
    let role = match (has_packet_type, second) {
        (false, _) => frame,
        // Five bytes are packet type and composition time; a configuration has more.
        (true, Some(0)) if payload.len() > 5 => Role::SequenceHeader,
        (true, Some(1)) => frame,
        (true, Some(2)) => Role::EndOfSequence,
        (true, _) => Role::Opaque,
    };
    Class::plain(codec, role)
}

fn legacy_audio(payload: &[u8]) -> Class {
    let (Some(first), second) = (payload.first(), payload.get(1)) else {
        return Class::OPAQUE;
    };
    let (codec, has_packet_type) = match first >> 4 {
        2 | 14 => (Codec::Mp3, false),
        7 => (Codec::G711A, false),
        8 => (Codec::G711U, false),
        10 => (Codec::Aac, true),
        11 => (Codec::Speex, false),
        13 => (Codec::Opus, true),
        id => (Codec::LegacyAudio(id), false),
    };
    let role = match (has_packet_type, second) {
        (false, _) | (true, Some(1)) => Role::Frame,
        (true, Some(0)) if payload.len() > 2 => Role::SequenceHeader,
        (true, _) => Role::Opaque,
    };
    Class::plain(codec, role)
}

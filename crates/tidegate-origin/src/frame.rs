//! One packet of a stream, and the headers that a player must have before any of them.

use bytes::Bytes;
use smallvec::SmallVec;
use tidegate_media::flv::TagKind;
use tidegate_media::packet::{Class, Codec, Role, classify};
use tidegate_media::rtmp::Media;

/// One audio, video or script packet; cloning it copies no payload.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) kind: TagKind,
    pub(crate) class: Class,
    pub(crate) timestamp: u32,
    pub(crate) payload: Bytes,
}

impl Frame {
    pub(crate) fn new(media: Media) -> Self {
        Self {
            class: classify(media.kind, &media.payload),
            kind: media.kind,
            timestamp: media.timestamp,
            payload: media.payload,
        }
    }

    pub(crate) fn is_key(&self) -> bool {
        self.kind == TagKind::Video && self.class.is_key_frame()
    }

    fn is_metadata(&self) -> bool {
        self.kind == TagKind::Script && self.payload.starts_with(b"\x02\x00\x0aonMetaData")
    }
}

/// Most tracks of a multitrack stream whose headers are kept.
const MAX_TRACKS: usize = 8;

/// A sequence header, and which track it is for: whether it came wrapped as one of several, and
/// its number.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Header {
    track: (bool, u8),
    payload: Bytes,
}

/// What a player needs before the first frame. `version` rises whenever any of it changes.
#[derive(Clone, Default, Debug)]
pub(crate) struct Headers {
    pub(crate) version: u64,
    pub(crate) has_audio: bool,
    pub(crate) has_video: bool,
    pub(crate) seen_key: bool,
    pub(crate) audio_codec: Option<Codec>,
    pub(crate) video_codec: Option<Codec>,
    metadata: Option<Bytes>,
    video: SmallVec<[Header; 1]>,
    video_metadata: Option<Bytes>,
    audio: SmallVec<[Header; 1]>,
}

impl Headers {
    /// Whether [`Self::note`] would change anything.
    pub(crate) fn is_changed_by(&self, frame: &Frame) -> bool {
        let class = frame.class;
        match frame.kind {
            TagKind::Script => {
                frame.is_metadata() && self.metadata.as_ref() != Some(&frame.payload)
            }
            TagKind::Video => {
                !self.has_video
                    || (class.codec.is_some() && self.video_codec != class.codec)
                    || (frame.is_key() && !self.seen_key)
                    || (class.role == Role::SequenceHeader && is_other(&self.video, frame))
                    || (class.role == Role::Metadata
                        && self.video_metadata.as_ref() != Some(&frame.payload))
            }
            TagKind::Audio => {
                !self.has_audio
                    || (class.codec.is_some() && self.audio_codec != class.codec)
                    || (class.role == Role::SequenceHeader && is_other(&self.audio, frame))
            }
        }
    }

    /// Takes in what the frame says about the stream.
    pub(crate) fn note(&mut self, frame: &Frame) {
        let class = frame.class;
        let is_header = class.role == Role::SequenceHeader;
        match frame.kind {
            TagKind::Script if frame.is_metadata() => {
                self.metadata = Some(frame.payload.clone());
                self.version += 1;
            }
            TagKind::Script => {}
            TagKind::Video => {
                self.has_video = true;
                self.seen_key |= frame.is_key();
                self.video_codec = class.codec.or(self.video_codec);
                if is_header && is_other(&self.video, frame) && keep_header(&mut self.video, frame)
                {
                    self.version += 1;
                }
                if class.role == Role::Metadata {
                    self.video_metadata = Some(frame.payload.clone());
                    self.version += 1;
                }
            }
            TagKind::Audio => {
                self.has_audio = true;
                self.audio_codec = class.codec.or(self.audio_codec);
                if is_header && is_other(&self.audio, frame) && keep_header(&mut self.audio, frame)
                {
                    self.version += 1;
                }
            }
        }
    }

    /// The header packets in the order in which they are sent.
    pub(crate) fn packets(&self) -> impl Iterator<Item = (TagKind, &Bytes)> {
        let script = self.metadata.iter().map(|p| (TagKind::Script, p));
        let video = self.video.iter().map(|h| (TagKind::Video, &h.payload));
        let hdr = self.video_metadata.iter().map(|p| (TagKind::Video, p));
        let audio = self.audio.iter().map(|h| (TagKind::Audio, &h.payload));
        script.chain(video).chain(hdr).chain(audio)
    }
}

fn is_other(kept: &[Header], frame: &Frame) -> bool {
    !kept.iter().any(|h| h.payload == frame.payload)
}

/// A header replaces the earlier one of its track; those of further tracks add up.
fn keep_header(kept: &mut SmallVec<[Header; 1]>, frame: &Frame) -> bool {
    let track = (frame.class.multitrack, frame.class.track);
    let payload = frame.payload.clone();
    let header = Header { track, payload };
    let is_full = kept.len() >= MAX_TRACKS;
    match kept.iter_mut().find(|h| h.track == track) {
        Some(old) => *old = header,
        None if is_full => return false,
        None => kept.push(header),
    }
    true
}

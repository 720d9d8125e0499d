//! Enhanced RTMP packets (v1 and v2): FourCC, ModEx prefixes, multitrack.

use super::{COMMAND_FRAME, Class, Codec, Role, is_key};

/// Where audio and video number their packet types differently.
pub(super) struct Rules {
    multitrack: u8,
    mod_ex: u8,
    video: bool,
}

pub(super) const VIDEO: Rules = Rules {
    multitrack: 6,
    mod_ex: 7,
    video: true,
};

pub(super) const AUDIO: Rules = Rules {
    multitrack: 5,
    mod_ex: 7,
    video: false,
};

/// Packets carry one or two ModEx prefixes; past this many the packet is not worth reading.
const MOST_MOD_EX: usize = 16;

const MANY_TRACKS_MANY_CODECS: u8 = 2;

pub(super) fn classify(payload: &[u8], rules: &Rules) -> Class {
    parse(payload, rules).unwrap_or(Class::OPAQUE)
}

fn parse(payload: &[u8], rules: &Rules) -> Option<Class> {
    let mut cursor = Cursor(payload);
    let first = cursor.byte()?;
    let frame_type = if rules.video { first >> 4 & 0x07 } else { 0 };
    let mut packet_type = first & 0x0f;
    let mut prefixes = 0;
    while packet_type == rules.mod_ex {
        prefixes += 1;
        if prefixes > MOST_MOD_EX {
            return None;
        }
        let mut size = usize::from(cursor.byte()?) + 1;
        if size == 256 {
            size = usize::from(cursor.byte()?) << 8 | usize::from(cursor.byte()?);
            size += 1;
        }
        cursor.take(size)?;
        packet_type = cursor.byte()? & 0x0f;
    }
    if frame_type == COMMAND_FRAME && packet_type != 4 {
        return None;
    }
    if packet_type == rules.multitrack {
        return multitrack(cursor, rules, frame_type);
    }
    let codec = cursor.four_cc(rules)?;
    let role = role(packet_type, frame_type, rules, !cursor.0.is_empty());
    Some(Class::plain(codec, role))
}

fn multitrack(mut cursor: Cursor<'_>, rules: &Rules, frame_type: u8) -> Option<Class> {
    let kinds = cursor.byte()?;
    let (layout, packet_type) = (kinds >> 4, kinds & 0x0f);
    let shared = match layout {
        0 | 1 => Some(cursor.four_cc(rules)?),
        MANY_TRACKS_MANY_CODECS => None,
        _ => return None,
    };
    let mut first: Option<(Codec, u8)> = None;
    let mut has_main_track = false;
    loop {
        let codec = match shared {
            Some(codec) => codec,
            None => cursor.four_cc(rules)?,
        };
        let track = cursor.byte()?;
        first.get_or_insert((codec, track));
        has_main_track |= track == 0;
        if layout == 0 {
            break;
        }
        let size = cursor
            .take(3)?
            .iter()
            .fold(0, |n, byte| n << 8 | usize::from(*byte));
        cursor.take(size)?;
        if cursor.0.is_empty() {
            break;
        }
    }
    let (codec, track) = first?;
    let role = match role(packet_type, frame_type, rules, true) {
        Role::KeyFrame if !has_main_track => Role::Frame,
        role => role,
    };
    Some(Class {
        codec: Some(codec),
        role,
        multitrack: true,
        track,
    })
}

fn role(packet_type: u8, frame_type: u8, rules: &Rules, has_body: bool) -> Role {
    match packet_type {
        // 5 in video is the AV1 configuration of an MPEG-2 transport stream.
        0 if has_body => Role::SequenceHeader,
        5 if rules.video && has_body => Role::SequenceHeader,
        1 | 3 if rules.video && is_key(frame_type) => Role::KeyFrame,
        1 => Role::Frame,
        3 if rules.video => Role::Frame,
        2 => Role::EndOfSequence,
        // HDR colours in video, the channel layout in audio.
        4 => Role::Metadata,
        _ => Role::Opaque,
    }
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn four_cc(&mut self, rules: &Rules) -> Option<Codec> {
        let code = *self.take(4)?.first_chunk::<4>()?;
        Some(match (rules.video, &code) {
            (true, b"avc1") => Codec::H264,
            (true, b"hvc1") => Codec::Hevc,
            (true, b"av01") => Codec::Av1,
            (true, b"vp09") => Codec::Vp9,
            (true, b"vp08") => Codec::Vp8,
            (false, b"Opus") => Codec::Opus,
            (false, b"mp4a") => Codec::Aac,
            (false, b"fLaC") => Codec::Flac,
            (false, b"ac-3") => Codec::Ac3,
            (false, b"ec-3") => Codec::Eac3,
            (false, b".mp3") => Codec::Mp3,
            _ => Codec::FourCc(code),
        })
    }
}

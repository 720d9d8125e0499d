use proptest::prelude::*;

use super::*;

fn video(payload: &[u8]) -> Class {
    classify(TagKind::Video, payload)
}

fn audio(payload: &[u8]) -> Class {
    classify(TagKind::Audio, payload)
}

fn with(prefix: &[u8], four_cc: &[u8; 4], rest: &[u8]) -> Vec<u8> {
    [prefix, four_cc, rest].concat()
}

#[test]
fn legacy_video_packets_are_told_apart() {
    let table: &[(&[u8], Codec, Role)] = &[
        (
            &[0x17, 0, 0, 0, 0, 1, 0x64],
            Codec::H264,
            Role::SequenceHeader,
        ),
        (&[0x17, 0, 0, 0, 0], Codec::H264, Role::Opaque),
        (&[0x17], Codec::H264, Role::Opaque),
        (&[0x17, 1, 0, 0, 0, 9], Codec::H264, Role::KeyFrame),
        (&[0x47, 1, 0, 0, 0, 9], Codec::H264, Role::KeyFrame),
        (&[0x27, 1, 0, 0, 0, 9], Codec::H264, Role::Frame),
        (&[0x37, 1, 0, 0, 0, 9], Codec::H264, Role::Frame),
        (&[0x17, 2, 0, 0, 0], Codec::H264, Role::EndOfSequence),
        (&[0x27, 9, 0, 0, 0], Codec::H264, Role::Opaque),
        (&[0x57, 0], Codec::H264, Role::Opaque),
        (&[0x1c, 0, 0, 0, 0, 1, 2], Codec::Hevc, Role::SequenceHeader),
        (&[0x1c, 1, 0, 0, 0, 1], Codec::Hevc, Role::KeyFrame),
        (&[0x1d, 0, 0, 0, 0, 0x81], Codec::Av1, Role::SequenceHeader),
        (&[0x12, 0, 0], Codec::LegacyVideo(2), Role::KeyFrame),
        (&[0x24, 0, 0], Codec::LegacyVideo(4), Role::Frame),
    ];
    for (payload, codec, role) in table {
        let class = video(payload);
        assert_eq!(
            (class.codec, class.role),
            (Some(*codec), *role),
            "{payload:x?}"
        );
        assert!(!class.multitrack);
    }
}

#[test]
fn legacy_audio_packets_are_told_apart() {
    let table: &[(&[u8], Codec, Role)] = &[
        (&[0xaf, 0, 0x12, 0x10], Codec::Aac, Role::SequenceHeader),
        (&[0xaf, 0], Codec::Aac, Role::Opaque),
        (&[0xaf], Codec::Aac, Role::Opaque),
        (&[0xaf, 1, 0x21], Codec::Aac, Role::Frame),
        (&[0x2f, 0xff, 0xfb], Codec::Mp3, Role::Frame),
        (&[0xb2, 1], Codec::Speex, Role::Frame),
        (&[0x72, 1], Codec::G711A, Role::Frame),
        (&[0x82, 1], Codec::G711U, Role::Frame),
        (&[0xdf, 0, 0x4f], Codec::Opus, Role::SequenceHeader),
        (&[0x00, 1], Codec::LegacyAudio(0), Role::Frame),
    ];
    for (payload, codec, role) in table {
        let class = audio(payload);
        assert_eq!(
            (class.codec, class.role),
            (Some(*codec), *role),
            "{payload:x?}"
        );
    }
}

#[test]
fn enhanced_packets_are_told_apart_by_type_and_four_cc() {
    for (name, codec) in [
        (b"avc1", Codec::H264),
        (b"hvc1", Codec::Hevc),
        (b"av01", Codec::Av1),
        (b"vp09", Codec::Vp9),
        (b"vp08", Codec::Vp8),
        (b"vvc1", Codec::FourCc(*b"vvc1")),
    ] {
        for (first, rest, role) in [
            (0x90, &[1u8][..], Role::SequenceHeader),
            (0x90, &[], Role::Opaque),
            (0x91, &[0, 0, 0, 1], Role::KeyFrame),
            (0xa1, &[0, 0, 0, 1], Role::Frame),
            (0x92, &[], Role::EndOfSequence),
            (0x93, &[1], Role::KeyFrame),
            (0xa3, &[1], Role::Frame),
            (0x94, &[2, 0, 0], Role::Metadata),
            (0xd4, &[2, 0, 0], Role::Metadata),
            (0x95, &[1], Role::SequenceHeader),
            (0x98, &[1], Role::Opaque),
        ] {
            let class = video(&with(&[first], name, rest));
            assert_eq!(class, Class::plain(codec, role), "{first:x} {name:?}");
        }
    }
    for (name, codec) in [
        (b"Opus", Codec::Opus),
        (b"mp4a", Codec::Aac),
        (b"fLaC", Codec::Flac),
        (b"ac-3", Codec::Ac3),
        (b"ec-3", Codec::Eac3),
        (b".mp3", Codec::Mp3),
    ] {
        for (first, role) in [
            (0x90, Role::SequenceHeader),
            (0x91, Role::Frame),
            (0x92, Role::EndOfSequence),
            (0x94, Role::Metadata),
            (0x93, Role::Opaque),
        ] {
            let class = audio(&with(&[first], name, &[1]));
            assert_eq!(class, Class::plain(codec, role), "{first:x} {name:?}");
        }
    }
}

#[test]
fn a_command_frame_has_no_four_cc() {
    assert_eq!(video(&[0xd1, 0]), Class::OPAQUE);
    assert_eq!(video(&with(&[0xd1], b"hvc1", &[1])), Class::OPAQUE);
}

#[test]
fn mod_ex_prefixes_are_stepped_over() {
    let short = with(&[0x97, 2, 1, 2, 3, 0x01], b"hvc1", &[0, 0, 0, 9]);
    assert_eq!(video(&short), Class::plain(Codec::Hevc, Role::KeyFrame));
    let twice = with(&[0xa7, 0, 1, 0x07, 0, 1, 0x03], b"av01", &[9]);
    assert_eq!(video(&twice), Class::plain(Codec::Av1, Role::Frame));
    let mut long = vec![0x97, 255, 0x01, 0x2b];
    long.extend([0; 300]);
    long.push(0x00);
    let long = with(&long, b"Opus", &[1]);
    assert_eq!(
        audio(&long),
        Class::plain(Codec::Opus, Role::SequenceHeader)
    );
    assert_eq!(video(&[0x97, 255, 0xff, 0xff, 1]), Class::OPAQUE);
    let endless = [&[0x97][..], &[0, 0, 0x07].repeat(50)].concat();
    assert_eq!(video(&endless), Class::OPAQUE);
}

#[test]
fn multitrack_packets_keep_track_and_never_start_a_group_off_the_main_track() {
    let one = |first, kinds, track| with(&[first, kinds], b"hvc1", &[track, 1, 2, 3]);
    let class = video(&one(0x96, 0x00, 3));
    assert_eq!(class.role, Role::SequenceHeader);
    assert_eq!((class.multitrack, class.track), (true, 3));
    assert_eq!(video(&one(0x96, 0x01, 0)).role, Role::KeyFrame);
    assert_eq!(video(&one(0x96, 0x01, 1)).role, Role::Frame);
    let many = with(&[0x96, 0x11], b"av01", &[1, 0, 0, 2, 9, 9, 0, 0, 0, 1, 9]);
    let class = video(&many);
    assert_eq!((class.role, class.track), (Role::KeyFrame, 1));
    let codecs = [
        &[0x95, 0x20][..],
        b"Opus",
        &[0, 0, 0, 1, 7],
        b"mp4a",
        &[1, 0, 0, 1, 7],
    ]
    .concat();
    let class = audio(&codecs);
    assert_eq!(class.codec, Some(Codec::Opus));
    assert!(class.is_sequence_header() && class.multitrack);
    let overrun = with(&[0x96, 0x11], b"av01", &[1, 0xff, 0xff, 0xff, 9]);
    assert_eq!(video(&overrun), Class::OPAQUE);
    assert_eq!(video(&with(&[0x96, 0x31], b"av01", &[0, 1])), Class::OPAQUE);
}

#[test]
fn every_truncation_is_survived_and_never_a_key_frame_without_its_four_cc() {
    let whole = with(&[0x97, 2, 1, 2, 3, 0x01], b"hvc1", &[0, 0, 0, 9]);
    for end in 0..10 {
        assert_eq!(video(&whole[..end]), Class::OPAQUE, "{end}");
    }
    assert_eq!(audio(&[]), Class::OPAQUE);
    assert_eq!(classify(TagKind::Script, &[]).role, Role::Script);
}

proptest! {
    #[test]
    fn arbitrary_packets_are_survived(payload in prop::collection::vec(any::<u8>(), 0..64)) {
        let class = video(&payload);
        prop_assert!(class.track == 0 || class.multitrack);
        audio(&payload);
    }
}

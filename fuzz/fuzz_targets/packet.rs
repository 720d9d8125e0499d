//! Classification survives every packet and keeps its promises.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_media::flv::TagKind;
use tidegate_media::packet::{Role, classify};

fuzz_target!(|data: &[u8]| {
    for kind in [TagKind::Audio, TagKind::Video, TagKind::Script] {
        let class = classify(kind, data);
        assert!(class.multitrack || class.track == 0);
        if class.is_key_frame() {
            assert_eq!(kind, TagKind::Video);
        }
        if class.is_sequence_header() {
            assert!(class.codec.is_some() && data.len() > 2);
        }
        assert_eq!(class.role == Role::Script, kind == TagKind::Script);
    }
});

//! The FLV reader gives the same tags however its input is split, and they can be written back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_media::flv::{self, Reader, Tag};

fn read(data: &[u8], step: usize) -> (Vec<Tag>, bool) {
    let mut reader = Reader::default();
    let mut tags = Vec::new();
    for piece in data.chunks(step) {
        reader.handle_input(piece);
        loop {
            match reader.poll_tag() {
                Ok(Some(tag)) => tags.push(tag),
                Ok(None) => break,
                Err(_) => return (tags, true),
            }
        }
    }
    (tags, false)
}

fuzz_target!(|data: &[u8]| {
    let Some((&step, data)) = data.split_first() else {
        return;
    };
    let (tags, failed) = read(data, usize::from(step) + 1);
    assert_eq!((tags.clone(), failed), read(data, usize::MAX));
    let mut file = flv::file_header(true, true).to_vec();
    for tag in &tags {
        flv::put_tag(&mut file, tag.kind, tag.timestamp, &tag.payload);
    }
    assert_eq!(read(&file, usize::MAX), (tags, false));
});

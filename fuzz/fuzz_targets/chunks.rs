//! The chunk reader gives the same messages however its input is split.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_media::rtmp::chunk_read::{Message, Reader};

fn read(data: &[u8], step: usize) -> (Vec<Message>, bool) {
    let mut reader = Reader::new(64 << 10, 16, 128 << 10);
    let mut messages = Vec::new();
    for mut piece in data.chunks(step) {
        loop {
            match reader.read(&mut piece) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(_) => return (messages, true),
            }
        }
        assert!(piece.is_empty());
    }
    (messages, false)
}

fuzz_target!(|data: &[u8]| {
    let Some((&step, data)) = data.split_first() else {
        return;
    };
    assert_eq!(read(data, usize::from(step) + 1), read(data, usize::MAX));
});

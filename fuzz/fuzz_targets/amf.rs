//! What can be read can be written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_media::amf::{Error, Value, decode_all, encode};

fn encoded(values: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    for value in values {
        encode(&mut out, value);
    }
    out
}

fuzz_target!(|data: &[u8]| {
    // Longer names could be cut in the middle of a character when written.
    if data.len() > 20_000 {
        return;
    }
    if let Ok(values) = decode_all(data) {
        let bytes = encoded(&values);
        match decode_all(&bytes) {
            Ok(again) => assert_eq!(encoded(&again), bytes),
            Err(error) => assert_eq!(error, Error::TooMuchText),
        }
    }
});

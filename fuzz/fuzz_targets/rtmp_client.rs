//! Raw bytes from a server into a client session.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_media::rtmp::Limits;
use tidegate_media::rtmp::client::{Handshake, Options, Purpose, Session};

fuzz_target!(|data: &[u8]| {
    let Some((&choice, data)) = data.split_first() else {
        return;
    };
    let purpose = if choice & 1 == 0 {
        Purpose::Play
    } else {
        Purpose::Publish
    };
    let mut options = Options::new(purpose, "live", "rtmp://host/live", "demo");
    options.handshake = Handshake::Digest {
        schema: choice >> 1 & 1,
    };
    let mut session = Session::new(options, Limits::default(), [choice; 32]);
    session.handle_input(&[3]).expect("a version");
    session.handle_input(&[0; 2 * 1536]).expect("a handshake");
    let step = usize::from(choice >> 2) * 7 + 1;
    for piece in data.chunks(step) {
        if session.handle_input(piece).is_err() {
            break;
        }
        while let Ok(Some(_)) = session.poll_event() {}
        session.take_output();
    }
});

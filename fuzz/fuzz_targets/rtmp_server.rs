//! Raw bytes into a server session, in pieces, every decision answered.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_media::rtmp::Limits;
use tidegate_media::rtmp::server::{Event, Session};

fuzz_target!(|data: &[u8]| {
    let Some((&choice, data)) = data.split_first() else {
        return;
    };
    let mut session = Session::new(Limits::default(), [choice; 32]);
    if choice & 1 == 1 {
        session.handle_input(&[3]).expect("a version");
        session.handle_input(&[0; 2 * 1536]).expect("a handshake");
    }
    let step = usize::from(choice >> 2) * 7 + 1;
    for piece in data.chunks(step) {
        if session.handle_input(piece).is_err() {
            break;
        }
        while let Ok(Some(event)) = session.poll_event() {
            match event {
                Event::Connect(_) => session.accept_connect(),
                Event::Publish(publish) if choice & 2 == 0 => session.accept_publish(publish.msid),
                Event::Publish(publish) => session.refuse_publish(publish.msid, "no", "no"),
                Event::Play(play) => session.accept_play(play.msid),
                Event::Media(media) => assert!(!media.payload.is_empty()),
                _ => {}
            }
        }
        assert!(session.take_output().len() < 256 << 10);
    }
});

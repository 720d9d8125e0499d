//! Well-formed messages in any order, with any body, into a server session.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use tidegate_media::amf::{self, Value};
use tidegate_media::rtmp::Limits;
use tidegate_media::rtmp::chunk_write::{Header, put_message};
use tidegate_media::rtmp::server::{Event, Session};

const NAMES: [&str; 12] = [
    "connect",
    "createStream",
    "publish",
    "play",
    "deleteStream",
    "closeStream",
    "FCPublish",
    "FCUnpublish",
    "FCSubscribe",
    "releaseStream",
    "getStreamLength",
    "other",
];

#[derive(Arbitrary, Debug)]
enum Step {
    Command {
        amf3: bool,
        msid: u8,
        name: u8,
        transaction: u8,
        argument: Argument,
    },
    Message {
        csid: u16,
        type_id: u8,
        msid: u8,
        timestamp: u32,
        body: Vec<u8>,
    },
    Raw(Vec<u8>),
    EndPublish(u8),
    EndPlay(u8),
}

#[derive(Arbitrary, Debug)]
enum Argument {
    Nothing,
    Boolean(bool),
    Number(f64),
    Text(String),
    Bytes(Vec<u8>),
}

fn write(step: &Step) -> Vec<u8> {
    let mut out = Vec::new();
    match step {
        Step::Command {
            amf3,
            msid,
            name,
            transaction,
            argument,
        } => {
            let mut body = if *amf3 { vec![0] } else { Vec::new() };
            let name = NAMES[usize::from(*name) % NAMES.len()];
            amf::encode(&mut body, &name.into());
            amf::encode(&mut body, &f64::from(*transaction % 4).into());
            amf::encode(&mut body, &Value::object([("app", "live".into())]));
            match argument {
                Argument::Nothing => {}
                Argument::Boolean(yes) => amf::encode(&mut body, &Value::Boolean(*yes)),
                Argument::Number(number) => amf::encode(&mut body, &Value::Number(*number)),
                Argument::Text(text) => amf::encode(&mut body, &text.as_str().into()),
                Argument::Bytes(bytes) => body.extend(bytes),
            }
            let header = Header {
                csid: 3,
                type_id: if *amf3 { 17 } else { 20 },
                msid: u32::from(*msid % 4),
                timestamp: 0,
            };
            put_message(&mut out, header, &body, 128);
        }
        Step::Message {
            csid,
            type_id,
            msid,
            timestamp,
            body,
        } => {
            let header = Header {
                csid: u32::from(*csid).max(2),
                type_id: *type_id % 24,
                msid: u32::from(*msid % 4),
                timestamp: *timestamp,
            };
            put_message(&mut out, header, body, 128);
        }
        Step::Raw(bytes) => out.extend(bytes),
        Step::EndPublish(_) | Step::EndPlay(_) => {}
    }
    out
}

fuzz_target!(|steps: Vec<Step>| {
    let mut session = Session::new(Limits::default(), [1; 32]);
    session.handle_input(&[3]).expect("a version");
    session.handle_input(&[0; 2 * 1536]).expect("a handshake");
    for step in steps {
        match &step {
            Step::EndPublish(msid) => session.end_publish(u32::from(*msid % 4), "cut", "cut"),
            Step::EndPlay(msid) => session.end_play(u32::from(*msid % 4), "over"),
            _ => {}
        }
        if session.handle_input(&write(&step)).is_err() {
            break;
        }
        while let Ok(Some(event)) = session.poll_event() {
            match event {
                Event::Connect(_) => session.accept_connect(),
                Event::Publish(publish) => session.accept_publish(publish.msid),
                Event::Play(play) => session.accept_play(play.msid),
                Event::Media(media) => assert!(!media.payload.is_empty()),
                _ => {}
            }
        }
        session.take_output();
    }
});

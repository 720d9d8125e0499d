//! Raw commands against the server session. The tests of the client session run both ends
//! against each other.

mod hostile;

use super::*;
use crate::amf::{self, Value};
use crate::flv::TagKind;
use crate::rtmp::chunk_read::Reader;
use crate::rtmp::chunk_write::{Header, put_message};

const HANDSHAKE: usize = 1 + 2 * 1536;

/// One message as a client would chunk it before announcing a chunk size.
fn chunked(type_id: u8, msid: u32, timestamp: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let header = Header {
        csid: 3,
        type_id,
        msid,
        timestamp,
    };
    put_message(&mut out, header, payload, 128);
    out
}

fn command(msid: u32, values: &[Value]) -> Vec<u8> {
    chunked(message::COMMAND, msid, 0, &encoded(values))
}

fn encoded(values: &[Value]) -> Vec<u8> {
    let mut body = Vec::new();
    for value in values {
        amf::encode(&mut body, value);
    }
    body
}

fn connect() -> Vec<u8> {
    let object = Value::object([("app", "live".into()), ("tcUrl", "rtmp://h/live".into())]);
    command(0, &["connect".into(), 1.0.into(), object])
}

fn create_stream() -> Vec<u8> {
    command(0, &["createStream".into(), 2.0.into(), Value::Null])
}

fn named(what: &str, msid: u32, name: Value) -> Vec<u8> {
    command(msid, &[what.into(), 0.0.into(), Value::Null, name])
}

/// The server's messages as the client sees them.
struct Peer {
    session: Session,
    reader: Reader,
}

impl Peer {
    /// A session past its handshake.
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        let mut session = Session::new(limits, [1; 32]);
        session.handle_input(&[3; 1]).unwrap();
        session.handle_input(&[0; 2 * 1536]).unwrap();
        assert!(session.is_established());
        assert_eq!(session.take_output().len(), HANDSHAKE);
        Self {
            session,
            reader: Reader::new(1 << 20, 64, 1 << 20),
        }
    }

    /// A session that has connected and holds message stream 1.
    fn connected() -> Self {
        let mut peer = Self::new();
        peer.send(&connect());
        assert!(matches!(peer.event(), Event::Connect(_)));
        peer.session.accept_connect();
        peer.send(&create_stream());
        peer.statuses();
        peer
    }

    fn publishing() -> Self {
        let mut peer = Self::connected();
        peer.send(&named("publish", 1, "demo".into()));
        assert!(matches!(peer.event(), Event::Publish(_)));
        peer.session.accept_publish(1);
        peer.statuses();
        peer
    }

    fn send(&mut self, input: &[u8]) {
        self.session.handle_input(input).unwrap();
    }

    fn event(&mut self) -> Event {
        self.session.poll_event().unwrap().expect("an event")
    }

    fn no_event(&mut self) {
        assert_eq!(self.session.poll_event(), Ok(None));
    }

    fn messages(&mut self) -> Vec<Message> {
        let output = self.session.take_output();
        let mut rest = &output[..];
        std::iter::from_fn(|| self.reader.read(&mut rest).unwrap()).collect()
    }

    /// Commands sent by the server, as their name and the code or number that matters.
    fn statuses(&mut self) -> Vec<(String, String)> {
        let commands = self.messages().into_iter().filter(|m| m.type_id == 20);
        commands
            .map(|message| {
                let values = amf::decode_all(&message.payload).unwrap();
                let name = values[0].as_str().unwrap().to_owned();
                let detail = match &values[3] {
                    Value::Number(number) => number.to_string(),
                    other => other
                        .get("code")
                        .and_then(Value::as_str)
                        .unwrap_or_default()
                        .to_owned(),
                };
                (name, detail)
            })
            .collect()
    }

    fn codes(&mut self) -> Vec<String> {
        self.statuses().into_iter().map(|(_, code)| code).collect()
    }

    fn error(&mut self, input: &[u8]) -> Error {
        let outcome = self.session.handle_input(input).err();
        outcome.unwrap_or_else(|| {
            loop {
                match self.session.poll_event() {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("no error"),
                    Err(error) => break error,
                }
            }
        })
    }
}

#[test]
fn connect_is_answered_with_window_bandwidth_chunk_size_and_success() {
    let mut peer = Peer::new();
    let object = Value::object([
        ("app", "live?key=1".into()),
        ("flashVer", "FMLE/3.0".into()),
        ("objectEncoding", 3.0.into()),
        ("fourCcList", Value::StrictArray(vec!["hvc1".into()])),
    ]);
    peer.send(&command(0, &["connect".into(), 1.0.into(), object]));
    let Event::Connect(connect) = peer.event() else {
        panic!("no connect");
    };
    assert_eq!(connect.app, "live?key=1");
    assert_eq!(connect.flash_ver, "FMLE/3.0");
    assert!(connect.amf3);
    assert!(!peer.session.wants_input());
    peer.session.accept_connect();
    assert!(peer.session.wants_input());
    let messages = peer.messages();
    let types: Vec<_> = messages.iter().map(|message| message.type_id).collect();
    assert_eq!(types, [5, 6, 20]);
    let values = amf::decode_all(&messages[2].payload).unwrap();
    assert_eq!(values[0], "_result".into());
    assert_eq!(
        values[3].get("code").unwrap(),
        &"NetConnection.Connect.Success".into()
    );
    assert_eq!(values[3].get("objectEncoding"), Some(&Value::Number(3.0)));
    assert!(values[3].get("videoFourCcInfoMap").is_some());
}

#[test]
fn a_refused_connect_says_why_and_ignores_the_rest() {
    let mut peer = Peer::new();
    peer.send(
        &[
            connect(),
            create_stream(),
            named("publish", 1, "demo".into()),
        ]
        .concat(),
    );
    peer.event();
    peer.session.refuse_connect("no such app");
    peer.no_event();
    let statuses = peer.statuses();
    assert_eq!(
        statuses,
        [("_error".into(), "NetConnection.Connect.Rejected".into())]
    );
}

#[test]
fn commands_sent_ahead_wait_for_the_decision_and_are_answered_in_order() {
    let mut peer = Peer::new();
    let mut input = [
        connect(),
        create_stream(),
        named("publish", 1, "demo".into()),
    ]
    .concat();
    input.extend(chunked(8, 1, 40, &[0xaf, 1, 9]));
    peer.send(&input);
    assert!(matches!(peer.event(), Event::Connect(_)));
    peer.no_event();
    peer.session.accept_connect();
    assert!(matches!(peer.event(), Event::Publish(_)));
    peer.no_event();
    peer.session.accept_publish(1);
    let Event::Media(media) = peer.event() else {
        panic!("no media");
    };
    assert_eq!((media.kind, media.timestamp), (TagKind::Audio, 40));
    peer.no_event();
    assert_eq!(
        peer.codes(),
        [
            "NetConnection.Connect.Success",
            "1",
            "NetStream.Publish.Start"
        ]
    );
}

#[test]
fn a_refused_publish_never_starts_and_its_media_is_dropped() {
    let mut peer = Peer::connected();
    let mut input = named("publish", 1, "demo?a=b".into());
    input.extend(chunked(9, 1, 0, &[0x17, 1, 0, 0, 0, 1]));
    peer.send(&input);
    let expected = Publish {
        msid: 1,
        name: "demo?a=b".into(),
        kind: "live".into(),
    };
    assert_eq!(peer.event(), Event::Publish(expected));
    peer.session
        .refuse_publish(1, "NetStream.Publish.Denied", "forbidden until noon");
    peer.no_event();
    assert_eq!(peer.codes(), ["NetStream.Publish.Denied"]);
    peer.session.accept_publish(1);
    assert_eq!(peer.codes(), Vec::<String>::new());
}

#[test]
fn a_cut_publisher_is_told_and_what_it_still_sends_is_dropped() {
    let mut peer = Peer::publishing();
    peer.session
        .end_publish(1, "NetStream.Publish.Denied", "forbidden until noon");
    peer.send(&chunked(9, 1, 0, &vec![0x17; 100_000]));
    peer.no_event();
    assert_eq!(peer.codes(), ["NetStream.Publish.Denied"]);
}

#[test]
fn play_is_started_and_ended_with_the_usual_statuses() {
    let mut peer = Peer::connected();
    let name = "demo".into();
    let values = [
        "play".into(),
        0.0.into(),
        Value::Null,
        name,
        (-1.0).into(),
        (-1.0).into(),
    ];
    peer.send(&command(1, &values));
    let expected = Play {
        msid: 1,
        name: "demo".into(),
        start: -1.0,
    };
    assert_eq!(peer.event(), Event::Play(expected));
    peer.session.accept_play(1);
    let messages = peer.messages();
    let types: Vec<_> = messages.iter().map(|message| message.type_id).collect();
    assert_eq!(types, [4, 20, 20, 18]);
    assert_eq!(messages[0].payload[..], [0, 0, 0, 0, 0, 1]);
    peer.session.end_play(1, "the stream ended");
    let messages = peer.messages();
    assert_eq!(messages[1].payload[..], [0, 1, 0, 0, 0, 1]);
    let notify = amf::decode_all(&messages[0].payload).unwrap();
    let code = notify[3].get("code").unwrap();
    assert_eq!(code, &"NetStream.Play.UnpublishNotify".into());
}

#[test]
fn a_player_may_switch_streams_and_stop() {
    let mut peer = Peer::connected();
    peer.send(&named("play", 1, "a".into()));
    peer.event();
    peer.session.accept_play(1);
    peer.send(&named("play", 1, "b".into()));
    assert_eq!(peer.event(), Event::StopPlay { msid: 1 });
    assert!(matches!(peer.event(), Event::Play(play) if play.name == "b"));
    peer.session.accept_play(1);
    peer.send(&named("play", 1, Value::Boolean(false)));
    assert_eq!(peer.event(), Event::StopPlay { msid: 1 });
    peer.no_event();
}

#[test]
fn a_publish_ends_once_however_it_is_ended() {
    let unpublish = named("FCUnpublish", 0, "demo".into());
    let close = command(1, &["closeStream".into(), 0.0.into(), Value::Null]);
    let delete = named("deleteStream", 0, 1.0.into());
    let no = named("publish", 1, Value::Boolean(false));
    for endings in [
        vec![&unpublish, &close, &delete],
        vec![&close, &delete],
        vec![&delete, &unpublish],
        vec![&no, &delete],
    ] {
        let mut peer = Peer::publishing();
        for ending in endings {
            peer.send(ending);
        }
        assert_eq!(peer.event(), Event::Unpublish { msid: 1 });
        peer.no_event();
        let codes = peer.codes();
        let told = |code: &&String| *code == "NetStream.Unpublish.Success";
        assert_eq!(codes.iter().filter(told).count(), 1);
        peer.send(&chunked(8, 1, 0, &[0xaf, 1, 9]));
        peer.no_event();
    }
}

#[test]
fn a_deleted_message_stream_is_given_out_again() {
    let mut peer = Peer::connected();
    for _ in 0..100 {
        peer.send(&named("deleteStream", 0, 1.0.into()));
        peer.send(&create_stream());
        assert_eq!(peer.codes(), ["1"]);
    }
    peer.send(&create_stream());
    assert_eq!(peer.codes(), ["2"]);
}

#[test]
fn an_encoder_that_sent_fcpublish_is_told_in_its_own_way() {
    let mut peer = Peer::connected();
    let fc = ["FCPublish".into(), 3.0.into(), Value::Null, "demo".into()];
    peer.send(&command(0, &fc));
    peer.send(&named("publish", 1, "demo".into()));
    peer.event();
    peer.session.accept_publish(1);
    let names: Vec<_> = peer.statuses().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["_result", "onFCPublish", "onStatus"]);
}

#[test]
fn commands_with_a_transaction_are_answered_and_others_are_not() {
    let mut peer = Peer::connected();
    for name in [
        "releaseStream",
        "getStreamLength",
        "_checkbw",
        "somethingElse",
    ] {
        let asked = [name.into(), 9.0.into(), Value::Null, "demo".into()];
        peer.send(&command(0, &asked));
        assert_eq!(peer.statuses().len(), 1, "{name}");
        let told = [name.into(), 0.0.into(), Value::Null, "demo".into()];
        peer.send(&command(0, &told));
        assert_eq!(peer.statuses().len(), 0, "{name}");
    }
}

#[test]
fn amf3_commands_are_read_behind_their_zero_byte() {
    let mut peer = Peer::connected();
    let mut body = vec![0];
    body.extend(encoded(&["publish".into(), 0.0.into(), Value::Null]));
    body.extend([17, 6, 9]);
    body.extend(b"demo");
    peer.send(&chunked(message::COMMAND_AMF3, 1, 0, &body));
    assert!(matches!(peer.event(), Event::Publish(publish) if publish.name == "demo"));
}

#[test]
fn metadata_is_handed_on_without_its_wrapper() {
    let metadata = encoded(&["onMetaData".into(), Value::EcmaArray(vec![])]);
    let wrapped = [encoded(&["@setDataFrame".into()]), metadata.clone()].concat();
    let amf3 = [vec![0], wrapped.clone()].concat();
    for (type_id, body) in [(18, &metadata), (18, &wrapped), (15, &amf3)] {
        let mut peer = Peer::publishing();
        peer.send(&chunked(type_id, 1, 0, body));
        let Event::Media(media) = peer.event() else {
            panic!("no media");
        };
        assert_eq!(media.kind, TagKind::Script);
        assert_eq!(media.payload, metadata);
    }
    let mut peer = Peer::publishing();
    peer.send(&chunked(18, 1, 0, &encoded(&["@clearDataFrame".into()])));
    peer.send(&chunked(18, 1, 0, &encoded(&["@setDataFrame".into()])));
    peer.send(&chunked(18, 1, 0, &[1, 2, 3]));
    peer.no_event();
}

#[test]
fn an_aggregate_message_is_split_with_its_times_shifted() {
    let mut tags = Vec::new();
    crate::flv::put_tag(&mut tags, TagKind::Audio, 1000, &[0xaf, 1, 1]);
    crate::flv::put_tag(&mut tags, TagKind::Video, 1020, &[0x27, 1, 0, 0, 0, 2]);
    for cut in [0, 4] {
        let mut peer = Peer::publishing();
        peer.send(&chunked(22, 1, 5000, &tags[..tags.len() - cut]));
        let times: Vec<_> = std::iter::from_fn(|| peer.session.poll_event().unwrap())
            .map(|event| match event {
                Event::Media(media) => (media.kind, media.timestamp, media.payload.len()),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(
            times,
            [(TagKind::Audio, 5000, 3), (TagKind::Video, 5020, 6)]
        );
    }
}

#[test]
fn encoders_that_use_message_stream_0_for_everything_are_understood() {
    let mut peer = Peer::connected();
    peer.send(&named("publish", 0, "demo".into()));
    assert!(matches!(peer.event(), Event::Publish(publish) if publish.msid == 1));
    peer.session.accept_publish(1);
    peer.send(&chunked(8, 0, 0, &[0xaf, 1, 1]));
    assert!(matches!(peer.event(), Event::Media(media) if media.msid == 1));
}

#[test]
fn pings_are_answered_and_input_is_acknowledged() {
    let mut peer = Peer::publishing();
    peer.send(&chunked(4, 0, 0, &[0, 6, 1, 2, 3, 4]));
    assert_eq!(peer.messages()[0].payload[..], [0, 7, 1, 2, 3, 4]);
    peer.send(&chunked(5, 0, 0, &1000u32.to_be_bytes()));
    peer.send(&chunked(9, 1, 0, &[0x27; 1100]));
    let received = u32::try_from(peer.session.bytes_received()).unwrap();
    let messages = peer.messages();
    assert_eq!(messages[0].type_id, 3);
    assert_eq!(messages[0].payload[..], received.to_be_bytes());
}

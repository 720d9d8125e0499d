//! The client session against the server session, in memory.

use super::*;
use crate::amf::{self, Value};
use crate::rtmp::chunk_write::{CHUNK_SIZE, Header, put_media, put_message};
use crate::rtmp::server;

const SERVER_SEED: Seed = [1; 32];
const CLIENT_SEED: Seed = [2; 32];

const HANDSHAKES: [Handshake; 3] = [
    Handshake::Simple,
    Handshake::Digest { schema: 0 },
    Handshake::Digest { schema: 1 },
];

fn options(purpose: Purpose, handshake: Handshake) -> Options {
    Options {
        handshake,
        ..Options::new(purpose, "live", "rtmp://host/live", "demo?key=1")
    }
}

fn client(purpose: Purpose, handshake: Handshake) -> Session {
    Session::new(options(purpose, handshake), Limits::default(), CLIENT_SEED)
}

fn server() -> server::Session {
    server::Session::new(Limits::default(), SERVER_SEED)
}

/// What the test publishes: metadata, headers, a frame longer than a chunk, a late timestamp.
fn script() -> Vec<(TagKind, u32, Vec<u8>)> {
    let mut metadata = Vec::new();
    amf::encode(&mut metadata, &"onMetaData".into());
    amf::encode(
        &mut metadata,
        &Value::EcmaArray(vec![("width".into(), 640.0.into())]),
    );
    vec![
        (TagKind::Script, 0, metadata),
        (TagKind::Video, 0, vec![0x17, 0, 0, 0, 0, 1, 2, 3]),
        (TagKind::Audio, 0, vec![0xaf, 0, 0x12, 0x10]),
        (TagKind::Video, 40, vec![0x17; 70_000]),
        (TagKind::Audio, 0xff_ffff, vec![0xaf, 1, 7]),
        (TagKind::Video, 0x0123_4567, vec![0x27; 66_000]),
    ]
}

/// Everything both ends did and said.
#[derive(Default, PartialEq, Debug)]
struct Record {
    server_events: Vec<server::Event>,
    client_events: Vec<Event>,
    to_server: Vec<u8>,
    to_client: Vec<u8>,
}

/// What the server does on its events: take everyone, and send the script to players.
fn serve(session: &mut server::Session, event: &server::Event, out: &mut Vec<u8>) {
    match event {
        server::Event::Connect(_) => session.accept_connect(),
        server::Event::Publish(publish) => session.accept_publish(publish.msid),
        server::Event::Play(play) => {
            session.accept_play(play.msid);
            out.extend(session.take_output());
            for (kind, timestamp, payload) in script() {
                put_media(out, kind, play.msid, timestamp, &payload);
            }
            session.end_play(play.msid, "over");
        }
        _ => {}
    }
    out.extend(session.take_output());
}

fn drain_server(session: &mut server::Session, events: &mut Vec<server::Event>, out: &mut Vec<u8>) {
    while let Some(event) = session.poll_event().unwrap() {
        serve(session, &event, out);
        events.push(event);
    }
    out.extend(session.take_output());
}

fn drain_client(session: &mut Session, events: &mut Vec<Event>, out: &mut Vec<u8>) {
    while let Some(event) = session.poll_event().unwrap() {
        if event == Event::Published {
            for (kind, timestamp, payload) in script() {
                assert!(session.send_media(kind, timestamp, &payload));
            }
            session.close();
        }
        events.push(event);
    }
    out.extend(session.take_output());
}

/// Runs both ends to the end, passing on `step` bytes at a time.
fn run(purpose: Purpose, handshake: Handshake, step: usize) -> Record {
    let (mut client, mut server) = (client(purpose, handshake), server());
    let mut record = Record::default();
    let (mut sent_up, mut sent_down) = (0, 0);
    drain_client(
        &mut client,
        &mut record.client_events,
        &mut record.to_server,
    );
    while sent_up < record.to_server.len() || sent_down < record.to_client.len() {
        let end = (sent_up + step).min(record.to_server.len());
        server
            .handle_input(&record.to_server[sent_up..end])
            .unwrap();
        sent_up = end;
        drain_server(
            &mut server,
            &mut record.server_events,
            &mut record.to_client,
        );
        let end = (sent_down + step).min(record.to_client.len());
        client
            .handle_input(&record.to_client[sent_down..end])
            .unwrap();
        sent_down = end;
        drain_client(
            &mut client,
            &mut record.client_events,
            &mut record.to_server,
        );
    }
    record
}

fn media_of<'a>(events: impl Iterator<Item = Option<&'a Media>>) -> Vec<(TagKind, u32, Vec<u8>)> {
    events
        .flatten()
        .map(|media| (media.kind, media.timestamp, media.payload.to_vec()))
        .collect()
}

#[test]
fn what_a_client_publishes_arrives_with_every_handshake_and_step() {
    for handshake in HANDSHAKES {
        for step in [1, 2, 3, 7, 127, 1537, 65_536, usize::MAX >> 1] {
            let record = run(Purpose::Publish, handshake, step);
            assert_eq!(
                record.client_events[..2],
                [Event::Connected, Event::Published]
            );
            let media = record.server_events.iter().map(|event| match event {
                server::Event::Media(media) => Some(media),
                _ => None,
            });
            assert_eq!(media_of(media), script());
            assert_eq!(
                record.server_events.last(),
                Some(&server::Event::Unpublish { msid: 1 })
            );
            let asked = record.server_events.iter().find_map(|event| match event {
                server::Event::Publish(publish) => Some(publish.name.as_str()),
                _ => None,
            });
            assert_eq!(asked, Some("demo?key=1"));
        }
    }
}

#[test]
fn what_a_server_plays_arrives_with_every_handshake_and_step() {
    for handshake in HANDSHAKES {
        for step in [1, 2, 3, 7, 127, 1537, 65_536, usize::MAX >> 1] {
            let record = run(Purpose::Play, handshake, step);
            let media = record.client_events.iter().map(|event| match event {
                Event::Media(media) => Some(media),
                _ => None,
            });
            assert_eq!(media_of(media), script());
            assert_eq!(record.client_events.last(), Some(&Event::Ended));
            assert!(record.client_events.contains(&Event::Playing));
        }
    }
}

/// Every place near a message boundary, and some of those far from one.
fn places(length: usize) -> impl Iterator<Item = usize> {
    (0..length).filter(move |at| *at < 8 || (1530..6000).contains(at) || at % 997 == 0)
}

#[test]
fn a_server_takes_the_same_from_its_input_split_anywhere() {
    let whole = run(Purpose::Publish, Handshake::Digest { schema: 1 }, 65_536);
    for place in places(whole.to_server.len()) {
        let mut server = server();
        let (mut events, mut out) = (Vec::new(), Vec::new());
        let (head, tail) = whole.to_server.split_at(place);
        for piece in [head, tail] {
            server.handle_input(piece).unwrap();
            drain_server(&mut server, &mut events, &mut out);
        }
        assert!(events == whole.server_events, "split at {place}");
    }
}

#[test]
fn a_client_takes_the_same_from_its_input_split_anywhere() {
    let whole = run(Purpose::Play, Handshake::Digest { schema: 0 }, 65_536);
    for place in places(whole.to_client.len()) {
        let mut client = client(Purpose::Play, Handshake::Digest { schema: 0 });
        let (mut events, mut out) = (Vec::new(), Vec::new());
        let (head, tail) = whole.to_client.split_at(place);
        for piece in [head, tail] {
            client.handle_input(piece).unwrap();
            drain_client(&mut client, &mut events, &mut out);
        }
        assert!(events == whole.client_events, "split at {place}");
    }
}

/// Passes bytes to and fro until neither end has more, giving server events to `decide`.
fn exchange(
    client: &mut Session,
    server: &mut server::Session,
    mut decide: impl FnMut(&mut server::Session, server::Event),
) -> Vec<Event> {
    let mut events = Vec::new();
    while client.has_output() || server.has_output() {
        server.handle_input(&client.take_output()).unwrap();
        while let Some(event) = server.poll_event().unwrap() {
            decide(server, event);
        }
        client.handle_input(&server.take_output()).unwrap();
        while let Some(event) = client.poll_event().unwrap() {
            events.push(event);
        }
    }
    events
}

fn refusal(code: &str, description: &str) -> Event {
    Event::Refused {
        code: code.to_owned(),
        description: description.to_owned(),
    }
}

#[test]
fn every_refusal_reaches_the_client_in_the_servers_words() {
    let words = "forbidden until 2030-01-01T00:00:00Z";
    for purpose in [Purpose::Publish, Purpose::Play] {
        let (mut client, mut server) = (client(purpose, Handshake::Simple), server());
        let events = exchange(&mut client, &mut server, |server, event| match event {
            server::Event::Connect(_) => server.accept_connect(),
            server::Event::Publish(asked) => server.refuse_publish(asked.msid, "No", words),
            server::Event::Play(asked) => server.refuse_play(asked.msid, "No", words),
            other => panic!("{other:?}"),
        });
        assert_eq!(events, [Event::Connected, refusal("No", words)]);
        assert!(!client.send_media(TagKind::Audio, 0, b"x"));
    }
    let mut client = client(Purpose::Publish, Handshake::Simple);
    let events = exchange(&mut client, &mut server(), |server, _| {
        server.refuse_connect("no such app");
    });
    assert_eq!(
        events,
        [refusal("NetConnection.Connect.Rejected", "no such app")]
    );
}

#[test]
fn a_cut_reaches_a_running_publisher() {
    let (mut client, mut server) = (client(Purpose::Publish, Handshake::Simple), server());
    let accept = |server: &mut server::Session, event| match event {
        server::Event::Connect(_) => server.accept_connect(),
        server::Event::Publish(asked) => server.accept_publish(asked.msid),
        _ => {}
    };
    let events = exchange(&mut client, &mut server, accept);
    assert_eq!(events, [Event::Connected, Event::Published]);
    assert_eq!(client.msid(), Some(1));
    server.end_publish(1, "NetStream.Publish.Denied", "cut");
    let events = exchange(&mut client, &mut server, accept);
    assert_eq!(events, [refusal("NetStream.Publish.Denied", "cut")]);
    assert!(!client.send_media(TagKind::Audio, 0, b"x"));
}

/// A client that has connected and waits for the answer to `createStream`.
fn creating() -> Session {
    let (mut client, mut server) = (client(Purpose::Play, Handshake::Simple), server());
    server.handle_input(&client.take_output()).unwrap();
    client.handle_input(&server.take_output()).unwrap();
    server.handle_input(&client.take_output()).unwrap();
    assert!(server.poll_event().unwrap().is_some());
    server.accept_connect();
    client.handle_input(&server.take_output()).unwrap();
    assert_eq!(client.poll_event(), Ok(Some(Event::Connected)));
    client
}

fn message(type_id: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let header = Header {
        csid: 3,
        type_id,
        msid: 0,
        timestamp: 0,
    };
    put_message(&mut out, header, payload, CHUNK_SIZE);
    out
}

fn command(values: &[Value]) -> Vec<u8> {
    let mut body = Vec::new();
    for value in values {
        amf::encode(&mut body, value);
    }
    message(20, &body)
}

#[test]
fn odd_servers_are_refused_in_words_or_ignored() {
    for id in [
        Value::Null,
        Value::Number(-1.0),
        Value::Number(f64::NAN),
        Value::Number(1e20),
    ] {
        let values = ["_result".into(), CREATE_STREAM.into(), Value::Null, id];
        let error = creating().handle_input(&command(&values)).unwrap_err();
        assert!(error.to_string().contains("message stream id"), "{error}");
    }
    let mut client = creating();
    for ignored in [
        command(&["_error".into(), FC_PUBLISH.into(), Value::Null]),
        command(&["onBWDone".into(), 0.0.into()]),
        message(9, &[0x17, 1, 0, 0, 0]),
        message(4, &[0, 1, 0, 0, 0, 1]),
    ] {
        client.handle_input(&ignored).unwrap();
        assert_eq!(client.poll_event(), Ok(None));
    }
    client
        .handle_input(&command(&["_error".into(), CREATE_STREAM.into()]))
        .unwrap();
    assert_eq!(client.poll_event(), Ok(Some(refusal("", ""))));
    let mut client = creating();
    client
        .handle_input(&command(&["close".into(), 0.0.into()]))
        .unwrap();
    assert_eq!(client.poll_event(), Ok(Some(Event::Closed)));
}

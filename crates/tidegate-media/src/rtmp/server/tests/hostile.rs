//! Peers that break the rules or flood.

use proptest::prelude::*;

use super::*;

/// Who sends it, what is sent, and words of the refusal.
type Case = (fn() -> Peer, Vec<u8>, &'static str);

#[test]
fn commands_out_of_order_are_refused_in_words() {
    let publish = named("publish", 1, "demo".into());
    let media = chunked(9, 1, 0, &[0x17, 1, 0, 0, 0, 1]);
    let table: Vec<Case> = vec![
        (Peer::new, create_stream(), "before connect"),
        (Peer::new, publish.clone(), "before connect"),
        (Peer::new, media.clone(), "before a publish"),
        (Peer::connected, media, "before a publish"),
        (
            Peer::connected,
            chunked(18, 1, 0, &[2, 0, 1, b'x', 5]),
            "before a publish",
        ),
        (Peer::connected, connect(), "second time"),
        (
            Peer::connected,
            named("publish", 2, "x".into()),
            "createStream did not give",
        ),
        (
            Peer::connected,
            named("play", 9, "x".into()),
            "createStream did not give",
        ),
        (Peer::publishing, publish, "in use"),
        (Peer::publishing, named("play", 1, "x".into()), "in use"),
        (
            Peer::new,
            command(0, &["connect".into(), 1.0.into()]),
            "without an app name",
        ),
        (Peer::new, command(0, &[Value::Null]), "without its name"),
        (
            Peer::new,
            command(0, &["connect".into()]),
            "without its transaction",
        ),
        (Peer::new, chunked(20, 0, 0, &[]), "without its name"),
        (Peer::new, chunked(20, 0, 0, &[2, 0xff, 0xff, 1]), "cut off"),
        (Peer::new, chunked(17, 0, 0, &[0]), "without its name"),
        (Peer::new, chunked(5, 0, 0, &[1]), "type 5 with 1 bytes"),
        (
            Peer::connected,
            create_stream().repeat(8),
            "more than 8 message streams",
        ),
        (
            Peer::publishing,
            chunked(22, 1, 0, &[8, 0, 0, 9, 0]),
            "aggregate",
        ),
    ];
    for (peer, input, words) in table {
        let mut peer = peer();
        let error = peer.error(&input);
        assert!(error.to_string().contains(words), "{error} lacks {words}");
        assert_eq!(peer.session.handle_input(&[0]), Err(error.clone()));
        assert_eq!(peer.session.poll_event(), Err(error));
    }
}

#[test]
fn a_name_that_is_no_text_is_refused_in_words_and_the_connection_goes_on() {
    for (what, code) in [
        ("publish", "NetStream.Publish.BadName"),
        ("play", "NetStream.Play.Failed"),
    ] {
        let mut peer = Peer::connected();
        for name in [
            Value::RawString(vec![0xff, 0xfe]),
            Value::Number(7.0),
            Value::Null,
        ] {
            peer.send(&named(what, 1, name));
            peer.no_event();
            assert_eq!(peer.codes(), [code]);
        }
        peer.send(&command(1, &[what.into(), 0.0.into(), Value::Null]));
        assert_eq!(peer.codes(), [code]);
        peer.send(&named(what, 1, "fine".into()));
        peer.event();
    }
}

#[test]
fn long_messages_are_for_accepted_publishers() {
    let large = chunked(9, 1, 0, &vec![0x17; 100_000]);
    let mut peer = Peer::connected();
    peer.send(&named("publish", 1, "demo".into()));
    peer.event();
    peer.send(&large);
    peer.session.accept_publish(1);
    assert!(matches!(peer.event(), Event::Media(media) if media.payload.len() == 100_000));
    let mut peer = Peer::connected();
    let error = peer.error(&large);
    assert!(matches!(
        error,
        Error::MessageTooLong {
            length: 100_000,
            ..
        }
    ));
}

#[test]
fn input_sent_ahead_of_a_decision_is_bounded() {
    let mut peer = Peer::connected();
    peer.send(&named("publish", 1, "demo".into()));
    peer.event();
    let piece = vec![0; 64 << 10];
    for _ in 0..8 {
        peer.send(&piece);
    }
    assert_eq!(peer.error(&piece), Error::TooMuchHeld(512 << 10));
}

#[test]
fn pings_that_nobody_reads_the_answers_of_end_the_session() {
    let ping = chunked(4, 0, 0, &[0, 6, 1, 2, 3, 4]);
    let mut peer = Peer::publishing();
    assert_eq!(
        peer.error(&ping.repeat(5000)),
        Error::TooMuchOutput(64 << 10)
    );
    assert!(peer.session.take_output().len() < (64 << 10) + 100);
    let mut peer = Peer::publishing();
    for _ in 0..5000 {
        peer.send(&ping);
        peer.messages();
    }
}

#[test]
fn commands_that_nobody_reads_the_answers_of_end_the_session() {
    let asked = ["releaseStream".into(), 9.0.into(), Value::Null];
    let mut peer = Peer::connected();
    let error = peer.error(&command(0, &asked).repeat(5000));
    assert_eq!(error, Error::TooMuchOutput(64 << 10));
}

#[test]
fn a_flood_of_empty_messages_makes_no_events() {
    let mut peer = Peer::publishing();
    let mut input = chunked(9, 1, 0, &[]);
    input.extend(vec![0xc3; 1_000_000]);
    peer.send(&input);
    peer.no_event();
}

#[test]
fn events_wait_their_turn_without_piling_up() {
    let limits = Limits {
        events: 4,
        ..Limits::default()
    };
    let mut peer = Peer::with(limits);
    peer.send(&connect());
    peer.event();
    peer.session.accept_connect();
    peer.send(&[create_stream(), named("publish", 1, "demo".into())].concat());
    peer.event();
    peer.session.accept_publish(1);
    let mut input = Vec::new();
    for time in 0..1000 {
        input.extend(chunked(8, 1, time, &[0xaf, 1, 1]));
    }
    peer.send(&input);
    for time in 0..1000 {
        assert!(peer.session.events.len() <= 4);
        assert!(matches!(peer.event(), Event::Media(media) if media.timestamp == time));
    }
    peer.no_event();
    assert_eq!(peer.session.held.capacity(), 0);
}

#[test]
fn events_ahead_of_an_error_can_still_be_polled() {
    let mut peer = Peer::publishing();
    let mut input = chunked(8, 1, 5, &[0xaf, 1, 1]);
    input.extend(connect());
    let error = peer.session.handle_input(&input).unwrap_err();
    assert!(matches!(peer.event(), Event::Media(_)));
    assert_eq!(peer.session.poll_event(), Err(error));
}

/// Drives a session through arbitrary input, answering every decision.
fn survive(peer: &mut Peer, pieces: &[Vec<u8>]) {
    for piece in pieces {
        if peer.session.handle_input(piece).is_err() {
            return;
        }
        while let Ok(Some(event)) = peer.session.poll_event() {
            match event {
                Event::Connect(_) => peer.session.accept_connect(),
                Event::Publish(publish) => peer.session.accept_publish(publish.msid),
                Event::Play(play) => peer.session.accept_play(play.msid),
                Event::Media(media) => assert!(!media.payload.is_empty()),
                Event::Unpublish { .. } | Event::StopPlay { .. } => {}
            }
        }
        peer.session.take_output();
    }
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    let name = prop::sample::select(vec![
        "connect",
        "createStream",
        "publish",
        "play",
        "deleteStream",
        "closeStream",
        "FCPublish",
        "FCUnpublish",
        "releaseStream",
    ]);
    let argument = prop_oneof![
        Just(Value::Null),
        Just(Value::from("demo")),
        (0u8..4).prop_map(|n| f64::from(n).into()),
        any::<bool>().prop_map(Value::Boolean),
    ];
    let call = (name, 0u32..3, argument).prop_map(|(name, msid, argument)| {
        let object = Value::object([("app", "live".into())]);
        command(msid, &[name.into(), 1.0.into(), object, argument])
    });
    let body = prop::collection::vec(any::<u8>(), 0..40);
    let message = (1u8..23, 0u32..3, body.clone())
        .prop_map(|(type_id, msid, body)| chunked(type_id, msid, 0, &body));
    prop_oneof![4 => call, 2 => message, 1 => body]
}

proptest! {
    #[test]
    fn arbitrary_peers_are_survived(pieces in prop::collection::vec(piece(), 0..40)) {
        survive(&mut Peer::new(), &pieces);
        survive(&mut Peer::publishing(), &pieces);
    }
}

//! Looks over RTMP at servers of every sort.
use std::net::SocketAddr;
use std::sync::Arc;

use crate::server::{AMPLE, hasty, look_with};
use tidegate_core::probe::Look;
use tidegate_media::flv::TagKind;
use tidegate_media::rtmp::Limits;
use tidegate_media::rtmp::chunk_write::put_media;
use tidegate_media::rtmp::server::{Event, Session};
use tidegate_probe::{Kind, Looked, Options};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Does something on an event; the bytes are sent after the session's own. False closes.
type Act = dyn Fn(&mut Session, Event, &mut Vec<u8>) -> bool + Send + Sync;

/// A server that speaks RTMP properly as far as `act` lets it.
async fn serve(
    act: impl Fn(&mut Session, Event, &mut Vec<u8>) -> bool + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let at = listener.local_addr().unwrap();
    let act: Arc<Act> = Arc::new(act);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(converse(socket, Arc::clone(&act)));
        }
    });
    at
}

async fn converse(mut socket: TcpStream, act: Arc<Act>) {
    let mut session = Session::new(Limits::default(), [3; 32]);
    let mut input = vec![0; 4096];
    while let Ok(count @ 1..) = socket.read(&mut input).await {
        if session.handle_input(&input[..count]).is_err() {
            return;
        }
        let mut more = Vec::new();
        let mut stays = true;
        while let Ok(Some(event)) = session.poll_event() {
            stays &= act(&mut session, event, &mut more);
        }
        let output = session.take_output();
        if socket.write_all(&output).await.is_err() || socket.write_all(&more).await.is_err() {
            return;
        }
        if !stays {
            let _ = socket.shutdown().await;
            return;
        }
    }
}

/// A server that writes `bytes`, then reads, without a look at what it reads.
async fn blurt(bytes: Vec<u8>, again: bool) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let bytes = bytes.clone();
            tokio::spawn(async move {
                while socket.write_all(&bytes).await.is_ok() && again {}
                while socket.read(&mut [0; 4096]).await.is_ok_and(|n| n > 0) {}
            });
        }
    });
    at
}

async fn look_at(at: SocketAddr, options: Options) -> Looked {
    let url = format!("rtmp://{at}/live/busy-403?txSecret=abcdef0123456789&txTime=6553f358");
    look_with(options, &url, Kind::Rtmp, AMPLE).await
}

const HEADER: (TagKind, &[u8]) = (TagKind::Video, &[0x17, 0, 0, 0, 0, 1, 2]);
const SCRIPT: (TagKind, &[u8]) = (TagKind::Script, b"\x02\0\x0aonMetaData");
const FRAME: (TagKind, &[u8]) = (TagKind::Audio, &[0xaf, 1, 9, 9]);

/// Takes every connect and play, then sends `media`.
fn play(
    media: &'static [(TagKind, &'static [u8])],
) -> impl Fn(&mut Session, Event, &mut Vec<u8>) -> bool {
    move |session, event, more| {
        match event {
            Event::Connect(_) => session.accept_connect(),
            Event::Play(play) => {
                assert_eq!(
                    play.name,
                    "busy-403?txSecret=abcdef0123456789&txTime=6553f358"
                );
                session.accept_play(play.msid);
                for (kind, payload) in media {
                    put_media(more, *kind, play.msid, 0, payload);
                }
            }
            _ => {}
        }
        true
    }
}

#[tokio::test]
async fn one_frame_is_media() {
    let at = serve(play(&[SCRIPT, HEADER, FRAME])).await;
    let looked = look_at(at, Options::default()).await;
    assert_eq!(looked.look, Look::Media, "{}", looked.words);
    assert!((3000..6000).contains(&looked.bytes), "{}", looked.bytes);
}

#[tokio::test]
async fn a_play_without_frames_is_absent() {
    for media in [&[][..], &[SCRIPT, HEADER]] {
        let looked = look_at(serve(play(media)).await, hasty()).await;
        assert_eq!(looked.look, Look::Absent, "{}", looked.words);
        assert!(
            looked.words.contains("no media in time"),
            "{}",
            looked.words
        );
    }
}

#[tokio::test]
async fn each_refusal_has_its_verdict_and_leaks_nothing() {
    let words = "no live/busy-403?txSecret=abcdef0123456789 (abcdef0123456789) here";
    for (code, words, want) in [
        ("NetStream.Play.StreamNotFound", words, Look::Absent),
        ("NetStream.Play.Failed", words, Look::Absent),
        (
            "NetStream.Play.Failed",
            "this stream is forbidden",
            Look::Refused,
        ),
        ("NetStream.Play.Failed", "server busy", Look::NoAnswer),
    ] {
        let at = serve(move |session, event, _| {
            match event {
                Event::Connect(_) => session.accept_connect(),
                Event::Play(play) => session.refuse_play(play.msid, code, words),
                _ => {}
            }
            true
        })
        .await;
        let looked = look_at(at, Options::default()).await;
        assert_eq!(looked.look, want, "{code}: {}", looked.words);
        assert!(!looked.words.contains("abcdef"), "{}", looked.words);
    }
    for (words, want) in [
        ("token expired", Look::Refused),
        ("there is no app \"live\" here", Look::Absent),
        ("too many connections", Look::NoAnswer),
    ] {
        let at = serve(move |session, event, _| {
            if matches!(event, Event::Connect(_)) {
                session.refuse_connect(words);
            }
            true
        })
        .await;
        let looked = look_at(at, Options::default()).await;
        assert_eq!(looked.look, want, "{}", looked.words);
    }
}

#[tokio::test]
async fn a_close_counts_once_the_play_was_asked_for() {
    let at = serve(|session, event, _| {
        if matches!(event, Event::Connect(_)) {
            session.accept_connect();
        }
        !matches!(event, Event::Play(_))
    })
    .await;
    let looked = look_at(at, Options::default()).await;
    assert_eq!(looked.look, Look::Absent, "{}", looked.words);
    let at = serve(|_, event, _| !matches!(event, Event::Connect(_))).await;
    let looked = look_at(at, Options::default()).await;
    assert_eq!(looked.look, Look::NoAnswer, "{}", looked.words);
}

#[tokio::test]
async fn an_end_after_the_start_is_absent() {
    let at = serve(|session, event, _| {
        match event {
            Event::Connect(_) => session.accept_connect(),
            Event::Play(play) => {
                session.accept_play(play.msid);
                session.end_play(play.msid, "over");
            }
            _ => {}
        }
        true
    })
    .await;
    let looked = look_at(at, Options::default()).await;
    assert_eq!(looked.look, Look::Absent, "{}", looked.words);
}

#[tokio::test]
async fn a_frame_that_does_not_end_is_no_proof_of_absence() {
    let at = serve(|session, event, more| {
        match event {
            Event::Connect(_) => session.accept_connect(),
            Event::Play(play) => {
                session.accept_play(play.msid);
                put_media(more, TagKind::Video, play.msid, 0, &[0x17; 9000]);
                more.truncate(5000);
            }
            _ => {}
        }
        true
    })
    .await;
    let looked = look_at(at, hasty()).await;
    assert_eq!(looked.look, Look::NoAnswer, "{}", looked.words);
    assert!(looked.words.contains("too slowly"), "{}", looked.words);
}

#[tokio::test]
async fn what_speaks_no_rtmp_is_no_answer_within_bounds() {
    let http = b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec();
    let pings: Vec<u8> = [
        &[3; 3073][..],
        &[2, 0, 0, 0, 0, 0, 6, 4, 0, 0, 0, 0, 0, 6, 1, 2, 3, 4],
    ]
    .concat();
    for (bytes, again) in [
        (http, false),
        (vec![0xff; 64], true),
        (vec![], false),
        (vec![3], false),
        (vec![3; 4096], true),
        (pings, true),
    ] {
        let looked = look_at(blurt(bytes, again).await, hasty()).await;
        assert_eq!(looked.look, Look::NoAnswer, "{}", looked.words);
        assert!(looked.bytes <= 512 << 10, "{}", looked.bytes);
    }
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let looked = look_at(closed, Options::default()).await;
    assert_eq!(
        (looked.look, looked.bytes),
        (Look::NoAnswer, 0),
        "{}",
        looked.words
    );
}

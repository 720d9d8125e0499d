//! Peers that do what they should not: each is closed, none costs more than its connection.

use std::time::Duration;

use tidegate_media::flv::TagKind;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::support::*;

/// A simple handshake as the client sends it.
fn handshake() -> Vec<u8> {
    let mut bytes = vec![0; 1 + 1536 + 1536];
    bytes[0] = 3;
    bytes
}

#[tokio::test]
async fn hostile_rtmp_peers_are_closed() {
    let origin = start_with(|o| {
        o.handshake_timeout = Duration::from_millis(200);
        o.command_timeout = Duration::from_millis(200);
        o.linger = Duration::from_millis(50);
    })
    .await;
    let with = |tail: &[u8]| [&handshake()[..], tail].concat();
    let cases: [(&str, Vec<u8>); 8] = [
        ("nothing", Vec::new()),
        ("HTTP", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("TLS", vec![0x16, 3, 1, 2, 0]),
        ("half a handshake", handshake()[..800].to_vec()),
        ("a handshake and silence", handshake()),
        (
            "a huge chunk",
            with(&[3, 0, 0, 0, 0xff, 0xff, 0xff, 20, 0, 0, 0, 0]),
        ),
        ("a chunk without a start", with(&[0xc3, 1, 2, 3])),
        ("garbage", with(&[0xa5; 20_000])),
    ];
    for (what, bytes) in cases {
        let mut socket = TcpStream::connect(origin.addresses.rtmp).await.unwrap();
        // The server may close before it has taken everything.
        let _ = socket.write_all(&bytes).await;
        let mut rest = Vec::new();
        let closed = soon(what, socket.read_to_end(&mut rest)).await;
        // A reset is as good as a FIN here.
        drop(closed);
    }
    let metrics = origin.hub.metrics();
    assert!(metrics.protocol_errors.get() >= 4);
    assert!(metrics.timeouts.get() >= 3);
    origin.publisher("demo").await;
}

#[tokio::test]
async fn hostile_http_heads_are_refused() {
    let origin = start_with(|o| o.head_timeout = Duration::from_millis(200)).await;
    let long = "a".repeat(9000);
    for (head, status) in [
        (format!("GET / HTTP/1.1\r\nX: {long}"), 431),
        (format!("GET /{long}"), 414),
        ("\0\0\0\0\r\n\r\n".to_owned(), 400),
    ] {
        let answer = origin.request(&head).await;
        assert_eq!(answer.status(), status, "{head:.20}");
    }
    let mut slow = TcpStream::connect(origin.addresses.media).await.unwrap();
    slow.write_all(b"GET / HT").await.unwrap();
    let mut rest = Vec::new();
    soon("the close", slow.read_to_end(&mut rest))
        .await
        .unwrap();
    assert!(rest.is_empty());
    assert_eq!(origin.hub.metrics().timeouts.get(), 1);
}

#[tokio::test]
async fn connections_past_the_limit_are_closed() {
    let origin = start_with(|o| o.max_connections = 2).await;
    let _publisher = origin.publisher_mid_gop("demo").await;
    let mut player = origin.get("/live/demo.flv", "").await;
    player.tag().await.expect("media");
    let mut third = TcpStream::connect(origin.addresses.rtmp).await.unwrap();
    let mut rest = Vec::new();
    let _ = soon("the close", third.read_to_end(&mut rest)).await;
    assert!(rest.is_empty());
    drop(player);
    origin.players("demo", 0).await;
    let player = origin.get("/live/demo.flv", "").await;
    assert_eq!(player.status(), 200);
}

#[tokio::test]
async fn a_player_that_floods_its_input_is_dropped() {
    let origin = start().await;
    let mut publisher = origin.publisher_mid_gop("demo").await;
    let mut player = origin.get("/live/demo.flv", "").await;
    player.tag().await.expect("media");
    let (mut reading, mut writing) = player.socket.into_split();
    let flood =
        tokio::spawn(async move { while writing.write_all(&[b'x'; 4096]).await.is_ok() {} });
    let drop_it = async {
        let mut timestamp = 2000;
        while origin
            .hub
            .stream(&key("demo"))
            .is_some_and(|s| s.players > 0)
        {
            timestamp += 40;
            publisher
                .send(TagKind::Video, timestamp, &inter_frame(20))
                .await;
            tokio::task::yield_now().await;
        }
    };
    soon("the drop", drop_it).await;
    let mut rest = Vec::new();
    let _ = soon("the close", reading.read_to_end(&mut rest)).await;
    soon("the flood's end", flood).await.unwrap();
}

//! What players receive.

use std::time::Duration;

use tidegate_media::flv::TagKind;
use tidegate_media::rtmp::client::Purpose;
use tokio::io::AsyncWriteExt as _;

use super::support::*;

#[tokio::test]
async fn a_player_joins_with_headers_and_the_key_frame() {
    let origin = start().await;
    let mut publisher = origin.publisher_mid_gop("demo").await;
    let mut player = origin.get("/live/demo.flv?token=x", "").await;
    assert_eq!(player.status(), 200);
    for field in [
        "Content-Type: video/x-flv",
        "Transfer-Encoding: chunked",
        "Cache-Control: no-cache, no-store",
        "Access-Control-Allow-Origin: *",
    ] {
        assert!(player.head.contains(field), "{field}");
    }
    publisher.send(TagKind::Video, 1080, &inter_frame(7)).await;
    let mut tags = Vec::new();
    for _ in 0..7 {
        let tag = player.tag().await.expect("a tag");
        tags.push((tag.kind, tag.timestamp, tag.payload));
    }
    assert_eq!(
        tags,
        [
            (TagKind::Script, 0, metadata()),
            (TagKind::Video, 1000, video_header(1)),
            (TagKind::Audio, 1000, audio_header()),
            (TagKind::Video, 1000, key_frame(500)),
            (TagKind::Audio, 1010, audio(50)),
            (TagKind::Video, 1040, inter_frame(100)),
            (TagKind::Video, 1080, inter_frame(7)),
        ]
    );
}

#[tokio::test]
async fn an_rtmp_player_receives_the_same() {
    let origin = start().await;
    let mut publisher = origin.publisher_mid_gop("demo").await;
    let mut player = origin.peer(Purpose::Play, "live", "demo").await;
    let mut got = Vec::new();
    for _ in 0..6 {
        let media = player.media().await;
        got.push((media.kind, media.payload));
    }
    assert_eq!(got[1], (TagKind::Video, video_header(1)));
    assert_eq!(got[3], (TagKind::Video, key_frame(500)));
    let large = key_frame(200_000);
    publisher.send(TagKind::Video, 0x0100_0000, &large).await;
    let media = player.media().await;
    assert_eq!((media.timestamp, media.payload), (0x0100_0000, large));
}

#[tokio::test]
async fn changed_headers_reach_players() {
    let origin = start().await;
    let mut publisher = origin.publisher_mid_gop("demo").await;
    let mut player = origin.get("/live/demo.flv", "").await;
    for _ in 0..6 {
        player.tag().await.expect("a tag");
    }
    publisher.send(TagKind::Video, 1080, &video_header(2)).await;
    publisher.send(TagKind::Video, 1080, &key_frame(8)).await;
    assert_eq!(player.tag().await.expect("a tag").payload, video_header(2));
    assert_eq!(player.tag().await.expect("a tag").payload, key_frame(8));
    let mut late = origin.get("/live/demo.flv", "").await;
    late.tag().await.expect("metadata");
    assert_eq!(late.tag().await.expect("a tag").payload, video_header(2));
}

#[tokio::test]
async fn the_end_of_a_publish_ends_players_with_everything_delivered() {
    let origin = start().await;
    let mut publisher = origin.publisher_mid_gop("demo").await;
    let mut player = origin.get("/live/demo.flv", "").await;
    player.tag().await.expect("a tag");
    publisher
        .send(TagKind::Video, 2000, &inter_frame(300_000))
        .await;
    publisher.session.close();
    let output = publisher.session.take_output();
    publisher.socket.write_all(&output).await.unwrap();
    let mut last = None;
    while let Some(tag) = player.tag().await {
        last = Some(tag.timestamp);
    }
    assert_eq!(last, Some(2000));
}

#[tokio::test]
async fn http_1_0_gets_plain_flv_and_a_close() {
    let origin = start().await;
    let publisher = origin.publisher_mid_gop("demo").await;
    let mut player = origin.request("GET /live/demo.flv HTTP/1.0\r\n\r\n").await;
    assert!(!player.head.contains("chunked"), "{}", player.head);
    origin.players("demo", 1).await;
    drop(publisher);
    assert!(player.body().await.starts_with(b"FLV\x01"));
}

#[tokio::test]
async fn what_cannot_be_played_is_answered_in_words() {
    let origin = start().await;
    let _publisher = origin.publisher("demo").await;
    origin.forbid("gone");
    for (request, status, part) in [
        ("GET /live/none.flv HTTP/1.1", 404, "not live"),
        ("GET /dead/demo.flv HTTP/1.1", 404, "no app"),
        ("GET / HTTP/1.1", 404, "/{app}/{stream}.flv"),
        ("GET /live/demo HTTP/1.1", 404, "/{app}/{stream}.flv"),
        ("GET /live/a.b.flv HTTP/1.1", 400, "not a stream id"),
        (
            "GET /live/gone.flv HTTP/1.1",
            403,
            "forbidden until 2030-01-02T03:04:05Z",
        ),
        (
            "GET /live//g%6fne.flv HTTP/1.1",
            403,
            "forbidden until 2030-01-02T03:04:05Z",
        ),
        ("POST /live/demo.flv HTTP/1.1", 405, "GET"),
        ("rubbish", 400, "not HTTP/1.1"),
    ] {
        let mut answer = origin.request(&format!("{request}\r\n\r\n")).await;
        assert_eq!(answer.status(), status, "{request}");
        let body = String::from_utf8(answer.body().await).unwrap();
        assert!(body.contains(part), "{request}: {body}");
    }
    let mut player = origin.peer(Purpose::Play, "live", "none").await;
    assert_eq!(player.refused().await.0, "NetStream.Play.StreamNotFound");
    let mut player = origin.peer(Purpose::Play, "live", "gone").await;
    assert_eq!(player.refused().await.1, forbidden().to_string());
}

#[tokio::test]
async fn head_and_preflight_are_answered() {
    let origin = start().await;
    let _publisher = origin.publisher("demo").await;
    let mut head = origin.request("HEAD /live/demo.flv HTTP/1.1\r\n\r\n").await;
    assert_eq!((head.status(), head.body().await.len()), (200, 0));
    let options = origin
        .request("OPTIONS /live/demo.flv HTTP/1.1\r\n\r\n")
        .await;
    assert_eq!(options.status(), 204);
    assert!(options.head.contains("Access-Control-Allow-Methods: GET"));
    assert!(options.head.contains("Access-Control-Allow-Origin: *"));
}

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[tokio::test]
async fn a_websocket_carries_flv_and_answers_pings() {
    let origin = start().await;
    let _publisher = origin.publisher_mid_gop("demo").await;
    let mut player = origin.get("/live/demo.flv", UPGRADE).await;
    assert_eq!(player.status(), 101);
    assert!(player.head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    let (first, payload) = player.frame().await;
    assert_eq!(first, 0x82);
    assert!(payload.starts_with(b"FLV\x01"));
    player
        .socket
        .write_all(&[0x89, 0x81, 0, 0, 0, 0, b'x'])
        .await
        .unwrap();
    loop {
        let (first, payload) = player.frame().await;
        if first == 0x8a {
            assert_eq!(payload, b"x");
            break;
        }
    }
    origin.forbid("demo");
    loop {
        let (first, payload) = player.frame().await;
        if first == 0x88 {
            assert_eq!(payload[..2], 1008_u16.to_be_bytes());
            assert_eq!(&payload[2..], forbidden().to_string().as_bytes());
            break;
        }
    }
    assert!(player.body().await.is_empty());
}

#[tokio::test]
async fn a_websocket_needs_an_allowed_origin() {
    let origin = start_with(|o| o.websocket_origins = vec!["https://ok".to_owned()]).await;
    let _publisher = origin.publisher("demo").await;
    for (field, status) in [
        ("", 101),
        ("Origin: http://here\r\n", 101),
        ("Origin: https://ok\r\n", 101),
        ("Origin: https://evil\r\n", 403),
    ] {
        let answer = origin
            .get("/live/demo.flv", &format!("{UPGRADE}{field}"))
            .await;
        assert_eq!(answer.status(), status, "{field}");
    }
    let old = UPGRADE.replace("13", "8");
    assert_eq!(origin.get("/live/demo.flv", &old).await.status(), 426);
    let short = UPGRADE.replace("dGhlIHNhbXBsZSBub25jZQ==", "eA==");
    assert_eq!(origin.get("/live/demo.flv", &short).await.status(), 400);
}

#[tokio::test]
async fn a_slow_player_skips_then_is_dropped_while_others_go_on() {
    let origin = start_with(|o| {
        o.player_queue_bytes = 300_000;
        o.gop_bytes = 300_000;
        o.write_timeout = Duration::from_secs(1);
        o.send_buffer = 64 << 10;
    })
    .await;
    let mut publisher = origin.publisher_mid_gop("demo").await;
    let stuck = origin.get("/live/demo.flv", "").await;
    let mut good = origin.get("/live/demo.flv", "").await;
    origin.players("demo", 2).await;
    let metrics = origin.hub.metrics();
    let mut timestamp = 2000;
    let flood = async {
        while metrics.dropped_players.get() == 0 {
            timestamp += 40;
            publisher
                .send(TagKind::Video, timestamp, &key_frame(200_000))
                .await;
            while good.tag().await.expect("the good player goes on").timestamp < timestamp {}
        }
    };
    soon("the drop", flood).await;
    assert!(metrics.skips.get() >= 1);
    origin.players("demo", 1).await;
    drop(stuck);
}

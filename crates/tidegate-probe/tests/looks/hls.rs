//! Looks at HLS: live playlists, leftovers, and what is no playlist.
use std::time::Duration;

use crate::server::{AMPLE, Step, body, look_with, ok, serve, status};
use tidegate_core::probe::Look;
use tidegate_probe::{Kind, Looked, Options};

const MPEGURL: &str = "application/vnd.apple.mpegurl";

fn playlist(sequence: usize, target: &str) -> String {
    format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:{target}\n#EXT-X-MEDIA-SEQUENCE:{sequence}\n\
         #EXTINF:2,\n{sequence}.ts\n#EXTINF:2,\n{}.ts\n",
        sequence + 1
    )
}

fn options() -> Options {
    Options {
        reload_wait: Duration::from_millis(50),
        ..Options::default()
    }
}

async fn look(url: &str) -> Looked {
    look_with(options(), url, Kind::Hls, AMPLE).await
}

#[tokio::test]
async fn a_playlist_that_moves_is_media() {
    let server = serve(|n, _| body(MPEGURL, playlist(n, "4").as_bytes())).await;
    let looked = look(&server.url("/live/x.m3u8")).await;
    assert_eq!(looked.look, Look::Media, "{}", looked.words);
    assert_eq!(server.requests.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_playlist_that_moves_late_is_media() {
    let server = serve(|n, _| body(MPEGURL, playlist(n / 2, "0.2").as_bytes())).await;
    let looked = look(&server.url("/live/x.m3u8")).await;
    assert_eq!(looked.look, Look::Media, "{}", looked.words);
    assert_eq!(server.requests.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn a_leftover_is_absent_once_it_had_time_to_move() {
    let server = serve(|_, _| body(MPEGURL, playlist(7, "0.1").as_bytes())).await;
    let looked = look(&server.url("/live/x.m3u8")).await;
    assert_eq!(looked.look, Look::Absent, "{}", looked.words);
    let short = Options {
        total: Duration::from_millis(700),
        ..options()
    };
    let server = serve(|_, _| body(MPEGURL, playlist(7, "60").as_bytes())).await;
    let looked = look_with(short, &server.url("/x.m3u8"), Kind::Hls, AMPLE).await;
    assert_eq!(looked.look, Look::NoAnswer, "{}", looked.words);
    assert!(
        looked.words.contains("too short a time"),
        "{}",
        looked.words
    );
}

#[tokio::test]
async fn one_answer_is_enough_to_see_an_end() {
    let ended = format!("{}#EXT-X-ENDLIST\n", playlist(7, "2"));
    for (steps, want) in [
        (body(MPEGURL, ended.as_bytes()), Look::Absent),
        (
            body(MPEGURL, b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n"),
            Look::Absent,
        ),
        (status("404 Not Found", ""), Look::Absent),
        (status("403 Forbidden", ""), Look::Refused),
        (status("500 Oops", ""), Look::NoAnswer),
        (body("text/html", b"<html>"), Look::NoAnswer),
        (body(MPEGURL, b"\0\xff\xfe\x01#EXTM3U"), Look::NoAnswer),
        (body(MPEGURL, b""), Look::NoAnswer),
        (
            body(MPEGURL, b"#EXTM3U\n#EXT-X-STREAM-INF:A=1\n"),
            Look::NoAnswer,
        ),
        (
            body(
                MPEGURL,
                b"#EXTM3U\n#EXT-X-STREAM-INF:A=1\nfile:///etc/passwd\n",
            ),
            Look::NoAnswer,
        ),
        (
            body(MPEGURL, b"#EXTM3U\n#EXT-X-STREAM-INF:A=1\nx.m3u8\n"),
            Look::NoAnswer,
        ),
    ] {
        let server = serve(move |_, _| steps.clone()).await;
        let looked = look(&server.url("/live/x.m3u8")).await;
        assert_eq!(looked.look, want, "{}", looked.words);
        assert!(server.requests.lock().unwrap().len() <= 2);
    }
}

#[tokio::test]
async fn a_stream_that_goes_while_it_is_looked_at_is_absent() {
    for (gone, want) in [
        (status("404 Not Found", ""), Look::Absent),
        (body(MPEGURL, b"#EXTM3U\n#EXT-X-ENDLIST\n"), Look::Absent),
        (status("502 Bad Gateway", ""), Look::NoAnswer),
    ] {
        let server = serve(move |n, _| match n {
            0 => body(MPEGURL, playlist(7, "2").as_bytes()),
            _ => gone.clone(),
        })
        .await;
        let looked = look(&server.url("/live/x.m3u8")).await;
        assert_eq!(looked.look, want, "{}", looked.words);
    }
}

#[tokio::test]
async fn variants_and_redirects_are_resolved() {
    let server = serve(|n, request| {
        let path = request.split(' ').nth(1).unwrap_or_default();
        match path {
            "/live/x.m3u8?key=1" => status("302 Found", "Location: /edge/7/x.m3u8\r\n"),
            "/edge/7/x.m3u8" => {
                let master = b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n../low/x.m3u8?t=2\n";
                body(MPEGURL, master)
            }
            "/edge/low/x.m3u8?t=2" => body(MPEGURL, playlist(n, "1").as_bytes()),
            _ => status("404 Not Found", ""),
        }
    })
    .await;
    let looked = look(&server.url("/live/x.m3u8?key=1")).await;
    assert_eq!(looked.look, Look::Media, "{}", looked.words);
    // The reload asks the variant again, not the way to it.
    assert_eq!(server.requests.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn endless_playlists_end_with_the_budget_or_the_deadline() {
    let line = b"#EXTINF:2,\nsegment.ts\n".to_vec();
    for step in [Step::Flood(line.clone()), Step::Drip(line)] {
        let steps = vec![ok(MPEGURL), Step::Send(b"#EXTM3U\n".into()), step];
        let server = serve(move |_, _| steps.clone()).await;
        let hasty = Options {
            total: Duration::from_secs(1),
            ..options()
        };
        let looked = look_with(hasty, &server.url("/x.m3u8"), Kind::Hls, 200_000).await;
        assert_eq!(looked.look, Look::NoAnswer, "{}", looked.words);
        assert!(looked.bytes <= 200_000, "{}", looked.bytes);
    }
}

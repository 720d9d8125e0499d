//! The main job with programs that nobody here wrote: ffmpeg publishes, ffprobe and VLC play, a
//! signed call takes the stream off the air, another brings it back.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

#[path = "common/encoder.rs"]
mod encoder;
#[path = "common/harness.rs"]
mod harness;

use std::path::Path;

use encoder::{Encoder, ffmpeg_new, play_with_vlc, probe};
use harness::{Server, get, wait_for};

fn publish_url(server: &Server, stream: &str) -> String {
    server.json(&["publish-url", stream])["url"]
        .as_str()
        .expect("a URL")
        .to_owned()
}

fn flv(server: &Server, stream: &str) -> String {
    format!("http://{}/live/{stream}.flv", server.media)
}

fn wait_live(server: &Server, stream: &str) {
    wait_for("the publish", || {
        let streams = server.json(&["streams"]);
        let found = streams.as_array()?.iter().any(|s| s["stream"] == stream);
        found.then_some(())
    });
}

fn code(answer: &serde_json::Value) -> i64 {
    answer["Code"].as_i64().expect("a code")
}

#[test]
fn a_stream_is_taken_off_the_air_and_brought_back() {
    let server = Server::start();
    let (app, secret) = server.first_app();
    let url = publish_url(&server, "demo");
    let encoder = Encoder::start(&server.place, "publisher", &url);
    wait_live(&server, "demo");
    let ffprobe = Path::new("ffprobe");
    assert_eq!(probe(ffprobe, &flv(&server, "demo")), ["aac", "h264"]);
    let rtmp = format!("rtmp://{}/live/demo", server.rtmp);
    assert_eq!(probe(ffprobe, &rtmp), ["aac", "h264"], "over RTMP");

    let answer = server.call(app, &secret, "ForbidCDNLiveStream", "StreamId=demo");
    assert_eq!(code(&answer), 0, "{answer}");
    assert_eq!(answer["Data"][0]["CdnType"], "origin");
    let result = answer["Data"][0]["CdnResult"].as_str().expect("words");
    assert!(
        result.starts_with("success: ") && result.contains("1 publisher"),
        "{result}"
    );
    encoder.wait();
    let (status, words) = get(&server.media, "/live/demo.flv");
    assert_eq!(status, 403);
    assert!(
        words.contains("this stream is forbidden until 2"),
        "{words}"
    );

    for alias in [
        url.clone(),
        url.replace("/demo?", "//demo?"),
        url.replace("/demo?", "/flv:demo?"),
    ] {
        let words = Encoder::start(&server.place, "refused", &alias).wait();
        assert!(
            words.contains("this stream is forbidden until 2"),
            "{alias}: {words}"
        );
    }
    let query = server.call(app, &secret, "QueryForbidCDNLiveStream", "Vendor=origin");
    let row = &query["Data"]["Origin"]["ResultDetail"][0];
    assert!(
        row["Url"].as_str().expect("a URL").ends_with("/live/demo"),
        "{query}"
    );

    let answer = server.call(app, &secret, "ResumeCDNLiveStream", "StreamId=demo");
    assert_eq!(code(&answer), 0, "{answer}");
    let mut encoder = Encoder::start(&server.place, "again", &url);
    wait_live(&server, "demo");
    assert_eq!(probe(ffprobe, &flv(&server, "demo")), ["aac", "h264"]);
    assert!(encoder.is_running());
}

#[test]
fn an_unsigned_publish_is_told_how_to_sign() {
    let server = Server::start();
    let url = format!("rtmp://{}/live/demo", server.rtmp);
    let words = Encoder::start(&server.place, "unsigned", &url).wait();
    assert!(words.contains("signed publish URLs only"), "{words}");
}

#[test]
fn the_second_publisher_of_a_live_stream_is_refused_and_the_first_goes_on() {
    let server = Server::start();
    let url = publish_url(&server, "demo");
    let mut first = Encoder::start(&server.place, "first", &url);
    wait_live(&server, "demo");
    let words = Encoder::start(&server.place, "second", &url).wait();
    assert!(words.contains("already"), "{words}");
    assert!(first.is_running());
}

#[test]
fn vlc_plays_over_http_and_over_rtmp() {
    let server = Server::start();
    let _encoder = Encoder::start(&server.place, "publisher", &publish_url(&server, "demo"));
    wait_live(&server, "demo");
    for url in [
        flv(&server, "demo"),
        format!("rtmp://{}/live/demo", server.rtmp),
    ] {
        let bytes = play_with_vlc(&server.place, &url);
        assert!(bytes > 50_000, "VLC wrote {bytes} bytes of {url}");
    }
}

/// Debian's ffmpeg cannot send these.
#[test]
fn enhanced_rtmp_passes_through() {
    let server = Server::start();
    let ffmpeg = ffmpeg_new();
    let cases: [(&str, &[&str], [&str; 2]); 3] = [
        (
            "hevc",
            &[
                "-c:v",
                "libx265",
                "-preset",
                "ultrafast",
                "-x265-params",
                "log-level=error",
                "-c:a",
                "aac",
            ],
            ["aac", "hevc"],
        ),
        (
            "av1",
            &[
                "-c:v",
                "libsvtav1",
                "-preset",
                "12",
                "-g",
                "25",
                "-c:a",
                "aac",
            ],
            ["aac", "av1"],
        ),
        (
            "opus",
            &[
                "-c:v",
                "libx264",
                "-preset",
                "ultrafast",
                "-g",
                "25",
                "-pix_fmt",
                "yuv420p",
                "-c:a",
                "libopus",
            ],
            ["h264", "opus"],
        ),
    ];
    for (name, codecs, want) in cases {
        let url = publish_url(&server, name);
        let _encoder = Encoder::start_with(&ffmpeg, &server.place, name, &url, codecs);
        wait_live(&server, name);
        // The same ffmpeg reads it back: enhanced FLV is the same bytes over HTTP.
        let played = server.place.beside(&format!("{name}.txt"));
        let status = std::process::Command::new(&ffmpeg)
            .args([
                "-hide_banner",
                "-nostdin",
                "-rw_timeout",
                "10000000",
                "-i",
                &flv(&server, name),
            ])
            .args(["-t", "1", "-f", "null", "-"])
            .stderr(std::fs::File::create(&played).expect("a file"))
            .status()
            .expect("ffmpeg runs");
        let words = std::fs::read_to_string(&played).expect("text");
        assert!(status.success(), "{name}: {words}");
        for codec in want {
            let found = words
                .lines()
                .any(|l| l.contains("Stream #0") && l.contains(codec));
            assert!(found, "{name}: no {codec} in {words}");
        }
    }
}

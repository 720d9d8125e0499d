//! Looks at HTTP-FLV answers of every sort.
use crate::server::{
    AMPLE, Step, body, flv, flv_prelude, hasty, look, look_with, ok, serve, status,
};
use tidegate_core::UnixMs;
use tidegate_core::probe::Look;
use tidegate_probe::{Kind, Looker, LookerError, Options};

#[tokio::test]
async fn a_live_stream_is_media() {
    let server = serve(|_, _| {
        let head = "HTTP/1.1 200 OK\r\nDate: Thu, 05 Mar 2026 08:09:11 GMT\r\n\r\n";
        let live = Step::Send(flv(&[5000, 5040]));
        vec![Step::Send(head.into()), live, Step::Hold]
    })
    .await;
    let looked = look(
        &server.url("/live/x.flv?txSecret=abcdef0123456789"),
        Kind::Flv,
    )
    .await;
    assert_eq!(looked.look, Look::Media, "{}", looked.words);
    assert_eq!(looked.date, UnixMs::parse_utc("2026-03-05T08:09:11Z").ok());
    assert!((150..300).contains(&looked.bytes), "{}", looked.bytes);
    let requests = server.requests.lock().unwrap();
    assert!(requests[0].starts_with("GET /live/x.flv?txSecret=abcdef0123456789 HTTP/1.1\r\n"));
    assert!(requests[0].contains("user-agent: tidegate-probe/"));
}

#[tokio::test]
async fn each_status_has_its_verdict() {
    for (line, want) in [
        ("404 Not Found", Look::Absent),
        ("410 Gone", Look::Absent),
        ("401 Unauthorized", Look::Refused),
        ("403 Forbidden", Look::Refused),
        ("204 No Content", Look::NoAnswer),
        ("206 Partial Content", Look::NoAnswer),
        ("400 Bad Request", Look::NoAnswer),
        ("429 Too Many Requests", Look::NoAnswer),
        ("500 Internal Server Error", Look::NoAnswer),
        ("503 Service Unavailable", Look::NoAnswer),
        ("302 Found", Look::NoAnswer),
        ("304 Not Modified", Look::NoAnswer),
        ("999 Odd", Look::NoAnswer),
    ] {
        let server = serve(move |_, _| status(line, "")).await;
        let looked = look(&server.url("/live/x.flv"), Kind::Flv).await;
        assert_eq!(looked.look, want, "{line}: {}", looked.words);
        assert!(looked.words.contains(&line[..3]), "{}", looked.words);
    }
}

#[tokio::test]
async fn what_is_no_stream_is_told_from_one_that_ended() {
    let html = b"<html><body>Welcome</body></html>";
    for (kind, bytes, want, words) in [
        ("text/html", &html[..], Look::NoAnswer, "not FLV"),
        ("video/x-flv", &html[..], Look::NoAnswer, "not FLV"),
        ("text/html", b"", Look::NoAnswer, "a text instead"),
        ("application/json", b"{}", Look::NoAnswer, "not FLV"),
        ("video/x-flv", b"", Look::Absent, "after 0 frames"),
        ("video/x-flv", b"FLV", Look::Absent, "after 0 frames"),
        (
            "video/x-flv",
            &flv_prelude(),
            Look::Absent,
            "after 0 frames",
        ),
        ("text/html", &flv_prelude(), Look::Absent, "after 0 frames"),
        (
            "video/x-flv",
            &flv(&[7, 7, 7]),
            Look::Absent,
            "after 3 frames",
        ),
        ("video/x-flv", &flv(&[7, 8]), Look::Media, "frames"),
    ] {
        let steps = body(kind, bytes);
        let server = serve(move |_, _| steps.clone()).await;
        let looked = look(&server.url("/live/x.flv"), Kind::Flv).await;
        assert_eq!(looked.look, want, "{kind}: {}", looked.words);
        assert!(looked.words.contains(words), "{}", looked.words);
    }
}

#[tokio::test]
async fn silence_is_absence_and_slowness_is_not() {
    let mut half = flv(&[7]);
    half.truncate(half.len() - 8);
    for (steps, want) in [
        (vec![Step::Hold], Look::NoAnswer),
        (vec![ok("video/x-flv"), Step::Hold], Look::Absent),
        (
            vec![ok("video/x-flv"), Step::Send(flv(&[7])), Step::Hold],
            Look::Absent,
        ),
        (vec![ok("text/html"), Step::Hold], Look::NoAnswer),
        (
            vec![ok("video/x-flv"), Step::Send(half), Step::Hold],
            Look::NoAnswer,
        ),
        (
            vec![
                Step::Send(b"HTTP/1.1 200 OK\r\n".into()),
                Step::Drip(b"A: b\r\n".into()),
            ],
            Look::NoAnswer,
        ),
        (
            vec![
                ok("video/x-flv"),
                Step::Send(flv_prelude()),
                Step::Drip(vec![9]),
            ],
            Look::NoAnswer,
        ),
    ] {
        let server = serve(move |_, _| steps.clone()).await;
        let looked = look_with(hasty(), &server.url("/x.flv"), Kind::Flv, AMPLE).await;
        assert_eq!(looked.look, want, "{}", looked.words);
    }
}

#[tokio::test]
async fn redirects_are_followed_three_times_and_to_http_only() {
    let server = serve(|_, request| {
        let path = request.split(' ').nth(1).unwrap_or_default();
        let to = |location: &str| status("302 Found", &format!("Location: {location}\r\n"));
        match path {
            "/3.flv?k=v" => to("2.flv"),
            "/2.flv" => to("/1.flv#part"),
            "/1.flv" => to("//u:p@127.0.0.1:1/live.flv"),
            "/4.flv" => to("/3.flv?k=v"),
            "/c.flv" => to("/b.flv"),
            "/b.flv" => to("a.flv"),
            "/a.flv" => to("/live.flv"),
            "/d.flv" => to("/c.flv"),
            "/self.flv" => to("/self.flv"),
            "/ping.flv" => to("/pong.flv"),
            "/pong.flv" => to("/ping.flv"),
            "/ftp.flv" => to("ftp://127.0.0.1/x.flv"),
            "/file.flv" => to("file:///etc/passwd"),
            "/rtmp.flv" => to("rtmp://127.0.0.1/live/x"),
            "/bad.flv" => to("http://[::x]/"),
            "/long.flv" => to(&format!("/{}", "a".repeat(9000))),
            "/none.flv" => status("302 Found", ""),
            _ => body("video/x-flv", &flv(&[1, 2])),
        }
    })
    .await;
    for (path, want, words) in [
        ("/c.flv", Look::Media, "frames"),
        ("/d.flv", Look::NoAnswer, "more than 3 redirects"),
        ("/3.flv?k=v", Look::NoAnswer, "no connection"),
        ("/4.flv", Look::NoAnswer, "more than 3 redirects"),
        ("/self.flv", Look::NoAnswer, "to itself"),
        ("/ping.flv", Look::NoAnswer, "more than 3 redirects"),
        ("/ftp.flv", Look::NoAnswer, "neither http:// nor https://"),
        ("/file.flv", Look::NoAnswer, "neither http:// nor https://"),
        ("/rtmp.flv", Look::NoAnswer, "neither http:// nor https://"),
        ("/bad.flv", Look::NoAnswer, "malformed"),
        ("/long.flv", Look::NoAnswer, "too long"),
        ("/none.flv", Look::NoAnswer, "without a target"),
    ] {
        let looked = look(&server.url(path), Kind::Flv).await;
        assert_eq!(looked.look, want, "{path}: {}", looked.words);
        assert!(looked.words.contains(words), "{path}: {}", looked.words);
    }
    let requests = server.requests.lock().unwrap();
    let leaks = |r: &String| r.to_ascii_lowercase().contains("authorization");
    assert!(!requests.iter().any(leaks));
}

#[tokio::test]
async fn floods_end_with_the_budget() {
    let mut script = Vec::new();
    tidegate_media::flv::put_tag(
        &mut script,
        tidegate_media::flv::TagKind::Script,
        0,
        &[2; 5000],
    );
    let head = Step::Send(b"HTTP/1.1 200 OK\r\n".into());
    for (steps, words) in [
        (
            vec![
                ok("video/x-flv"),
                Step::Send(flv_prelude()),
                Step::Flood(script.clone()),
            ],
            "budget",
        ),
        // With a length the HTTP library hands on as much as it has.
        (
            vec![
                ok("video/x-flv\r\nContent-Length: 4000000000"),
                Step::Send(flv_prelude()),
                Step::Flood(script.repeat(60)),
            ],
            "budget",
        ),
        (
            vec![head.clone(), Step::Flood(b"A: b\r\n".into())],
            "no answer",
        ),
        (vec![head, Step::Flood(vec![b'a'; 4096])], "no answer"),
        (vec![Step::Flood(vec![0; 4096])], "no answer"),
        (
            vec![
                ok("video/x-flv\r\nTransfer-Encoding: chunked"),
                Step::Flood(b"zz\r\n".into()),
            ],
            "broke off",
        ),
    ] {
        let server = serve(move |_, _| steps.clone()).await;
        for budget in [32 << 10, 100_000, 512 << 10] {
            let url = server.url("/x.flv");
            let looked = look_with(Options::default(), &url, Kind::Flv, budget).await;
            assert_eq!(looked.look, Look::NoAnswer, "{}", looked.words);
            assert!(looked.words.contains(words), "{}", looked.words);
            // A head is taken in whole before its size is known.
            let most = budget + if words == "no answer" { 408 << 10 } else { 0 };
            assert!(
                looked.bytes <= most,
                "{} of {budget}: {words}",
                looked.bytes
            );
        }
    }
}

#[tokio::test]
async fn a_broken_answer_is_no_answer() {
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n";
    let server = serve(move |_, _| vec![Step::Send(cut.into()), Step::Send(flv(&[7]))]).await;
    let looked = look(&server.url("/x.flv"), Kind::Flv).await;
    assert_eq!(looked.look, Look::NoAnswer);
    assert!(looked.words.contains("broke off"), "{}", looked.words);
}

#[tokio::test]
async fn no_server_is_no_answer() {
    let server = serve(|_, _| body("video/x-flv", &flv(&[1, 2]))).await;
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    for url in [
        format!("http://{closed}/x.flv?key=hunter2hunter2"),
        format!("https://{}/x.flv?key=hunter2hunter2", server.at),
        "http://no-such-host.invalid/x.flv?key=hunter2hunter2".to_owned(),
    ] {
        let looked = look(&url, Kind::Flv).await;
        assert_eq!(looked.look, Look::NoAnswer, "{}", looked.words);
        assert!(
            looked.words.starts_with("no connection"),
            "{}",
            looked.words
        );
        assert!(!looked.words.contains("hunter2"), "{}", looked.words);
        assert_eq!(looked.bytes, 0);
    }
    for url in ["", "x", "rtmp://h/live/x", "file:///etc/passwd"] {
        let looked = look(url, Kind::Flv).await;
        assert_eq!((looked.look, looked.bytes), (Look::NoAnswer, 0), "{url}");
    }
}

#[tokio::test]
async fn too_small_a_budget_asks_nobody() {
    let server = serve(|_, _| body("video/x-flv", &flv(&[1, 2]))).await;
    for kind in [Kind::Flv, Kind::Hls, Kind::Rtmp] {
        let looked = look_with(Options::default(), &server.url("/x"), kind, 1000).await;
        assert_eq!((looked.look, looked.bytes), (Look::NoAnswer, 0));
        assert!(
            looked.words.contains("1000 bytes are left"),
            "{}",
            looked.words
        );
    }
    assert!(server.requests.lock().unwrap().is_empty());
}

#[test]
fn bounds_of_nothing_are_refused() {
    let few = Options {
        max_bytes: 10,
        ..Options::default()
    };
    assert_eq!(Looker::new(few).err(), Some(LookerError::TooFewBytes(10)));
    let none = Options {
        total: std::time::Duration::ZERO,
        ..Options::default()
    };
    assert_eq!(Looker::new(none).err(), Some(LookerError::Zero("total")));
}

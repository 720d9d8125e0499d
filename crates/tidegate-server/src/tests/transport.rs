//! What is not a call: sizes, methods, broken HTTP, and a full server.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::site::{Site, options, raw};

async fn status(site: &Site, request: String) -> (String, String) {
    let answer = raw(site.address, request.as_bytes()).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.get(9..12).unwrap_or("").to_owned();
    (status, body.to_owned())
}

fn get(target: &str, headers: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n")
}

#[tokio::test]
async fn sixty_kibibytes_of_query_are_served_and_more_is_414() {
    let site = Site::start().await;
    let signed = site.signed("QueryForbidCDNLiveStream", "&Vendor=origin&x=");
    let fill = |total: usize| format!("/?{signed}{}", "a".repeat(total - signed.len()));
    let (code, body) = status(&site, get(&fill(61_440), "")).await;
    assert_eq!(code, "200");
    assert!(body.contains("\"Code\":0"), "{body}");
    for total in [61_441, 65_600, 100_000, 300_000] {
        let (code, body) = status(&site, get(&fill(total), "")).await;
        assert_eq!(code, "414", "{total}");
        assert!(body.contains("61440 bytes"), "{total}: {body}");
    }
}

#[tokio::test]
async fn too_much_of_headers_is_431() {
    let site = Site::start().await;
    let long = |n: usize| format!("X-Long: {}\r\n", "a".repeat(n));
    for headers in [long(40_000), long(200_000), "X-Many: 1\r\n".repeat(150)] {
        let (code, body) = status(&site, get("/?Action=x", &headers)).await;
        assert_eq!(code, "431");
        assert!(body.contains("the headers may have"), "{body}");
    }
    let (code, _) = status(&site, get("/?Action=x", &long(20_000))).await;
    assert_eq!(code, "200");
}

#[tokio::test]
async fn a_body_over_a_mebibyte_is_413_declared_or_not() {
    let site = Site::start().await;
    let declared = format!(
        "POST /?Action=x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        1_048_577
    );
    let (code, body) = status(&site, declared + &"a".repeat(1_048_577)).await;
    assert_eq!(code, "413");
    assert!(body.contains("\"Code\":2"), "{body}");

    let query = site.signed("ForbidCDNLiveStream", "");
    let head = format!(
        "POST /?{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\
         \r\n\r\n"
    );
    let chunk = format!("10000\r\n{}\r\n", "a".repeat(0x10000));
    let (code, _) = status(&site, head + &chunk.repeat(17) + "0\r\n\r\n").await;
    assert_eq!(code, "413");

    let json = format!(
        "{{\"StreamId\":\"big\",\"x\":\"{}\"}}",
        "a".repeat(1_048_000)
    );
    let answer = site
        .post(&site.signed("ForbidCDNLiveStream", ""), json)
        .await;
    assert_eq!(answer["Code"], 0, "just below");
}

#[tokio::test]
async fn large_bodies_wait_for_each_other_and_small_ones_for_nobody() {
    let mut options = options();
    options.limits.body_read = Duration::from_millis(100);
    let site = Site::with(options).await;
    let post = |stream: &str, padding: usize| {
        let query = site.signed("ForbidCDNLiveStream", "");
        let padding = "a".repeat(padding);
        let body = format!("{{\"StreamId\":\"{stream}\",\"x\":\"{padding}\"}}");
        format!(
            "POST /?{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n\
             {body}",
            body.len()
        )
    };
    let all = u32::try_from(crate::body::LARGE.available_permits()).expect("few");
    let places = crate::body::LARGE.acquire_many(all).await.expect("open");
    assert_eq!(status(&site, post("small", 10)).await.0, "200");
    assert_eq!(status(&site, post("large", 40_000)).await.0, "408");
    assert!(site.is_blocked("small") && !site.is_blocked("large"));
    drop(places);
    assert_eq!(status(&site, post("large", 40_000)).await.0, "200");
    assert!(site.is_blocked("large"));
}

#[tokio::test]
async fn other_methods_are_405_and_broken_http_is_400() {
    let site = Site::start().await;
    for method in ["PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "BREW"] {
        let request = get("/?Action=x", "").replace("GET", method);
        let answer = raw(site.address, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
        assert!(
            answer.to_lowercase().contains("allow: get, post"),
            "{answer}"
        );
    }
    for broken in [
        "nonsense\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "\x00\x01\r\n\r\n",
    ] {
        let (code, body) = status(&site, broken.to_owned()).await;
        assert_eq!(code, "400", "{broken:?}");
        assert!(body.contains("not an HTTP/1.1 request"), "{body}");
    }
    let (code, body) = status(&site, get("/nothing/here", "")).await;
    assert_eq!(code, "404");
    assert!(body.contains("not_found"), "{body}");
}

#[tokio::test]
async fn a_refused_post_leaves_the_connection_in_step() {
    let site = Site::start().await;
    let mut socket = TcpStream::connect(site.address).await.expect("connected");
    let body = "x".repeat(5000);
    let first =
        format!("POST /?Action=x HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n{body}");
    socket.write_all(first.as_bytes()).await.expect("sent");
    let second = get("/healthz", "");
    socket.write_all(second.as_bytes()).await.expect("sent");
    let mut answers = String::new();
    socket
        .read_to_string(&mut answers)
        .await
        .expect("both answers");
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 2, "{answers}");
    assert!(answers.contains("healthy"), "{answers}");
}

#[tokio::test]
async fn heads_and_bodies_that_do_not_come_are_given_up() {
    let mut options = options();
    options.limits.header_read = Duration::from_millis(100);
    options.limits.body_read = Duration::from_millis(100);
    let site = Site::with(options).await;
    let silent = raw(site.address, b"GET /?Acti").await;
    assert!(
        silent.is_empty() || silent.starts_with("HTTP/1.1 4"),
        "{silent}"
    );
    let query = site.signed("ForbidCDNLiveStream", "");
    let stalled = format!(
        "POST /?{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 9\r\n\r\n{{"
    );
    let answer = raw(site.address, stalled.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn idle_connections_never_keep_a_call_out() {
    let mut options = options();
    options.limits.connections = 4;
    let site = Site::with(options).await;
    let mut idle = Vec::new();
    for _ in 0..12 {
        idle.push(TcpStream::connect(site.address).await.expect("connected"));
    }
    let answer = site.call("ForbidCDNLiveStream", "&StreamId=cam").await;
    assert_eq!(answer["Code"], 0);
    let mut byte = [0u8; 1];
    assert_eq!(idle[0].read(&mut byte).await.expect("closed"), 0);

    let mut trickling = TcpStream::connect(site.address).await.expect("connected");
    trickling.write_all(b"GET /?Act").await.expect("sent");
    for _ in 0..8 {
        idle.push(TcpStream::connect(site.address).await.expect("connected"));
    }
    // A reset is an end too.
    assert_eq!(trickling.read(&mut byte).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_stop_ends_idle_connections_and_returns() {
    let site = Site::start().await;
    let mut idle = TcpStream::connect(site.address).await.expect("connected");
    idle.write_all(
        get("/healthz", "")
            .replace("close", "keep-alive")
            .as_bytes(),
    )
    .await
    .expect("sent");
    let mut some = [0u8; 15];
    idle.read_exact(&mut some).await.expect("an answer");
    site.stop().await;
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.expect("the end");
}

//! Adapters against real sockets that behave, misbehave and hang up.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "common/recorded.rs"]
mod recorded;

#[path = "common/server.rs"]
mod server;

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::IntoResponse;
use percent_encoding::percent_decode_str;
use recorded::Recorded;
use server::{SECRET, account, adapter, now, serve, site, spec};
use tidegate_cdn::sign::Key;
use tidegate_cdn::{
    Account, AccountSpec, Adapter, AuthScheme, Cdn, ClientOptions, Done, ErrorClass, Failure,
    HttpClient, Page, Refusal, Site, Vendor,
};
use tidegate_core::{Secret, StreamId, UnixMs};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// Hands every connection, its request head read, to `act`.
async fn raw<F>(act: impl Fn(TcpStream) -> F + Send + 'static) -> String
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut head = [0; 16_384];
            let _ = socket.read(&mut head).await;
            tokio::spawn(act(socket));
        }
    });
    endpoint
}

async fn forbid(endpoint: &str) -> Result<Done, Failure> {
    let (cdn, object) = adapter(Vendor::Tencent, endpoint);
    cdn.forbid(&object, None).await.map(|answer| answer.value)
}

async fn class(endpoint: &str) -> ErrorClass {
    let failure = forbid(endpoint).await.unwrap_err();
    assert!(
        !failure.words.is_empty() && !failure.words.contains("hunter2"),
        "{failure}"
    );
    failure.class
}

#[tokio::test]
async fn a_call_goes_through_and_carries_the_vendors_clock() {
    let body = r#"{"Response":{"RequestId":"R-1"}}"#;
    let date = [("date", "Thu, 05 Mar 2026 08:09:10 GMT")];
    let (endpoint, _) = serve(move |_| (date, body)).await;
    let (cdn, object) = adapter(Vendor::Tencent, &endpoint);
    let until = now().plus(Duration::from_secs(3600));
    let answer = cdn.forbid(&object, Some(until)).await.unwrap();
    let sent = UnixMs::from_seconds((until.0 + 999) / 1000);
    assert_eq!(answer.value, Done::Accepted { until: Some(sent) });
    assert_eq!(answer.request_id.as_deref(), Some("R-1"));
    assert_eq!(answer.date, UnixMs::parse_utc("2026-03-05T08:09:10Z").ok());
}

#[tokio::test]
async fn what_was_never_sent_may_be_sent_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refused = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    assert_eq!(class(&refused).await, ErrorClass::Retry { after: None });
    let nowhere = "https://no-such-host.invalid";
    assert_eq!(class(nowhere).await, ErrorClass::Retry { after: None });
}

#[tokio::test]
async fn no_tls_where_tls_is_expected_sends_nothing() {
    let (endpoint, count) = serve(|_| "hello").await;
    let tls = endpoint.replace("http://", "https://");
    assert_eq!(class(&tls).await, ErrorClass::Retry { after: None });
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn silence_and_hanging_up_after_the_request_leave_it_unknown() {
    let hangs_up = raw(|socket| async move { drop(socket) }).await;
    assert_eq!(class(&hangs_up).await, ErrorClass::Unknown);
    let breaks_off = raw(|mut socket| async move {
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"Response\":{\"RequestId\":";
        let _ = socket.write_all(head).await;
    })
    .await;
    assert_eq!(class(&breaks_off).await, ErrorClass::Unknown);
    let garbage = raw(|mut socket| async move {
        let _ = socket.write_all(b"\x00\xff not http \r\n\r\n").await;
    })
    .await;
    assert_eq!(class(&garbage).await, ErrorClass::Unknown);
}

#[tokio::test]
async fn silence_ends_with_the_total_timeout() {
    let (asked, mut heard) = mpsc::channel(8);
    let silent = raw(move |socket| {
        let asked = asked.clone();
        async move {
            let _ = asked.send(socket).await;
        }
    })
    .await;
    let account = account(Vendor::Tencent, &silent);
    let object = account.object(&site(), &StreamId::parse("room1001").unwrap());
    let options = ClientOptions {
        total_timeout: Duration::from_millis(300),
        ..ClientOptions::default()
    };
    let cdn = Adapter::new(account, HttpClient::new(options).unwrap(), now);
    let failure = cdn.forbid(&object, None).await.unwrap_err();
    assert_eq!(failure.class, ErrorClass::Unknown);
    assert!(failure.words.contains("in time"), "{failure}");
    assert!(heard.recv().await.is_some());
}

#[tokio::test]
async fn large_answers_are_not_read_announced_or_not() {
    let (announced, _) = serve(|_| "x".repeat(20_000)).await;
    assert_eq!(class(&announced).await, ErrorClass::Unknown);
    let endless = raw(|mut socket| async move {
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let _ = socket.write_all(head).await;
        let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
        while socket.write_all(chunk.as_bytes()).await.is_ok() {}
    })
    .await;
    let failure = forbid(&endless).await.unwrap_err();
    assert_eq!(failure.class, ErrorClass::Unknown);
    assert!(
        failure.words.contains("more than the 10000 bytes"),
        "{failure}"
    );
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let (other, count) = serve(|_| r#"{"Response":{"RequestId":"R"}}"#).await;
    let (endpoint, _) = serve(move |_| (StatusCode::FOUND, [("location", other.clone())])).await;
    let failure = forbid(&endpoint).await.unwrap_err();
    assert_eq!(failure.class, ErrorClass::Permanent(Refusal::Endpoint));
    assert!(failure.words.contains("redirect"), "{failure}");
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_gateway_that_asks_to_wait_is_heard() {
    let (endpoint, _) = serve(|_| (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "7")])).await;
    let after = Some(Duration::from_secs(7));
    assert_eq!(class(&endpoint).await, ErrorClass::Retry { after });
}

#[tokio::test]
async fn huawei_changes_the_end_of_a_ban_that_stands() {
    let (endpoint, count) = serve(|request| match *request.method() {
        Method::PUT => StatusCode::NO_CONTENT.into_response(),
        _ => {
            let body = r#"{"error_code":"LIVE.103011018","error_msg":"exists"}"#;
            (StatusCode::CONFLICT, body).into_response()
        }
    })
    .await;
    let (cdn, object) = adapter(Vendor::Huawei, &endpoint);
    let answer = cdn.forbid(&object, None).await.unwrap();
    assert!(matches!(answer.value, Done::Accepted { until: Some(_) }));
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn wangsu_never_signs_the_same_second_twice() {
    let (sender, mut stamps) = mpsc::unbounded_channel();
    let (endpoint, _) = serve(move |request| {
        let stamp = request.headers()["x-cnc-timestamp"].to_str().unwrap();
        let _ = sender.send(stamp.to_owned());
        r#"{"code":"00","message":"ok"}"#
    })
    .await;
    let (cdn, object) = adapter(Vendor::Ws, &endpoint);
    let mut seen = Vec::new();
    for _ in 0..5 {
        cdn.resume(&object).await.unwrap();
        seen.push(stamps.recv().await.unwrap());
    }
    let mut unique = seen.clone();
    unique.dedup();
    assert_eq!(unique, seen);
    assert!(cdn.earliest_next(now()) > now());
}

#[tokio::test]
async fn what_a_vendor_does_not_have_sends_nothing() {
    let (endpoint, count) = serve(|_| "").await;
    for vendor in Vendor::ALL {
        let (cdn, object) = adapter(vendor, &endpoint);
        let mut missing = Vec::new();
        if vendor != Vendor::Huawei {
            missing.push(cdn.change_end(&object, None).await.unwrap_err());
        }
        if vendor == Vendor::Ws {
            missing.push(cdn.stream_state(&object).await.unwrap_err());
            missing.push(cdn.online(&site(), Page::FIRST).await.unwrap_err());
        }
        if vendor == Vendor::Aliyun {
            missing.push(cdn.find_forbidden(&object).await.unwrap_err());
        }
        let unsupported = |failure: &Failure| failure.class == ErrorClass::Unsupported;
        assert!(missing.iter().all(unsupported), "{vendor}");
    }
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

/// Everything that a request brought, as its signer sees it.
async fn recorded(request: Request) -> Recorded {
    let (head, body) = request.into_parts();
    let pair = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.to_string(), value.to_str().unwrap().to_owned())
    };
    let headers: Vec<(String, String)> = head.headers.iter().map(pair).collect();
    let raw_query = head.uri.query().unwrap_or_default().to_owned();
    let decode = |text: &str| percent_decode_str(text).decode_utf8().unwrap().into_owned();
    let pairs = raw_query.split('&').filter_map(|pair| pair.split_once('='));
    Recorded {
        method: head.method.to_string(),
        host: head
            .headers
            .get("host")
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned(),
        path: head.uri.path().to_owned(),
        query: pairs.map(|(n, v)| (decode(n), decode(v))).collect(),
        raw_query,
        headers,
        body: String::from_utf8(to_bytes(body, 100_000).await.unwrap().to_vec()).unwrap(),
    }
}

#[tokio::test]
async fn what_arrives_is_what_was_signed() {
    for (vendor, scheme, name) in [
        (Vendor::Ws, AuthScheme::Cnc, "CNC-HMAC-SHA256"),
        (Vendor::Aliyun, AuthScheme::Acs3, "ACS3-HMAC-SHA256"),
        (Vendor::Aliyun, AuthScheme::RpcV1, "RPC v1 HMAC-SHA1"),
        (Vendor::Tencent, AuthScheme::Tc3, "TC3-HMAC-SHA256"),
        (Vendor::Huawei, AuthScheme::SdkHmac, "SDK-HMAC-SHA256"),
    ] {
        let (arrived, mut requests) = mpsc::unbounded_channel();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let handler = move |request: Request| {
            let arrived = arrived.clone();
            async move { arrived.send(recorded(request).await).unwrap() }
        };
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(handler)).await });
        let account = Account::new(AccountSpec {
            scheme: Some(scheme),
            security_token: (vendor != Vendor::Ws).then(|| Secret::new("t+/k==".into())),
            ..spec(vendor, &endpoint)
        });
        let account = account.unwrap();
        let app = "直播 a+b~*%2F'\"()!@&=;,:[]{}<>|\\^`$é\u{1f600}";
        let site = Site::new("push.example.com", Some("play.example.com"), app).unwrap();
        let object = account.object(&site, &StreamId::parse("room1001").unwrap());
        let client = HttpClient::new(ClientOptions::default()).unwrap();
        let clock = UnixMs::from_seconds(1_772_727_000);
        let cdn = Adapter::new(account, client, move || clock);
        let _ = cdn.forbid(&object, None).await;
        let _ = cdn.resume(&object).await;
        let _ = cdn.find_forbidden(&object).await;
        let _ = cdn.online(&site, Page::FIRST).await;
        drop(cdn);
        let mut seen = 0;
        while let Ok(request) = requests.try_recv() {
            let key = Key {
                id: "AKID0001",
                secret: SECRET,
            };
            // Wangsu's calls each take a second of their own.
            let own = request.header("x-cnc-timestamp");
            let second = own.map_or(clock.seconds(), |text| text.parse().unwrap());
            let signed = request.sign_again(name, key, second).unwrap();
            let sent = match request.header("authorization") {
                Some(header) => (signed.authorization, header.to_owned()),
                None => {
                    let signature = request.query.iter().find(|(n, _)| n == "Signature");
                    (signed.signature, signature.unwrap().1.clone())
                }
            };
            assert_eq!(sent.0, sent.1, "{name}");
            seen += 1;
        }
        assert!(seen >= 3, "{name}: {seen}");
    }
}

#[tokio::test]
async fn adapters_are_used_as_objects() {
    let (endpoint, _) = serve(|_| r#"{"RequestId":"R","StreamUrls":{"StreamUrl":[]}}"#).await;
    let (cdn, _) = adapter(Vendor::Aliyun, &endpoint);
    let cdn: Box<dyn Cdn> = Box::new(cdn);
    let list = cdn.list_forbidden(&site(), Page::FIRST).await.unwrap();
    assert!(list.value.entries.is_empty() && !list.value.more);
}

//! Resumes that are refused: whether there was anything to lift is looked up, no vendor having
//! documented how it says so.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "common/server.rs"]
mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::http::{Method, StatusCode};
use server::{account, adapter, serve, site};
use tidegate_cdn::{Adapter, Cdn, ClientOptions, Done, Failure, HttpClient, Vendor};
use tidegate_core::{StreamId, UnixMs};

/// What a resume comes to when it is refused with `refusal` and a look is answered with `look`, and
/// how many calls that took.
async fn resume_of(
    vendor: Vendor,
    refusal: (u16, &'static str),
    look: &'static str,
) -> (Result<Done, Failure>, usize) {
    let (endpoint, count) = serve(move |request| {
        let action = |name: &str| request.headers().get(name).map(|v| v.to_str().unwrap());
        let words = action("x-acs-action").or(action("x-tc-action"));
        let resumes = words == Some("ResumeLiveStream")
            || request.uri().path() == "/api/live/resume"
            || request.method() == Method::DELETE;
        match resumes {
            true => (StatusCode::from_u16(refusal.0).unwrap(), refusal.1),
            false => (StatusCode::OK, look),
        }
    })
    .await;
    let (cdn, object) = adapter(vendor, &endpoint);
    let done = cdn.resume(&object).await.map(|answer| answer.value);
    (done, count.load(Ordering::SeqCst))
}

const WS_NONE: &str = r#"{"code":"00","resultDetail":[]}"#;
const WS_BAN: &str =
    r#"{"code":"00","resultDetail":[{"url":"rtmp://push.example.com/live/room1001"}]}"#;
const ALIYUN_NONE: &str = r#"{"RequestId":"R","TotalPage":0,"StreamUrls":{"StreamUrl":[]}}"#;
const ALIYUN_BAN: &str = r#"{"RequestId":"R","TotalPage":1,"StreamUrls":{"StreamUrl":
    ["push.example.com/live/other","push.example.com/live/room1001"]}}"#;
const ALIYUN_PART: &str =
    r#"{"RequestId":"R","TotalPage":2,"StreamUrls":{"StreamUrl":["push.example.com/live/other"]}}"#;

#[tokio::test]
async fn a_refused_resume_is_done_where_the_vendor_shows_no_ban() {
    let ws = |code: &'static str| (200, code);
    for (vendor, refusal, look, free) in [
        (
            Vendor::Ws,
            ws(r#"{"code":"417","message":"failed"}"#),
            WS_NONE,
            true,
        ),
        (
            Vendor::Ws,
            ws(r#"{"code":"417","message":"failed"}"#),
            WS_BAN,
            false,
        ),
        (
            Vendor::Ws,
            ws(r#"{"code":"9","message":"no record"}"#),
            WS_NONE,
            true,
        ),
        (
            Vendor::Ws,
            ws(r#"{"code":"9","message":"no record"}"#),
            "<html>",
            false,
        ),
        (
            Vendor::Aliyun,
            (400, r#"{"Code":"InvalidParam","Message":"m"}"#),
            ALIYUN_NONE,
            true,
        ),
        (
            Vendor::Aliyun,
            (404, r#"{"Code":"NoSuchBan","Message":"m"}"#),
            ALIYUN_NONE,
            true,
        ),
        (
            Vendor::Aliyun,
            (400, r#"{"Code":"InvalidParam","Message":"m"}"#),
            ALIYUN_BAN,
            false,
        ),
        (
            Vendor::Aliyun,
            (400, r#"{"Code":"InvalidParam","Message":"m"}"#),
            ALIYUN_PART,
            false,
        ),
        (
            Vendor::Huawei,
            (400, r#"{"error_code":"LIVE.100011001"}"#),
            r#"{"blocks":[]}"#,
            true,
        ),
        (
            Vendor::Huawei,
            (400, r#"{"error_code":"LIVE.103011022"}"#),
            r#"{"total":1,"blocks":[{"app_name":"live","stream_name":"room1001"}]}"#,
            false,
        ),
        (
            Vendor::Tencent,
            (
                200,
                r#"{"Response":{"Error":{"Code":"FailedOperation"},"RequestId":"R"}}"#,
            ),
            r#"{"Response":{"StreamState":"inactive","RequestId":"R"}}"#,
            true,
        ),
    ] {
        let (done, calls) = resume_of(vendor, refusal, look).await;
        assert_eq!(calls, 2, "{vendor} {refusal:?}");
        assert_eq!(done.is_ok(), free, "{vendor} {refusal:?} {look}");
        assert!(done.is_err() || done == Ok(Done::AlreadySo));
    }
}

#[tokio::test]
async fn a_resume_refused_for_the_key_the_rate_or_the_domain_is_not_looked_into() {
    for (vendor, refusal) in [
        (Vendor::Ws, (200, r#"{"code":"28","message":"not yours"}"#)),
        (
            Vendor::Ws,
            (
                200,
                r#"{"code":"9","message":"the signature is incorrect"}"#,
            ),
        ),
        (
            Vendor::Ws,
            (200, r#"{"code":"9","message":"exceed the daily limit"}"#),
        ),
        (Vendor::Ws, (502, "<html>")),
        (Vendor::Aliyun, (400, r#"{"Code":"SignatureDoesNotMatch"}"#)),
        (Vendor::Aliyun, (400, r#"{"Code":"Throttling.User"}"#)),
        (
            Vendor::Aliyun,
            (404, r#"{"Code":"InvalidDomain.NotFound"}"#),
        ),
        (Vendor::Aliyun, (404, "")),
        (Vendor::Huawei, (404, r#"{"error_code":"LIVE.103011019"}"#)),
        (Vendor::Huawei, (404, r#"{"error_code":"APIGW.0101"}"#)),
        (
            Vendor::Tencent,
            (
                200,
                r#"{"Response":{"Error":{"Code":"RequestLimitExceeded"},"RequestId":"R"}}"#,
            ),
        ),
    ] {
        let (done, calls) = resume_of(vendor, refusal, WS_NONE).await;
        assert_eq!(calls, 1, "{vendor} {refusal:?}");
        assert!(done.is_err(), "{vendor} {refusal:?}");
    }
}

#[tokio::test]
async fn wangsu_is_asked_at_most_once_a_minute_whether_a_ban_is_there() {
    let (endpoint, count) = serve(|request| match request.uri().path() {
        "/api/live/resume" => r#"{"code":"417","message":"failed"}"#,
        _ => WS_BAN,
    })
    .await;
    let clock = Arc::new(AtomicI64::new(1_772_698_150_000));
    let hands = clock.clone();
    let account = account(Vendor::Ws, &endpoint);
    let object = account.object(&site(), &StreamId::parse("room1001").unwrap());
    let client = HttpClient::new(ClientOptions::default()).unwrap();
    let cdn = Adapter::new(account, client, move || {
        UnixMs(hands.load(Ordering::SeqCst))
    });
    for (step, calls) in [(0, 2), (1_000, 3), (58_999, 4), (1, 6), (-3_600_000, 8)] {
        clock.fetch_add(step, Ordering::SeqCst);
        assert!(cdn.resume(&object).await.is_err());
        assert_eq!(count.load(Ordering::SeqCst), calls, "{step}");
    }
}

#[tokio::test]
async fn tencent_is_asked_before_a_doubtful_resume_counts() {
    for (state, free) in [("inactive", true), ("forbid", false)] {
        let (endpoint, _) = serve(move |request| {
            let action = request.headers()["x-tc-action"].to_str().unwrap();
            match action {
                "DescribeLiveStreamState" => {
                    format!(r#"{{"Response":{{"StreamState":"{state}","RequestId":"R"}}}}"#)
                }
                _ => r#"{"Response":{"Error":{"Code":"InternalError.StreamStatusError",
                    "Message":"m"},"RequestId":"R"}}"#
                    .to_owned(),
            }
        })
        .await;
        let (cdn, object) = adapter(Vendor::Tencent, &endpoint);
        let answer = cdn.resume(&object).await;
        assert_eq!(
            answer.is_ok_and(|a| a.value == Done::AlreadySo),
            free,
            "{state}"
        );
    }
}

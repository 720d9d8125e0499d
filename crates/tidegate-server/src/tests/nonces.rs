//! A nonce is good for one mutating request.

use super::site::{Site, code, message, new_app};

const FORBID: &str = "ForbidCDNLiveStream";
const RESUME: &str = "ResumeCDNLiveStream";

#[tokio::test]
async fn the_very_same_request_gets_the_first_answer() {
    let site = Site::start().await;
    let query = site.signed(FORBID, "&StreamId=cam");
    let first = site.get(&query).await;
    assert_eq!(code(&first), 0);
    assert_eq!(code(&site.call(RESUME, "&StreamId=cam").await), 0);
    assert_eq!(site.get(&query).await, first);
    assert!(!site.is_blocked("cam"), "a retry decides nothing");
    let (common, _) = query.split_once("&StreamId").expect("parts");
    let posted = site.post(common, r#"{"StreamId":"cam"}"#).await;
    assert_eq!(posted, first, "by POST it is the same request");
}

#[tokio::test]
async fn a_concurrent_twin_waits_for_the_first_answer() {
    let site = Site::start().await;
    let query = site.signed(FORBID, "&StreamId=cam");
    let calls = tokio::join!(site.get(&query), site.get(&query), site.get(&query));
    assert_eq!(calls.0, calls.1);
    assert_eq!(calls.1, calls.2);
    assert_eq!(site.engine.stats().forbids.get(), 1);
}

#[tokio::test]
async fn a_seen_url_cannot_be_turned_against_another_stream() {
    let site = Site::start().await;
    let query = site.signed(FORBID, "&StreamId=cam");
    assert_eq!(code(&site.get(&query).await), 0);
    for turned in [
        query.replace("StreamId=cam", "StreamId=other"),
        query.replace(FORBID, RESUME),
        format!("{query}&ResumeTime=2999-01-01T00:00:00Z"),
        format!("{query}&Extra=1"),
        query.replace("StreamId=cam", "StreamId=%ff"),
        query.replace("&StreamId=cam", ""),
    ] {
        let answer = site.get(&turned).await;
        assert_eq!(code(&answer), 3, "{turned}");
        assert!(
            message(&answer).starts_with("authentication failed"),
            "{answer}"
        );
    }
    assert!(site.is_blocked("cam") && !site.is_blocked("other"));
}

#[tokio::test]
async fn the_rule_survives_a_restart() {
    let site = Site::start().await;
    let query = site.signed(FORBID, "&StreamId=cam");
    let first = site.get(&query).await;
    let site = site.restart().await;
    assert!(site.is_blocked("cam"));
    let again = site.get(&query).await;
    assert_eq!(again, first);
    let other = site.get(&query.replace("=cam", "=other")).await;
    assert_eq!(code(&other), 3);
    site.stop().await;
}

#[tokio::test]
async fn refused_requests_bind_nothing() {
    let site = Site::start().await;
    let bad = site.signed(FORBID, "&StreamId=a/b");
    assert_eq!(code(&site.get(&bad).await), 2);
    let good = bad.replace("a/b", "ab");
    assert_eq!(code(&site.get(&good).await), 0);
}

#[tokio::test]
async fn an_app_in_compatible_mode_may_use_a_nonce_again() {
    let mut site = Site::start().await;
    let app = site.engine.plan_app(new_app(false)).expect("a plan");
    site.engine.create_app(&app).await.expect("an App");
    site.app = app;
    let query = site.signed(FORBID, "&StreamId=cam");
    let first = site.get(&query).await;
    let again = site.get(&query).await;
    assert_eq!((code(&first), code(&again)), (0, 0));
    assert_ne!(first["RequestId"], again["RequestId"]);
    assert_eq!(code(&site.get(&query.replace(FORBID, RESUME)).await), 0);
    assert!(!site.is_blocked("cam"));
}

#[tokio::test]
async fn a_nonce_of_any_length_and_alphabet_works() {
    let site = Site::start().await;
    let nonces = ["%00".to_owned(), "n".repeat(20_000), "%E7%9B%B4".to_owned()];
    let raw = ["\0".to_owned(), "n".repeat(20_000), "直".to_owned()];
    for (n, (encoded, plain)) in nonces.iter().zip(raw).enumerate() {
        let rest = format!("&StreamId=n{n}");
        let query = site.signed_with(FORBID, &rest, site.seconds(), &plain);
        let query = query.replace(&plain, encoded);
        let first = site.get(&query).await;
        assert_eq!(code(&first), 0, "{first}");
        assert_eq!(site.get(&query).await, first);
        let turned = query.replace(&rest, "&StreamId=other");
        assert_eq!(code(&site.get(&turned).await), 3);
    }
}

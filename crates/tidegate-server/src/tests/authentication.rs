//! The common parameters, and what a failed authentication says and does not say.

use super::site::{Site, code, message, options};
use crate::AuthCodes;

const FORBID: &str = "ForbidCDNLiveStream";

/// Replaces one parameter of a signed query, or drops it.
fn altered(query: &str, name: &str, value: Option<&str>) -> String {
    let mut parts: Vec<String> = Vec::new();
    for pair in query.split('&') {
        let is_it = pair.split('=').next() == Some(name);
        match value {
            Some(value) if is_it => parts.push(format!("{name}={value}")),
            None if is_it => {}
            _ => parts.push(pair.to_owned()),
        }
    }
    parts.join("&")
}

#[tokio::test]
async fn each_common_parameter_has_its_code_and_is_named() {
    let site = Site::start().await;
    let good = site.signed(FORBID, "&StreamId=cam");
    for (name, value, want) in [
        ("Action", None, 100000006),
        ("Action", Some(""), 100000006),
        ("Action", Some("%ff"), 2),
        ("AppId", None, 100000001),
        ("AppId", Some(""), 100000001),
        ("AppId", Some("0"), 100000001),
        ("AppId", Some("007"), 100000001),
        ("AppId", Some("4294967296"), 100000001),
        ("AppId", Some("-1"), 100000001),
        ("AppId", Some("%ff"), 100000001),
        ("SignatureVersion", None, 100000013),
        ("SignatureVersion", Some(""), 100000013),
        ("SignatureVersion", Some("1.0"), 100000014),
        ("SignatureVersion", Some("2"), 100000014),
        ("SignatureNonce", None, 100000008),
        ("SignatureNonce", Some(""), 100000008),
        ("SignatureNonce", Some("%c3%28"), 2),
        ("Timestamp", None, 100000002),
        ("Timestamp", Some(""), 100000002),
        ("Timestamp", Some("now"), 100000003),
        ("Timestamp", Some("1.5"), 100000003),
        ("Timestamp", Some("+1"), 100000003),
        ("Timestamp", Some("01"), 100000003),
        ("Timestamp", Some("-0"), 100000003),
        ("Timestamp", Some("9223372036854775808"), 100000003),
        ("Timestamp", Some("%00"), 100000003),
        ("Signature", None, 100000009),
        ("Signature", Some(""), 100000009),
    ] {
        let answer = site.get(&altered(&good, name, value)).await;
        assert_eq!(code(&answer), want, "{name}={value:?}: {answer}");
        assert!(message(&answer).contains(name), "{answer}");
    }
    assert!(!site.is_blocked("cam"));
}

#[tokio::test]
async fn a_repeated_common_parameter_is_refused() {
    let site = Site::start().await;
    for (name, want) in [
        ("Action", 2),
        ("AppId", 100000001),
        ("SignatureVersion", 100000014),
        ("SignatureNonce", 2),
        ("Timestamp", 100000003),
        ("Signature", 2),
        ("IsTest", 2),
    ] {
        let good = site.signed(FORBID, "&StreamId=cam&IsTest=true");
        let value = good
            .split('&')
            .find(|pair| pair.split('=').next() == Some(name));
        let answer = site.get(&format!("{good}&{}", value.expect("there"))).await;
        assert_eq!(code(&answer), want, "{answer}");
        assert!(
            message(&answer).starts_with(&format!("{name} is given twice")),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn checks_come_in_the_documented_order() {
    let site = Site::start().await;
    let mut query = String::new();
    for (part, want) in [
        ("", 100000006),
        ("Action=Nonsense", 100000001),
        ("&AppId=1", 100000013),
        ("&SignatureVersion=2.0", 100000008),
        ("&SignatureNonce=n", 100000002),
        ("&Timestamp=1", 100000009),
        ("&Signature=x", 100000010),
    ] {
        query.push_str(part);
        let answer = site.get(&query).await;
        assert_eq!(code(&answer), want, "{query}");
    }
    let answer = site.call("Nonsense", "&StreamId=%ff").await;
    assert_eq!(code(&answer), 100000007, "{answer}");
    assert!(message(&answer).contains("\"Nonsense\""));
    assert_eq!(code(&site.call("ForbidRTCStream", "").await), 100000007);
    assert_eq!(code(&site.call("forbidCDNLiveStream", "").await), 100000007);
}

#[tokio::test]
async fn unknown_disabled_and_wrong_cannot_be_told_apart() {
    let site = Site::start().await;
    let other = site
        .engine
        .plan_app(super::site::new_app(true))
        .expect("a plan");
    site.engine.create_app(&other).await.expect("an App");
    site.engine
        .set_disabled(other.id, true)
        .await
        .expect("disabled");

    let good = site.signed(FORBID, "&StreamId=cam");
    let old = site.signed_at(FORBID, "&StreamId=cam", 5);
    let secret = &other.server_secrets[0].secret;
    let at = site.seconds().to_string();
    let disabled = tidegate_core::api_signature::sign(other.id, "n", secret, &at);
    let disabled = format!(
        "Action={FORBID}&AppId={}&SignatureNonce=n&Timestamp={at}&Signature={disabled}\
         &SignatureVersion=2.0&StreamId=cam",
        other.id
    );
    let upper = good.split("Signature=").nth(1).expect("signature")[..32].to_uppercase();
    let mut said = Vec::new();
    for query in [
        altered(&good, "AppId", Some("1")),
        altered(&good, "Signature", Some("0123456789abcdef0123456789abcdef")),
        altered(&good, "Signature", Some(&upper)),
        altered(&good, "Signature", Some("x")),
        altered(&good, "Signature", Some("%ff")),
        altered(&good, "Signature", Some(&"a".repeat(50_000))),
        altered(&good, "SignatureNonce", Some("other")),
        altered(&old, "Signature", Some("0123456789abcdef0123456789abcdef")),
        altered(&good, "Timestamp", Some("9223372036854775807")),
        altered(&good, "Timestamp", Some("-9223372036854775808")),
        disabled,
    ] {
        let answer = site.get(&query).await;
        assert_eq!(code(&answer), 3, "{answer}");
        said.push(message(&answer).to_owned());
    }
    said.dedup();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(!said[0].contains("expired"));
    assert!(!site.is_blocked("cam"));
}

#[tokio::test]
async fn a_right_signature_is_good_for_ten_minutes_both_ways() {
    let site = Site::start().await;
    let now = site.seconds();
    for offset in [-590, 590] {
        let query = site.signed_at(FORBID, "&StreamId=cam", now + offset);
        assert_eq!(code(&site.get(&query).await), 0, "{offset}");
    }
    for at in [now - 611, now + 611, 0, -1, i64::MIN, i64::MAX] {
        let answer = site.get(&site.signed_at(FORBID, "&StreamId=cam", at)).await;
        assert_eq!(code(&answer), 3, "{at}");
        let words = message(&answer);
        let server_time: String = words
            .split("the server's time is ")
            .nth(1)
            .expect("the server's time")
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        let server_time: i64 = server_time.parse().expect("seconds");
        assert!((now..now + 60).contains(&server_time), "{words}");
        assert!(words.contains("expired"), "{words}");
    }
}

#[tokio::test]
async fn the_code_of_a_failed_authentication_is_the_one_of_the_actions_page() {
    let site = Site::start().await;
    for (action, want) in [
        ("ForbidCDNLiveStream", 3),
        ("ResumeCDNLiveStream", 3),
        ("QueryForbidCDNLiveStream", 3),
        ("ForbidRTCStreams", 40005),
        ("CreatCDNTransferRule", 5003),
        ("Nonsense", 100000005),
    ] {
        let query = altered(&site.signed(action, ""), "Signature", Some("x"));
        assert_eq!(code(&site.get(&query).await), want, "{action}");
    }
}

#[tokio::test]
async fn gateway_codes_can_be_chosen() {
    let mut options = options();
    options.auth_codes = AuthCodes::Gateway;
    let site = Site::with(options).await;
    let good = site.signed(FORBID, "&StreamId=cam");
    let wrong = site.get(&altered(&good, "Signature", Some("x"))).await;
    assert_eq!(code(&wrong), 100000005);
    let unknown = site.get(&altered(&good, "AppId", Some("1"))).await;
    assert_eq!(code(&unknown), 100000010);
    assert_eq!(message(&wrong), message(&unknown));
    let expired = site.get(&site.signed_at(FORBID, "", 5)).await;
    assert_eq!(code(&expired), 100000004);
    assert_eq!(code(&site.get(&good).await), 0);
}

#[tokio::test]
async fn a_rotated_out_secret_lives_on_unless_it_is_ended() {
    let site = Site::start().await;
    site.engine
        .rotate_secret(site.app.id, false)
        .await
        .expect("rotated");
    assert_eq!(
        code(&site.call(FORBID, "&StreamId=cam").await),
        0,
        "the earlier secret"
    );
    site.engine
        .rotate_secret(site.app.id, true)
        .await
        .expect("rotated");
    assert_eq!(code(&site.call(FORBID, "&StreamId=cam").await), 3);
}

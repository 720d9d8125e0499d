//! Business parameters, from the query and from the body.

use super::site::{Site, code, message};

const FORBID: &str = "ForbidCDNLiveStream";

#[tokio::test]
async fn every_bad_parameter_is_named_with_what_came() {
    let site = Site::start().await;
    let long = "a".repeat(257);
    for (rest, words) in [
        ("", "StreamId is required"),
        ("&StreamId=", "StreamId is required"),
        ("&streamid=cam", "StreamId is required"),
        ("&StreamId=a/b", "StreamId must be 1 to 256"),
        ("&StreamId=a%00b", "'\\0' at position 1"),
        ("&StreamId=a%0ab", "\"a\\u{a}b\""),
        ("&StreamId=%ff", "StreamId must be percent-encoded UTF-8"),
        ("&StreamId=caf%C3%A9", "at position 3"),
        ("&StreamId=a+b", "' ' at position 1"),
        (&format!("&StreamId={long}"), "257 characters"),
        ("&StreamId=a&StreamId=b", "StreamId is given twice"),
        (
            "&StreamId=a&IsTest=yes",
            "IsTest must be true or false, came \"yes\"",
        ),
        (
            "&StreamId=a&ResumeTime=",
            "ResumeTime must be a UTC instant",
        ),
        ("&StreamId=a&ResumeTime=tomorrow", "came \"tomorrow\""),
        (
            "&StreamId=a&ResumeTime=2030-01-01T00:00:00%2B08:00",
            "UTC instant",
        ),
        (
            "&StreamId=a&ResumeTime=2030-01-01T00:00:00.000Z",
            "UTC instant",
        ),
        (
            "&StreamId=a&ResumeTime=2030-02-30T00:00:00Z",
            "no such instant",
        ),
        (
            "&StreamId=a&ResumeTime=2020-01-01T00:00:00Z",
            "the server's time is 20",
        ),
        ("&StreamId=a&x=%ff", "x must be percent-encoded UTF-8"),
        ("&StreamId=a&x=1&x=2", "x is given twice"),
    ] {
        let answer = site.call(FORBID, rest).await;
        assert_eq!(code(&answer), 2, "{rest}: {answer}");
        assert!(message(&answer).contains(words), "{rest}: {answer}");
        assert!(message(&answer).len() < 400, "{answer}");
    }
    assert!(site.engine.blocks().is_empty());
}

#[tokio::test]
async fn good_parameters_are_taken_and_unknown_ones_ignored() {
    let site = Site::start().await;
    for rest in [
        "&StreamId=a1&IsTest=TRUE",
        "&StreamId=a2&IsTest=",
        "&StreamId=a3&Sequence=17&Nothing",
        "&StreamId=a4&ResumeTime=9999-12-31T23:59:59Z",
        "&Stream%49d=%615",
        "&StreamId=zegotest-123-a6",
        "&&StreamId=a7&",
    ] {
        let answer = site.call(FORBID, rest).await;
        assert_eq!(code(&answer), 0, "{rest}: {answer}");
    }
    assert_eq!(site.engine.blocks().len(), 7);
    assert!(site.is_blocked("a5"));
}

#[tokio::test]
async fn a_post_takes_parameters_from_its_body_or_its_query() {
    let site = Site::start().await;
    for (rest, body, stream) in [
        ("", r#"{"StreamId":"b1"}"#, "b1"),
        ("&StreamId=b2", "", "b2"),
        ("&StreamId=b3", "{}", "b3"),
        (
            "&IsTest=false",
            r#" {"StreamId":"b4","Other":[1,{"a":null}]} "#,
            "b4",
        ),
    ] {
        let answer = site.post(&site.signed(FORBID, rest), body).await;
        assert_eq!(code(&answer), 0, "{body}: {answer}");
        assert!(site.is_blocked(stream));
    }
}

#[tokio::test]
async fn a_bad_body_is_a_parameter_error() {
    let site = Site::start().await;
    let deep = format!(
        "{{\"StreamId\":{}{}}}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    for (rest, body, words) in [
        ("", "StreamId=a", "the body must be one JSON object"),
        ("", "[]", "the body must be one JSON object"),
        (
            "",
            "\"{\\\"StreamId\\\":\\\"a\\\"}\"",
            "the body must be one JSON object",
        ),
        (
            "",
            "{\"StreamId\":\"a\"",
            "the body must be one JSON object",
        ),
        (
            "",
            "{\"StreamId\":\"a\"}x",
            "the body must be one JSON object",
        ),
        ("", &deep, "recursion limit"),
        (
            "",
            r#"{"StreamId":7}"#,
            "StreamId must be a string, came the number",
        ),
        (
            "",
            r#"{"StreamId":null}"#,
            "StreamId must be a string, came null",
        ),
        (
            "",
            r#"{"StreamId":["a"]}"#,
            "StreamId must be a string, came an array",
        ),
        ("", r#"{"StreamId":"a\u0000"}"#, "StreamId must be 1 to 256"),
        ("", r#"{"StreamId":""}"#, "StreamId is required"),
        (
            "",
            r#"{"StreamId":"a","StreamId":"a"}"#,
            "StreamId is given twice",
        ),
        (
            "&StreamId=a",
            r#"{"StreamId":"a"}"#,
            "StreamId is given twice",
        ),
        (
            "",
            r#"{"StreamId":"a","AppId":"1"}"#,
            "AppId is given twice",
        ),
        (
            "",
            r#"{"StreamId":"a","IsTest":true}"#,
            "IsTest must be a string",
        ),
        (
            "",
            r#"{"StreamId":"a","ResumeTime":4102444800}"#,
            "ResumeTime must be a string",
        ),
    ] {
        let answer = site.post(&site.signed(FORBID, rest), body.to_owned()).await;
        assert_eq!(code(&answer), 2, "{body:.60}: {answer}");
        assert!(message(&answer).contains(words), "{body:.60}: {answer}");
    }
    let answer = site
        .post(
            &site.signed(FORBID, ""),
            b"{\"StreamId\":\"\xff\"}".to_vec(),
        )
        .await;
    assert_eq!(code(&answer), 2, "{answer}");
    assert!(site.engine.blocks().is_empty());
}

#[tokio::test]
async fn a_get_does_not_look_at_its_body() {
    let site = Site::start().await;
    let query = site.signed("QueryForbidCDNLiveStream", "&Vendor=origin");
    let request = format!(
        "GET /?{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\n[1]"
    );
    let answer = super::site::raw(site.address, request.as_bytes()).await;
    assert!(answer.contains("\"Code\":0"), "{answer}");
}

#[tokio::test]
async fn calls_over_the_rate_are_refused_with_words() {
    let mut options = super::site::options();
    options.rates.forbid_cdn_live_stream = 1;
    let site = Site::with(options).await;
    let mut codes = Vec::new();
    for n in 0..20 {
        let answer = site.call(FORBID, &format!("&StreamId=r{n}")).await;
        codes.push(code(&answer));
        if code(&answer) == 30002 {
            assert!(message(&answer).contains("1 times a second"), "{answer}");
            assert!(!site.is_blocked(&format!("r{n}")));
        }
    }
    assert_eq!(codes[0], 0);
    assert!(codes.contains(&30002), "{codes:?}");
    assert_eq!(
        code(&site.call("ResumeCDNLiveStream", "&StreamId=r0").await),
        0
    );
    // What fails authentication spends nothing of the App's rate.
    for _ in 0..5 {
        let query = site
            .signed("ResumeCDNLiveStream", "&StreamId=r0")
            .replace("nonce", "x");
        assert_eq!(code(&site.get(&query).await), 3);
    }
}

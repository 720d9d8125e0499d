use super::*;

fn gather(query: &str, body: &str) -> Result<[u8; 32], String> {
    Params::gather(query, body.as_bytes())
        .map(|params| params.digest())
        .map_err(|refusal| refusal.message.into_owned())
}

#[test]
fn the_digest_is_the_same_for_query_and_body_and_any_order() {
    let query = gather("Action=A&StreamId=x&Signature=1", "").expect("query");
    assert_eq!(
        query,
        gather("Signature=2&StreamId=x&Action=A", "").expect("order")
    );
    assert_eq!(
        query,
        gather("Action=A", r#"{"StreamId":"x"}"#).expect("body")
    );
    assert_eq!(
        query,
        gather("%41ction=A&StreamId=%78", "").expect("encoded")
    );
}

#[test]
fn the_digest_tells_different_requests_apart() {
    let mut seen = std::collections::HashSet::new();
    for (query, body) in [
        ("a=b&c=d", ""),
        ("a=b", ""),
        ("a=bc=d", ""),
        ("a=b&c=", ""),
        ("ab=&c=d", ""),
        ("a=1", ""),
        ("", r#"{"a":1}"#),
        ("", r#"{"a":null}"#),
        ("", r#"{"a":[1]}"#),
    ] {
        assert!(
            seen.insert(gather(query, body).expect("fine")),
            "{query} {body}"
        );
    }
}

#[test]
fn a_parameter_given_twice_is_refused_wherever_it_stands() {
    for (query, body) in [
        ("StreamId=a&StreamId=a", ""),
        ("StreamId=a&Stream%49d=b", ""),
        ("StreamId=a", r#"{"StreamId":"a"}"#),
        ("", r#"{"StreamId":"a","StreamId":"a"}"#),
    ] {
        let words = gather(query, body).expect_err("twice");
        assert!(words.starts_with("StreamId is given twice"), "{words}");
    }
}

#[test]
fn what_is_not_text_is_named() {
    let words = gather("StreamId=%ff", "").expect_err("not UTF-8");
    assert_eq!(
        words,
        "StreamId must be percent-encoded UTF-8, came \"%ff\""
    );
    assert!(gather("%ff=1", "").is_err());
    for body in [
        "[]",
        "\"{}\"",
        "1",
        "null",
        "{",
        "{} {}",
        "{\"a\":}",
        "\u{feff}{}",
    ] {
        let words = gather("", body).expect_err(body);
        assert!(
            words.starts_with("the body must be one JSON object"),
            "{words}"
        );
    }
    let params = Params::gather("", br#"{"StreamId":7}"#).expect("an object");
    let words = params.text("StreamId").expect_err("a number").message;
    assert_eq!(words, "StreamId must be a string, came the number \"7\"");
}

#[test]
fn deep_nesting_is_an_error_and_no_overflow() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(gather("", &deep).is_err());
    let deep = format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    assert!(gather("", &deep).is_err());
}

#[test]
fn common_parameters_tell_missing_repeated_and_undecodable_apart() {
    let common = Common::read("Action=A+B%21&AppId=1&AppId=1&Timestamp=%ff&signature=x&&x");
    assert!(matches!(&common.action, Slot::One(text) if text == "A B!"));
    assert!(matches!(common.app_id, Slot::Repeated));
    assert!(matches!(common.timestamp, Slot::NotText));
    assert!(
        matches!(common.signature, Slot::Missing),
        "names are case-sensitive"
    );
}

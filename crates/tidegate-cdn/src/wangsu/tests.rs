use std::time::Duration;

use super::*;
use crate::failure::ErrorClass::{self, Permanent, QuotaSpent, Throttled};
use crate::fixture::{Fixture, NOW, spec};
use crate::operation::Done;
use crate::vendor::Vendor;

#[test]
fn every_code_and_wording_has_its_class() {
    let ws = Fixture::of(Vendor::Ws);
    let retry = ErrorClass::Retry { after: None };
    for (code, message, want) in [
        ("1", "", Permanent(Refusal::Account)),
        ("6", "", Permanent(Refusal::Permission)),
        ("28", "", Permanent(Refusal::Domain)),
        ("403", "", Permanent(Refusal::Parameter)),
        ("411", "", Permanent(Refusal::Parameter)),
        ("417", "", retry),
        (
            "9",
            "Signature timestamp expired",
            Permanent(Refusal::Clock),
        ),
        (
            "401",
            "the accessKey has expired",
            Permanent(Refusal::Credentials),
        ),
        ("9", "密钥已过期", Permanent(Refusal::Credentials)),
        ("9", "签名已过期", Permanent(Refusal::Clock)),
        (
            "9",
            "accessKey timestamp expired",
            Permanent(Refusal::Clock),
        ),
        ("401", "the signature has been used", retry),
        ("9", "签名重复使用", retry),
        (
            "9",
            "the domain has been used by another",
            Permanent(Refusal::Domain),
        ),
        ("9", "请求过于频繁", Throttled { after: None }),
        ("9", "exceed the daily limit 500", QuotaSpent(Quota::Calls)),
        ("9", "超过每日上限", QuotaSpent(Quota::Calls)),
        (
            "InvalidAccessKey",
            "no such",
            Permanent(Refusal::Credentials),
        ),
        ("9", "Permission denied", Permanent(Refusal::Permission)),
        ("9", "域名不存在", Permanent(Refusal::Domain)),
        ("9", "system busy", retry),
        ("9", "invalid param liveUrl", Permanent(Refusal::Parameter)),
        ("9", "???", Permanent(Refusal::Other)),
    ] {
        let body = json!({ "code": code, "message": message }).to_string();
        assert_eq!(ws.class(ws.forbid(), 200, &body), want, "{code} {message}");
        let failure = ws.read(ws.forbid(), 200, &body).unwrap_err();
        assert_eq!(
            (failure.code.as_str(), failure.words.as_str()),
            (code, message)
        );
    }
    ws.assert_strangers_are_judged_by_status();
}

#[test]
fn success_is_told_by_the_code_and_carries_words_and_request_id() {
    let ws = Fixture::of(Vendor::Ws);
    for code in ["\"0\"", "\"00\"", "\"200\"", "0", "200"] {
        for status in [200, 202] {
            let body = format!("{{\"code\":{code},\"message\":\"success append purge tasks.\"}}");
            let headers = [
                ("x-cnc-request-id", "abc-1"),
                ("date", "Thu, 05 Mar 2026 08:09:11 GMT"),
            ];
            let answer = ws.read_with(ws.forbid(), status, &headers, &body).unwrap();
            let until = Some(NOW.plus(Duration::from_secs(3600)));
            assert_eq!(answer.value, Reply::Done(Done::Accepted { until }));
            assert_eq!(answer.words, "success append purge tasks.");
            assert_eq!(answer.request_id.as_deref(), Some("abc-1"));
            assert_eq!(answer.date, Some(NOW.plus(Duration::from_secs(1))));
        }
    }
    let resumed = ws
        .read(Operation::Resume(&ws.object), 200, "{\"code\":\"00\"}")
        .unwrap();
    assert_eq!(resumed.value, Reply::Done(Done::Accepted { until: None }));
}

#[test]
fn bans_are_listed_under_either_spelling_and_type() {
    let ws = Fixture::of(Vendor::Ws);
    let body = r#"{"code":"00","message":"ok","resultDetail":[
        {"chanel":"push.example.com","url":"rtmp://push.example.com/live/room1001",
         "startTime":0,"endTime":1772784550,"ip":""},
        {"channel":"push.example.com","url":"push.example.com/live/b?x=1","endTime":"1772784550"},
        {"channel":"push.example.com","url":"rtmp://push.example.com/live/c","ip":"10.0.0.1"},
        {"channel":"push.example.com","url":"rtmp://push.example.com/live/room1001","ip":["::1"]},
        {"url":"nonsense"}, null, 7]}"#;
    let Reply::Forbidden(page) = ws.read(ws.list(), 202, body).unwrap().value else {
        panic!("not a list");
    };
    let until = Some(UnixMs::from_seconds(1_772_784_550));
    let names: Vec<&str> = page.entries.iter().map(|e| e.stream.as_str()).collect();
    assert_eq!(names, ["room1001", "b"]);
    assert!(page.entries.iter().all(|e| e.until == until) && !page.more);
    assert!(page.entries[0].fits(&ws.object) && !page.entries[1].fits(&ws.object));
    let find = Operation::FindForbidden(&ws.object);
    let found = ws.read(find, 200, body).unwrap().value;
    assert_eq!(found, Reply::Standing(Standing::Forbidden { until }));
    let over = body.replace("1772784550", "1772698149");
    let over = ws.read(find, 200, &over).unwrap().value;
    assert_eq!(over, Reply::Standing(Standing::Free));
    let none = ws
        .read(find, 200, "{\"code\":\"00\",\"resultDetail\":[]}")
        .unwrap()
        .value;
    assert_eq!(none, Reply::Standing(Standing::Free));
}

#[test]
fn ends_are_unix_seconds_and_past_ones_are_not_sent() {
    let ws = Fixture::of(Vendor::Ws);
    let request = ws.build(ws.forbid()).unwrap();
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body["abstimeEnd"], "1772701750");
    let object = &ws.object;
    let until = NOW;
    let refused = ws.build(Operation::Forbid { object, until }).unwrap_err();
    assert_eq!(refused.class, Permanent(Refusal::Parameter));
    for operation in [
        Operation::StreamState(object),
        ws.online(),
        Operation::ChangeEnd {
            object,
            until: NOW.plus(Duration::from_secs(9)),
        },
    ] {
        let refused = ws.build(operation).unwrap_err();
        assert_eq!(refused.class, ErrorClass::Unsupported);
    }
}

#[test]
fn no_second_is_signed_twice() {
    let guard = SecondGuard::new();
    assert_eq!(guard.earliest_next(NOW), NOW);
    let taken: Vec<i64> = (0..31)
        .map(|_| guard.take(NOW).unwrap().seconds())
        .collect();
    let want: Vec<i64> = (NOW.seconds()..=NOW.seconds() + 30).collect();
    assert_eq!(taken, want);
    let come_back = guard.take(NOW).unwrap_err();
    assert_eq!(come_back, NOW.plus(Duration::from_secs(1)));
    assert_eq!(
        guard.take(come_back).unwrap(),
        NOW.plus(Duration::from_secs(31))
    );
    assert_eq!(guard.earliest_next(NOW), NOW.plus(Duration::from_secs(32)));
    let set_back = UnixMs(NOW.0 - 3_600_000);
    assert_eq!(guard.take(set_back), Ok(set_back));
}

#[test]
fn the_api_key_scheme_signs_the_date_it_sends() {
    let mut given = spec(Vendor::Ws);
    given.scheme = Some(AuthScheme::ApiKey);
    let ws = Fixture::with(given);
    let request = ws.build(ws.forbid()).unwrap();
    let header = |name: &str| {
        let found = request.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.clone())
    };
    assert_eq!(
        header("date").as_deref(),
        Some("Thu, 05 Mar 2026 08:09:10 GMT")
    );
    assert!(header("authorization").unwrap().starts_with("Basic "));
    assert_eq!(header("x-cnc-timestamp"), None);
}

#[test]
fn a_list_that_could_hide_a_ban_is_no_answer() {
    let ws = Fixture::of(Vendor::Ws);
    let find = Operation::FindForbidden(&ws.object);
    let read = |detail: &str| {
        let body = format!("{{\"code\":\"00\",\"message\":\"\",\"more\":{{}}{detail}}}");
        ws.read(find, 202, &body).map(|answer| answer.value)
    };
    let row = r#"{"url":"rtmp://push.example.com/live/room1001","endTime":1772784550,"x":1}"#;
    let until = Some(UnixMs::from_seconds(1_772_784_550));
    let standing = |until| Ok(Reply::Standing(Standing::Forbidden { until }));
    assert_eq!(read(&format!(",\"resultDetail\":{row}")), standing(until));
    assert_eq!(read(&format!(",\"resultDetail\":[{row}]")), standing(until));
    for none in ["", ",\"resultDetail\":null", ",\"resultDetail\":[]"] {
        assert_eq!(read(none), Ok(Reply::Standing(Standing::Free)), "{none}");
    }
    for strange in ["\"busy\"", "7", "true"] {
        let class = read(&format!(",\"resultDetail\":{strange}")).map_err(|f| f.class);
        assert_eq!(class, Err(ErrorClass::Unknown), "{strange}");
    }
}

#[test]
fn of_several_records_the_longest_that_stands_counts() {
    let ws = Fixture::of(Vendor::Ws);
    let find = Operation::FindForbidden(&ws.object);
    let second = NOW.seconds();
    for (ends, want) in [
        (json!([second - 1, second]), None),
        (json!([second - 1, second + 9]), Some(Some(second + 9))),
        (
            json!([second + 9, second + 99, second + 1]),
            Some(Some(second + 99)),
        ),
        (
            json!([(second + 9).to_string(), " 5 "]),
            Some(Some(second + 9)),
        ),
        // No unix seconds: a ban whose end is not told.
        (json!([20_260_401_000_000_i64]), Some(None)),
        (json!(["20260401000000"]), Some(None)),
        (json!(["99999999999999999999999999"]), Some(None)),
        (json!([1.5e300]), Some(None)),
        (json!([-7]), Some(None)),
        (json!([0, second + 9]), Some(None)),
        (json!([null]), Some(None)),
    ] {
        let url = "rtmp://push.example.com/live/room1001";
        let rows = ends.as_array().unwrap().iter();
        let rows: Vec<Value> = rows
            .map(|end| json!({"url": url, "endTime": end}))
            .collect();
        let body = json!({"code": "00", "resultDetail": rows}).to_string();
        let want = want.map(|end: Option<i64>| end.map(UnixMs::from_seconds));
        let standing = want.map_or(Standing::Free, |until| Standing::Forbidden { until });
        let found = ws.read(find, 200, &body).unwrap().value;
        assert_eq!(found, Reply::Standing(standing), "{ends}");
        let Reply::Forbidden(page) = ws.read(ws.list(), 200, &body).unwrap().value else {
            panic!("not a list");
        };
        assert_eq!(
            page.entries.first().map(|entry| entry.until),
            want,
            "{ends}"
        );
    }
}

use super::*;
use crate::failure::ErrorClass::{self, Permanent, QuotaSpent, Throttled};
use crate::fixture::{Fixture, NOW};
use crate::operation::Done;
use crate::vendor::Vendor;

fn error(code: &str) -> String {
    json!({"Response": {"Error": {"Code": code, "Message": "m"}, "RequestId": "R-1"}}).to_string()
}

#[test]
fn every_code_has_its_class_though_the_status_is_200() {
    let tencent = Fixture::of(Vendor::Tencent);
    let retry = ErrorClass::Retry { after: None };
    let throttled = Throttled { after: None };
    for (code, want) in [
        ("FailedOperation", retry),
        ("FailedOperation.CallOtherSvrFailed", retry),
        ("InternalError", retry),
        ("InternalError.CallOtherSvrError", retry),
        ("InternalError.ConfigNotExist", Permanent(Refusal::Domain)),
        ("InternalError.GetBizidError", retry),
        ("InternalError.GetStreamInfoError", retry),
        ("InternalError.GetUpstreamInfoError", retry),
        (
            "InternalError.NotPermmitOperat",
            Permanent(Refusal::Permission),
        ),
        ("InternalError.StreamStatusError", retry),
        ("InternalError.UpdateDataError", retry),
        ("InvalidParameter", Permanent(Refusal::Parameter)),
        ("InvalidParameterValue", Permanent(Refusal::Parameter)),
        ("MissingParameter", Permanent(Refusal::Parameter)),
        (
            "ResourceNotFound.ForbidService",
            Permanent(Refusal::Account),
        ),
        (
            "ResourceNotFound.FreezeService",
            Permanent(Refusal::Account),
        ),
        ("ResourceNotFound.StopService", Permanent(Refusal::Account)),
        (
            "ResourceNotFound.UserDisableService",
            Permanent(Refusal::Account),
        ),
        ("ResourceNotFound.UserNotExist", Permanent(Refusal::Account)),
        ("AuthFailure.SignatureExpire", Permanent(Refusal::Clock)),
        (
            "AuthFailure.SignatureFailure",
            Permanent(Refusal::Credentials),
        ),
        (
            "AuthFailure.SecretIdNotFound",
            Permanent(Refusal::Credentials),
        ),
        ("AuthFailure.TokenFailure", Permanent(Refusal::Credentials)),
        (
            "AuthFailure.UnauthorizedOperation",
            Permanent(Refusal::Permission),
        ),
        ("RequestLimitExceeded", throttled),
        ("RequestLimitExceeded.UinLimitExceeded", throttled),
        (
            "RequestLimitExceeded.GlobalRegionUinLimitExceeded",
            throttled,
        ),
        ("LimitExceeded", QuotaSpent(Quota::Capacity)),
        ("Surprise", Permanent(Refusal::Other)),
    ] {
        let failure = tencent
            .read(tencent.forbid(), 200, &error(code))
            .unwrap_err();
        assert_eq!(failure.class, want, "{code}");
        assert_eq!(failure.request_id.as_deref(), Some("R-1"));
    }
    tencent.assert_strangers_are_judged_by_status();
}

#[test]
fn a_request_id_without_an_error_is_success_and_nothing_else_is() {
    let tencent = Fixture::of(Vendor::Tencent);
    let body = r#"{"Response":{"RequestId":"R-1"}}"#;
    let answer = tencent.read(tencent.forbid(), 200, body).unwrap();
    assert!(matches!(
        answer.value,
        Reply::Done(Done::Accepted { until: Some(_) })
    ));
    assert_eq!(answer.request_id.as_deref(), Some("R-1"));
    let empty = r#"{"Response":{}}"#;
    assert_eq!(
        tencent.class(tencent.forbid(), 200, empty),
        ErrorClass::Unknown
    );
    assert_eq!(
        tencent.class(tencent.forbid(), 502, body),
        ErrorClass::Unknown
    );
}

#[test]
fn the_list_knows_neither_domain_nor_app_and_prefixes_names() {
    let tencent = Fixture::of(Vendor::Tencent);
    let body = r#"{"Response":{"RequestId":"R","TotalNum":3,"TotalPage":1,"PageNum":1,
        "ForbidStreamList":[
        {"StreamName":"5000_room1001","ExpireTime":"2026-04-01T00:00:00Z"},
        {"StreamName":"room1001","ExpireTime":"never"},
        {"StreamName":"x_room1001"}]}}"#;
    let Reply::Forbidden(page) = tencent.read(tencent.list(), 200, body).unwrap().value else {
        panic!("not a list");
    };
    let fits: Vec<bool> = page
        .entries
        .iter()
        .map(|e| e.fits(&tencent.object))
        .collect();
    assert_eq!(fits, [true, true, false]);
    assert_eq!(
        page.entries[0].until,
        UnixMs::parse_utc("2026-04-01T00:00:00Z").ok()
    );
    assert_eq!(page.entries[1].until, None);
    assert!(!page.more);
}

#[test]
fn the_state_of_a_stream_shows_a_ban() {
    let tencent = Fixture::of(Vendor::Tencent);
    let object = &tencent.object;
    for (word, state, standing) in [
        ("active", StreamState::Live, Standing::Free),
        ("inactive", StreamState::Idle, Standing::Free),
        (
            "forbid",
            StreamState::Forbidden,
            Standing::Forbidden { until: None },
        ),
    ] {
        let body = json!({"Response": {"RequestId": "R", "StreamState": word}}).to_string();
        let read = |operation| tencent.read(operation, 200, &body).unwrap().value;
        assert_eq!(read(Operation::StreamState(object)), Reply::State(state));
        assert_eq!(
            read(Operation::FindForbidden(object)),
            Reply::Standing(standing)
        );
    }
    let online = r#"{"Response":{"RequestId":"R","TotalNum":9,"TotalPage":2,"PageNum":1,
        "OnlineInfo":[{"StreamName":"room1001","AppName":"live","DomainName":"push.example.com",
        "PublishTimeList":[{"PublishTime":"2026-03-05T08:00:00Z"}],"PushToDelay":0}]}}"#;
    let Reply::Online(page) = tencent.read(tencent.online(), 200, online).unwrap().value else {
        panic!("not a list");
    };
    assert!(page.more && page.entries[0].since.is_some());
}

#[test]
fn the_scope_is_dated_in_utc() {
    let tencent = Fixture::of(Vendor::Tencent);
    for (now, date) in [
        ("2026-03-05T15:59:59Z", "/2026-03-05/live/"),
        ("2026-03-05T16:00:00Z", "/2026-03-05/live/"),
        ("2026-03-05T23:59:59Z", "/2026-03-05/live/"),
        ("2026-03-06T00:00:00Z", "/2026-03-06/live/"),
    ] {
        let now = UnixMs::parse_utc(now).unwrap();
        let operation = Operation::Resume(&tencent.object);
        let request = build(&operation, &tencent.account, now).unwrap();
        let signed = request
            .headers
            .iter()
            .any(|(n, v)| n == "authorization" && v.contains(date));
        assert!(signed, "{now}");
    }
    let body = tencent.build(tencent.forbid()).unwrap().body;
    let until = NOW.plus(std::time::Duration::from_secs(3600)).to_string();
    assert!(String::from_utf8(body).unwrap().contains(&until));
}

#[test]
fn paging_ends_by_what_was_asked_for() {
    let tencent = Fixture::of(Vendor::Tencent);
    let more = |number: u32, body: &Value| {
        let (site, size) = (&tencent.site, 100);
        let page = Page { number, size };
        let list = Operation::ListForbidden { site, page };
        match tencent.read(list, 200, &body.to_string()).unwrap().value {
            Reply::Forbidden(page) => page.more,
            other => panic!("not a list: {other:?}"),
        }
    };
    let rows = |count: usize| vec![json!({"StreamName": "s"}); count];
    for (number, answer, want) in [
        (
            0,
            json!({"TotalPage": 2, "ForbidStreamList": rows(100)}),
            true,
        ),
        (
            1,
            json!({"TotalPage": 2, "ForbidStreamList": rows(100)}),
            false,
        ),
        // A vendor that shows its last page for every page past it.
        (
            5,
            json!({"TotalPage": 2, "PageNum": 1, "ForbidStreamList": rows(100)}),
            false,
        ),
        (0, json!({"TotalPage": 9, "ForbidStreamList": []}), false),
        (
            0,
            json!({"TotalNum": 101, "ForbidStreamList": rows(100)}),
            true,
        ),
        (0, json!({"ForbidStreamList": rows(100)}), true),
        (1, json!({"ForbidStreamList": rows(3)}), false),
    ] {
        let mut answer = answer;
        answer["RequestId"] = "R".into();
        let body = json!({ "Response": answer });
        assert_eq!(more(number, &body), want, "page {number}");
    }
}

#[test]
fn an_error_that_is_null_is_none_and_one_without_a_code_is_one() {
    let tencent = Fixture::of(Vendor::Tencent);
    let null = r#"{"Response":{"Error":null,"RequestId":"R","New":[1]}}"#;
    assert!(tencent.read(tencent.forbid(), 200, null).is_ok());
    for error in ["{}", "\"no\"", "[]"] {
        let body = format!(r#"{{"Response":{{"Error":{error},"RequestId":"R"}}}}"#);
        let class = tencent.class(tencent.forbid(), 200, &body);
        assert_eq!(class, Permanent(Refusal::Other), "{error}");
    }
    for body in [r#"{"Response":null}"#, r#"{"Response":[]}"#, "", "<html>"] {
        let class = tencent.class(tencent.forbid(), 200, body);
        assert_eq!(class, ErrorClass::Unknown, "{body}");
    }
}

#[test]
fn a_wait_is_taken_from_the_header() {
    let tencent = Fixture::of(Vendor::Tencent);
    let headers = [("Retry-After", "9")];
    let body = error("RequestLimitExceeded");
    let throttled = tencent.read_with(tencent.forbid(), 200, &headers, &body);
    let after = Some(std::time::Duration::from_secs(9));
    assert_eq!(throttled.unwrap_err().class, Throttled { after });
}

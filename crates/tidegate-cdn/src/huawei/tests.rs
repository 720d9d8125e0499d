use super::*;
use crate::failure::ErrorClass::{self, Permanent, Throttled};
use crate::fixture::Fixture;
use crate::operation::Done;
use crate::vendor::Vendor;

fn error(code: &str) -> String {
    format!(r#"{{"error_code":"{code}","error_msg":"m","request_id":"R-1"}}"#)
}

#[test]
fn every_code_has_its_class() {
    let huawei = Fixture::of(Vendor::Huawei);
    let retry = ErrorClass::Retry { after: None };
    for (status, code, want) in [
        (400, "LIVE.100011001", Permanent(Refusal::Parameter)),
        (401, "LIVE.100011003", Permanent(Refusal::Permission)),
        (400, "LIVE.100011004", Permanent(Refusal::Endpoint)),
        (400, "LIVE.100011006", retry),
        (400, "LIVE.100011008", retry),
        (400, "LIVE.100011009", Permanent(Refusal::Account)),
        (405, "LIVE.100011011", Permanent(Refusal::Endpoint)),
        (415, "LIVE.100011012", Permanent(Refusal::Parameter)),
        (403, "LIVE.100011013", Permanent(Refusal::Account)),
        (409, "LIVE.103011018", Permanent(Refusal::Other)),
        (404, "LIVE.103011019", Permanent(Refusal::Domain)),
        (500, "LIVE.103011021", retry),
        (400, "LIVE.103011022", Permanent(Refusal::Other)),
        (401, "APIGW.0301", Permanent(Refusal::Credentials)),
        (401, "APIG.0301", Permanent(Refusal::Credentials)),
        (401, "APIGW.0303", Permanent(Refusal::Clock)),
        (429, "APIGW.0308", Throttled { after: None }),
        (429, "APIG.0308", Throttled { after: None }),
        (400, "LIVE.999", Permanent(Refusal::Other)),
        (500, "LIVE.999", retry),
        (401, "APIGW.0999", Permanent(Refusal::Credentials)),
    ] {
        let failure = huawei
            .read(huawei.forbid(), status, &error(code))
            .unwrap_err();
        assert_eq!(failure.class, want, "{status} {code}");
        assert_eq!(failure.request_id.as_deref(), Some("R-1"));
    }
}

#[test]
fn no_content_is_success_and_a_page_of_html_is_not() {
    let huawei = Fixture::of(Vendor::Huawei);
    let headers = [("X-Request-Id", "R-9")];
    let answer = huawei
        .read_with(huawei.forbid(), 204, &headers, "")
        .unwrap();
    assert!(matches!(
        answer.value,
        Reply::Done(Done::Accepted { until: Some(_) })
    ));
    assert_eq!(answer.request_id.as_deref(), Some("R-9"));
    huawei.assert_strangers_are_judged_by_status();
    let html = huawei.read(huawei.forbid(), 200, "<html>");
    assert_eq!(html.unwrap_err().class, ErrorClass::Unknown);
}

#[test]
fn what_may_mean_that_there_is_no_ban_is_told_from_an_unknown_domain() {
    let huawei = Fixture::of(Vendor::Huawei);
    let resume = Operation::Resume(&huawei.object);
    for (status, code, want) in [
        (400, "LIVE.103011022", true),
        (404, "LIVE.103011020", true),
        (400, "LIVE.100011001", true),
        (404, "LIVE.103011019", false),
        (404, "APIGW.0101", false),
        (400, "APIGW.0999", false),
        (401, "LIVE.100011003", false),
        (500, "LIVE.103011021", false),
    ] {
        let failure = huawei.read(resume, status, &error(code)).unwrap_err();
        assert_eq!(may_be_free(&failure), want, "{status} {code}");
    }
}

#[test]
fn lists_count_pages_or_entries_and_states_come_from_the_online_list() {
    let huawei = Fixture::of(Vendor::Huawei);
    let body = r#"{"total":101,"blocks":[
        {"app_name":"live","stream_name":"room1001","resume_time":"2026-04-01T00:00:00Z"},
        {"app_name":"other","stream_name":"room1001"}]}"#;
    let Reply::Forbidden(page) = huawei.read(huawei.list(), 200, body).unwrap().value else {
        panic!("not a list");
    };
    let fits: Vec<bool> = page
        .entries
        .iter()
        .map(|e| e.fits(&huawei.object))
        .collect();
    assert_eq!((fits, page.more), (vec![true, false], true));
    let until = UnixMs::parse_utc("2026-04-01T00:00:00Z").ok();
    let find = Operation::FindForbidden(&huawei.object);
    let found = huawei.read(find, 200, body).unwrap().value;
    assert_eq!(found, Reply::Standing(Standing::Forbidden { until }));
    let state = Operation::StreamState(&huawei.object);
    for (stream, want) in [
        ("room1001", StreamState::Live),
        ("room10012", StreamState::Idle),
    ] {
        let body = json!({"total_num": 1, "offset": 0, "limit": 100, "streams": [
            {"publish_domain": "push.example.com", "app": "live", "stream": stream}]});
        let got = huawei.read(state, 200, &body.to_string()).unwrap().value;
        assert_eq!(got, Reply::State(want), "{stream}");
    }
    let (site, page) = (
        &huawei.site,
        Page {
            number: 3,
            size: 50,
        },
    );
    let query = huawei
        .build(Operation::Online { site, page })
        .unwrap()
        .raw_query;
    assert_eq!(
        query,
        "app=live&limit=50&offset=150&publish_domain=push.example.com"
    );
    let query = huawei
        .build(Operation::ListForbidden { site, page })
        .unwrap()
        .raw_query;
    assert_eq!(query, "domain=push.example.com&page=3&size=50");
}

#[test]
fn paging_ends_by_what_was_asked_for() {
    let huawei = Fixture::of(Vendor::Huawei);
    let row = json!({"app_name": "live", "stream_name": "s"});
    for (number, rows, total, more) in [
        (0, 100, json!(101), true),
        (1, 1, json!(101), false),
        (0, 100, json!(100), false),
        (0, 100, json!("250"), true),
        (0, 100, Value::Null, true),
        (0, 99, Value::Null, false),
        (7, 0, json!(9_999_999), false),
        (0, 100, json!(-1), true),
        (1, 100, json!(18_446_744_073_709_551_615_u64), true),
    ] {
        let site = &huawei.site;
        let size = u32::MAX;
        let list = Operation::ListForbidden {
            site,
            page: Page { number, size },
        };
        let body = json!({"total": total, "blocks": vec![row.clone(); rows], "extra": {"a": [1]}});
        let Ok(answer) = huawei.read(list, 200, &body.to_string()) else {
            panic!("not read: {body:.80}");
        };
        let Reply::Forbidden(page) = answer.value else {
            panic!("not a list");
        };
        assert_eq!(page.more, more, "page {number} of {total} with {rows}");
    }
}

#[test]
fn a_change_needs_no_body_and_an_empty_list_is_no_answer() {
    let huawei = Fixture::of(Vendor::Huawei);
    let object = &huawei.object;
    for body in ["", " \r\n", "{}"] {
        for operation in [
            Operation::Resume(object),
            Operation::Kick(object),
            huawei.forbid(),
        ] {
            assert!(huawei.read(operation, 204, body).is_ok(), "{body:?}");
        }
        for operation in [
            huawei.list(),
            huawei.online(),
            Operation::FindForbidden(object),
            Operation::StreamState(object),
        ] {
            assert_eq!(huawei.class(operation, 200, body), ErrorClass::Unknown);
        }
    }
}

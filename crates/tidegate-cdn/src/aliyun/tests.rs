use super::*;
use crate::failure::ErrorClass::{self, Permanent, QuotaSpent, Throttled};
use crate::fixture::{Fixture, SECRET, spec};
use crate::operation::Done;
use crate::vendor::Vendor;

fn error(code: &str) -> String {
    format!(r#"{{"Code":"{code}","Message":"m","RequestId":"R-1","HostId":"h"}}"#)
}

#[test]
fn every_code_has_its_class() {
    let aliyun = Fixture::of(Vendor::Aliyun);
    let retry = ErrorClass::Retry { after: None };
    let throttled = Throttled { after: None };
    for (status, code, want) in [
        (401, "Forbidden", Permanent(Refusal::Permission)),
        (403, "Forbidden.RAM", Permanent(Refusal::Permission)),
        (403, "IllegalOperation", Permanent(Refusal::Domain)),
        (404, "InvalidDomain.NotFound", Permanent(Refusal::Domain)),
        (
            400,
            "InvalidIdentity.ServiceDisabled",
            Permanent(Refusal::Account),
        ),
        (400, "InvalidParameter", Permanent(Refusal::Parameter)),
        (400, "InvalidParam", Permanent(Refusal::Parameter)),
        (400, "MissingAppName", Permanent(Refusal::Parameter)),
        (500, "InternalError", retry),
        (400, "InvalidTimeStamp.Expired", Permanent(Refusal::Clock)),
        (
            400,
            "InvalidTimeStamp.Format",
            Permanent(Refusal::Parameter),
        ),
        (400, "SignatureNonceUsed", retry),
        (
            400,
            "SignatureDoesNotMatch",
            Permanent(Refusal::Credentials),
        ),
        (
            403,
            "SignatureDoesNotMatch",
            Permanent(Refusal::Credentials),
        ),
        (
            404,
            "InvalidAccessKeyId.NotFound",
            Permanent(Refusal::Credentials),
        ),
        (400, "Throttling", throttled),
        (400, "Throttling.User", throttled),
        (400, "Throttling.Api", throttled),
        (503, "ServiceUnavailable", retry),
        (
            400,
            "InvalidResumeTime.Malformed",
            Permanent(Refusal::Parameter),
        ),
        (400, "QuotaExceeded.Blacklist", QuotaSpent(Quota::Capacity)),
        (400, "Surprise", Permanent(Refusal::Other)),
        (503, "Surprise", retry),
    ] {
        let failure = aliyun
            .read(aliyun.forbid(), status, &error(code))
            .unwrap_err();
        assert_eq!(failure.class, want, "{status} {code}");
        assert_eq!(failure.request_id.as_deref(), Some("R-1"));
        assert_eq!(failure.code, code);
    }
    aliyun.assert_strangers_are_judged_by_status();
}

#[test]
fn banned_already_is_so_for_a_ban_only() {
    let aliyun = Fixture::of(Vendor::Aliyun);
    let body = error("ConfigAlreadyExists");
    let answer = aliyun.read(aliyun.forbid(), 400, &body).unwrap();
    assert_eq!(answer.value, Reply::Done(Done::AlreadySo));
    let resume = Operation::Resume(&aliyun.object);
    assert_eq!(aliyun.class(resume, 400, &body), Permanent(Refusal::Other));
}

#[test]
fn a_clock_refusal_carries_the_vendors_clock_and_waits_are_kept() {
    let aliyun = Fixture::of(Vendor::Aliyun);
    let headers = [
        ("Date", "Thu, 05 Mar 2026 09:09:10 GMT"),
        ("x-acs-retry-after", "2500"),
    ];
    let read = |code: &str| aliyun.read_with(aliyun.forbid(), 400, &headers, &error(code));
    let clock = read("InvalidTimeStamp.Expired").unwrap_err();
    assert_eq!(clock.class, Permanent(Refusal::Clock));
    assert_eq!(clock.date, UnixMs::parse_utc("2026-03-05T09:09:10Z").ok());
    let throttled = read("Throttling.User").unwrap_err();
    assert_eq!(throttled.class.after(), Some(Duration::from_millis(2500)));
}

#[test]
fn lists_and_states_are_read_in_all_their_forms() {
    let aliyun = Fixture::of(Vendor::Aliyun);
    for urls in [
        r#"{"StreamUrl":["push.example.com/live/room1001","push.example.com/live/b"]}"#,
        r#"["push.example.com/live/room1001","push.example.com/live/b"]"#,
    ] {
        let body = format!(
            r#"{{"RequestId":"R","PageNum":1,"TotalPage":2,"TotalNum":3,"StreamUrls":{urls}}}"#
        );
        let Reply::Forbidden(page) = aliyun.read(aliyun.list(), 200, &body).unwrap().value else {
            panic!("not a list");
        };
        assert_eq!(
            (page.entries.len(), page.total, page.more),
            (2, Some(3), true)
        );
        assert!(page.entries[0].fits(&aliyun.object) && !page.entries[1].fits(&aliyun.object));
    }
    let liar = r#"{"RequestId":"R","PageNum":1,"TotalPage":9,"StreamUrls":{"StreamUrl":[]}}"#;
    let page = aliyun.read(aliyun.list(), 200, liar).unwrap().value;
    assert!(matches!(
        page,
        Reply::Forbidden(ForbiddenPage { more: false, .. })
    ));
    let online = r#"{"RequestId":"R","PageNum":1,"TotalPage":1,"TotalNum":1,"OnlineInfo":
        {"LiveStreamOnlineInfo":[{"DomainName":"play.example.com","AppName":"live",
        "StreamName":"room1001","PublishTime":"2026-03-05T08:00:00Z"}]}}"#;
    let Reply::Online(page) = aliyun.read(aliyun.online(), 200, online).unwrap().value else {
        panic!("not a list");
    };
    assert_eq!(
        page.entries[0].since,
        UnixMs::parse_utc("2026-03-05T08:00:00Z").ok()
    );
    let state = Operation::StreamState(&aliyun.object);
    for (word, want) in [
        ("online", Some(StreamState::Live)),
        ("offline", Some(StreamState::Idle)),
        ("dancing", None),
    ] {
        let body = format!(r#"{{"RequestId":"R","StreamState":"{word}"}}"#);
        let got = aliyun
            .read(state, 200, &body)
            .ok()
            .map(|answer| answer.value);
        assert_eq!(got, want.map(Reply::State), "{word}");
    }
}

#[test]
fn lists_need_the_play_domain() {
    let mut aliyun = Fixture::of(Vendor::Aliyun);
    aliyun.site = Site::new("push.example.com", None, "live").unwrap();
    for operation in [aliyun.list(), aliyun.online()] {
        let refused = aliyun.build(operation).unwrap_err();
        assert_eq!(refused.class, Permanent(Refusal::Parameter));
        assert!(refused.words.contains("play domain"));
    }
}

#[test]
fn an_echo_of_what_was_signed_gives_no_secret_away() {
    let mut given = spec(Vendor::Aliyun);
    given.scheme = Some(AuthScheme::RpcV1);
    given.security_token = Some(tidegate_core::Secret::new("token+/hunter3==".into()));
    let aliyun = Fixture::with(given);
    let request = aliyun.build(aliyun.forbid()).unwrap();
    assert!(request.raw_query.contains("hunter3"));
    assert!(!format!("{request:?}").contains("hunter3"));
    let twice = encode::component(&request.raw_query);
    for echo in [
        request.raw_query.as_str(),
        &twice,
        SECRET,
        "token+/hunter3==",
    ] {
        let body = serde_json::json!({
            "Code": "SignatureDoesNotMatch",
            "Message": format!("server string to sign is: {echo}"),
            "RequestId": echo,
        });
        let read = aliyun.read(aliyun.forbid(), 400, &body.to_string());
        let shown = format!("{read:?} {}", read.as_ref().unwrap_err());
        assert!(!shown.contains("hunter"), "{shown}");
    }
}

#[test]
fn the_region_is_a_parameter_and_never_a_host() {
    let mut given = spec(Vendor::Aliyun);
    given.region = Some("ap-southeast-1".into());
    let request = Fixture::with(given)
        .build(Fixture::of(Vendor::Aliyun).forbid())
        .unwrap();
    assert_eq!(request.host, "live.aliyuncs.com");
    assert!(request.raw_query.contains("RegionId=ap-southeast-1"));
}

#[test]
fn waits_that_are_none_are_not_taken() {
    let aliyun = Fixture::of(Vendor::Aliyun);
    let longest = Some(crate::limits::LONGEST_WAIT);
    for (ms, want) in [
        ("1", Some(Duration::from_millis(1))),
        ("0", None),
        ("-5", None),
        ("", None),
        ("soon", None),
        ("99999999999", longest),
        ("99999999999999999999999", None),
    ] {
        let headers = [("X-Acs-Retry-After", ms)];
        let body = error("Throttling.Api");
        let failure = aliyun.read_with(aliyun.forbid(), 400, &headers, &body);
        assert_eq!(failure.unwrap_err().class.after(), want, "{ms}");
    }
    let both = [("retry-after", "3"), ("x-acs-retry-after", "9000")];
    let failure = aliyun.read_with(aliyun.forbid(), 429, &both, &error("Throttling"));
    let after = failure.unwrap_err().class.after();
    assert_eq!(after, Some(Duration::from_secs(3)));
}

#[test]
fn names_of_errors_are_read_in_either_case() {
    let aliyun = Fixture::of(Vendor::Aliyun);
    let body = r#"{"code":"Throttling.User","message":"slow","requestId":"R-2","Recommend":"x"}"#;
    let failure = aliyun.read(aliyun.forbid(), 400, body).unwrap_err();
    assert_eq!(failure.class, Throttled { after: None });
    assert_eq!(failure.words, "slow");
    assert_eq!(failure.request_id.as_deref(), Some("R-2"));
}

#[test]
fn paging_ends_by_what_was_asked_for() {
    let aliyun = Fixture::of(Vendor::Aliyun);
    for (number, total, want) in [
        (0, r#""TotalPage":2,"#, true),
        (1, r#""TotalPage":2,"#, false),
        (4, r#""PageNum":1,"TotalPage":2,"#, false),
        (0, r#""TotalPage":"2","#, true),
        (0, r#""TotalNum":3,"#, true),
        (1, r#""TotalNum":3,"#, false),
        (0, "", true),
    ] {
        let (site, size) = (&aliyun.site, 2);
        let page = Page { number, size };
        let list = Operation::ListForbidden { site, page };
        let body = format!(r#"{{"RequestId":"R",{total}"StreamUrls":["d/a/b","d/a/c"]}}"#);
        let answer = aliyun.read(list, 200, &body).unwrap().value;
        let more = matches!(answer, Reply::Forbidden(ForbiddenPage { more: true, .. }));
        assert_eq!(more, want, "page {number} {total}");
    }
}

//! Forbid and resume: ends, results, and a ledger that is away.

use serde_json::json;
use tidegate_core::{StreamId, StreamKey, UnixMs, Until};
use tidegate_engine::AlarmKind;

use super::site::{Site, code, message};

const FORBID: &str = "ForbidCDNLiveStream";
const RESUME: &str = "ResumeCDNLiveStream";

impl Site {
    fn until(&self, stream: &str) -> Option<Until> {
        self.engine.blocks().get(self.app.id, stream)
    }
}

#[tokio::test]
async fn a_forbid_is_recorded_and_a_resume_lifts_it() {
    let site = Site::start().await;
    let forbid = site.call(FORBID, "&StreamId=cam-7").await;
    assert_eq!(forbid["Code"], 0);
    assert_eq!(forbid["Message"], "success");
    let origin = &forbid["Data"][0];
    assert_eq!(origin["CdnType"], "origin");
    let words = origin["CdnResult"].as_str().expect("words");
    assert!(words.starts_with("success: "), "{words}");
    assert_eq!(forbid["Data"].as_array().expect("an array").len(), 1);
    assert!(site.is_blocked("cam-7"));

    let resume = site.call(RESUME, "&StreamId=cam-7").await;
    assert_eq!((code(&resume), message(&resume)), (0, "success"));
    assert!(!site.is_blocked("cam-7"));
    let again = site.call(RESUME, "&StreamId=cam-7").await;
    assert_eq!(code(&again), 0);
    let ids = [&forbid, &resume, &again].map(|a| a["RequestId"].as_str().expect("text").to_owned());
    assert!(
        ids.iter()
            .all(|id| id.len() == 19 && id.parse::<u64>().is_ok()),
        "{ids:?}"
    );
    assert!(ids[0] != ids[1] && ids[1] != ids[2]);
}

#[tokio::test]
async fn the_end_is_what_resume_time_says_or_a_day() {
    let site = Site::start().await;
    let day = UnixMs::from_seconds(site.seconds() + 86_400);
    site.call(FORBID, "&StreamId=a").await;
    let Some(Until::At(end)) = site.until("a") else {
        panic!("an end")
    };
    assert!((end.0 - day.0).abs() < 30_000, "{end} {day}");
    site.call(FORBID, "&StreamId=a&ResumeTime=9000-01-01T00:00:00Z")
        .await;
    let far = UnixMs::parse_utc("9000-01-01T00:00:00Z").expect("an instant");
    assert_eq!(site.until("a"), Some(Until::At(far)));
    site.call(FORBID, "&StreamId=a").await;
    assert_eq!(
        site.until("a"),
        Some(Until::At(far)),
        "no end given never shortens"
    );
}

#[tokio::test]
async fn the_decision_says_who_asked() {
    let site = Site::start().await;
    site.call(FORBID, "&StreamId=a").await;
    let key = StreamKey::new(site.app.id, StreamId::parse("a").expect("an id"));
    let report = site.engine.report(&key).await.expect("a report");
    let by = report.ledger.decisions[0].by.clone();
    let client = "127.0.0.1".parse().expect("an address");
    assert_eq!(by, Some(tidegate_core::Actor::App { client }));
}

#[tokio::test]
async fn a_ledger_that_is_away_is_code_one_and_the_forbid_holds_here() {
    let site = Site::start().await;
    site.call(FORBID, "&StreamId=stays").await;
    site.ledger.close().await;
    let query = site.signed(FORBID, "&StreamId=cam");
    for _ in 0..2 {
        let answer = site.get(&query).await;
        assert_eq!(code(&answer), 1, "{answer}");
        assert!(
            message(&answer).contains("cut and refused here"),
            "{answer}"
        );
        assert!(message(&answer).contains("call again"), "{answer}");
        assert!(
            !message(&answer).contains("ledger"),
            "no inner words: {answer}"
        );
    }
    assert!(site.is_blocked("cam"));
    assert!(site.engine.alarms().stands(AlarmKind::ForbidUnrecorded));
    let answer = site.call(RESUME, "&StreamId=stays").await;
    assert_eq!(code(&answer), 1);
    assert!(message(&answer).contains("stays as it is"), "{answer}");
    assert!(site.is_blocked("stays"));
    let query = site
        .call("QueryForbidCDNLiveStream", "&Vendor=origin")
        .await;
    let rows = query["Data"]["Origin"]["ResultDetail"]
        .as_array()
        .expect("rows");
    assert_eq!(rows.len(), 1, "only what is recorded is listed");
    assert_eq!(query["Data"]["Origin"]["ResultDetail"][0]["Ip"], json!(""));
}

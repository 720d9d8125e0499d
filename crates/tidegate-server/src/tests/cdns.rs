//! Streams at vendors' CDNs as the faces show them; nothing answers at the vendors.

use serde_json::{Value, json};
use tidegate_core::{Secret, UnixMs};
use tidegate_ledger::cdns::{AccountKey, CdnAccount};
use tidegate_ledger::{CdnLedger as _, Vendor};

use super::site::{Site, code, raw};

/// An account where nobody listens.
async fn add_account(site: &Site, vendor: Vendor, name: &str) {
    let account = CdnAccount {
        id: 0,
        name: name.into(),
        vendor,
        key: AccountKey {
            access_key_id: "AKID".into(),
            secret: Secret::new("hush".into()),
            security_token: None,
        },
        scheme: None,
        region: None,
        project_id: None,
        endpoint: Some("http://127.0.0.1:1".into()),
        strict: vendor != Vendor::Tencent,
        epoch: 0,
        created: UnixMs(0),
        rotated: None,
    };
    site.ledger.add_account(&account).await.expect("added");
    site.engine.reload().await.expect("reloaded");
}

async fn add_target(site: &Site, account: &str, domain: &str) -> i64 {
    let asked = json!({"account": account, "publish_domain": domain});
    let path = format!("apps/{}/targets", site.app.id);
    let (status, made) = site.v1("POST", &path, asked).await;
    assert_eq!(status, 201, "{made}");
    made["id"].as_i64().expect("a number")
}

const FIELDS: [&str; 26] = [
    "accepted_at",
    "accepted_generation",
    "account",
    "blast_radius",
    "called_at",
    "dark_since",
    "id",
    "kept_banned",
    "last_accepted_at",
    "last_error",
    "leaving",
    "needs_a_person",
    "next_attempt",
    "next_call",
    "next_words",
    "observed",
    "observed_at",
    "publish_domain",
    "rtmp_app",
    "shared_with",
    "to_do",
    "vendor",
    "vendor_request_id",
    "wanted",
    "wanted_for_ever",
    "wanted_until",
];

#[tokio::test]
async fn the_state_at_each_cdn_is_told_field_by_field() {
    let site = Site::start().await;
    add_account(&site, Vendor::Tencent, "main").await;
    add_target(&site, "main", "push.example.com").await;
    add_target(&site, "main", "other.example.com").await;
    let stream = format!("apps/{}/streams/cam-7", site.app.id);
    let asked = json!({"until": "2999-05-01T00:00:00Z"});
    let (status, _) = site.v1("POST", &format!("{stream}/forbid"), asked).await;
    assert_eq!(status, 200);
    let (_, state) = site.v1("GET", &stream, Value::Null).await;
    let targets = state["targets"].as_array().expect("targets");
    assert_eq!(targets.len(), 3);
    for target in targets {
        let mut found: Vec<&String> = target.as_object().expect("an object").keys().collect();
        found.retain(|name| *name != "wanted_generation");
        found.sort();
        assert_eq!(found, FIELDS, "{target}");
    }
    assert_eq!(targets[0]["vendor"], "origin");
    assert_eq!(
        (&targets[0]["account"], &targets[0]["next_words"]),
        (&Value::Null, &Value::Null)
    );
    let at_cdn = &targets[1];
    assert_eq!(at_cdn["account"], "main");
    assert_eq!(at_cdn["publish_domain"], "push.example.com");
    assert_eq!(at_cdn["wanted"], "banned");
    assert_eq!(at_cdn["wanted_until"], "2999-05-01T00:00:00Z");
    assert_eq!(at_cdn["wanted_generation"], 1);
    assert_eq!(at_cdn["accepted_generation"], Value::Null);
    assert_eq!(at_cdn["observed"], "unknown");
    assert_eq!(at_cdn["last_error"]["class"], "retry", "{at_cdn}");
    assert_eq!(at_cdn["last_error"]["about_newest"], true);
    assert_eq!(at_cdn["needs_a_person"], false);
    assert!(at_cdn["next_words"].is_string(), "{at_cdn}");
    let radius = at_cdn["blast_radius"].as_str().expect("a sentence");
    assert!(radius.contains("other.example.com/live"), "{radius}");
    assert_eq!(at_cdn["shared_with"][0]["wanted"], "banned");
    assert_eq!(at_cdn["shared_with"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_dry_run_tells_what_would_be_called_and_decides_nothing() {
    let site = Site::start().await;
    add_account(&site, Vendor::Tencent, "main").await;
    add_target(&site, "main", "push.example.com").await;
    let stream = format!("apps/{}/streams/cam-7", site.app.id);
    let asked = json!({"for": "2h", "dry_run": true});
    let (status, would) = site.v1("POST", &format!("{stream}/forbid"), asked).await;
    assert_eq!(status, 200, "{would}");
    assert_eq!(
        (&would["dry_run"], &would["blocked"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(would.get("generation"), None);
    let at_cdn = &would["targets"][1];
    let call = at_cdn["next_call"].as_str().expect("a call");
    assert!(call.starts_with("forbid until "), "{at_cdn}");
    assert!(at_cdn["blast_radius"].is_string());
    assert!(!site.is_blocked("cam-7"));
    let (_, state) = site.v1("GET", &stream, Value::Null).await;
    assert_eq!(state["decisions"], json!([]));
    let (status, would) = site
        .v1(
            "POST",
            &format!("{stream}/resume"),
            json!({"dry_run": true}),
        )
        .await;
    assert_eq!((status, &would["blocked"]), (200, &json!(false)));
    assert_eq!(would["targets"][1]["next_call"], "resume", "{would}");
}

#[tokio::test]
async fn bans_are_listed_for_each_target_of_a_vendor_and_not_for_a_removed_one() {
    let site = Site::start().await;
    add_account(&site, Vendor::Ws, "wangsu").await;
    add_target(&site, "wangsu", "push.example.com").await;
    let second = add_target(&site, "wangsu", "second.example.com").await;
    let end = "2999-05-01T00:00:00Z";
    for stream in ["cam-7", "cam-8"] {
        let rest = format!("&StreamId={stream}&ResumeTime={end}");
        site.call("ForbidCDNLiveStream", &rest).await;
    }
    let listed = async || {
        let answer = site.call("QueryForbidCDNLiveStream", "&Vendor=ws").await;
        assert_eq!(code(&answer), 0, "{answer}");
        answer["Data"]["Ws"]["ResultDetail"].clone()
    };
    let rows = listed().await;
    let urls: Vec<&Value> = (0..4).map(|row| &rows[row]["Url"]).collect();
    assert_eq!(
        urls,
        [
            "rtmp://push.example.com/live/cam-7",
            "rtmp://second.example.com/live/cam-7",
            "rtmp://push.example.com/live/cam-8",
            "rtmp://second.example.com/live/cam-8",
        ]
    );
    assert_eq!(rows[0]["Channel"], "push.example.com");
    assert_eq!(
        (&rows[0]["EndTime"], &rows[0]["Ip"]),
        (&json!(end), &json!(""))
    );
    assert!(UnixMs::parse_utc(rows[0]["StartTime"].as_str().expect("text")).is_ok());
    let path = format!("targets/{second}");
    let (status, removed) = site.v1("DELETE", &path, Value::Null).await;
    assert_eq!(
        (status, &removed["leaving"]),
        (200, &json!(true)),
        "{removed}"
    );
    assert_eq!(listed().await.as_array().map(Vec::len), Some(2));
    let none = site
        .call("QueryForbidCDNLiveStream", "&Vendor=huawei")
        .await;
    assert_eq!(none["Data"], json!({"Huawei": {"ResultDetail": []}}));
}

#[tokio::test]
async fn accounts_have_figures_under_labels_that_cannot_break_the_page() {
    let site = Site::start().await;
    add_account(&site, Vendor::Ws, "a\"b\\c").await;
    add_account(&site, Vendor::Ws, "wangsu").await;
    add_target(&site, "wangsu", "push.example.com").await;
    site.call("ForbidCDNLiveStream", "&StreamId=cam-7").await;
    let get = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let ours = [
        "tidegate_cdn_pending{account=\"a\\\"b\\\\c\",vendor=\"ws\"} 0",
        "tidegate_cdn_pending{account=\"wangsu\",vendor=\"ws\"} 1",
        "tidegate_cdn_breaker_open{account=\"wangsu\",vendor=\"ws\"} 0",
        "tidegate_cdn_calls_total{account=\"wangsu\",vendor=\"ws\",kind=\"forbid\",class=\"retry\"}",
        "tidegate_cdn_limit_allowed{account=\"wangsu\",vendor=\"ws\",limit=\"",
        "tidegate_cdn_oldest_pending_seconds{account=\"wangsu\",vendor=\"ws\"} ",
    ];
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let page = raw(site.address, get).await;
        let missing: Vec<&str> = ours.into_iter().filter(|l| !page.contains(l)).collect();
        if missing.is_empty() {
            return;
        }
        let late = tokio::time::Instant::now() > deadline;
        assert!(!late, "{missing:?} in {page}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

//! `/v1`, call by call.

use serde_json::{Value, json};

use super::site::{Site, TOKEN, code, raw};

const WRONG: [Option<&str>; 3] = [None, Some("wrong"), Some("")];

#[tokio::test]
async fn the_admin_token_is_needed_everywhere() {
    let site = Site::start().await;
    for path in ["status", "apps", "apps/1/streams", "nothing"] {
        for token in WRONG {
            let (status, body) = site.v1_as(token, "GET", path, String::new()).await;
            assert_eq!(status, 401, "{path}");
            assert_eq!(body["error"]["code"], "unauthorised");
        }
    }
    let (status, body) = site.v1("GET", "nothing", Value::Null).await;
    assert_eq!((status, &body["error"]["code"]), (404, &json!("not_found")));
    let (status, _) = site.v1("DELETE", "apps", Value::Null).await;
    assert_eq!(status, 405);
}

#[tokio::test]
async fn status_tells_what_runs_where() {
    let site = Site::start().await;
    let (status, body) = site.v1("GET", "status", Value::Null).await;
    assert_eq!(status, 200);
    assert_eq!(body["ready"], true);
    assert_eq!(body["apps"], 1);
    assert_eq!(body["listeners"]["api"], site.address.to_string());
    assert_eq!(body["alarms"], json!([]));
}

#[tokio::test]
async fn an_app_is_made_shown_rotated_and_disabled() {
    let site = Site::start().await;
    let asked = json!({"name": "two", "nonce": "compatible", "default_forbid": "1d12h"});
    let (status, made) = site.v1("POST", "apps", asked).await;
    assert_eq!(status, 201, "{made}");
    let id = made["app_id"].as_u64().expect("a number");
    assert_eq!(made["rtmp_app"], id.to_string());
    assert_eq!(made["publish_auth"], "signed");
    for secret in ["server_secret", "callback_secret", "publish_key"] {
        assert_eq!(made[secret].as_str().expect("text").len(), 32);
    }
    let (_, list) = site.v1("GET", "apps", Value::Null).await;
    assert_eq!(list.as_array().expect("an array").len(), 2);
    let (_, shown) = site.v1("GET", &format!("apps/{id}"), Value::Null).await;
    assert_eq!(shown["nonce"], "compatible");
    assert_eq!(shown["default_forbid"], "1d12h");
    assert!(shown.get("server_secret").is_none(), "{shown}");

    let rotate = format!("apps/{id}/rotate-secret");
    let (status, rotated) = site.v1("POST", &rotate, json!({})).await;
    assert_eq!(status, 200, "{rotated}");
    assert_ne!(rotated["server_secret"], made["server_secret"]);
    assert!(rotated["earlier_ends"].as_str() > shown["created"].as_str());
    let (_, shown) = site.v1("GET", &format!("apps/{id}"), Value::Null).await;
    assert_eq!(shown["secrets"], 2);
    site.v1("POST", &rotate, json!({"now": true})).await;
    let (_, shown) = site.v1("GET", &format!("apps/{id}"), Value::Null).await;
    assert_eq!(shown["secrets"], 1);

    let (_, off) = site
        .v1("POST", &format!("apps/{id}/disable"), Value::Null)
        .await;
    let (_, on) = site
        .v1("POST", &format!("apps/{id}/enable"), Value::Null)
        .await;
    assert_eq!(
        (&off["disabled"], &on["disabled"]),
        (&json!(true), &json!(false))
    );
    let (_, targets) = site
        .v1("GET", &format!("apps/{id}/targets"), Value::Null)
        .await;
    assert_eq!(targets[0]["vendor"], "origin");
}

#[tokio::test]
async fn bad_input_is_explained() {
    let site = Site::start().await;
    let app = format!("apps/{}", site.app.id);
    for (method, path, body, status, words) in [
        (
            "POST",
            "apps".to_owned(),
            json!({"nam": "x"}),
            400,
            "unknown field `nam`",
        ),
        (
            "POST",
            "apps".to_owned(),
            json!({"name": 7}),
            400,
            "expected a string",
        ),
        (
            "POST",
            "apps".to_owned(),
            json!({"name": ""}),
            400,
            "1 to 64",
        ),
        (
            "POST",
            "apps".to_owned(),
            json!({"rtmp_app": "a/b"}),
            400,
            "RTMP app name",
        ),
        (
            "POST",
            "apps".to_owned(),
            json!({"rtmp_app": "live"}),
            409,
            "live",
        ),
        (
            "POST",
            "apps".to_owned(),
            json!({"default_forbid": "1w"}),
            400,
            "duration",
        ),
        (
            "GET",
            "apps/x".to_owned(),
            Value::Null,
            400,
            "decimal number",
        ),
        (
            "GET",
            "apps/1".to_owned(),
            Value::Null,
            404,
            "there is no App 1",
        ),
        (
            "GET",
            format!("{app}/streams/a%2Fb"),
            Value::Null,
            400,
            "not a stream id",
        ),
        (
            "GET",
            format!("{app}/blocks?limit=x"),
            Value::Null,
            400,
            "query",
        ),
        (
            "GET",
            format!("{app}/blocks?lim=1"),
            Value::Null,
            400,
            "unknown field",
        ),
        (
            "POST",
            format!("{app}/streams/a/forbid"),
            json!({"for": "x"}),
            400,
            "duration",
        ),
        (
            "POST",
            format!("{app}/streams/a/forbid"),
            json!({"until": "2020-01-01T00:00:00Z"}),
            400,
            "in the future",
        ),
        (
            "POST",
            format!("{app}/streams/a/forbid"),
            json!({"for": "1h", "for_ever": true}),
            400,
            "one of",
        ),
        (
            "POST",
            format!("{app}/sign"),
            json!({"action": "A", "params": {"AppId": "1"}}),
            400,
            "AppId is filled in",
        ),
        (
            "POST",
            "ledger/backup".to_owned(),
            json!({"path": "relative"}),
            400,
            "absolute",
        ),
    ] {
        let (got, answer) = site.v1(method, &path, body).await;
        assert_eq!(got, status, "{path}: {answer}");
        let message = answer["error"]["message"].as_str().expect("words");
        assert!(message.contains(words), "{path}: {message}");
    }
    let (status, answer) = site.v1_as(Some(TOKEN), "POST", "apps", "[".into()).await;
    assert_eq!(status, 400, "{answer}");
    let (status, _) = site
        .v1_as(Some(TOKEN), "POST", "apps", "x".repeat(1_100_000))
        .await;
    assert_eq!(status, 413);
}

#[tokio::test]
async fn an_operator_forbids_and_resumes_with_name_and_reason() {
    let site = Site::start().await;
    let stream = format!("apps/{}/streams/cam", site.app.id);
    let asked = json!({"reason": "court order"});
    let (status, forbid) = site.v1("POST", &format!("{stream}/forbid"), asked).await;
    assert_eq!(status, 200, "{forbid}");
    assert_eq!(forbid["blocked"], true);
    assert_eq!(forbid["for_ever"], true);
    assert_eq!(forbid["until"], "9999-12-31T23:59:59Z");
    assert_eq!(forbid["results"][0]["result"], "success");
    let (_, state) = site.v1("GET", &stream, Value::Null).await;
    assert_eq!(state["blocked"], true);
    assert_eq!(state["recorded"], true);
    assert_eq!(state["live"], Value::Null);
    assert_eq!(state["targets"][0]["accepted_generation"], 1);
    assert_eq!(state["targets"][0]["observed"], "dark");
    let decision = &state["decisions"][0];
    assert_eq!(decision["verb"], "forbid");
    assert_eq!(decision["by"], "operator");
    assert_eq!(decision["client"], "127.0.0.1");
    assert_eq!(decision["reason"], "court order");
    assert_eq!(decision["request_id"], forbid["request_id"]);
    let (_, blocks) = site
        .v1("GET", &format!("apps/{}/blocks", site.app.id), Value::Null)
        .await;
    assert_eq!(blocks["total"], 1);
    assert_eq!(blocks["blocks"][0]["stream"], "cam");

    let (_, timed) = site
        .v1("POST", &format!("{stream}/forbid"), json!({"for": "2h"}))
        .await;
    assert_eq!(timed["for_ever"], false);
    let (_, resume) = site
        .v1("POST", &format!("{stream}/resume"), json!({}))
        .await;
    assert_eq!(
        (&resume["blocked"], &resume["until"]),
        (&json!(false), &Value::Null)
    );
    assert_eq!(resume["generation"], 3);
}

#[tokio::test]
async fn the_operators_name_is_kept_and_checked() {
    let site = Site::start().await;
    let path = format!("/v1/apps/{}/streams/cam", site.app.id);
    let request = |method: &str, path: &str, name: &str| {
        format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer \
             {TOKEN}\r\nTidegate-Operator: {name}\r\nContent-Length: 0\r\n\r\n"
        )
    };
    let forbid = request("POST", &format!("{path}/forbid"), "Ann 直");
    let answer = raw(site.address, forbid.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let (_, state) = site
        .v1("GET", path.trim_start_matches("/v1/"), Value::Null)
        .await;
    assert_eq!(state["decisions"][0]["by"], "Ann 直");
    for name in ["", &"x".repeat(65), "a\u{202e}b"] {
        let answer = raw(site.address, request("GET", "/v1/status", name).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{name}: {answer}");
    }
}

#[tokio::test]
async fn urls_work_as_they_are_answered() {
    let site = Site::start().await;
    let app = site.app.id;
    let (_, url) = site
        .v1(
            "GET",
            &format!("apps/{app}/streams/cam/publish-url"),
            Value::Null,
        )
        .await;
    let text = url["url"].as_str().expect("text");
    assert!(
        text.starts_with("rtmp://127.0.0.1:1935/live/cam?txSecret="),
        "{text}"
    );
    assert_eq!(url["play"]["flv"], "http://127.0.0.1:8080/live/cam.flv");
    assert_eq!(url["play"]["ws_flv"], "ws://127.0.0.1:8080/live/cam.flv");
    let path = format!("apps/{app}/streams/cam/publish-url?recipe=huawei&ttl=1h&host=::1");
    let (_, url) = site.v1("GET", &path, Value::Null).await;
    let text = url["url"].as_str().expect("text");
    assert!(
        text.starts_with("rtmp://[::1]:1935/live/cam?hwSecret="),
        "{text}"
    );

    let asked = json!({"action": "ForbidCDNLiveStream", "params": {"StreamId": "cam"}});
    let (_, signed) = site.v1("POST", &format!("apps/{app}/sign"), asked).await;
    let url = signed["url"].as_str().expect("text");
    let query = url.split_once("/?").expect("a query").1;
    assert!(url.starts_with(&format!("http://{}/?", site.address)));
    assert_eq!(code(&site.get(query).await), 0);
    let asked = json!({"action": "A", "params": {"StreamId[]": ["a", "b c"]},
        "base_url": "https://api.example.com/"});
    let (_, signed) = site.v1("POST", &format!("apps/{app}/sign"), asked).await;
    let url = signed["url"].as_str().expect("text");
    let head = "https://api.example.com/?Action=A&StreamId%5B%5D=a&StreamId%5B%5D=b%20c&AppId=";
    assert!(url.starts_with(head), "{url}");
}

#[tokio::test]
async fn a_restored_backup_holds_resumes_until_confirmed() {
    let site = Site::start().await;
    let app = site.app.id;
    site.v1("POST", &format!("apps/{app}/streams/old/forbid"), json!({}))
        .await;
    let path = site.dir.path().join("backup.db");
    let (status, answer) = site
        .v1("POST", "ledger/backup", json!({"path": path}))
        .await;
    assert_eq!(status, 200, "{answer}");
    site.v1(
        "POST",
        &format!("apps/{app}/streams/later/forbid"),
        json!({}),
    )
    .await;
    let (status, answer) = site
        .v1("POST", "ledger/restore", json!({"path": path}))
        .await;
    assert_eq!(status, 200, "{answer}");
    assert!(
        site.is_blocked("old") && site.is_blocked("later"),
        "a restore lifts nothing"
    );
    let (_, held) = site
        .v1("POST", &format!("apps/{app}/streams/old/resume"), json!({}))
        .await;
    assert_eq!(held["blocked"], true, "{held}");
    let (status, confirmed) = site.v1("POST", "ledger/confirm", Value::Null).await;
    assert_eq!(status, 200, "{confirmed}");
    assert_eq!(confirmed["opened"], json!([format!("{app}/old")]));
    assert!(!site.is_blocked("old"));
    let (_, head) = site.v1("GET", "audit/head", Value::Null).await;
    assert_eq!(head["hash"].as_str().expect("text").len(), 64);
    let (status, _) = site.v1("POST", "clock/accept", Value::Null).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn a_rotated_token_replaces_the_old_one_and_its_file() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("admin-token");
    std::fs::write(&file, "old").expect("written");
    let mut options = super::site::options();
    options.admin_token_file = Some(file.clone());
    let site = Site::with(options).await;
    let (status, answer) = site.v1("POST", "admin-token/rotate", Value::Null).await;
    assert_eq!(status, 200, "{answer}");
    let token = answer["admin_token"].as_str().expect("text");
    assert!(answer.get("warning").is_none(), "{answer}");
    let (status, _) = site.v1("GET", "status", Value::Null).await;
    assert_eq!(status, 401);
    let (status, _) = site
        .v1_as(Some(token), "GET", "status", String::new())
        .await;
    assert_eq!(status, 200);
    let text = std::fs::read_to_string(&file).expect("a file");
    assert_eq!(text.trim(), token);
    let mode = file.metadata().expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

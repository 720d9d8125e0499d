//! Targets at vendors, call by call; no vendor answers.

use serde_json::{Value, json};

use super::site::Site;

async fn with_accounts() -> Site {
    let site = Site::start().await;
    for (vendor, more) in [
        ("ws", json!({})),
        ("aliyun", json!({})),
        ("tencent", json!({})),
        (
            "huawei",
            json!({"region": "cn-north-4", "project_id": "0123"}),
        ),
    ] {
        let mut asked = json!({"vendor": vendor, "name": format!("at-{vendor}"),
            "access_key_id": "AKID", "secret": "hush", "endpoint": "http://127.0.0.1:1"});
        for (name, value) in more.as_object().expect("an object") {
            asked[name] = value.clone();
        }
        let (status, made) = site.v1("POST", "accounts", asked).await;
        assert_eq!(status, 201, "{made}");
    }
    site
}

fn target(vendor: &str) -> Value {
    json!({"vendor": vendor, "account": format!("at-{vendor}"),
        "publish_domain": format!("Push.{vendor}.Example.com")})
}

fn words(answer: &Value) -> &str {
    answer["error"]["message"].as_str().expect("words")
}

#[tokio::test]
async fn a_target_is_added_with_the_blocks_that_stand_and_listed() {
    let site = with_accounts().await;
    let app = site.app.id;
    for stream in ["one", "two"] {
        let path = format!("apps/{app}/streams/{stream}/forbid");
        site.v1("POST", &path, json!({})).await;
    }
    let path = format!("apps/{app}/targets");
    let mut asked = target("aliyun");
    asked["play_domain"] = json!("play.example.com");
    asked["rtmp_app"] = json!("stage");
    asked["play_urls"] = json!(["https://play.example.com/stage/{stream}.flv"]);
    asked["play_key"] = json!("hush-key");
    let (status, made) = site.v1("POST", &path, asked).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(made["publish_domain"], "push.aliyun.example.com");
    assert_eq!(made["account"], "at-aliyun");
    assert_eq!(made["blocks"], 2);
    assert_eq!(made["warnings"], json!([]));
    assert_eq!(made["has_play_key"], true);
    assert!(!made.to_string().contains("hush"), "{made}");

    let (_, list) = site.v1("GET", &path, Value::Null).await;
    let vendors: Vec<&Value> = list.as_array().expect("an array").iter().collect();
    assert_eq!(vendors.len(), 2);
    assert_eq!(
        (&list[0]["vendor"], &list[0]["account"]),
        (&json!("origin"), &Value::Null)
    );
    for name in [
        "id",
        "app_id",
        "play_domain",
        "rtmp_app",
        "play_urls",
        "leaving",
    ] {
        assert_eq!(list[1][name], made[name], "{name}");
        assert!(list[0].get(name).is_some(), "{name}");
    }
    let (_, all) = site.v1("GET", "targets", Value::Null).await;
    assert_eq!(all, list);
    let (_, accounts) = site.v1("GET", "accounts", Value::Null).await;
    assert_eq!(accounts[0]["targets"], 1, "{accounts}");
}

#[tokio::test]
async fn what_will_not_work_at_a_target_is_said_when_it_is_added() {
    let site = with_accounts().await;
    let path = format!("apps/{}/targets", site.app.id);
    for (vendor, part) in [
        ("ws", "stays unknown"),
        ("aliyun", "cannot be listed"),
        ("tencent", "every domain and app of account at-tencent"),
    ] {
        let (_, made) = site.v1("POST", &path, target(vendor)).await;
        assert_eq!(made["warnings"].as_array().map(Vec::len), Some(1), "{made}");
        let warning = made["warnings"][0].as_str().expect("words");
        assert!(warning.contains(part), "{warning}");
        assert_eq!(made["blast_radius"].is_string(), vendor == "tencent");
    }
    let (_, made) = site.v1("POST", &path, target("huawei")).await;
    assert_eq!(made["warnings"], json!([]));
}

#[tokio::test]
async fn what_cannot_be_a_target_is_refused_in_words() {
    let site = with_accounts().await;
    let path = format!("apps/{}/targets", site.app.id);
    let (status, _) = site.v1("POST", &path, target("ws")).await;
    assert_eq!(status, 201);
    let with = |name: &str, value: Value| {
        let mut asked = target("aliyun");
        asked[name] = value;
        asked
    };
    for (asked, status, part) in [
        (target("ws"), 409, "push.ws.example.com"),
        (
            with("account", json!("mine")),
            404,
            "there are at-aliyun, at-huawei",
        ),
        (with("vendor", json!("ws")), 400, "name an account at ws"),
        (with("vendor", json!("origin")), 400, "is not a vendor"),
        (
            with("publish_domain", json!("10.0.0.1")),
            400,
            "not a domain name",
        ),
        (
            with("play_domain", json!("http://x")),
            400,
            "not a domain name",
        ),
        (with("rtmp_app", json!("*")), 400, "not an RTMP app name"),
        (
            with("play_urls", json!(["ftp://x/{stream}"])),
            400,
            "a play URL begins with",
        ),
        (
            with("play_urls", json!(["http://x.com/live/a.flv"])),
            400,
            "{stream}",
        ),
        (
            with("play_urls", json!(vec!["rtmp://x.com/live/{stream}"; 9])),
            400,
            "8 play URL",
        ),
        (with("play_key", json!("hush hush")), 400, "the play key"),
        (with("play_key", json!(4711)), 400, "a secret is a text"),
        (with("play_url", json!("x")), 400, "unknown field"),
    ] {
        let (got, answer) = site.v1("POST", &path, asked.clone()).await;
        assert_eq!(got, status, "{asked}: {answer}");
        assert!(words(&answer).contains(part), "{answer}");
    }
    for (method, path, status) in [
        ("POST", "apps/1/targets", 404),
        ("POST", "targets/999/test", 404),
        ("DELETE", "targets/999", 404),
        ("DELETE", "targets/-1", 400),
        ("DELETE", "targets/1?keep=true", 400),
    ] {
        let body = match path.ends_with("test") {
            true => json!({"stream": "cam"}),
            false => target("aliyun"),
        };
        let (got, answer) = site.v1(method, path, body).await;
        assert_eq!(got, status, "{path}: {answer}");
    }
    let (_, list) = site.v1("GET", "targets", Value::Null).await;
    let origin = &list[0]["id"];
    let path = format!("targets/{origin}");
    let (status, answer) = site.v1("DELETE", &path, Value::Null).await;
    assert_eq!(status, 409, "the origin stays: {answer}");
    assert!(words(&answer).contains("disable it"), "{answer}");
}

#[tokio::test]
async fn an_account_in_use_stays_and_a_target_with_bans_leaves_first() {
    let site = with_accounts().await;
    let app = site.app.id;
    let path = format!("apps/{app}/targets");
    let (_, empty) = site.v1("POST", &path, target("ws")).await;
    let (status, gone) = site
        .v1("DELETE", &format!("targets/{}", empty["id"]), Value::Null)
        .await;
    assert_eq!(status, 200, "{gone}");
    assert_eq!(
        (&gone["leaving"], &gone["bans_to_lift"]),
        (&json!(false), &json!(0))
    );

    let (_, made) = site.v1("POST", &path, target("ws")).await;
    let forbid = format!("apps/{app}/streams/cam/forbid");
    site.v1("POST", &forbid, json!({})).await;
    let (status, answer) = site.v1("DELETE", "accounts/at-ws", Value::Null).await;
    assert_eq!(status, 409, "{answer}");
    let used = format!("target {} (push.ws.example.com/live)", made["id"]);
    assert!(words(&answer).contains(&used), "{answer}");

    let delete = format!("targets/{}", made["id"]);
    let (_, leaving) = site.v1("DELETE", &delete, Value::Null).await;
    assert_eq!(leaving["leaving"], true, "{leaving}");
    assert_eq!(leaving["bans_to_lift"], 1);
    let (_, list) = site.v1("GET", &path, Value::Null).await;
    assert_eq!(list[1]["leaving"], true, "{list}");
    let (_, accounts) = site.v1("GET", "accounts", Value::Null).await;
    let at_ws = accounts.as_array().expect("an array").last().expect("one");
    assert_eq!(
        (&at_ws["targets"], &at_ws["leaving"]),
        (&json!(0), &json!(1)),
        "{at_ws}"
    );
    let (status, answer) = site.v1("DELETE", "accounts/at-ws", Value::Null).await;
    assert_eq!(status, 409);
    assert!(words(&answer).contains("leaving)"), "{answer}");

    let (_, kept) = site
        .v1("DELETE", &format!("{delete}?keep_bans=true"), Value::Null)
        .await;
    assert_eq!(
        (&kept["leaving"], &kept["bans_kept"]),
        (&json!(false), &json!(true)),
        "{kept}"
    );
    let (status, answer) = site.v1("DELETE", "accounts/at-ws", Value::Null).await;
    assert_eq!(status, 200, "{answer}");
}

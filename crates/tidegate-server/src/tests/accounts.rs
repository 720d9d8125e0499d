//! Accounts at vendors, call by call; no vendor is called.

use serde_json::{Value, json};

use super::site::Site;

const SECRET: &str = "hush-hush-4711";

fn aliyun(name: &str) -> Value {
    json!({"vendor": "aliyun", "name": name, "access_key_id": "LTAI0001", "secret": SECRET,
        "endpoint": "http://127.0.0.1:1/"})
}

fn words(answer: &Value) -> &str {
    answer["error"]["message"].as_str().expect("words")
}

#[tokio::test]
async fn an_account_is_added_listed_rotated_and_removed_without_its_secret() {
    let site = Site::start().await;
    let (status, made) = site.v1("POST", "accounts", aliyun("main account")).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(made["auth"], "acs3-hmac-sha256");
    assert_eq!(made["endpoint"], "http://127.0.0.1:1");
    assert_eq!(made["strict"], true);
    assert_eq!(made["targets"], 0);
    assert_eq!(made["rotated"], Value::Null);

    let asked = json!({"access_key_id": "LTAI0002", "secret": "hush-two",
        "security_token": "hush-three"});
    let path = "accounts/main%20account/rotate";
    let (status, rotated) = site.v1("POST", path, asked).await;
    assert_eq!(status, 200, "{rotated}");
    assert_eq!(rotated["access_key_id"], "LTAI0002");
    assert_eq!(rotated["temporary"], true);
    let (_, again) = site.v1("POST", path, json!({"secret": "hush-four"})).await;
    assert_eq!(again["access_key_id"], "LTAI0002", "the id stays");
    assert_eq!(again["temporary"], false, "the token goes with its key");
    assert!(again["rotated"].is_string());

    let (_, list) = site.v1("GET", "accounts", Value::Null).await;
    assert_eq!(list.as_array().map(Vec::len), Some(1));
    assert_eq!(list[0]["name"], "main account");
    for answer in [&made, &rotated, &again, &list] {
        assert!(!answer.to_string().contains("hush"), "{answer}");
    }
    let site = site.restart().await;
    let (_, list) = site.v1("GET", "accounts", Value::Null).await;
    assert_eq!(list[0]["access_key_id"], "LTAI0002");
    let key = site.engine.cdns().directory().accounts()[0]
        .account
        .key
        .clone();
    assert_eq!(key.secret.expose(), "hush-four");

    let (status, _) = site
        .v1("DELETE", "accounts/main%20account", Value::Null)
        .await;
    assert_eq!(status, 200);
    let (_, list) = site.v1("GET", "accounts", Value::Null).await;
    assert_eq!(list, json!([]));
}

#[tokio::test]
async fn only_tencent_can_be_less_than_strict() {
    let site = Site::start().await;
    for (vendor, strict, is) in [
        ("ws", false, true),
        ("tencent", false, false),
        ("tencent", true, true),
    ] {
        let asked = json!({"vendor": vendor, "name": format!("{vendor}-{strict}"),
            "access_key_id": format!("AKID{strict}"), "secret": SECRET, "strict": strict});
        let (status, made) = site.v1("POST", "accounts", asked).await;
        assert_eq!((status, &made["strict"]), (201, &json!(is)), "{made}");
    }
}

#[tokio::test]
async fn what_cannot_be_an_account_is_refused_in_words() {
    let site = Site::start().await;
    site.v1("POST", "accounts", aliyun("main")).await;
    let with = |name: &str, value: Value| {
        let mut asked = aliyun("other");
        if name != "secret" {
            asked["access_key_id"] = json!("LTAI0002");
        }
        asked[name] = value;
        asked
    };
    for (asked, status, part) in [
        (
            with("vendor", json!("origin")),
            400,
            "use ws, aliyun, tencent or huawei",
        ),
        (
            with("vendor", json!("akamai\u{1b}[1m")),
            400,
            "is not a vendor",
        ),
        (with("name", json!("main")), 409, "choose another name"),
        (
            with("secret", json!("another")),
            409,
            "account \"main\" has this key already",
        ),
        (with("name", json!("..")), 400, "cannot be called"),
        (with("name", json!("a/b")), 400, "without a slash"),
        (with("name", json!("")), 400, "1 to 100"),
        (
            with("access_key_id", json!("a b")),
            400,
            "not an access key id",
        ),
        (with("secret", json!("hush hush")), 400, "exactly as issued"),
        (with("secret", json!("")), 400, "is empty"),
        (with("secret", json!(4711)), 400, "a secret is a text"),
        (with("secret", Value::Null), 400, "a secret is a text"),
        (
            with("security_token", json!([4711])),
            400,
            "a secret is a text",
        ),
        (
            with("auth", json!("tc3-hmac-sha256")),
            400,
            "acs3-hmac-sha256 or rpc-v1",
        ),
        (
            with("auth", json!("basic")),
            400,
            "acs3-hmac-sha256 or rpc-v1",
        ),
        (
            with("endpoint", json!("http://example.com")),
            400,
            "in the clear",
        ),
        (with("project_id", json!("0123")), 400, "leave it out"),
        (with("vendor", json!("huawei")), 400, "needs a project id"),
        (with("sekret", json!("hush")), 400, "unknown field `sekret`"),
    ] {
        let (got, answer) = site.v1("POST", "accounts", asked.clone()).await;
        assert_eq!(got, status, "{asked}: {answer}");
        assert!(words(&answer).contains(part), "{answer}");
        let told = answer.to_string();
        assert!(!told.contains("hush") && !told.contains("4711"), "{told}");
    }
    for (method, path) in [
        ("POST", "accounts/mian/test"),
        ("POST", "accounts/mian/rotate"),
        ("DELETE", "accounts/mian"),
    ] {
        let asked = json!({"secret": SECRET});
        let (status, answer) = site.v1(method, path, asked).await;
        assert_eq!(status, 404, "{path}: {answer}");
        assert!(words(&answer).contains("there are main"), "{answer}");
    }
    let (status, _) = site
        .v1_as(None, "POST", "accounts", aliyun("x").to_string())
        .await;
    assert_eq!(status, 401);
}

#[tokio::test]
async fn an_endpoint_where_nobody_listens_is_told_as_such() {
    let site = Site::start().await;
    site.v1("POST", "accounts", aliyun("main")).await;
    let (status, trial) = site.v1("POST", "accounts/main/test", json!({})).await;
    assert_eq!(status, 200, "{trial}");
    assert_eq!(trial["ok"], false);
    assert_eq!(
        (&trial["vendor"], &trial["account"]),
        (&json!("aliyun"), &json!("main"))
    );
    let check = &trial["checks"][0];
    assert_eq!(check["problem"], "not_reached", "{check}");
    let told = check["words"].as_str().expect("words");
    assert!(
        told.contains("http://127.0.0.1:1 was not reached"),
        "{told}"
    );
}

//! Every command against a real server: what it prints as JSON, what it says, how it ends.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "what fails here is a test"
)]

#[path = "common/harness.rs"]
mod harness;

use harness::{Place, Server, finish, run, tidegate};
use serde_json::Value;

/// Fails unless the object has exactly these fields.
fn has_fields(value: &Value, fields: &[&str]) {
    let object = value.as_object().expect("an object");
    let mut found: Vec<&str> = object.keys().map(String::as_str).collect();
    let mut wanted = fields.to_vec();
    found.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(found, wanted, "{value}");
}

const APP: [&str; 9] = [
    "app_id",
    "name",
    "rtmp_app",
    "disabled",
    "created",
    "publish_auth",
    "nonce",
    "default_forbid",
    "secrets",
];

#[test]
fn apps_are_made_listed_and_shown() {
    let server = Server::start();
    let apps = server.json(&["app", "list"]);
    has_fields(&apps[0], &APP);
    assert_eq!(apps[0]["rtmp_app"], "live");
    has_fields(&server.json(&["app", "show"]), &APP);
    let targets = server.json(&["target", "list"]);
    let fields = [
        "id",
        "app_id",
        "vendor",
        "account",
        "publish_domain",
        "play_domain",
        "rtmp_app",
        "play_urls",
        "has_play_key",
        "leaving",
        "blast_radius",
    ];
    has_fields(&targets[0], &fields);
    assert_eq!(targets[0]["vendor"], "origin");

    let made = server.json(&[
        "app",
        "create",
        "--name",
        "second",
        "--rtmp-app",
        "two",
        "--publish-auth",
        "none",
        "--nonce",
        "compatible",
        "--default-forbid",
        "2h",
    ]);
    let mut with_secrets = APP.to_vec();
    with_secrets.extend(["server_secret", "callback_secret", "publish_key"]);
    has_fields(&made, &with_secrets);
    assert!(made["app_id"].is_u64());
    assert_eq!(made["name"], "second");
    assert_eq!(made["rtmp_app"], "two");
    assert_eq!(made["publish_auth"], "none");
    assert_eq!(made["nonce"], "compatible");
    assert_eq!(made["default_forbid"], "2h");
    let taken = server.run(&["app", "create", "--rtmp-app", "two"]);
    assert_eq!(taken.code, 1, "{taken:?}");

    let ambiguous = server.run(&["streams"]);
    assert_eq!(ambiguous.code, 2);
    let id = made["app_id"].to_string();
    assert!(ambiguous.stderr.contains(&id) && ambiguous.stderr.contains("second"));
    let chosen = server.json(&["app", "show", "--app-id", &id]);
    assert_eq!(chosen["name"], "second");
    let unknown = server.run(&["app", "show", "--app-id", "7"]);
    assert_eq!(unknown.code, 1, "{unknown:?}");
}

#[test]
fn forbid_and_resume_say_what_happened_and_by_whom() {
    let server = Server::start();
    let until = "2031-05-01T00:00:00Z";
    let forbidden = server.json(&[
        "forbid",
        "cam-7",
        "--until",
        until,
        "--reason",
        "notice",
        "--operator",
        "mira",
    ]);
    has_fields(
        &forbidden,
        &[
            "request_id",
            "generation",
            "blocked",
            "until",
            "for_ever",
            "results",
        ],
    );
    assert_eq!(forbidden["until"], until);
    has_fields(&forbidden["results"][0], &["vendor", "result", "words"]);
    assert_eq!(forbidden["results"][0]["result"], "success");

    let status = server.json(&["status", "cam-7"]);
    assert_eq!(status["blocked"], true);
    assert_eq!(status["targets"][0]["accepted_generation"], 1);
    assert_eq!(status["decisions"][0]["by"], "mira");
    assert_eq!(status["decisions"][0]["client"], "127.0.0.1");
    assert_eq!(status["decisions"][0]["reason"], "notice");
    let blocks = server.json(&["blocks"]);
    assert_eq!(blocks["total"], 1);
    assert_eq!(blocks["blocks"][0]["stream"], "cam-7");
    assert_eq!(blocks["blocks"][0]["for_ever"], false);

    let said = server.run(&["forbid", "cam-7", "--forever"]);
    assert_eq!(said.code, 0);
    assert!(
        said.stdout
            .contains("cam-7 is forbidden until lifted\n  origin: success: "),
        "{said:?}"
    );
    assert_eq!(server.json(&["blocks"])["blocks"][0]["for_ever"], true);
    let opened = server.json(&["resume", "cam-7", "--reason", "withdrawn"]);
    assert_eq!(opened["blocked"], false);
    assert_eq!(server.json(&["blocks"])["total"], 0);
    let said = server.run(&["status", "cam-7"]);
    assert!(said.stdout.contains("cam-7 is not forbidden") && said.stdout.contains("withdrawn"));
    assert_eq!(server.json(&["streams"]), serde_json::json!([]));
}

#[test]
fn what_is_wrong_with_an_argument_is_usage() {
    let server = Server::start();
    for args in [
        &["forbid", "a/b"][..],
        &["forbid", ".."],
        &["forbid", ""],
        &["status", "cam 7"],
        &["forbid", "cam-7", "--for", "2 hours"],
        &["forbid", "cam-7", "--for", "0s"],
        &["forbid", "cam-7", "--until", "tomorrow"],
        &["forbid", "cam-7", "--until", "2001-01-01T00:00:00Z"],
        &["forbid", "cam-7", "--forever", "--for", "2h"],
        &["publish-url", "cam-7", "--recipe", "other"],
        &["publish-url", "cam-7", "--ttl", "x"],
        &["app", "show", "--app-id", "0"],
        &["sign", "ForbidCDNLiveStream", "StreamId"],
        &["audit", "verify", "--head", "x"],
        &["nonsense"],
        &[],
    ] {
        let ran = server.run(args);
        assert_eq!(ran.code, 2, "{args:?}: {ran:?}");
        assert!(
            ran.stdout.is_empty() && !ran.stderr.is_empty(),
            "{args:?}: {ran:?}"
        );
    }
    assert_eq!(server.json(&["blocks"])["total"], 0);
}

#[test]
fn a_rotated_secret_leaves_the_earlier_one_a_day_unless_ended_now() {
    let server = Server::start();
    let (app, first) = server.first_app();
    let code = |secret: &str| {
        server.call(app, secret, "QueryForbidCDNLiveStream", "Vendor=origin")["Code"].clone()
    };
    let rotated = server.json(&["app", "rotate-secret"]);
    has_fields(&rotated, &["app_id", "server_secret", "earlier_ends"]);
    let second = rotated["server_secret"]
        .as_str()
        .expect("a secret")
        .to_owned();
    assert_eq!((code(&first), code(&second)), (0.into(), 0.into()));
    assert_eq!(server.json(&["app", "show"])["secrets"], 2);

    let rotated = server.json(&["app", "rotate-secret", "--now"]);
    let third = rotated["server_secret"]
        .as_str()
        .expect("a secret")
        .to_owned();
    assert_eq!(code(&third), 0);
    assert_eq!((code(&first), code(&second)), (3.into(), 3.into()));
}

#[test]
fn a_rotated_publish_key_is_another_one_each_time() {
    let server = Server::start();
    let url = || server.json(&["publish-url", "cam"])["url"].clone();
    let first = url();
    let rotated = server.json(&["app", "rotate-publish-key"]);
    has_fields(&rotated, &["app_id", "publish_key", "earlier_kept"]);
    assert_eq!(rotated["earlier_kept"], true);
    assert_ne!(url(), first);
    let again = server.json(&["app", "rotate-publish-key", "--now"]);
    assert_eq!(again["earlier_kept"], false);
    assert_ne!(again["publish_key"], rotated["publish_key"]);
}

#[test]
fn a_disabled_app_authenticates_nobody_until_it_is_enabled() {
    let server = Server::start();
    let (app, secret) = server.first_app();
    let code =
        || server.call(app, &secret, "QueryForbidCDNLiveStream", "Vendor=origin")["Code"].clone();
    assert_eq!(server.json(&["app", "disable"])["disabled"], true);
    assert_eq!(code(), 3);
    assert_eq!(server.json(&["app", "enable"])["disabled"], false);
    assert_eq!(code(), 0);
}

#[test]
fn signed_urls_work_as_they_are_printed() {
    let server = Server::start();
    let url = server.json(&["sign", "ForbidCDNLiveStream", "StreamId=cam-7"]);
    let url = url["url"].as_str().expect("a URL").to_owned();
    let path = url
        .strip_prefix(&format!("http://{}", server.api))
        .expect("this server");
    let (status, body) = harness::get(&server.api, path);
    assert!(status == 200 && body.contains("\"Code\":0"), "{body}");
    assert_eq!(server.json(&["blocks"])["total"], 1);
    let plain = server.run(&[
        "sign",
        "ResumeCDNLiveStream",
        "StreamId=cam-7",
        "--base-url",
        "https://e.example",
    ]);
    assert!(
        plain
            .stdout
            .starts_with("https://e.example/?Action=ResumeCDNLiveStream&"),
        "{plain:?}"
    );

    let published = server.json(&["publish-url", "cam-7", "--recipe", "huawei", "--ttl", "1h"]);
    has_fields(&published, &["url", "play", "expires"]);
    let url = published["url"].as_str().expect("a URL");
    assert!(
        url.starts_with(&format!("rtmp://{}/live/cam-7?hwSecret=", server.rtmp)),
        "{url}"
    );
    let plain = server.run(&["publish-url", "cam-7", "--host", "edge.example"]);
    assert!(plain.stdout.starts_with("rtmp://edge.example"), "{plain:?}");
    assert_eq!(plain.stdout.lines().count(), 1);
}

#[test]
fn the_audit_chain_is_checked_with_the_server_up_and_down() {
    let server = Server::start();
    let place = server.place.clone();
    server.json(&["forbid", "cam-7"]);
    let head = server.run(&["audit", "head"]).stdout.trim().to_owned();
    let head_file = place.beside("head");
    std::fs::write(&head_file, &head).expect("written");
    let api = format!("http://{}", server.api);
    let through_v1 = server.run(&["audit", "head", "--server", &api]);
    assert_eq!(through_v1.stdout.trim(), head);
    server.json(&["resume", "cam-7"]);
    let verified = server.json(&["audit", "verify", "--head", &head]);
    has_fields(&verified, &["intact", "length", "hash", "problem"]);
    assert_eq!(verified["intact"], true);
    assert!(server.stop().success());

    let name = head_file.to_str().expect("text");
    let ran = run(&place.data(), ["audit", "verify", "--head", name]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let beyond = format!("99999:{}", "0".repeat(64));
    let ran = run(&place.data(), ["audit", "verify", "--head", &beyond]);
    assert_eq!(ran.code, 3, "a cut tail: {ran:?}");
    let forged = format!("1:{}", "0".repeat(64));
    let ran = run(
        &place.data(),
        ["audit", "verify", "--json", "--head", &forged],
    );
    assert_eq!(ran.code, 3, "a rewritten link: {ran:?}");
    assert_eq!(ran.json_whatever_the_code()["intact"], false);
    let ran = run(&Place::new().data(), ["audit", "verify"]);
    assert_eq!(ran.code, 1, "no ledger: {ran:?}");
}

#[test]
fn the_server_says_how_it_is() {
    let server = Server::start();
    let status = server.json(&["server", "status"]);
    assert_eq!(status["ready"], true);
    assert_eq!(status["alarms"], serde_json::json!([]));
    assert_eq!(status["listeners"]["rtmp"], server.rtmp);
    assert!(
        server
            .run(&["server", "status"])
            .stdout
            .contains("no alarm")
    );
    assert_eq!(server.json(&["clock", "accept"]), serde_json::json!({}));
}

#[test]
fn nobody_there_is_told_apart_from_a_refusal() {
    let place = Place::new();
    let ran = run(&place.data(), ["app", "list"]);
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(ran.stderr.contains("tidegate serve"), "{ran:?}");
    assert!(!place.data().exists(), "a client makes no data directory");

    let server = Server::start();
    let wrong = server.place.beside("token");
    std::fs::write(&wrong, "wrong\n").expect("written");
    let wrong = wrong.to_str().expect("text");
    let ran = server.run(&["app", "list", "--token-file", wrong]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("--token-file"), "{ran:?}");
    std::fs::remove_file(server.place.data().join("admin-token")).expect("removed");
    let ran = server.run(&["app", "list"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.stderr.contains("admin-token rotate --offline"),
        "{ran:?}"
    );
}

#[test]
fn server_and_token_come_from_the_environment_too() {
    let server = Server::start();
    let token = server.place.data().join("admin-token");
    let text = std::fs::read_to_string(&token).expect("a token");
    let elsewhere = Place::new();
    for (name, value) in [
        ("TIDEGATE_TOKEN_FILE", token.to_str().expect("text")),
        ("TIDEGATE_TOKEN", text.trim()),
    ] {
        let mut command = tidegate();
        command
            .env("TIDEGATE_DATA_DIR", elsewhere.data())
            .env("TIDEGATE_SERVER", format!("http://{}", server.api))
            .env(name, value)
            .args(["app", "list", "--json"]);
        assert_eq!(finish(command).json().as_array().map(Vec::len), Some(1));
    }
}

#[test]
fn the_admin_token_is_rotated_up_and_down() {
    let server = Server::start();
    let place = server.place.clone();
    let file = place.data().join("admin-token");
    let read = || {
        std::fs::read_to_string(&file)
            .expect("a token")
            .trim()
            .to_owned()
    };
    let first = read();
    let answer = server.json(&["admin-token", "rotate"]);
    assert_eq!(answer["admin_token"], read());
    assert_ne!(first, read());
    assert_eq!(server.run(&["app", "list"]).code, 0);
    let held = server.run(&["admin-token", "rotate", "--offline"]);
    assert_eq!(held.code, 1, "{held:?}");
    assert!(server.stop().success());

    std::fs::remove_file(&file).expect("removed");
    let ran = run(
        &place.data(),
        ["admin-token", "rotate", "--offline", "--json"],
    );
    assert_eq!(ran.json()["admin_token"], read());
    let server = Server::start_in(&place, &[]);
    assert_eq!(server.run(&["app", "list"]).code, 0);
    let ran = run(&Place::new().data(), ["admin-token", "rotate", "--offline"]);
    assert_eq!(ran.code, 1, "no ledger: {ran:?}");
}

#[test]
fn help_names_the_exit_codes_and_completions_every_command() {
    let place = Place::new();
    let help = run(&place.data(), ["--help"]);
    assert_eq!(help.code, 0);
    assert!(help.stdout.contains("Exit codes:") && help.stdout.contains("Examples:"));
    let version = run(&place.data(), ["--version"]);
    assert_eq!(
        version.stdout,
        format!("tidegate {}\n", env!("CARGO_PKG_VERSION"))
    );
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&place.data(), ["completions", shell]);
        assert!(
            script.code == 0 && script.stdout.contains("publish-url"),
            "{shell}"
        );
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    use std::process::Stdio;
    let mut command = tidegate();
    command
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("it runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    assert!(
        output.stderr.is_empty(),
        "{:?}",
        String::from_utf8_lossy(&output.stderr)
    );
}

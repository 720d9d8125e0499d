//! Two servers on one PostgreSQL ledger enforce each other's decisions.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

#[path = "../../tidegate-ledger/tests/support/cluster.rs"]
mod cluster;
#[path = "common/encoder.rs"]
mod encoder;
#[path = "common/harness.rs"]
mod harness;

use cluster::{Cluster, PASSWORD};
use encoder::Encoder;
use harness::{Place, Ran, Server, finish, tidegate, wait_for};
use rustix::process::Signal;

const URL: &str = "TIDEGATE__LEDGER__URL";

/// A second server's directory: the key and the token are copied by hand, as the manual says.
fn second_place(first: &Place) -> Place {
    let place = Place::new();
    std::fs::create_dir(place.data()).expect("made");
    for name in ["secrets.key", "admin-token"] {
        std::fs::copy(first.data().join(name), place.data().join(name)).expect("copied");
    }
    place
}

/// A command that works on the ledger itself.
fn on_ledger(place: &Place, url: &str, args: &[&str]) -> Ran {
    let mut command = tidegate();
    command
        .env(URL, url)
        .arg("--data-dir")
        .arg(place.data())
        .args(args);
    finish(command)
}

fn wait_live(server: &Server, stream: &str) {
    wait_for("the publish", || {
        let streams = server.json(&["streams"]);
        let found = streams.as_array()?.iter().any(|s| s["stream"] == stream);
        found.then_some(())
    });
}

fn publish(server: &Server, name: &str, stream: &str) -> Encoder {
    let url = server.json(&["publish-url", stream])["url"].clone();
    Encoder::start(&server.place, name, url.as_str().expect("a URL"))
}

fn blocked(server: &Server, stream: &str) -> bool {
    let blocks = server.json(&["blocks"]);
    let rows = blocks.as_array().or_else(|| blocks["blocks"].as_array());
    rows.expect("a list")
        .iter()
        .any(|row| row["stream"] == stream)
}

#[test]
fn two_servers_enforce_each_others_decisions() {
    let cluster = Cluster::shared();
    let url = cluster.database();
    let first = Server::start_in(&Place::new(), &[(URL, &url)]);
    let place = second_place(&first.place);
    let second = Server::start_in(&place, &[(URL, &url)]);
    let (app, secret) = first.first_app();

    let encoder = publish(&second, "publisher", "demo");
    wait_live(&second, "demo");
    let answer = first.call(app, &secret, "ForbidCDNLiveStream", "StreamId=demo");
    assert_eq!(answer["Code"], 0, "{answer}");
    encoder.wait();
    assert!(blocked(&second, "demo"), "the other server has the block");
    publish(&second, "refused", "demo").wait();
    assert_eq!(second.json(&["streams"]).as_array().map(Vec::len), Some(0));

    let answer = first.call(app, &secret, "ResumeCDNLiveStream", "StreamId=demo");
    assert_eq!(answer["Code"], 0, "{answer}");
    wait_for("the resume to arrive", || {
        (!blocked(&second, "demo")).then_some(())
    });
    let encoder = publish(&second, "again", "demo");
    wait_live(&second, "demo");

    let created = first.json(&["app", "create", "--name", "other"]);
    let id = created["app_id"].clone();
    wait_for("the App to arrive", || {
        let apps = second.json(&["app", "list"]);
        let known = apps.as_array()?.iter().any(|row| row["app_id"] == id);
        known.then_some(())
    });
    let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
    let disabled = first.run(&["app", "disable", "--app-id", &app.to_string()]);
    assert_eq!(disabled.code, 0, "{disabled:?}");
    encoder.wait();

    first.signal(Signal::KILL);
    first.wait();
    let forbidden = second.run(&["forbid", "cam", "--app-id", &id]);
    assert_eq!(forbidden.code, 0, "one server is enough: {forbidden:?}");
    assert!(
        !second.log().contains(PASSWORD),
        "the password is in no log"
    );
    let refused = on_ledger(&place, &url, &["ledger", "restore", "x.db", "--yes"]);
    assert_ne!(refused.code, 0, "not under a running server: {refused:?}");
    let verified = on_ledger(&place, &url, &["audit", "verify", "--json"]).json();
    assert_eq!(verified["intact"], true, "{verified}");
    assert!(second.stop().success());
}

#[test]
fn a_ledger_is_moved_by_the_command_line() {
    let cluster = Cluster::shared();
    let url = cluster.database();
    let server = Server::start();
    let place = server.place.clone();
    let (app, secret) = server.first_app();
    let answer = server.call(app, &secret, "ForbidCDNLiveStream", "StreamId=demo");
    assert_eq!(answer["Code"], 0, "{answer}");
    let copy = ["ledger", "copy", "--to", &url, "--json"];
    let running = harness::run(&place.data(), copy);
    assert_eq!(running.code, 1, "{running:?}");
    assert!(
        running.stderr.contains("another tidegate server"),
        "{running:?}"
    );
    assert!(server.stop().success());

    let copied = harness::run(&place.data(), copy).json();
    assert_eq!(copied["rows"]["decisions"], 1, "{copied}");
    let again = harness::run(&place.data(), copy);
    assert_eq!(again.code, 1, "{again:?}");
    assert!(!format!("{again:?}").contains(PASSWORD), "{again:?}");

    let server = Server::start_in(&place, &[(URL, &url)]);
    assert!(blocked(&server, "demo"), "the block came along");
    let backup = place.beside("backup.db");
    let backup_path = backup.to_str().expect("a path");
    assert_eq!(server.run(&["ledger", "backup", backup_path]).code, 0);
    let answer = server.call(app, &secret, "ResumeCDNLiveStream", "StreamId=demo");
    assert_eq!(answer["Code"], 0, "the copied secret signs: {answer}");
    assert!(server.stop().success());

    let restored = on_ledger(
        &place,
        &url,
        &["ledger", "restore", backup_path, "--yes", "--json"],
    );
    assert_eq!(restored.json()["resumes_held"], true);
    let server = Server::start_in(&place, &[(URL, &url)]);
    assert!(blocked(&server, "demo"), "as in the backup");
    assert_eq!(server.run(&["ledger", "confirm"]).code, 0);
    assert!(server.stop().success());
}

//! Backup, restore and confirm, with the server up and down.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "what fails here is a test"
)]

#[path = "common/harness.rs"]
mod harness;

use harness::{Place, Server, run};

fn blocked(server: &Server) -> Vec<String> {
    let blocks = server.json(&["blocks"]);
    let blocks = blocks["blocks"].as_array().expect("a list");
    let mut names: Vec<_> = blocks.iter().map(|b| b["stream"].to_string()).collect();
    names.sort();
    names
}

fn held(server: &Server) -> bool {
    let status = server.json(&["server", "status"]);
    let alarms = status["alarms"].as_array().expect("a list");
    alarms.iter().any(|alarm| alarm["kind"] == "resumes_held")
}

#[test]
fn a_restore_into_a_running_server_holds_resumes_until_confirmed() {
    let server = Server::start();
    let file = server.place.beside("backup.db");
    let name = file.to_str().expect("text");
    server.json(&["forbid", "one"]);
    let answer = server.json(&["ledger", "backup", name]);
    assert_eq!(answer["path"], name);
    let again = server.run(&["ledger", "backup", name]);
    assert_ne!(again.code, 0, "a backup never overwrites: {again:?}");
    server.json(&["forbid", "two"]);

    let unasked = server.run(&["ledger", "restore", name]);
    assert_eq!(unasked.code, 2, "{unasked:?}");
    assert!(!held(&server));
    server.json(&["ledger", "restore", name, "--yes"]);
    assert!(held(&server));
    let two = server.json(&["status", "two"]);
    assert_eq!(two["blocked"], true, "a restore is no resume: {two}");
    assert_eq!(two["recorded"], false, "{two}");
    let resumed = server.run(&["resume", "one", "--json"]);
    assert_eq!(resumed.code, 5, "recorded, and held: {resumed:?}");
    assert!(blocked(&server).contains(&"\"one\"".to_owned()));

    let (app, _) = server.first_app();
    let confirmed = server.json(&["ledger", "confirm"]);
    assert_eq!(
        confirmed["opened"],
        serde_json::json!([format!("{app}/one")])
    );
    assert!(!held(&server));
    assert!(!blocked(&server).contains(&"\"one\"".to_owned()));
    assert_eq!(server.run(&["audit", "verify"]).code, 0);
}

#[test]
fn backup_and_restore_work_on_the_files_of_a_stopped_server() {
    let server = Server::start();
    let place = server.place.clone();
    server.json(&["forbid", "one"]);
    assert!(server.stop().success());
    let file = place.beside("backup.db");
    let name = file.to_str().expect("text");
    let ran = run(&place.data(), ["ledger", "backup", name]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains("key file"), "{ran:?}");

    let server = Server::start_in(&place, &[]);
    server.json(&["resume", "one"]);
    server.json(&["admin-token", "rotate"]);
    assert!(server.stop().success());
    let ran = run(&place.data(), ["ledger", "restore", name, "--yes"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let server = Server::start_in(&place, &[]);
    assert_eq!(
        blocked(&server),
        ["\"one\""],
        "and the token of today still opens it"
    );
    assert!(held(&server));
    assert_eq!(
        server.json(&["ledger", "confirm"])["opened"],
        serde_json::json!([])
    );
    assert_eq!(server.run(&["audit", "verify"]).code, 0);
}

#[test]
fn a_ledger_comes_to_another_machine_with_its_key_and_not_without() {
    let server = Server::start();
    let place = server.place.clone();
    server.json(&["forbid", "one"]);
    let file = place.beside("backup.db");
    let name = file.to_str().expect("text");
    server.json(&["ledger", "backup", name]);

    let other = Place::new();
    let ran = run(&other.data(), ["ledger", "restore", name, "--yes"]);
    assert_ne!(ran.code, 0, "no such directory: {ran:?}");
    std::fs::create_dir(other.data()).expect("made");
    let ran = run(&other.data(), ["ledger", "restore", name, "--yes"]);
    assert_eq!(ran.code, 1, "no key: {ran:?}");
    assert!(ran.stderr.contains("secrets.key"), "{ran:?}");
    let key = "secrets.key";
    std::fs::copy(place.data().join(key), other.data().join(key)).expect("copied");
    let ran = run(&other.data(), ["ledger", "restore", name, "--yes"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = run(&other.data(), ["admin-token", "rotate", "--offline"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let server = Server::start_in(&other, &[]);
    assert_eq!(blocked(&server), ["\"one\""]);
}

#[test]
fn what_is_no_backup_is_refused_and_changes_nothing() {
    let server = Server::start();
    server.json(&["forbid", "one"]);
    let file = server.place.beside("garbage.db");
    std::fs::write(&file, "not a ledger").expect("written");
    let name = file.to_str().expect("text");
    for path in [name, "/no/such/file"] {
        let ran = server.run(&["ledger", "restore", path, "--yes"]);
        assert_ne!(ran.code, 0, "{ran:?}");
    }
    assert!(!held(&server));
    assert_eq!(blocked(&server), ["\"one\""]);
    let nowhere = server.run(&["ledger", "backup", "/no/such/dir/file"]);
    assert_eq!(nowhere.code, 1, "{nowhere:?}");
}

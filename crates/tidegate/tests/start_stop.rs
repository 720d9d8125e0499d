//! The first start, what it leaves on disk, and how a server stops or refuses to start.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "what fails here is a test"
)]

#[path = "common/harness.rs"]
mod harness;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use harness::{Place, Server, finish, get, run, tidegate, wait_for};
use rustix::process::Signal;
use serde_json::Value;

fn mode(path: &Path) -> u32 {
    path.metadata().expect("there").permissions().mode() & 0o777
}

#[test]
fn the_first_start_puts_its_secrets_into_private_files_and_prints_none() {
    let server = Server::start();
    let data = server.place.data();
    for name in ["admin-token", "first-app.json", "secrets.key", "ledger.db"] {
        assert_eq!(mode(&data.join(name)), 0o600, "{name}");
    }
    assert_eq!(mode(&data), 0o700);
    let text = std::fs::read_to_string(data.join("first-app.json")).expect("read");
    let app: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(app["rtmp_app"], "live");
    let token = std::fs::read_to_string(data.join("admin-token")).expect("read");
    let printed =
        std::fs::read_to_string(server.place.beside("out")).expect("read") + &server.log();
    assert!(printed.contains("first-app.json"), "{printed}");
    for secret in ["server_secret", "callback_secret", "publish_key"] {
        let secret = app[secret].as_str().expect(secret);
        assert!(secret.len() == 32 && !printed.contains(secret), "{printed}");
    }
    assert!(!printed.contains(token.trim()), "{printed}");

    let (id, secret) = server.first_app();
    let answer = server.call(id, &secret, "QueryForbidCDNLiveStream", "Vendor=origin");
    assert_eq!(answer["Code"], 0, "{answer}");
}

#[test]
fn a_second_start_keeps_what_the_first_made() {
    let server = Server::start();
    let place = server.place.clone();
    let before = std::fs::read(place.data().join("first-app.json")).expect("read");
    assert!(server.stop().success());
    let server = Server::start_in(&place, &[]);
    let after = std::fs::read(place.data().join("first-app.json")).expect("read");
    assert_eq!(before, after);
    let apps = server.json(&["app", "list"]);
    assert_eq!(apps.as_array().map(Vec::len), Some(1));
    assert_eq!(apps[0]["app_id"], server.first_app().0);
}

#[test]
fn a_start_that_was_cut_short_before_the_token_counted_is_made_good() {
    let server = Server::start();
    let place = server.place.clone();
    // The files exist and nothing of them counts: as after a crash before the ledger's commit.
    let files = ["admin-token", "first-app.json"];
    let old = files.map(|f| std::fs::read(place.data().join(f)).expect("read"));
    drop(server);
    for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
        let _ = std::fs::remove_file(place.data().join(name));
    }
    let server = Server::start_in(&place, &[]);
    let new = files.map(|f| std::fs::read(place.data().join(f)).expect("read"));
    assert!(old[0] != new[0] && old[1] != new[1]);
    assert_eq!(
        server.json(&["app", "list"])[0]["app_id"],
        server.first_app().0
    );
}

#[test]
fn listen_json_names_the_real_addresses_and_goes_with_the_server() {
    let server = Server::start();
    let file = server.place.data().join("listen.json");
    assert_eq!(get(&server.api, "/healthz").0, 200);
    assert_eq!(get(&server.api, "/readyz").0, 200);
    assert_eq!(get(&server.media, "/live/none.flv").0, 404);
    std::net::TcpStream::connect(&server.rtmp).expect("RTMP listens");
    let (place, api) = (server.place.clone(), format!("http://{}", server.api));
    assert!(server.stop().success());
    assert!(!file.exists());
    let log = std::fs::read_to_string(place.beside("log")).expect("log");
    assert!(log.contains(&api) && log.contains("\"stopped\""), "{log}");
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).expect("one object a line");
        for field in ["timestamp", "level", "target", "message"] {
            assert!(line[field].is_string(), "{line}");
        }
    }
}

#[test]
fn a_second_server_on_one_directory_is_refused_with_the_holder_named() {
    let server = Server::start();
    let second = run(&server.place.data(), ["serve"]);
    assert_eq!(second.code, 1, "{second:?}");
    assert!(
        second.stderr.contains(&format!("pid {}", server.pid())),
        "{second:?}"
    );
    assert_eq!(server.run(&["app", "list"]).code, 0);
}

#[test]
fn a_port_that_is_taken_is_named_with_its_key() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = holder.local_addr().expect("bound").to_string();
    for (variable, key) in [
        ("TIDEGATE__LISTEN__RTMP", "listen.rtmp"),
        ("TIDEGATE__LISTEN__MEDIA", "listen.media"),
        ("TIDEGATE__LISTEN__API", "listen.api"),
    ] {
        let place = Place::new();
        let mut command = tidegate();
        command.env(variable, &taken);
        command.arg("serve").arg("--data-dir").arg(place.data());
        let ran = finish(command);
        assert_eq!(ran.code, 1, "{ran:?}");
        let sentence = ran.stderr.lines().last().unwrap_or_default();
        assert!(
            sentence.contains(&taken) && sentence.contains(key),
            "{sentence}"
        );
        assert!(!place.data().join("listen.json").exists());
    }
}

#[test]
fn a_missing_or_wrong_key_file_is_refused_and_the_ledger_left_alone() {
    let server = Server::start();
    let place = server.place.clone();
    assert!(server.stop().success());
    let key = place.data().join("secrets.key");
    let right = std::fs::read_to_string(&key).expect("a key");
    std::fs::remove_file(&key).expect("removed");
    let ran = run(&place.data(), ["serve"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("secrets.key is missing"), "{ran:?}");
    assert!(!key.exists(), "no key may be made for an old ledger");

    std::fs::write(&key, "00".repeat(32)).expect("written");
    let ran = run(&place.data(), ["serve"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("holds another"), "{ran:?}");

    std::fs::write(&key, right).expect("written");
    let server = Server::start_in(&place, &[]);
    let (id, secret) = server.first_app();
    let answer = server.call(id, &secret, "QueryForbidCDNLiveStream", "Vendor=origin");
    assert_eq!(answer["Code"], 0, "{answer}");
}

#[test]
fn signals_stop_it_in_order_and_a_hang_up_without_a_terminal_does_not() {
    for signal in [Signal::INT, Signal::TERM] {
        let server = Server::start();
        server.signal(Signal::HUP);
        wait_for("the line about the hang-up", || {
            server.log().contains("SIGHUP ignored").then_some(())
        });
        assert_eq!(get(&server.api, "/healthz").0, 200);
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(0));
    }
}

#[test]
fn a_block_outlives_a_kill() {
    let server = Server::start();
    let place = server.place.clone();
    server.json(&["forbid", "cam-7"]);
    server.signal(Signal::KILL);
    assert!(!server.wait().success());
    assert!(
        place.data().join("listen.json").exists(),
        "nobody removed it"
    );
    let ran = run(&place.data(), ["app", "list"]);
    assert_eq!(ran.code, 4, "a stale listen.json leads to nobody: {ran:?}");
    let server = Server::start_in(&place, &[]);
    assert_eq!(server.json(&["blocks"])["blocks"][0]["stream"], "cam-7");
}

#[test]
fn a_wrong_configuration_stops_the_start_with_file_and_line() {
    let place = Place::new();
    let file = place.beside("t.toml");
    std::fs::write(&file, "[listen]\nrtpm = \"127.0.0.1:0\"\n").expect("written");
    let name = file.to_str().expect("text");
    for command in [&["serve"][..], &["config", "check"], &["app", "list"]] {
        let mut args = vec!["--config", name];
        args.extend(command);
        let ran = run(&place.data(), &args);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(
            ran.stderr
                .contains("t.toml:2: unknown key `listen.rtpm`; did you mean `listen.rtmp`?"),
            "{ran:?}"
        );
    }
    assert!(!place.data().exists(), "nothing is made by a wrong start");
    std::fs::write(&file, "[listen]\nrtmp = \"127.0.0.1:7\"\n").expect("written");
    let ran = run(
        &place.data(),
        ["--config", name, "config", "show", "--json"],
    );
    assert_eq!(
        ran.json()["listen.rtmp"],
        "127.0.0.1:0",
        "the variable wins over the file"
    );
    assert_eq!(ran.json()["data_dir"], place.data().to_str().expect("text"));
}

//! What `status` and a dry run say about streams on simulated CDNs.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

#[path = "common/harness.rs"]
mod harness;
#[path = "common/simulated.rs"]
mod simulated;

use harness::{Place, Server, wait_for};
use serde_json::Value;
use simulated::Simulated;

/// Columns of a terminal at night.
const COLUMNS: usize = 100;

fn run(server: &Server, args: &[String]) {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let ran = server.run(&args);
    assert_eq!(ran.code, 0, "{ran:?}");
}

/// The text of `status`, no line of which is too long.
fn status(server: &Server, stream: &str) -> String {
    let ran = server.run(&["status", stream]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for line in ran.stdout.lines() {
        assert!(line.chars().count() <= COLUMNS, "{line:?}");
    }
    ran.stdout
}

fn target<'a>(state: &'a Value, vendor: &str) -> &'a Value {
    let targets = state["targets"].as_array().expect("targets");
    let found = targets.iter().find(|target| target["vendor"] == vendor);
    found.expect(vendor)
}

#[test]
fn status_says_where_each_cdn_stands_and_a_dry_run_changes_nothing() {
    let place = Place::new();
    let server = Server::start_in(&place, &[]);
    let cdns = ["aliyun", "tencent"].map(|vendor| Simulated::start(&place, vendor));
    for cdn in &cdns {
        run(&server, &cdn.account_args());
        run(&server, &cdn.target_args());
    }
    let dry = server.run(&["forbid", "cam-7", "--dry-run"]);
    assert_eq!(dry.code, 0, "{dry:?}");
    for part in [
        "Dry run, nothing is decided: ",
        "cam-7 would be forbidden until lifted.",
        "  origin:   refuse publishing; nobody is publishing right now",
        "account aliyun: due now: forbid until ",
        "CAREFUL: Tencent compares the stream name alone",
    ] {
        assert!(dry.stdout.contains(part), "{part:?} in {}", dry.stdout);
    }
    let before = status(&server, "cam-7");
    assert!(before.contains("cam-7 is not forbidden"), "{before}");
    assert!(before.contains("nothing decided"), "{before}");
    assert!(
        cdns.iter()
            .all(|cdn| cdn.bans().to_string().find("cam-7").is_none())
    );

    assert_eq!(server.run(&["forbid", "cam-7"]).code, 0);
    let state = wait_for("a dark stream", || {
        let state = server.json(&["status", "cam-7"]);
        let at_tencent = target(&state, "tencent");
        let dark = at_tencent["observed"] == "dark" && at_tencent["dark_since"].is_string();
        dark.then_some(state)
    });
    let accepted = target(&state, "tencent");
    let id = accepted["vendor_request_id"].as_str().expect("an id");
    let after = status(&server, "cam-7");
    for part in [
        "tencent target 3: dark (",
        "  wanted      banned until lifted, by decision 1",
        "  next        the ban is renewed at ",
        "  shared      Tencent compares the stream name alone",
        id,
    ] {
        assert!(after.contains(part), "{part:?} in {after}");
    }
}

#[test]
fn what_needs_a_person_stands_out_and_says_what_to_do() {
    let place = Place::new();
    let server = Server::start_in(&place, &[]);
    let cdn = Simulated::start(&place, "huawei");
    run(&server, &cdn.account_args());
    run(&server, &cdn.target_args());
    cdn.set_faults("[[fault]]\nkind = \"expired-key\"\n");
    let said = server.run(&["forbid", "cam-7"]);
    assert_eq!(said.code, 5, "{said:?}");
    let text = wait_for("a refusal", || {
        let text = status(&server, "cam-7");
        text.contains("NEEDS A PERSON").then_some(text)
    });
    for part in [
        "huawei target 2: NEEDS A PERSON (",
        "  to do       put the key right with `tidegate account rotate huawei`",
        "  accepted    nothing yet",
        "  last error  1 failure (class credentials), the last at ",
        "`tidegate account test huawei` tells more",
        "  next        after 1 failure, tried again at ",
    ] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    let state = server.json(&["status", "cam-7"]);
    let refused = target(&state, "huawei");
    assert_eq!(refused["needs_a_person"], true, "{refused}");
    assert_eq!(refused["last_error"]["class"], "credentials");
    assert!(refused["next_attempt"].is_string(), "{refused}");
}

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
#[path = "common/fleet.rs"]
mod fleet;
#[path = "common/harness.rs"]
mod harness;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cluster::{Cluster, PASSWORD};
use encoder::Encoder;
use fleet::{App, Fleet};
use harness::{Place, Ran, Server, finish, tidegate, wait_for};
use rustix::process::Signal;
use serde_json::Value;
use tidegate_core::UnixMs;
use tidegate_sim::{Effect, Entry, Fault, Operation, Rule, StreamName, Vendor};

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

/// Streams of each App that the callers of a takeover decide on.
const STREAMS: [usize; 2] = [24, 3];
/// Calls for an object that a dead server had out are left alone for so long at most.
const SETTLED: Duration = Duration::from_secs(90);

/// Decides on its streams at one server, over and over; returns the newest end of each, in unix
/// seconds, and how many decisions there were before it.
fn keep_deciding(
    server: &Server,
    app: &App,
    streams: &[String],
    stop: &AtomicBool,
) -> BTreeMap<String, Vec<Option<i64>>> {
    let mut told: BTreeMap<String, Vec<Option<i64>>> = BTreeMap::new();
    let start = UnixMs::from_seconds(jiff::Timestamp::now().as_second()).seconds() + 86_400;
    for nth in 0.. {
        for stream in streams {
            // The first decision of all is a forbid, and so is every one but each third.
            let end = (nth % 3 != 2).then(|| start + nth * 3600);
            let params = end.map_or(String::new(), |end| {
                let end = jiff::Timestamp::from_second(end).expect("an instant");
                format!("&ResumeTime={end}")
            });
            let action = match end {
                Some(_) => "ForbidCDNLiveStream",
                None => "ResumeCDNLiveStream",
            };
            let params = format!("StreamId={stream}{params}");
            let answer = server.call(app.id, &app.secret, action, &params);
            assert_eq!(answer["Code"], 0, "{answer}");
            told.entry(stream.clone()).or_default().push(end);
            if stop.load(Ordering::Relaxed) && told.len() == streams.len() {
                return told;
            }
        }
    }
    told
}

/// How the accounts fare, as this server sees those that it drives.
fn driven(server: &Server) -> Vec<Value> {
    let accounts = server.json(&["account", "list"]);
    let states = accounts.as_array().expect("accounts").iter();
    let states = states.map(|account| account["state"].clone());
    states.filter(|state| !state.is_null()).collect()
}

/// Calls for one stream, in the order in which they came.
fn calls_for(journal: &[Entry], name: &StreamName) -> Vec<Entry> {
    let mine = |entry: &&Entry| entry.name.as_ref() == Some(name) && !entry.operation.is_read();
    let mut calls: Vec<Entry> = journal.iter().filter(mine).cloned().collect();
    calls.sort_by_key(|entry| entry.arrived);
    calls
}

/// One call at a time, and none for an older decision after one for a newer.
fn in_order(calls: &[Entry], told: &[Option<i64>]) {
    let mut newest = 0;
    for (n, call) in calls.iter().enumerate() {
        let overlapping = calls[..n].iter().find(|e| e.answered > call.arrived);
        assert!(overlapping.is_none(), "{overlapping:?} and {call:?}");
        if let Effect::Forbade { until } = call.effect {
            let asked = told.iter().position(|end| *end == Some(until.seconds()));
            let nth = asked.unwrap_or_else(|| panic!("nobody asked for {call:?} in {told:?}"));
            assert!(nth >= newest, "decision {nth} after {newest}: {call:?}");
            newest = nth;
        }
    }
}

#[test]
fn calls_of_a_killed_server_end_before_another_goes_on_with_the_newest_decisions() {
    let cluster = Cluster::shared();
    let url = cluster.database();
    let env = [
        (URL, url.as_str()),
        ("TIDEGATE__SERVER_API__RATES__FORBID_CDN_LIVE_STREAM", "0"),
        ("TIDEGATE__SERVER_API__RATES__RESUME_CDN_LIVE_STREAM", "0"),
    ];
    let fleet = Fleet::start(3);
    let first = Server::start_in(&Place::new(), &env);
    let apps = fleet.connect(&first);
    wait_for("the first server to drive all accounts", || {
        (driven(&first).len() == fleet.cdns.len()).then_some(())
    });
    let second = Server::start_in(&second_place(&first.place), &env);
    assert!(driven(&second).is_empty(), "the other has all leases");

    let changes = [Operation::Forbid, Operation::Change, Operation::Resume];
    for cdn in &fleet.cdns {
        let slow = Fault::Latency {
            ms: 2500,
            after_effect: false,
        };
        cdn.sim.set_faults(vec![Rule::always(slow).on(&changes)]);
    }
    let stop = AtomicBool::new(false);
    let mut killed = fleet.now();
    let told: Vec<_> = std::thread::scope(|scope| {
        let mut callers = Vec::new();
        for (app, streams) in apps.iter().zip(STREAMS) {
            for caller in 0..3 {
                let name = |n| format!("{}-{n}", app.vendors[0].name());
                let streams: Vec<_> = (caller..streams).step_by(3).map(name).collect();
                let (second, stop) = (&second, &stop);
                let work = move || keep_deciding(second, app, &streams, stop);
                callers.push((app, scope.spawn(work)));
            }
        }
        // Each vendor has dealt with a call, and every desk has the next one out.
        wait_for("calls at every vendor", || {
            let calls =
                |cdn: &fleet::Cdn| cdn.sim.journal(0).iter().any(|e| !e.operation.is_read());
            fleet.cdns.iter().all(calls).then_some(())
        });
        wait_for("a call that is out", || {
            let out = |state: &Value| state["in_flight"].as_u64() > Some(0);
            driven(&first).iter().any(out).then_some(())
        });
        killed = fleet.now();
        first.signal(Signal::KILL);
        first.wait();
        wait_for("the other server to drive all accounts", || {
            (driven(&second).len() == fleet.cdns.len()).then_some(())
        });
        stop.store(true, Ordering::Relaxed);
        let joined = callers.into_iter();
        let told = joined.map(|(app, caller)| (app, caller.join().expect("a caller")));
        told.collect()
    });
    for cdn in &fleet.cdns {
        cdn.sim.set_faults(Vec::new());
    }

    let begun = Instant::now();
    for (app, told) in &told {
        for (stream, told) in told {
            let wanted = told.last().copied().flatten();
            let differs = |vendor: &Vendor| {
                let sim = &fleet
                    .cdns
                    .iter()
                    .find(|cdn| cdn.vendor == *vendor)
                    .expect("it")
                    .sim;
                let held = sim.held_until(&app.name(*vendor, stream));
                held.map(UnixMs::seconds) != wanted
            };
            let id = app.id.to_string();
            loop {
                let status = second.json(&["status", stream, "--app-id", &id]);
                let targets = status["targets"].as_array().expect("targets");
                let accepted = targets
                    .iter()
                    .all(|t| t["accepted_generation"] == t["wanted_generation"]);
                let differs: Vec<_> = app.vendors.iter().filter(|v| differs(v)).collect();
                if accepted && differs.is_empty() {
                    break;
                }
                let late = begun.elapsed() > SETTLED;
                assert!(!late, "{stream}: {differs:?} after {told:?}: {status}");
                std::thread::sleep(Duration::from_millis(200));
            }
        }
    }
    let mut out_at_the_kill = 0;
    for cdn in &fleet.cdns {
        let journal = cdn.sim.journal(0);
        let out = |e: &&Entry| e.arrived < killed && killed < e.answered;
        out_at_the_kill += journal.iter().filter(out).count();
        for (app, told) in told
            .iter()
            .filter(|(app, _)| app.vendors.contains(&cdn.vendor))
        {
            for (stream, told) in told {
                in_order(&calls_for(&journal, &app.name(cdn.vendor, stream)), told);
            }
        }
        for usage in cdn.sim.usage() {
            assert_eq!(usage.exceeded, 0, "{}: {usage:?}", cdn.vendor.name());
        }
    }
    assert!(
        out_at_the_kill > 0,
        "a call was out when its server was killed"
    );
    let place = second.place.clone();
    assert!(second.stop().success());
    let verified = on_ledger(&place, &url, &["audit", "verify", "--json"]).json();
    assert_eq!(verified["intact"], true, "{verified}");
}

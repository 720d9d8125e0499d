//! `kill -9` under load: whatever was answered is there after a restart, and enforced.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

#[path = "common/caller.rs"]
mod caller;
#[path = "common/harness.rs"]
mod harness;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use caller::Caller;
use harness::{Place, Server, get, signed_query, wait_for};
use rustix::process::Signal;
use serde_json::Value;

const CALLERS: usize = 64;
const ROUNDS: usize = 3;
/// Answers seen before the kill.
const ANSWERS: usize = 400;
const NO_LIMITS: &[(&str, &str)] = &[
    ("TIDEGATE__SERVER_API__RATES__FORBID_CDN_LIVE_STREAM", "0"),
    ("TIDEGATE__SERVER_API__RATES__RESUME_CDN_LIVE_STREAM", "0"),
];

/// What one caller saw of the stream that it alone calls about.
#[derive(Default, Clone)]
struct Seen {
    /// RequestIds of every acknowledged decision.
    acknowledged: Vec<String>,
    /// Whether the newest acknowledged decision was a forbid.
    forbidden: bool,
    /// What was sent and not answered when the server died.
    unanswered: Option<bool>,
}

/// Forbids and resumes one stream in turn until the server is gone.
fn call_until_the_end(
    api: &str,
    app: u64,
    secret: &str,
    stream: &str,
    answers: &AtomicUsize,
    seen: &mut Seen,
) {
    let Some(mut caller) = Caller::connect(api) else {
        return;
    };
    loop {
        let forbid = !seen.forbidden;
        let action = if forbid {
            "ForbidCDNLiveStream"
        } else {
            "ResumeCDNLiveStream"
        };
        seen.unanswered = Some(forbid);
        let query = signed_query(app, secret, action, &format!("StreamId={stream}"));
        let Some(answer) = caller.get(&format!("/?{query}"), "") else {
            return;
        };
        assert_eq!(answer["Code"], 0, "{answer}");
        seen.unanswered = None;
        seen.forbidden = forbid;
        seen.acknowledged
            .push(answer["RequestId"].as_str().expect("an id").to_owned());
        answers.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn kill_nine_under_load_loses_nothing_that_was_answered() {
    let place = Place::new();
    let mut all = vec![Seen::default(); CALLERS];
    for round in 0..ROUNDS {
        let server = Server::start_in(&place, NO_LIMITS);
        let (app, secret) = server.first_app();
        check(&server, &all);
        let answers = Arc::new(AtomicUsize::new(0));
        let callers: Vec<_> = all
            .drain(..)
            .enumerate()
            .map(|(n, mut seen)| {
                let (api, secret, answers) = (server.api.clone(), secret.clone(), answers.clone());
                thread::spawn(move || {
                    call_until_the_end(&api, app, &secret, &format!("cam{n}"), &answers, &mut seen);
                    seen
                })
            })
            .collect();
        let enough = ANSWERS + round * 37;
        wait_for("enough answers", || {
            (answers.load(Ordering::Relaxed) >= enough).then_some(())
        });
        server.signal(Signal::KILL);
        all.extend(
            callers
                .into_iter()
                .map(|caller| caller.join().expect("a caller")),
        );
        server.wait();
    }
    let server = Server::start_in(&place, NO_LIMITS);
    check(&server, &all);
    assert_eq!(
        server.run(&["audit", "verify"]).code,
        0,
        "the chain verifies, server up"
    );
    server.stop();
    assert_eq!(
        harness::run(&place.data(), ["audit", "verify"]).code,
        0,
        "and down"
    );
}

fn check(server: &Server, all: &[Seen]) {
    for (n, seen) in all.iter().enumerate() {
        if seen.acknowledged.is_empty() {
            continue;
        }
        let stream = format!("cam{n}");
        let (status, _) = get(&server.media, &format!("/live/{stream}.flv"));
        let enforced = status == 403;
        let may_differ = seen.unanswered.is_some_and(|asked| asked != seen.forbidden);
        assert!(
            enforced == seen.forbidden || may_differ,
            "{stream}: enforced {enforced}, {:?}",
            seen.unanswered
        );
        let status = server.json(&["status", &stream]);
        let decisions = status["decisions"].as_array().expect("decisions");
        let recorded: HashSet<_> = decisions
            .iter()
            .filter_map(|d| d["request_id"].as_str())
            .collect();
        // The status shows the newest decisions; one unanswered one a round may be among them.
        for id in seen
            .acknowledged
            .iter()
            .rev()
            .take(decisions.len().saturating_sub(ROUNDS))
        {
            assert!(
                recorded.contains(id.as_str()),
                "{stream}: {id} is not in the ledger"
            );
        }
    }
}

#[test]
fn a_retry_after_a_crash_gets_the_first_request_id_and_decides_nothing_new() {
    let place = Place::new();
    let server = Server::start_in(&place, &[]);
    let (app, secret) = server.first_app();
    let query = signed_query(app, &secret, "ForbidCDNLiveStream", "StreamId=cam");
    let (_, first) = get(&server.api, &format!("/?{query}"));
    let first: Value = serde_json::from_str(&first).expect("JSON");
    server.signal(Signal::KILL);
    server.wait();

    let server = Server::start_in(&place, &[]);
    let (_, again) = get(&server.api, &format!("/?{query}"));
    let again: Value = serde_json::from_str(&again).expect("JSON");
    assert_eq!(
        (&again["Code"], &again["RequestId"]),
        (&first["Code"], &first["RequestId"])
    );
    let turned = query.replace("StreamId=cam", "StreamId=other");
    let (_, turned) = get(&server.api, &format!("/?{turned}"));
    let turned: Value = serde_json::from_str(&turned).expect("JSON");
    assert_eq!(
        turned["Code"], 3,
        "a seen URL cannot be turned against another stream"
    );
    assert_eq!(get(&server.media, "/live/other.flv").0, 404);
    let status = server.json(&["status", "cam"]);
    assert_eq!(status["decisions"].as_array().expect("decisions").len(), 1);
}

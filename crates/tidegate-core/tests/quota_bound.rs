//! How close 100,000 decisions come to the time that a vendor's limits allow, on a simulated
//! clock.

use std::time::Duration;

use tidegate_core::backoff::{Jitter, Now};
use tidegate_core::breaker::Breaker;
use tidegate_core::budget::{Budget, CallKind, Rule, Span};
use tidegate_core::lanes::{Pick, Queue};
use tidegate_core::placement::{Change, Epoch, Limits, Lookup, Owner, OwnerId, Want};
use tidegate_core::reconcile::{Object, Outcome, Report, step};
use tidegate_core::{AppId, Generation, UnixMs, Until};

const DECISIONS: u32 = 100_000;
const START: i64 = 1_800_000_000_000;
const DAY: i64 = 86_400_000;
const LIMITS: Limits = Limits {
    longest_ban: Duration::from_secs(30 * 86_400),
    default_ban: Duration::from_secs(86_400),
    clock_skew: Duration::from_secs(300),
    change: Change::ResumeFirst,
    lookup: Lookup::Nothing,
    call_timeout: Duration::from_secs(10),
    scarce: false,
};

fn rule(calls: u32, span: Span, reserve: u32) -> Rule {
    let kinds = vec![CallKind::Forbid, CallKind::Resume];
    Rule {
        kinds,
        calls,
        span,
        reserve,
    }
}

/// Forbids `decisions` streams of four Apps at once; returns when the last call went out, in
/// milliseconds.
fn run(decisions: u32, rules: Vec<Rule>) -> Option<i64> {
    let mut budget = Budget::new(rules, None);
    budget.set_apps(4);
    let mut breaker = Breaker::default();
    let mut queue = Queue::default();
    let mut now = Now::agreed(UnixMs(START));
    let owner = |n: u32| Owner {
        id: OwnerId(1),
        app: AppId(1 + n % 4),
        generation: Generation(1),
        decided: UnixMs(START),
        want: Want::Banned(Until::Lifted),
    };
    let fresh = Object::default();
    for n in 0..decisions {
        let owners = [owner(n)];
        let plan = step(&fresh, &owners, &LIMITS, Epoch(0), now);
        queue.push(plan.work(n, &owners, now)?);
    }
    let report = Report {
        outcome: Outcome::Accepted { until: None },
        request_id: None,
        words: String::new(),
    };
    let mut accepted = 0;
    loop {
        match queue.pick(&mut budget, &mut breaker, now) {
            Pick::Do(work) => {
                let owners = [owner(work.key)];
                let mut object = Object::default();
                let plan = step(&object, &owners, &LIMITS, Epoch(0), now);
                let serial = object.begin(&plan, &owners, "a", &LIMITS, now)?;
                object.on_result(serial, &report, &LIMITS, Epoch(0), Jitter(0), now);
                object.accepted_generation(OwnerId(1))?;
                accepted += 1;
            }
            Pick::Wait(until) => now = Now::agreed(until),
            Pick::Idle => break,
        }
    }
    assert_eq!(accepted, decisions);
    Some(now.steady.0 - START)
}

fn assert_within_five_percent(took: i64, bound: i64) {
    assert!(took >= bound, "{took} ms is less than the limits allow");
    assert!(
        took * 100 <= bound * 105,
        "{took} ms, the bound is {bound} ms"
    );
}

fn daily(decisions: u32, span: Span) -> i64 {
    let second = rule(1, Span::Sliding(Duration::from_secs(1)), 0);
    run(decisions, vec![rule(500, span, 50), second]).unwrap_or(0)
}

#[test]
fn a_daily_quota_is_used_to_within_five_percent() {
    let took = daily(DECISIONS, Span::Sliding(Duration::from_secs(86_400)));
    assert_within_five_percent(took, (i64::from(DECISIONS) / 500 - 1) * DAY);
}

#[test]
fn a_quota_by_the_calendar_is_used_to_within_five_percent() {
    // The first day may be cut short by midnight.
    let took = daily(DECISIONS / 4, Span::Day { east: 28_800 });
    assert_within_five_percent(took, (i64::from(DECISIONS) / 4 / 500 - 2) * DAY);
}

#[test]
fn a_rate_is_used_to_within_five_percent() {
    let second = Span::Sliding(Duration::from_secs(1));
    let took = run(DECISIONS, vec![rule(20, second, 0)]).unwrap_or(0);
    assert_within_five_percent(took, (i64::from(DECISIONS) / 20 - 1) * 1000);
}

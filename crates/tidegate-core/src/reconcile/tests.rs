use std::time::Duration;

use super::*;
use crate::backoff::Jitter;
use crate::ids::AppId;
use crate::placement::{Evidence, Observed, Refusal};

const HOUR: i64 = 3_600_000;
const LIMITS: Limits = Limits {
    longest_ban: Duration::from_secs(30 * 86_400),
    default_ban: Duration::from_secs(86_400),
    clock_skew: Duration::from_secs(300),
    change: Change::ResumeFirst,
    lookup: Lookup::Object,
    call_timeout: Duration::from_secs(10),
    scarce: false,
};
const EPOCH: Epoch = Epoch(1);
const OPEN: Want = Want::Open(Opening::Resumed);
const ENDED: Want = Want::Open(Opening::Ended);

/// An object, its owners and a clock.
struct Bench {
    object: Object,
    owners: Vec<Owner>,
    limits: Limits,
    now: Now,
}

impl Bench {
    fn new(want: Want) -> Self {
        let mut bench = Self {
            object: Object::default(),
            owners: Vec::new(),
            limits: LIMITS,
            now: Now::agreed(UnixMs(0)),
        };
        bench.decide(1, want);
        bench
    }

    fn decide(&mut self, id: i64, want: Want) {
        let before = self.owners.iter().find(|owner| owner.id == OwnerId(id));
        let generation = before.map_or(1, |owner| owner.generation.0 + 1);
        self.owners.retain(|owner| owner.id != OwnerId(id));
        self.owners.push(Owner {
            id: OwnerId(id),
            app: AppId(1),
            generation: Generation(generation),
            decided: self.now.wall,
            want,
        });
    }

    fn pass(&mut self, ms: i64) {
        let length = Duration::from_millis(u64::try_from(ms).unwrap());
        self.now.wall = self.now.wall.plus(length);
        self.now.steady = self.now.steady.plus(length);
    }

    fn plan(&self) -> Plan {
        step(&self.object, &self.owners, &self.limits, EPOCH, self.now)
    }

    fn action(&self) -> Action {
        self.plan().action
    }

    fn send(&mut self) -> u64 {
        let plan = self.plan();
        let begun = self
            .object
            .begin(&plan, &self.owners, "a", &self.limits, self.now);
        begun.unwrap_or_else(|| panic!("{plan:?} cannot begin"))
    }

    fn answer(&mut self, serial: u64, outcome: Outcome) -> Progress {
        let report = Report {
            outcome,
            request_id: Some("r".into()),
            words: "words".into(),
        };
        let (limits, now) = (self.limits, self.now);
        self.object
            .on_result(serial, &report, &limits, EPOCH, Jitter(0), now)
    }

    fn call(&mut self, outcome: Outcome) -> Progress {
        let serial = self.send();
        self.answer(serial, outcome)
    }

    fn settle(&mut self) {
        assert_eq!(self.action(), Action::Settle);
        self.object.settle(&self.owners, self.now);
    }

    fn is_accepted(&self) -> bool {
        self.owners
            .iter()
            .all(|o| self.object.accepted_generation(o.id) == Some(o.generation))
    }
}

fn until(ms: i64) -> Want {
    Want::Banned(Until::At(UnixMs(ms)))
}

fn forbid(ms: i64) -> Action {
    Action::Forbid { until: UnixMs(ms) }
}

const ACCEPTED: Outcome = Outcome::Accepted { until: None };
const RETRY: Outcome = Outcome::Retry { after: None };

#[test]
fn a_forbid_is_a_takedown_that_may_spend_the_reserve_until_it_is_accepted() {
    let mut bench = Bench::new(until(HOUR));
    let plan = bench.plan();
    assert_eq!((plan.action, plan.lane), (forbid(HOUR), Lane::Takedown));
    assert!(plan.reserve && plan.adds_ban);
    bench.call(ACCEPTED);
    assert!(bench.is_accepted() && bench.object.holds_ban());
    assert_eq!((bench.action(), bench.plan().next), (Action::Wait, None));
}

#[test]
fn a_repeat_within_five_seconds_needs_no_call_and_a_later_one_does() {
    let mut bench = Bench::new(until(HOUR));
    bench.call(ACCEPTED);
    bench.pass(4999);
    bench.decide(1, until(HOUR));
    bench.settle();
    assert!(bench.is_accepted());
    bench.pass(1);
    bench.decide(1, until(HOUR));
    let plan = bench.plan();
    assert_eq!((plan.action, plan.reserve), (forbid(HOUR), false));
    bench.call(Outcome::AlreadySo);
    assert!(bench.is_accepted());
}

#[test]
fn a_decision_made_while_a_call_is_out_is_sent_after_it() {
    let mut bench = Bench::new(until(HOUR));
    let serial = bench.send();
    bench.decide(1, OPEN);
    assert_eq!(bench.action(), Action::Wait);
    bench.answer(serial, ACCEPTED);
    assert!(!bench.is_accepted());
    assert_eq!(bench.action(), Action::Resume);
    bench.call(ACCEPTED);
    assert!(bench.is_accepted());
}

#[test]
fn a_lost_answer_is_asked_for_again_within_two_seconds_and_then_checked() {
    let mut bench = Bench::new(until(HOUR));
    bench.call(Outcome::Unknown);
    let plan = bench.plan();
    assert_eq!(plan.action, Action::Wait);
    bench.pass(plan.next.unwrap().0);
    assert!(bench.now.steady <= UnixMs(2000));
    assert_eq!(bench.action(), forbid(HOUR));
    bench.call(Outcome::AlreadySo);
    assert!(bench.is_accepted());
    bench.pass(5000);
    assert_eq!(
        (bench.action(), bench.plan().lane),
        (Action::CheckState, Lane::Check)
    );
    bench.call(Outcome::Standing(Standing::Free));
    assert_eq!(bench.action(), forbid(HOUR));
}

#[test]
fn a_resume_waits_for_a_ban_in_doubt_and_a_ban_does_not_wait_for_a_resume() {
    let mut bench = Bench::new(until(HOUR));
    bench.call(Outcome::Unknown);
    bench.decide(1, OPEN);
    let plan = bench.plan();
    assert_eq!(
        (plan.action, plan.next),
        (Action::Wait, Some(UnixMs(15_000)))
    );
    bench.pass(15_000);
    assert_eq!(bench.action(), Action::Resume);
    bench.call(Outcome::Unknown);
    bench.decide(1, until(HOUR));
    assert_eq!(bench.action(), forbid(HOUR));
    bench.call(ACCEPTED);
    let plan = bench.plan();
    assert_eq!(
        (plan.action, plan.next),
        (Action::Wait, Some(UnixMs(30_000)))
    );
    bench.pass(15_000);
    assert_eq!(
        bench.action(),
        forbid(HOUR),
        "the resume may have come after the ban"
    );
    bench.call(Outcome::AlreadySo);
    assert!(bench.is_accepted());
}

#[test]
fn another_process_takes_over_when_the_lease_is_over() {
    let mut bench = Bench::new(until(HOUR));
    let first = bench.send();
    let plan = bench.plan();
    assert_eq!(
        (plan.action, plan.next),
        (Action::Wait, Some(UnixMs(25_000)))
    );
    assert!(!bench.object.is_free_for("b", bench.now));
    bench.pass(25_000);
    let plan = bench.plan();
    assert_eq!(plan.action, forbid(HOUR));
    let second = bench
        .object
        .begin(&plan, &bench.owners, "b", &LIMITS, bench.now);
    assert!(second.is_some());
    assert_eq!(bench.answer(first, ACCEPTED), Progress::Stale);
    assert_eq!(bench.answer(second.unwrap(), ACCEPTED), Progress::Done);
    assert!(bench.is_accepted());
}

#[test]
fn changed_ends_are_set_anew_back_to_back() {
    let mut bench = Bench::new(until(HOUR));
    bench.call(ACCEPTED);
    bench.decide(1, until(2 * HOUR));
    let plan = bench.plan();
    let renew = Action::ResumeThenForbid {
        until: UnixMs(2 * HOUR),
    };
    assert_eq!((plan.action, plan.lane), (renew, Lane::Takedown));
    let serial = bench.send();
    assert_eq!(
        bench.answer(serial, Outcome::AlreadySo),
        Progress::Forbid(UnixMs(2 * HOUR))
    );
    assert_eq!(bench.action(), Action::Wait);
    assert_eq!(bench.answer(serial, RETRY), Progress::Done);
    assert!(!bench.object.holds_ban());
    bench.pass(2000);
    assert_eq!(bench.plan().lane, Lane::Takedown);
    assert_eq!(bench.action(), forbid(2 * HOUR));
    let mut huawei = Bench::new(until(HOUR));
    huawei.limits.change = Change::Call;
    huawei.call(ACCEPTED);
    huawei.decide(1, Want::Banned(Until::At(UnixMs(HOUR / 2))));
    assert_eq!(
        huawei.action(),
        Action::ChangeEnd {
            until: UnixMs(HOUR / 2)
        }
    );
}

#[test]
fn already_banned_is_no_acceptance_of_an_end() {
    let mut bench = Bench::new(until(HOUR));
    bench.call(Outcome::AlreadySo);
    assert!(!bench.is_accepted());
    assert_eq!(
        bench.action(),
        Action::ResumeThenForbid {
            until: UnixMs(HOUR)
        }
    );
}

#[test]
fn an_end_that_a_lost_ban_left_behind_is_replaced_once_it_can_no_longer_come() {
    let mut bench = Bench::new(until(HOUR));
    bench.call(Outcome::Unknown);
    bench.decide(1, until(2 * HOUR));
    assert_eq!(bench.action(), forbid(2 * HOUR));
    bench.call(Outcome::AlreadySo);
    assert!(!bench.is_accepted());
    assert_eq!(bench.plan().next, Some(UnixMs(15_000)));
    bench.pass(15_000);
    // However many servers are killed with the same call out.
    for _ in 0..4 {
        assert_eq!(bench.action(), forbid(2 * HOUR));
        bench.send();
        bench.object.take_over(bench.now);
        assert_eq!(bench.action(), forbid(2 * HOUR));
        bench.call(Outcome::AlreadySo);
        assert!(!bench.is_accepted());
        let next = bench.plan().next.unwrap();
        bench.pass(next.0 - bench.now.steady.0);
    }
    assert_eq!(bench.action(), forbid(2 * HOUR));
    bench.call(Outcome::AlreadySo);
    let until = UnixMs(2 * HOUR);
    assert_eq!(bench.action(), Action::ResumeThenForbid { until });
}

#[test]
fn a_lost_call_may_come_after_a_newer_decision_even_if_it_was_repeated() {
    let mut bench = Bench::new(until(HOUR));
    bench.call(ACCEPTED);
    bench.decide(1, OPEN);
    bench.call(Outcome::Unknown);
    bench.pass(2000);
    bench.call(ACCEPTED);
    assert!(bench.is_accepted());
    bench.decide(1, until(2 * HOUR));
    assert_eq!(bench.action(), forbid(2 * HOUR));
    bench.call(ACCEPTED);
    assert!(bench.is_accepted());
    bench.pass(13_000);
    assert_eq!(
        bench.action(),
        forbid(2 * HOUR),
        "the lost resume may have come"
    );
    bench.call(Outcome::AlreadySo);
    assert!(bench.is_accepted());
}

#[test]
fn a_resume_goes_at_once_after_a_repeated_ban_and_again_when_the_lost_one_cannot_come() {
    let mut bench = Bench::new(until(HOUR));
    bench.call(Outcome::Unknown);
    bench.pass(2000);
    bench.call(ACCEPTED);
    bench.decide(1, OPEN);
    assert_eq!(bench.action(), Action::Resume);
    bench.call(ACCEPTED);
    assert!(bench.is_accepted());
    let next = bench.plan().next.unwrap();
    assert!(next <= UnixMs(15_000), "{next:?}");
    bench.pass(13_000);
    assert_eq!(bench.action(), Action::Resume);
    bench.call(ACCEPTED);
    bench.pass(5000);
    assert_eq!(bench.action(), Action::CheckState);
}

#[test]
fn the_latest_end_of_all_owners_stands_and_no_owner_is_lifted_by_another() {
    let mut bench = Bench::new(until(HOUR));
    bench.decide(2, until(2 * HOUR));
    assert_eq!(bench.action(), forbid(2 * HOUR));
    bench.call(ACCEPTED);
    assert!(bench.is_accepted());
    bench.decide(1, OPEN);
    bench.settle();
    assert!(bench.is_accepted());
    assert_eq!(bench.action(), Action::Wait);
    bench.decide(2, OPEN);
    assert_eq!(bench.action(), Action::Resume);
}

#[test]
fn a_ban_that_lapses_with_its_block_is_checked_before_it_is_lifted() {
    for (standing, then) in [
        (Standing::Free, Action::Settle),
        (Standing::Banned(None), Action::Resume),
    ] {
        let mut bench = Bench::new(until(HOUR));
        bench.call(ACCEPTED);
        bench.pass(HOUR);
        bench.decide(1, ENDED);
        assert_eq!(bench.plan().next, Some(UnixMs(HOUR + 2000)));
        bench.pass(2000);
        assert_eq!(
            (bench.action(), bench.plan().lane),
            (Action::CheckState, Lane::Resume)
        );
        bench.call(Outcome::Standing(standing));
        assert_eq!(bench.action(), then);
    }
    let mut bench = Bench::new(until(HOUR));
    bench.limits.lookup = Lookup::Nothing;
    bench.call(ACCEPTED);
    bench.pass(HOUR);
    bench.decide(1, ENDED);
    assert_eq!(bench.action(), Action::Resume);
}

#[test]
fn a_block_that_ends_before_any_call_needs_none() {
    let mut bench = Bench::new(until(HOUR));
    bench.decide(1, ENDED);
    bench.settle();
    assert_eq!(bench.action(), Action::Wait);
}

#[test]
fn while_the_clock_is_suspect_takedowns_go_and_ends_do_not() {
    let mut bench = Bench::new(until(HOUR));
    bench.pass(HOUR - 1000);
    bench.call(ACCEPTED);
    bench.pass(HOUR);
    bench.decide(1, ENDED);
    bench.now.ends_held = true;
    assert_eq!(bench.action(), Action::Wait);
    let mut bench = Bench::new(until(HOUR));
    bench.now.wall = UnixMs(10 * HOUR);
    assert_eq!(bench.action(), Action::Wait, "the block is about to end");
    bench.now.ends_held = true;
    assert_eq!(bench.action(), forbid(34 * HOUR));
}

#[test]
fn a_permanent_refusal_is_tried_slowly_and_at_once_when_the_account_changes() {
    let mut bench = Bench::new(until(HOUR));
    bench.call(Outcome::Refused(Refusal::Permission));
    assert!(bench.object.trouble.as_ref().unwrap().needs_a_person());
    bench.decide(1, until(HOUR));
    bench.pass(149_999);
    assert_eq!(bench.action(), Action::Wait, "a repeat does not hasten it");
    let plan = step(&bench.object, &bench.owners, &LIMITS, Epoch(2), bench.now);
    assert_eq!((plan.action, plan.lane), (forbid(HOUR), Lane::Takedown));
    bench.pass(1);
    assert_eq!(
        (bench.action(), bench.plan().lane),
        (forbid(HOUR), Lane::Check)
    );
    assert!(!bench.plan().reserve);
}

#[test]
fn retries_start_within_two_seconds_double_and_stop_at_thirty() {
    let mut bench = Bench::new(until(HOUR));
    let mut waits = Vec::new();
    for _ in 0..7 {
        bench.call(RETRY);
        let wait = bench.now.steady.until(bench.plan().next.unwrap());
        waits.push(wait.as_secs());
        bench.pass(i64::try_from(wait.as_millis()).unwrap());
    }
    assert_eq!(waits, [1, 2, 4, 8, 15, 15, 15]);
    assert!(!bench.plan().reserve, "no longer new");
    bench.call(RETRY);
    bench.decide(1, OPEN);
    assert_eq!(bench.action(), Action::Resume, "another want need not wait");
}

#[test]
fn a_stream_seen_live_under_its_ban_is_banned_again_ever_less_often() {
    let mut bench = Bench::new(Want::Banned(Until::Lifted));
    bench.call(ACCEPTED);
    let mut calls = 0;
    for _ in 0..6 * 60 {
        bench.pass(60_000);
        let seen = Observed {
            evidence: Evidence::Live,
            at: bench.now.wall,
        };
        bench.object.on_observed(seen, bench.now);
        if matches!(bench.action(), Action::Forbid { .. }) {
            bench.call(Outcome::AlreadySo);
            calls += 1;
        }
    }
    assert!((5..=9).contains(&calls), "{calls} calls in six hours");
}

#[test]
fn a_list_shows_a_vanished_ban_and_leaves_a_foreign_one_alone() {
    let mut bench = Bench::new(until(HOUR));
    bench.call(ACCEPTED);
    let before = bench.now.wall;
    bench.pass(1000);
    let Bench { object, now, .. } = &mut bench;
    assert_eq!(object.on_listed(Standing::Free, before, *now), Drift::None);
    assert_eq!(
        object.on_listed(Standing::Free, now.wall, *now),
        Drift::Vanished
    );
    assert_eq!(bench.action(), forbid(HOUR));
    let mut open = Bench::new(OPEN);
    open.call(ACCEPTED);
    open.pass(1000);
    let Bench { object, now, .. } = &mut open;
    assert_eq!(
        object.on_listed(Standing::Banned(None), now.wall, *now),
        Drift::Foreign
    );
    assert_eq!(open.action(), Action::Wait);
}

#[test]
fn an_object_reads_back_as_it_was_kept() {
    let mut bench = Bench::new(until(HOUR));
    bench.call(Outcome::Unknown);
    bench.pass(2000);
    bench.send();
    let kept = serde_json::to_string(&bench.object).unwrap();
    assert_eq!(serde_json::from_str::<Object>(&kept).unwrap(), bench.object);
    assert_eq!(
        serde_json::from_str::<Object>("{}").unwrap(),
        Object::default()
    );
}

/// 35 days on a vendor that cuts bans to 30.
#[test]
fn a_block_longer_than_the_vendors_longest_is_renewed_before_it_lapses() {
    const DAY: i64 = 24 * HOUR;
    let mut bench = Bench::new(until(35 * DAY));
    let mut calls = 0;
    let mut vendor_until = UnixMs(0);
    while bench.now.wall < UnixMs(35 * DAY) {
        match bench.action() {
            Action::Forbid { until } => {
                bench.call(ACCEPTED);
                vendor_until = until;
                calls += 1;
            }
            Action::ResumeThenForbid { until } => {
                assert_eq!(bench.plan().lane, Lane::Renewal);
                assert!(bench.now.wall < vendor_until);
                let serial = bench.send();
                bench.answer(serial, ACCEPTED);
                bench.answer(serial, ACCEPTED);
                vendor_until = until;
                calls += 2;
            }
            _ => {}
        }
        assert!(
            vendor_until > bench.now.wall,
            "off the air at {}",
            bench.now.wall
        );
        assert!(bench.now.wall.until(vendor_until) <= LIMITS.longest_ban);
        let next = bench.plan().next.unwrap_or(UnixMs(35 * DAY));
        let wait = bench.now.steady.until(next);
        bench.pass(i64::try_from(wait.as_millis()).unwrap().max(1));
    }
    assert_eq!((calls, vendor_until), (3, UnixMs(35 * DAY)));
}

use std::time::Duration;

use super::*;
use crate::backoff::Jitter;
use crate::budget::{Rule, Span};

const FORBID: &[CallKind] = &[CallKind::Forbid];
const FIND: &[CallKind] = &[CallKind::Find];
const DAY: Duration = Duration::from_secs(86_400);

fn work(key: u32, app: u32, lane: Lane, at: i64) -> Work<u32> {
    Work {
        key,
        app: AppId(app),
        lane,
        reserve: false,
        adds_ban: false,
        calls: FORBID,
        decided: UnixMs(at),
        due: UnixMs(at),
    }
}

fn drain(queue: &mut Queue<u32>, budget: &mut Budget) -> Vec<u32> {
    let now = Now::agreed(UnixMs(0));
    let mut keys = Vec::new();
    while let Pick::Do(work) = queue.pick(budget, &mut Breaker::default(), now) {
        keys.push(work.key);
    }
    keys
}

#[test]
fn lanes_go_in_order_and_apps_in_turn_newest_takedown_first() {
    let mut queue = Queue::default();
    queue.push(work(1, 1, Lane::Check, 0));
    queue.push(work(2, 1, Lane::Renewal, 9));
    queue.push(work(3, 1, Lane::Renewal, 5));
    queue.push(work(4, 1, Lane::Resume, 0));
    for n in 10..13 {
        queue.push(work(n, 1, Lane::Takedown, i64::from(n)));
    }
    queue.push(work(20, 2, Lane::Takedown, 1));
    let order = drain(&mut queue, &mut Budget::new(Vec::new(), None));
    assert_eq!(order, [12, 20, 11, 10, 4, 3, 2, 1]);
}

#[test]
fn lower_lanes_can_be_left_out() {
    let mut queue = Queue::default();
    queue.push(work(1, 1, Lane::Resume, 0));
    queue.push(work(2, 1, Lane::Takedown, 0));
    let (mut budget, mut breaker) = (Budget::new(Vec::new(), None), Breaker::default());
    let now = Now::agreed(UnixMs(0));
    let mut pick = |lowest| queue.pick_down_to(lowest, &mut budget, &mut breaker, now);
    assert!(matches!(pick(Lane::Takedown), Pick::Do(work) if work.key == 2));
    assert_eq!(pick(Lane::Takedown), Pick::Idle);
    assert!(matches!(pick(Lane::Resume), Pick::Do(work) if work.key == 1));
}

#[test]
fn newer_work_for_an_object_replaces_the_older() {
    let mut queue = Queue::default();
    queue.push(work(1, 1, Lane::Takedown, 0));
    queue.push(work(1, 1, Lane::Resume, 1));
    assert_eq!(queue.len(), 1);
    let order = drain(&mut queue, &mut Budget::new(Vec::new(), None));
    assert_eq!(order, [1]);
}

#[test]
fn a_full_list_holds_back_new_bans_and_nothing_else() {
    let mut queue = Queue::default();
    for n in 0..3 {
        let mut ban = work(n, 1, Lane::Takedown, i64::from(n));
        ban.adds_ban = true;
        queue.push(ban);
    }
    queue.push(work(7, 1, Lane::Takedown, -5));
    let mut budget = Budget::new(Vec::new(), Some(1));
    assert_eq!(drain(&mut queue, &mut budget), [2, 7]);
    assert_eq!(queue.len(), 2);
}

#[test]
fn an_open_breaker_holds_all_but_probing_takedowns() {
    let now = Now::agreed(UnixMs(0));
    let mut breaker = Breaker::default();
    for _ in 0..5 {
        breaker.on_failure(Jitter(u16::MAX), now);
    }
    let mut budget = Budget::new(Vec::new(), None);
    let mut queue = Queue::default();
    queue.push(work(1, 1, Lane::Resume, 0));
    assert_eq!(
        queue.pick(&mut budget, &mut breaker, now),
        Pick::Wait(UnixMs(2000))
    );
    queue.push(work(2, 1, Lane::Takedown, 0));
    assert!(matches!(queue.pick(&mut budget, &mut breaker, now), Pick::Do(w) if w.key == 2));
    queue.push(work(3, 1, Lane::Takedown, 0));
    assert_eq!(
        queue.pick(&mut budget, &mut breaker, now),
        Pick::Wait(UnixMs(1000))
    );
}

#[test]
fn another_kind_goes_on_while_one_is_spent() {
    let rule = Rule {
        kinds: vec![CallKind::Forbid],
        calls: 1,
        span: Span::Sliding(DAY),
        reserve: 0,
    };
    let mut budget = Budget::new(vec![rule], None);
    let mut queue = Queue::default();
    queue.push(work(1, 1, Lane::Takedown, 1));
    queue.push(work(2, 1, Lane::Takedown, 0));
    let mut check = work(3, 1, Lane::Check, 0);
    check.calls = FIND;
    queue.push(check);
    assert_eq!(drain(&mut queue, &mut budget), [1, 3]);
    assert_eq!(queue.len(), 1);
}

fn day_rule() -> Rule {
    Rule {
        kinds: vec![CallKind::Forbid],
        calls: 2,
        span: Span::Sliding(DAY),
        reserve: 1,
    }
}

fn tripped(now: Now) -> Breaker {
    let mut breaker = Breaker::default();
    for _ in 0..5 {
        breaker.on_failure(Jitter(u16::MAX), now);
    }
    breaker
}

#[test]
fn what_holds_work_back_is_told_with_its_limit() {
    let now = Now::agreed(UnixMs(0));
    let mut budget = Budget::new(vec![day_rule()], Some(1));
    let breaker = Breaker::default();
    let mut queue = Queue::default();
    let mut new = work(1, 1, Lane::Takedown, 0);
    (new.reserve, new.adds_ban) = (true, true);
    queue.push(new.clone());
    queue.push(work(2, 1, Lane::Renewal, 0));
    for key in [1, 2, 3] {
        assert_eq!(queue.waiting_for(&key, &mut budget, &breaker, now), None);
    }
    budget.spend(new.spending(), now);
    let full = queue.waiting_for(&1, &mut budget, &breaker, now);
    assert_eq!(full, Some(Hold::ListFull));
    let held = queue.waiting_for(&2, &mut budget, &breaker, now);
    let Some(Hold::Budget {
        until,
        rule: Some(rule),
        vendor_said: false,
    }) = held
    else {
        panic!("{held:?}");
    };
    assert_eq!(rule, "2 calls a day, 1 of them kept for takedowns");
    assert_eq!(
        budget.ask(work(2, 1, Lane::Renewal, 0).spending(), now),
        Verdict::Later(until)
    );
    budget.on_lifted();
    assert_eq!(
        queue.waiting_for(&1, &mut budget, &breaker, now),
        None,
        "the reserve is left"
    );
    budget.spend(new.spending(), now);
    budget.on_lifted();
    let Some(Hold::Budget { rule, .. }) = hold(&new, &mut budget, &breaker, now) else {
        panic!("the day is spent");
    };
    assert_eq!(rule.as_deref(), Some("2 calls a day"));
    let later = Now::agreed(until);
    assert_eq!(hold(&new, &mut budget, &breaker, later), None);
}

#[test]
fn of_several_holds_the_longest_is_told() {
    let now = Now::agreed(UnixMs(0));
    let mut budget = Budget::new(vec![day_rule()], None);
    let resume = work(1, 1, Lane::Resume, 0);
    let shut = Hold::Breaker(UnixMs(2000));
    assert_eq!(
        hold(&resume, &mut budget, &tripped(now), now),
        Some(shut.clone())
    );
    let takedown = work(1, 1, Lane::Takedown, 0);
    assert_eq!(
        hold(&takedown, &mut budget, &tripped(now), now),
        None,
        "it may probe"
    );
    for (length, want) in [
        (1, shut),
        (
            3600,
            Hold::Budget {
                until: UnixMs(3_600_000),
                rule: None,
                vendor_said: true,
            },
        ),
    ] {
        budget.forget_stops();
        budget.on_spent(CallKind::Forbid, Duration::from_secs(length), now);
        // The stop of the day's kinds lasts as long as the vendor said, whatever the rule says.
        assert_eq!(hold(&resume, &mut budget, &tripped(now), now), Some(want));
    }
}

#[test]
fn a_hold_is_told_exactly_when_nothing_can_be_picked() {
    let mut budget = Budget::new(vec![day_rule()], Some(1));
    let mut breaker = tripped(Now::agreed(UnixMs(0)));
    for n in 0..200 {
        let now = Now::agreed(UnixMs(n * 1_000_000));
        let lane = [Lane::Takedown, Lane::Resume, Lane::Check][usize::try_from(n).unwrap() % 3];
        let mut one = work(1, 1, lane, 0);
        (one.reserve, one.adds_ban) = (n % 2 == 0, n % 5 == 0);
        let mut queue = Queue::default();
        queue.push(one.clone());
        let held = hold(&one, &mut budget, &breaker, now);
        let picked = queue.pick(&mut budget, &mut breaker, now);
        match held {
            None => assert_eq!(picked, Pick::Do(one)),
            Some(Hold::ListFull) => assert_eq!(picked, Pick::Idle),
            Some(Hold::Breaker(until) | Hold::Budget { until, .. }) => {
                assert_eq!(picked, Pick::Wait(until));
            }
        }
        if n % 7 == 0 {
            budget.on_lifted();
        }
    }
}

use proptest::prelude::*;

use super::*;

const DAY: Duration = Duration::from_secs(86_400);
const SHARED: [CallKind; 3] = [CallKind::Forbid, CallKind::Resume, CallKind::Kick];

fn at(ms: i64) -> Now {
    Now::agreed(UnixMs(ms))
}

fn rule(calls: u32, span: Span, reserve: u32) -> Rule {
    Rule {
        kinds: SHARED.to_vec(),
        calls,
        span,
        reserve,
    }
}

fn one(app: u32, reserve: bool) -> Spending<'static> {
    Spending {
        kinds: &[CallKind::Forbid],
        app: AppId(app),
        reserve,
        adds_ban: false,
    }
}

fn spend_all(budget: &mut Budget, spending: Spending<'_>, now: Now) -> u32 {
    let mut spent = 0;
    while budget.ask(spending, now) == Verdict::Fits {
        budget.spend(spending, now);
        spent += 1;
    }
    spent
}

#[test]
fn the_reserve_is_for_new_takedowns() {
    let mut budget = Budget::new(vec![rule(500, Span::Sliding(DAY), 50)], None);
    assert_eq!(spend_all(&mut budget, one(1, false), at(0)), 450);
    assert_eq!(spend_all(&mut budget, one(1, true), at(0)), 50);
    let Verdict::Later(when) = budget.ask(one(1, true), at(0)) else {
        panic!("the budget is spent");
    };
    assert!(when > UnixMs(86_400_000) && when < UnixMs(86_400_000 * 66 / 64));
    assert_eq!(spend_all(&mut budget, one(1, false), at(when.0)), 450);
}

#[test]
fn one_app_cannot_spend_the_part_of_another() {
    let mut budget = Budget::new(vec![rule(400, Span::Sliding(DAY), 0)], None);
    budget.set_apps(4);
    assert_eq!(spend_all(&mut budget, one(1, false), at(0)), 250);
    for app in 2..=4 {
        assert_eq!(spend_all(&mut budget, one(app, false), at(0)), 50);
    }
    let mut alone = Budget::new(vec![rule(400, Span::Sliding(DAY), 0)], None);
    alone.set_apps(1);
    assert_eq!(spend_all(&mut alone, one(1, false), at(0)), 400);
}

#[test]
fn a_full_list_refuses_only_what_adds_to_it() {
    let mut budget = Budget::new(Vec::new(), Some(2));
    let adds = Spending {
        adds_ban: true,
        ..one(1, true)
    };
    assert_eq!(spend_all(&mut budget, adds, at(0)), 2);
    assert_eq!(budget.ask(adds, at(0)), Verdict::ListFull);
    assert_eq!(budget.ask(one(1, false), at(0)), Verdict::Fits);
    budget.on_lifted();
    assert_eq!(budget.ask(adds, at(0)), Verdict::Fits);
}

#[test]
fn what_the_vendor_calls_spent_stops_the_kinds_that_share_its_day() {
    let mut budget = Budget::new(vec![rule(500, Span::Sliding(DAY), 0)], None);
    budget.on_spent(CallKind::Resume, Duration::from_secs(60), at(0));
    assert_eq!(
        budget.ask(one(1, true), at(0)),
        Verdict::Later(UnixMs(60_000))
    );
    assert_eq!(budget.ask(one(1, true), at(60_000)), Verdict::Fits);
}

#[test]
fn a_calendar_day_begins_anew_shortly_after_the_vendors_midnight() {
    let span = Span::Day { east: 28_800 };
    let midnight = 16 * 3_600_000;
    let mut budget = Budget::new(vec![rule(500, span, 0)], None);
    assert_eq!(
        spend_all(&mut budget, one(1, true), at(midnight - 7_200_000)),
        500
    );
    let Verdict::Later(when) = budget.ask(one(1, true), at(midnight)) else {
        panic!("too near midnight to count on the vendor's clock");
    };
    assert_eq!(when, UnixMs(midnight + 1_350_000));
    assert_eq!(spend_all(&mut budget, one(1, true), at(when.0)), 500);
}

#[test]
fn a_restart_goes_on_where_it_stood_and_other_rules_start_untouched() {
    let rules = vec![rule(10, Span::Sliding(DAY), 0)];
    let mut budget = Budget::new(rules.clone(), None);
    spend_all(&mut budget, one(1, true), at(0));
    let kept = serde_json::to_string(budget.state()).unwrap();
    let state: BudgetState = serde_json::from_str(&kept).unwrap();
    let mut restored = Budget::restore(rules, None, state.clone());
    assert_eq!(spend_all(&mut restored, one(1, true), at(5)), 0);
    let other = vec![rule(10, Span::Sliding(DAY * 2), 0)];
    let mut changed = Budget::restore(other, None, state);
    assert_eq!(spend_all(&mut changed, one(1, true), at(5)), 10);
}

#[test]
fn a_clock_set_back_holds_a_budget_for_one_window_at_most() {
    let mut budget = Budget::new(vec![rule(10, Span::Sliding(DAY), 0)], None);
    assert_eq!(
        spend_all(&mut budget, one(1, true), at(1_000_000_000_000)),
        10
    );
    assert_eq!(spend_all(&mut budget, one(1, true), at(0)), 0);
    assert_eq!(
        spend_all(&mut budget, one(1, true), at(86_400_000 * 66 / 64)),
        10
    );
}

#[test]
fn a_call_that_is_out_counts_until_a_window_after_its_answer() {
    let span = Span::Sliding(Duration::from_secs(1));
    let mut budget = Budget::new(vec![rule(2, span, 0)], None);
    let both = [CallKind::Resume, CallKind::Forbid];
    let pair = Spending {
        kinds: &both,
        ..one(1, true)
    };
    budget.spend(pair, at(0));
    budget.on_sent(&both, AppId(1), at(0));
    assert_eq!(spend_all(&mut budget, one(1, true), at(60_000)), 0);
    budget.on_answered(&[CallKind::Resume], AppId(1), at(60_000));
    assert_eq!(spend_all(&mut budget, one(1, true), at(60_999)), 0);
    assert_eq!(spend_all(&mut budget, one(1, true), at(61_050)), 1);
    budget.on_answered(&[CallKind::Forbid], AppId(1), at(62_000));
    assert_eq!(spend_all(&mut budget, one(1, true), at(62_900)), 1);
    assert_eq!(spend_all(&mut budget, one(1, true), at(63_050)), 1);
}

#[test]
fn calls_that_were_out_at_a_crash_count_from_the_start_after_it() {
    let span = Span::Sliding(Duration::from_secs(1));
    let rules = vec![rule(2, span, 0)];
    let mut budget = Budget::new(rules.clone(), None);
    assert_eq!(spend_all(&mut budget, one(1, true), at(0)), 2);
    budget.on_sent(&[CallKind::Forbid; 2], AppId(1), at(0));
    let kept = serde_json::to_string(budget.state()).unwrap();
    let state = serde_json::from_str(&kept).unwrap();
    let mut budget = Budget::restore(rules, None, state);
    assert_eq!(spend_all(&mut budget, one(1, true), at(5_000)), 0);
    assert_eq!(spend_all(&mut budget, one(1, true), at(6_050)), 2);
}

proptest! {
    /// Any window of the vendor's, wherever it begins, is within the rule.
    #[test]
    fn no_window_holds_more_than_the_rule(
        calls in 1_u32..40,
        length in 100_u64..100_000,
        steps in prop::collection::vec((0_i64..20_000, any::<bool>()), 1..400),
    ) {
        let span = Span::Sliding(Duration::from_millis(length));
        let mut budget = Budget::new(vec![rule(calls, span, calls / 4)], None);
        let mut now = 0;
        let mut made = Vec::new();
        for (step, reserve) in steps {
            now += step;
            if budget.ask(one(1, reserve), at(now)) == Verdict::Fits {
                budget.spend(one(1, reserve), at(now));
                made.push(now);
            }
        }
        for (n, start) in made.iter().enumerate() {
            let end = start + i64::try_from(length).unwrap();
            let within = made[n..].iter().take_while(|call| **call <= end).count();
            prop_assert!(within <= calls as usize);
        }
    }
}

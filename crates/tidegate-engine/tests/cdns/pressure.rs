//! What must hold while limits, clocks, keys and other work stand in the way.

use std::time::Duration;

use tidegate_core::AskKind;
use tidegate_core::placement::Belief;
use tidegate_core::reconcile::Object;
use tidegate_engine::CdnOptions;
use tidegate_ledger::cdns::{CdnSave, ObjectKey, ObjectRow, ObjectSave};
use tidegate_ledger::{CdnLedger as _, Ledger as _, Vendor};
use tidegate_sim::{Fault, Operation, Rule};

use crate::rig::{Box, FOREVER, KEY, Rig, SECRET, key, push};

fn hasty() -> CdnOptions {
    CdnOptions {
        answer_within: Duration::from_millis(5),
        ..CdnOptions::default()
    }
}

fn object(account: i64, vendor: Vendor, stream: &str) -> ObjectKey {
    ObjectKey {
        account,
        site: format!("{}/live", push(vendor)),
        stream: tidegate_core::StreamId::parse(stream).expect("valid id"),
    }
}

async fn row(rig: &Rig, object: &ObjectKey) -> ObjectRow {
    let rows = rig.ledger.objects(std::slice::from_ref(object)).await;
    rows.expect("objects").remove(0)
}

async fn known(rig: &Rig, object: &ObjectKey) -> Object {
    let state = row(rig, object).await.state;
    state.map_or_else(Object::default, |state| {
        serde_json::from_str(&state).expect("a state")
    })
}

#[tokio::test]
async fn a_vanished_ban_that_waits_for_limits_stays_due() {
    let rig = Rig::with(CdnOptions {
        drift_check: Duration::from_secs(1),
        drift_grace: Duration::ZERO,
        ..hasty()
    })
    .await;
    let at = Box::start(Vendor::Ws, |_| {}).await;
    let (account, _) = rig.connect(&at).await;
    rig.decide("cam-7", FOREVER).await;
    rig.converged("cam-7").await;
    let spent = Rule::always(Fault::QuotaSpent).on(&[Operation::Forbid]);
    at.sim.set_faults(vec![spent]);
    rig.decide("other", FOREVER).await;
    rig.eventually(
        "the vendor does not say that the day is spent",
        async |rig| {
            let view = rig.engine.cdns().view(account);
            view.is_some_and(|view| view.calls.contains_key(&("forbid", "quota_calls")))
        },
    )
    .await;
    assert!(at.sim.resume_by_hand(KEY, &at.name("cam-7")));
    let gone = object(account, Vendor::Ws, "cam-7");
    rig.eventually("nobody sees that the ban is gone", async |rig| {
        known(rig, &gone).await.belief == Belief::Free
    })
    .await;
    let soon = rig.engine.now().plus(Duration::from_secs(3600));
    let due = rig.ledger.due_objects(account, soon, None, 10).await;
    assert!(
        due.expect("due").contains(&gone),
        "a restart would forget that the ban is to be set again"
    );
}

#[tokio::test]
async fn what_the_old_key_is_refused_after_a_rotation_does_not_count_against_the_new_one() {
    let rig = Rig::with(hasty()).await;
    let at = Box::start(Vendor::Tencent, |_| {}).await;
    let account = rig.account(&at, |account| account.key = key("wrong")).await;
    rig.target(rig.app, &at, account).await;
    let slow = Fault::Latency {
        ms: 2000,
        after_effect: false,
    };
    at.sim.set_faults(vec![Rule::always(slow).times(1)]);
    rig.decide("cam-7", FOREVER).await;
    rig.eventually("no call goes out", async |_| {
        let view = rig.engine.cdns().view(account);
        view.is_some_and(|view| view.in_flight == 1)
    })
    .await;
    let now = rig.engine.now();
    let rotated = rig.ledger.rotate_account(account, &key(SECRET), now).await;
    rotated.expect("rotated");
    rig.engine.reload().await.expect("reload");
    rig.converged("cam-7").await;
    assert!(at.forbids("cam-7"));
}

#[tokio::test]
async fn resumes_that_hang_do_not_hold_up_a_takedown() {
    const STREAMS: usize = 80;
    let rig = Rig::with(hasty()).await;
    let at = Box::start(Vendor::Tencent, |_| {}).await;
    let (account, _) = rig.connect(&at).await;
    let names: Vec<String> = (0..STREAMS).map(|n| format!("cam-{n}")).collect();
    for name in &names {
        rig.decide(name, FOREVER).await;
    }
    for name in &names {
        rig.converged(name).await;
    }
    let slow = Rule::always(Fault::Latency {
        ms: 3000,
        after_effect: false,
    });
    at.sim.set_faults(vec![slow.on(&[Operation::Resume])]);
    for name in &names {
        rig.decide(name, AskKind::Resume).await;
    }
    rig.eventually("resumes do not go out", async |rig| {
        let view = rig.engine.cdns().view(account);
        view.is_some_and(|view| view.pending == STREAMS && view.in_flight >= 48)
    })
    .await;
    rig.decide("urgent", FOREVER).await;
    rig.eventually("no takedown", async |_| at.forbids("urgent"))
        .await;
    assert!(
        names.iter().all(|name| at.forbids(name)),
        "the takedown waited until resumes had ended"
    );
}

#[tokio::test]
async fn a_clock_that_is_put_back_holds_up_no_retry() {
    let rig = Rig::with(hasty()).await;
    let at = Box::start(Vendor::Tencent, |_| {}).await;
    let (account, _) = rig.connect(&at).await;
    let rig = rig
        .restart_changed(async |ledger| {
            let mark = ledger.clock_mark().await.expect("a mark");
            let mut mark = mark.expect("kept at the stop");
            mark.sample.wall = mark.sample.wall.plus(Duration::from_secs(7200));
            ledger.set_clock_mark(mark).await.expect("kept");
        })
        .await;
    at.sim.set_faults(vec![Rule::always(Fault::DropBefore)]);
    rig.decide("cam-7", FOREVER).await;
    let wanted = ObjectKey {
        site: "*".into(),
        ..object(account, Vendor::Tencent, "cam-7")
    };
    rig.eventually("no call fails", async |rig| {
        known(rig, &wanted).await.trouble.is_some()
    })
    .await;
    rig.engine.accept_clock();
    at.sim.set_faults(Vec::new());
    rig.converged("cam-7").await;
    assert!(at.forbids("cam-7"));
}

#[tokio::test]
async fn a_call_that_does_not_go_out_is_not_paid_for() {
    let rig = Rig::with(hasty()).await;
    let at = Box::start(Vendor::Ws, |_| {}).await;
    let (account, _) = rig.connect(&at).await;
    let busy = Rule::always(Fault::Throttle {
        retry_after_s: None,
    });
    at.sim.set_faults(vec![busy.times(1)]);
    rig.decide("cam-7", FOREVER).await;
    let wanted = object(account, Vendor::Ws, "cam-7");
    rig.eventually("no call fails", async |rig| {
        known(rig, &wanted).await.trouble.is_some()
    })
    .await;
    // As another server would.
    let row = row(&rig, &wanted).await;
    let save = CdnSave {
        budgets: Vec::new(),
        objects: vec![ObjectSave {
            key: row.key,
            version: row.version,
            state: row.state.unwrap_or_default(),
            due: None,
            accepted: Vec::new(),
        }],
    };
    assert!(rig.ledger.save(save).await.expect("save")[0].is_some());
    rig.converged("cam-7").await;
    assert_eq!(at.changes("cam-7").len(), 2);
    let kept = rig.ledger.budget(account).await.expect("read");
    let kept = serde_json::from_str(&kept.expect("kept")).expect("a budget");
    let budget = tidegate_engine::cdns::budget(tidegate_cdn::Vendor::Ws, kept);
    let now = tidegate_core::backoff::Now::agreed(rig.engine.now());
    let day = budget.used(now).find(|(rule, _)| rule.calls == 500);
    assert_eq!(day.map(|(_, used)| used), Some(2), "paid for, and not made");
}

#[tokio::test]
async fn a_target_that_was_just_added_is_not_behind() {
    let rig = Rig::with(hasty()).await;
    let long_ago = tidegate_core::UnixMs(rig.engine.now().0 - 3_600_000);
    rig.decide_at(rig.app, "old", FOREVER, long_ago).await;
    let at = Box::start(Vendor::Tencent, |_| {}).await;
    let slow = Fault::Latency {
        ms: 3000,
        after_effect: false,
    };
    at.sim.set_faults(vec![Rule::always(slow)]);
    let (account, _) = rig.connect(&at).await;
    rig.eventually("nothing is pending", async |rig| {
        let view = rig.engine.cdns().view(account);
        view.is_some_and(|view| view.pending == 1 && view.oldest == Some(long_ago))
    })
    .await;
    assert_eq!(rig.engine.alarms().list(), []);
    rig.converged("old").await;
    assert_eq!(rig.engine.alarms().list(), []);
}

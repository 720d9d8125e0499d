//! One decision, every CDN, whatever goes wrong on the way.

use std::time::Duration;

use tidegate_core::{AskKind, AskedEnd};
use tidegate_engine::ResultWord;
use tidegate_ledger::cdns::RemovedTarget;
use tidegate_ledger::{CdnLedger as _, Ledger as _, Vendor};
use tidegate_sim::{Effect, Fault, ForbidAgain, Rule};

use crate::rig::{Box, FOREVER, Rig, key, make_app, results};

const VENDORS: [Vendor; 4] = [Vendor::Ws, Vendor::Aliyun, Vendor::Tencent, Vendor::Huawei];
const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn one_call_reaches_every_cdn_and_one_brings_the_stream_back() {
    let rig = Rig::start().await;
    let mut boxes = Vec::new();
    for vendor in VENDORS {
        let at = Box::start(vendor, |_| {}).await;
        rig.connect(&at).await;
        boxes.push(at);
    }
    let answered = rig.decide("cam-7", FOREVER).await;
    let said = results(&answered);
    assert_eq!(said.len(), 5, "{said:?}");
    for (vendor, (word, words)) in &said {
        assert_eq!(*word, ResultWord::Success, "{vendor}: {words}");
    }
    assert!(
        said["ws"].1.contains("success append purge tasks"),
        "{said:?}"
    );
    assert!(said["tencent"].1.contains("(request "), "{said:?}");
    assert!(boxes.iter().all(|at| at.forbids("cam-7")));
    let answered = rig.decide("cam-7", AskKind::Resume).await;
    let said = results(&answered);
    assert!(
        said.values().all(|(word, _)| *word == ResultWord::Success),
        "{said:?}"
    );
    assert!(boxes.iter().all(|at| !at.forbids("cam-7")));
    rig.converged("cam-7").await;
    let status = rig.ledger.status(&rig.key("cam-7")).await.expect("status");
    assert!(status.placements.iter().all(|p| p.accepted_at.is_some()));
}

#[tokio::test]
async fn a_cdn_that_is_down_gets_there_by_itself() {
    let rig = Rig::with(tidegate_engine::CdnOptions {
        answer_within: Duration::from_millis(300),
        ..Default::default()
    })
    .await;
    let at = Box::start(Vendor::Tencent, |_| {}).await;
    rig.connect(&at).await;
    let mut down = Rule::always(Fault::ServerError {
        status: 503,
        after_effect: false,
    });
    down.count = Some(2);
    at.sim.set_faults(vec![down]);
    let said = results(&rig.decide("cam-7", FOREVER).await);
    assert_eq!(said["tencent"].0, ResultWord::Pending, "{said:?}");
    assert!(said["tencent"].1.contains("tried again in"), "{said:?}");
    rig.converged("cam-7").await;
    assert!(at.forbids("cam-7"));
}

#[tokio::test]
async fn an_effect_whose_answer_was_lost_is_not_taken_for_acceptance_nor_forgotten() {
    for vendor in VENDORS {
        let rig = Rig::start().await;
        let at = Box::start(vendor, |_| {}).await;
        rig.connect(&at).await;
        let mut lost = Rule::always(Fault::DropAfter);
        lost.count = Some(1);
        at.sim.set_faults(vec![lost]);
        let said = results(&rig.decide("cam-7", FOREVER).await);
        assert_eq!(said[vendor.word()].0, ResultWord::Success, "{said:?}");
        let forbids = at.changes("cam-7");
        let done = |e: &&tidegate_sim::Entry| matches!(e.effect, Effect::Forbade { .. });
        assert!(
            forbids.iter().filter(done).count() >= 1,
            "{vendor}: {forbids:?}"
        );
        assert!(at.forbids("cam-7"), "{vendor}");
        let status = rig.ledger.status(&rig.key("cam-7")).await.expect("status");
        assert_eq!(status.placements.len(), 2);
    }
}

#[tokio::test]
async fn a_newer_decision_wins_over_a_call_that_is_out() {
    let rig = Rig::start().await;
    let at = Box::start(Vendor::Aliyun, |_| {}).await;
    rig.connect(&at).await;
    let mut slow = Rule::always(Fault::Latency {
        ms: 700,
        after_effect: false,
    });
    slow.count = Some(1);
    at.sim.set_faults(vec![slow]);
    let (forbidden, resumed) = tokio::join!(rig.decide("cam-7", FOREVER), async {
        rig.eventually("the first call is not out", async |_| {
            rig.engine.blocks().get(rig.app, "cam-7").is_some()
        })
        .await;
        rig.decide("cam-7", AskKind::Resume).await
    });
    assert!(resumed.generation > forbidden.generation);
    rig.converged("cam-7").await;
    assert!(!at.forbids("cam-7"));
}

#[tokio::test]
async fn a_restart_goes_on_where_it_stood() {
    let rig = Rig::with(tidegate_engine::CdnOptions {
        answer_within: Duration::from_millis(200),
        ..Default::default()
    })
    .await;
    let at = Box::start(Vendor::Huawei, |_| {}).await;
    rig.connect(&at).await;
    at.sim.set_faults(vec![Rule::always(Fault::DropBefore)]);
    rig.decide("cam-7", FOREVER).await;
    rig.decide("cam-8", FOREVER).await;
    rig.decide("cam-8", AskKind::Resume).await;
    let rig = rig.restart().await;
    at.sim.set_faults(Vec::new());
    rig.converged("cam-7").await;
    rig.converged("cam-8").await;
    assert!(at.forbids("cam-7") && !at.forbids("cam-8"));
    let calls = at.changes("cam-7").len();
    let rig = rig.restart().await;
    rig.decide("other", FOREVER).await;
    assert_eq!(
        at.changes("cam-7").len(),
        calls,
        "what is accepted is not sent again"
    );
}

#[tokio::test]
async fn a_wrong_key_is_shown_as_needing_a_person_and_rotating_it_retries_at_once() {
    let rig = Rig::start().await;
    let at = Box::start(Vendor::Tencent, |_| {}).await;
    let account = rig.account(&at, |account| account.key = key("wrong")).await;
    rig.target(rig.app, &at, account).await;
    let said = results(&rig.decide("cam-7", FOREVER).await);
    assert_eq!(said["tencent"].0, ResultWord::Failed, "{said:?}");
    assert!(
        said["tencent"].1.contains("somebody has to act"),
        "{said:?}"
    );
    rig.eventually("no alarm", async |rig| {
        let alarms = rig.engine.alarms().list();
        alarms
            .iter()
            .any(|alarm| alarm.kind.word() == "cdn_refused")
    })
    .await;
    let now = rig.engine.now();
    let right = key(crate::rig::SECRET);
    rig.ledger
        .rotate_account(account, &right, now)
        .await
        .expect("rotated");
    rig.engine.reload().await.expect("reload");
    rig.converged("cam-7").await;
    assert!(at.forbids("cam-7"));
    rig.eventually("the alarm stays", async |rig| {
        rig.engine.alarms().list().is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_target_brings_standing_blocks_to_its_cdn_and_leaves_none_behind() {
    let rig = Rig::start().await;
    let at = Box::start(Vendor::Ws, |_| {}).await;
    rig.decide("old", FOREVER).await;
    let (_, target) = rig.connect(&at).await;
    rig.converged("old").await;
    assert!(at.forbids("old"));
    rig.decide("new", FOREVER).await;
    let gone = rig
        .ledger
        .remove_target(target, true)
        .await
        .expect("removed");
    assert_eq!(gone, RemovedTarget::Leaving(2));
    rig.engine.reload().await.expect("reload");
    rig.eventually("the target does not go", async |rig| {
        rig.engine.cdns().directory().target(target).is_none()
    })
    .await;
    assert!(!at.forbids("old") && !at.forbids("new"));
    assert!(
        rig.engine.blocks().get(rig.app, "old").is_some(),
        "the block stands"
    );
}

#[tokio::test]
async fn one_owner_is_never_lifted_by_another() {
    let rig = Rig::start().await;
    let at = Box::start(Vendor::Tencent, |config| {
        config
            .domains
            .push(tidegate_sim::Domain::new("push-other.example.com", None));
    })
    .await;
    let (account, _) = rig.connect(&at).await;
    let other = make_app(&rig.engine, "second").await;
    rig.target_with(other, &at, account, |t| {
        t.publish_domain = "push-other.example.com".into()
    })
    .await;
    rig.decide_for(rig.app, "cam-7", FOREVER).await;
    rig.decide_for(other, "cam-7", FOREVER).await;
    let said = results(&rig.decide_for(other, "cam-7", AskKind::Resume).await);
    assert!(at.forbids("cam-7"), "the first App's block still stands");
    assert!(
        said["tencent"].1.contains("another App's block"),
        "{said:?}"
    );
    rig.decide_for(rig.app, "cam-7", AskKind::Resume).await;
    assert!(!at.forbids("cam-7"));
}

#[tokio::test]
async fn a_changed_end_reaches_vendors_that_refuse_a_second_ban() {
    for vendor in VENDORS {
        let rig = Rig::start().await;
        let at = Box::start(vendor, |config| {
            config.forbid_again = Some(ForbidAgain::Refuse)
        })
        .await;
        rig.connect(&at).await;
        let now = rig.engine.now();
        let (soon, late) = (now.plus(DAY), now.plus(5 * DAY));
        rig.decide("cam-7", AskKind::Forbid(AskedEnd::At(soon)))
            .await;
        rig.decide("cam-7", AskKind::Forbid(AskedEnd::At(late)))
            .await;
        rig.converged("cam-7").await;
        let held = at.sim.held_until(&at.name("cam-7")).expect("banned");
        assert!(
            held.until(late).max(late.until(held)) < Duration::from_secs(2),
            "{vendor}"
        );
    }
}

#[tokio::test]
async fn a_scheduled_end_opens_every_cdn() {
    let rig = Rig::start().await;
    let mut boxes = Vec::new();
    for vendor in VENDORS {
        let at = Box::start(vendor, |_| {}).await;
        rig.connect(&at).await;
        boxes.push(at);
    }
    let end = rig.engine.now().plus(Duration::from_secs(3));
    rig.decide("cam-7", AskKind::Forbid(AskedEnd::At(end)))
        .await;
    assert!(boxes.iter().all(|at| at.forbids("cam-7")));
    rig.eventually("the block does not end", async |rig| {
        rig.engine.blocks().get(rig.app, "cam-7").is_none()
    })
    .await;
    rig.converged("cam-7").await;
    assert!(boxes.iter().all(|at| !at.forbids("cam-7")));
}

#[tokio::test]
async fn a_spent_day_leaves_room_for_new_takedowns_only_and_is_never_exceeded() {
    let rig = Rig::with(tidegate_engine::CdnOptions {
        answer_within: Duration::from_millis(500),
        ..Default::default()
    })
    .await;
    let at = Box::start(Vendor::Ws, |_| {}).await;
    rig.connect(&at).await;
    at.sim.set_faults(vec![Rule::always(Fault::QuotaSpent)]);
    let said = results(&rig.decide("cam-7", FOREVER).await);
    assert_eq!(said["ws"].0, ResultWord::Pending, "{said:?}");
    let calls = at.changes("cam-7").len();
    rig.decide("cam-8", FOREVER).await;
    assert_eq!(
        calls + at.changes("cam-8").len(),
        1,
        "no more calls once the day is spent"
    );
}

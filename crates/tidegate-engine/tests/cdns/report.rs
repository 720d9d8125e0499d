//! What is told of a stream's state at vendors, from the ledger.

use std::time::Duration;

use tidegate_core::backoff::Now;
use tidegate_core::budget::{BudgetState, Spending};
use tidegate_core::placement::{Evidence, Observed, Want};
use tidegate_core::{Actor, AskKind, AskedEnd, Generation, UnixMs, Until};
use tidegate_engine::cdns::{CdnReport, budget};
use tidegate_engine::{CdnOptions, ObservedState, TargetReport};
use tidegate_ledger::cdns::{CdnSave, LookSave};
use tidegate_ledger::{Attempt, AttemptResult, CdnLedger as _, Ledger as _, Vendor};
use tidegate_sim::{Fault, Rule};

use crate::rig::{Box, FOREVER, Rig, key, make_app};

const VENDORS: [Vendor; 4] = [Vendor::Ws, Vendor::Aliyun, Vendor::Tencent, Vendor::Huawei];

fn hasty() -> CdnOptions {
    CdnOptions {
        answer_within: Duration::from_millis(200),
        ..Default::default()
    }
}

/// The report of a stream at this vendor.
async fn at_vendor(rig: &Rig, stream: &str, vendor: Vendor) -> TargetReport {
    let report = rig.engine.report(&rig.key(stream)).await.expect("report");
    let mut targets = report.targets.into_iter();
    targets
        .find(|target| target.target.vendor == vendor)
        .expect("a target of the vendor")
}

async fn cdn(rig: &Rig, stream: &str, vendor: Vendor) -> CdnReport {
    at_vendor(rig, stream, vendor).await.cdn.expect("a CDN")
}

#[tokio::test]
async fn a_ban_that_stands_is_reported_with_its_call_and_its_renewal() {
    let rig = Rig::start().await;
    let mut boxes = Vec::new();
    for vendor in VENDORS {
        let at = Box::start(vendor, |_| {}).await;
        rig.connect(&at).await;
        boxes.push(at);
    }
    let before = cdn(&rig, "cam-7", Vendor::Ws).await;
    assert_eq!((before.wanted, &before.accepted), (None, &None));
    assert!(before.next.words.starts_with("nothing was decided"));
    rig.decide("cam-7", FOREVER).await;
    rig.converged("cam-7").await;
    let report = rig.engine.report(&rig.key("cam-7")).await.expect("report");
    assert_eq!(report.targets.len(), 5);
    assert!(report.targets[0].cdn.is_none(), "the origin comes first");
    for target in &report.targets[1..] {
        let vendor = target.target.vendor;
        let placed = target.placement.as_ref().expect("a placement");
        assert_eq!(placed.accepted, Some(Generation(1)), "{vendor}");
        let cdn = target.cdn.as_ref().expect("a CDN");
        assert_eq!(cdn.account, Some(format!("{vendor}-main")));
        assert_eq!(cdn.wanted, Some(Want::Banned(Until::Lifted)));
        let accepted = cdn.accepted.as_ref().expect("accepted");
        assert!(accepted.request_id.is_some(), "{vendor}");
        assert_eq!((&cdn.last_error, &cdn.to_do), (&None, &None), "{vendor}");
        let words = &cdn.next.words;
        assert!(words.contains("is renewed at"), "{vendor}: {words}");
        let at = cdn.next.at.expect("an instant");
        assert!(at > report.at.plus(Duration::from_secs(86_400)), "{vendor}");
        assert_eq!(cdn.shared.is_some(), vendor == Vendor::Tencent);
    }
    let end = rig.engine.now().plus(Duration::from_secs(7200));
    rig.decide("cam-8", AskKind::Forbid(AskedEnd::At(end)))
        .await;
    rig.converged("cam-8").await;
    let short = cdn(&rig, "cam-8", Vendor::Huawei).await;
    assert_eq!(
        (short.next.at, &short.next.call),
        (None, &None),
        "{short:?}"
    );
    assert!(short.next.words.contains("stands as wanted"), "{short:?}");
}

#[tokio::test]
async fn a_refused_key_says_what_to_do_and_no_longer_once_it_is_rotated() {
    let rig = Rig::with(hasty()).await;
    let at = Box::start(Vendor::Tencent, |_| {}).await;
    let account = rig.account(&at, |a| a.key = key("wrong")).await;
    rig.target(rig.app, &at, account).await;
    rig.decide("cam-7", FOREVER).await;
    rig.eventually("the key is not refused", async |rig| {
        cdn(rig, "cam-7", Vendor::Tencent).await.to_do.is_some()
    })
    .await;
    let rig = rig.restart().await;
    let refused = cdn(&rig, "cam-7", Vendor::Tencent).await;
    let to_do = refused.to_do.expect("something to do");
    assert!(to_do.contains("`tidegate account rotate tencent-main`"));
    assert!(to_do.contains("`tidegate account test tencent-main`"));
    let error = refused.last_error.expect("an error");
    assert_eq!(error.class, "credentials");
    assert!(error.failures >= 1 && error.about_newest);
    assert!(error.request_id.is_some());
    assert!(error.words.contains("refused the key"), "{}", error.words);
    assert!(refused.next.at.expect("an instant") > rig.engine.now());
    assert!(
        refused
            .next
            .words
            .contains("when the account or the target"),
        "{}",
        refused.next.words
    );
    let now = rig.engine.now();
    rig.ledger
        .rotate_account(account, &key(crate::rig::SECRET), now)
        .await
        .expect("rotated");
    rig.engine.reload().await.expect("reload");
    rig.converged("cam-7").await;
    let cured = cdn(&rig, "cam-7", Vendor::Tencent).await;
    assert_eq!((cured.to_do, cured.last_error), (None, None));
}

#[tokio::test]
async fn a_spent_day_is_named_with_the_instant_at_which_it_has_room_again() {
    let rig = Rig::with(hasty()).await;
    let at = Box::start(Vendor::Ws, |_| {}).await;
    let (account, _) = rig.connect(&at).await;
    let mut spent = budget(tidegate_cdn::Vendor::Ws, BudgetState::default());
    let now = rig.engine.now();
    let forbid = Spending {
        kinds: &[tidegate_core::budget::CallKind::Forbid],
        app: rig.app,
        reserve: true,
        adds_ban: false,
    };
    for _ in 0..500 {
        spent.spend(forbid, Now::agreed(now));
    }
    let state = serde_json::to_string(spent.state()).expect("JSON");
    let save = CdnSave {
        budgets: vec![(account, state)],
        objects: Vec::new(),
    };
    rig.ledger.save(save).await.expect("saved");
    let rig = rig.restart().await;
    rig.decide("cam-7", FOREVER).await;
    let waiting = cdn(&rig, "cam-7", Vendor::Ws).await;
    let words = &waiting.next.words;
    assert!(
        words.contains("500 calls a day are used up until"),
        "{words}"
    );
    let until = waiting.next.at.expect("an instant");
    assert!(until > now.plus(Duration::from_secs(86_000)), "{until}");
    assert!(words.contains(&until.to_string()), "{words}");
    let call = waiting.next.call.expect("a call");
    assert!(call.starts_with("forbid until"), "{call}");
    assert!(at.changes("cam-7").is_empty());
}

#[tokio::test]
async fn a_call_that_is_out_is_reported_as_such() {
    let rig = Rig::with(hasty()).await;
    let at = Box::start(Vendor::Aliyun, |_| {}).await;
    rig.connect(&at).await;
    at.sim.set_faults(vec![Rule::always(Fault::Latency {
        ms: 4000,
        after_effect: false,
    })]);
    rig.decide("cam-7", FOREVER).await;
    rig.eventually("no call goes out", async |rig| {
        cdn(rig, "cam-7", Vendor::Aliyun).await.called.is_some()
    })
    .await;
    let out = cdn(&rig, "cam-7", Vendor::Aliyun).await;
    assert!(out.next.words.contains("no answer yet"), "{:?}", out.next);
    assert_eq!(out.next.at, None);
}

#[tokio::test]
async fn who_shares_a_name_is_told_and_who_keeps_it_banned() {
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
    let shared = cdn(&rig, "cam-7", Vendor::Tencent).await.shared;
    let shared = shared.expect("a name is shared");
    assert!(shared.words.contains("compares the stream name alone"));
    assert!(shared.words.contains("push-other.example.com/live (open)"));
    assert_eq!((shared.with.len(), shared.kept_banned), (1, false));
    assert_eq!((shared.with[0].app, shared.with[0].want), (other, None));
    rig.decide_for(other, "cam-7", FOREVER).await;
    rig.decide_for(rig.app, "cam-7", AskKind::Resume).await;
    rig.converged("cam-7").await;
    let shared = cdn(&rig, "cam-7", Vendor::Tencent).await.shared;
    let shared = shared.expect("a name is shared");
    assert!(shared.kept_banned);
    let keeper = format!("The block of App {other} keeps it off the air");
    assert!(shared.words.contains(&keeper), "{}", shared.words);
    assert!(at.forbids("cam-7"));
}

#[tokio::test]
async fn what_was_seen_is_told_with_the_look_that_first_showed_it() {
    let rig = Rig::start().await;
    // Nothing looks at a target of Wangsu without play URLs.
    let at = Box::start(Vendor::Ws, |_| {}).await;
    let (_, target) = rig.connect(&at).await;
    rig.decide("cam-7", FOREVER).await;
    rig.converged("cam-7").await;
    let observed = at_vendor(&rig, "cam-7", Vendor::Ws).await.observed;
    assert_eq!(
        (observed.state, observed.at),
        (ObservedState::Unknown, None)
    );
    let first = rig.engine.now().plus(Duration::from_secs(10));
    let last = first.plus(Duration::from_secs(60));
    let key = rig.key("cam-7");
    let seen = |evidence, at| LookSave {
        key: key.clone(),
        target,
        observed: Some(Observed { evidence, at }),
        watch: None,
        due: None,
    };
    let dark = vec![seen(Evidence::Dark, last)];
    rig.ledger.save_looks(dark).await.expect("saved");
    let look = |at, result| Attempt {
        key: key.clone(),
        target,
        generation: Generation(1),
        at,
        result,
        vendor_request_id: String::new(),
        words: "seen".into(),
    };
    rig.ledger
        .record_attempts(vec![
            look(UnixMs(first.0 - 100_000), AttemptResult::Dark),
            look(UnixMs(first.0 - 5000), AttemptResult::Live),
            look(first, AttemptResult::Dark),
            look(last, AttemptResult::Dark),
        ])
        .await
        .expect("recorded");
    let observed = at_vendor(&rig, "cam-7", Vendor::Ws).await.observed;
    assert_eq!(observed.state, ObservedState::Dark);
    assert_eq!(
        (observed.at, observed.dark_since),
        (Some(last), Some(first))
    );
    let live = vec![seen(Evidence::Live, UnixMs(last.0 + 1))];
    rig.ledger.save_looks(live).await.expect("saved");
    let observed = at_vendor(&rig, "cam-7", Vendor::Ws).await.observed;
    assert_eq!(observed.state, ObservedState::Live);
    assert_eq!(observed.dark_since, None);
}

#[tokio::test]
async fn a_dry_run_tells_the_calls_and_makes_none() {
    let rig = Rig::start().await;
    let mut boxes = Vec::new();
    for vendor in VENDORS {
        let at = Box::start(vendor, |_| {}).await;
        rig.connect(&at).await;
        boxes.push(at);
    }
    let ask = |kind| tidegate_core::Ask {
        key: rig.key("cam-7"),
        kind,
        by: Actor::Operator {
            name: "test".into(),
            client: std::net::Ipv4Addr::LOCALHOST.into(),
        },
        reason: None,
        at: rig.engine.now(),
        request_id: rig.engine.request_id(),
    };
    let preview = rig.engine.preview(&ask(FOREVER)).await.expect("a preview");
    assert_eq!(
        preview.outcome.block().expect("banned").until,
        Until::Lifted
    );
    assert_eq!(preview.targets.len(), 5);
    assert!(preview.targets[0].next.words.contains("refuse publishing"));
    for target in &preview.targets[1..] {
        let call = target.next.call.as_deref().expect("a call");
        assert!(call.starts_with("forbid until"), "{call}");
        let is_tencent = target.target.vendor == Vendor::Tencent;
        assert_eq!(target.shared.is_some(), is_tencent);
    }
    let status = rig.ledger.status(&rig.key("cam-7")).await.expect("status");
    assert_eq!((status.block, status.decisions.len()), (None, 0));
    assert!(rig.engine.blocks().get(rig.app, "cam-7").is_none());
    assert!(boxes.iter().all(|at| at.changes("cam-7").is_empty()));

    rig.decide("cam-7", FOREVER).await;
    rig.converged("cam-7").await;
    let preview = rig.engine.preview(&ask(AskKind::Resume)).await;
    let preview = preview.expect("a preview");
    assert_eq!(preview.outcome.block(), None);
    for target in &preview.targets[1..] {
        assert_eq!(target.next.call.as_deref(), Some("resume"));
    }
    assert!(boxes.iter().all(|at| at.forbids("cam-7")));
}

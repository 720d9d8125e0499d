//! What vendors list, against what the ledger holds.

use std::time::Duration;

use tidegate_core::{AskKind, UnixMs};
use tidegate_engine::CdnOptions;
use tidegate_engine::cdns::DriftView;
use tidegate_ledger::{Ledger as _, Vendor};
use tidegate_sim::{Effect, StreamName};

use crate::rig::{Box, FOREVER, KEY, Rig, push};

const VENDORS: [Vendor; 4] = [Vendor::Ws, Vendor::Aliyun, Vendor::Tencent, Vendor::Huawei];

fn watchful() -> CdnOptions {
    CdnOptions {
        drift_check: Duration::from_secs(1),
        drift_grace: Duration::ZERO,
        answer_within: Duration::from_secs(20),
        ..CdnOptions::default()
    }
}

async fn compared(rig: &Rig, account: i64, what: &str, holds: impl Fn(&DriftView) -> bool) {
    rig.eventually(what, async |rig| {
        let view = rig.engine.cdns().view(account);
        view.and_then(|view| view.drift)
            .is_some_and(|drift| holds(&drift))
    })
    .await;
}

#[tokio::test]
async fn a_ban_of_ours_that_is_gone_is_set_again() {
    for vendor in VENDORS {
        let rig = Rig::with(watchful()).await;
        let at = Box::start(vendor, |_| {}).await;
        let (account, _) = rig.connect(&at).await;
        rig.decide("cam-7", FOREVER).await;
        compared(&rig, account, "no comparison", |drift| drift.vanished == 0).await;
        assert!(at.sim.resume_by_hand(KEY, &at.name("cam-7")));
        rig.eventually(&format!("{vendor}: the ban is not set again"), async |_| {
            at.forbids("cam-7")
        })
        .await;
        // Wangsu gives ten lists in five minutes, Tencent one list of live streams a minute.
        if matches!(vendor, Vendor::Aliyun | Vendor::Huawei) {
            compared(
                &rig,
                account,
                &format!("{vendor} goes on differing"),
                |drift| drift.vanished == 0,
            )
            .await;
        }
    }
}

#[tokio::test]
async fn a_ban_that_is_not_ours_is_told_and_left_alone() {
    for vendor in VENDORS {
        let rig = Rig::with(watchful()).await;
        let at = Box::start(vendor, |_| {}).await;
        let (account, _) = rig.connect(&at).await;
        let until = UnixMs(rig.engine.now().0 + 86_400_000);
        let name = StreamName::new(&push(vendor), "live", "theirs");
        at.sim.forbid_by_hand(KEY, &name, until);
        compared(&rig, account, "it is not seen", |drift| drift.foreign == 1).await;
        let alarms = rig.engine.alarms().list();
        let alarm = alarms.iter().find(|a| a.kind.word() == "cdn_drift");
        assert!(
            alarm.is_some_and(|a| a.text.contains("theirs")),
            "{alarms:?}"
        );
        assert!(at.sim.is_forbidden(&name), "{vendor}");
        let lifted = at.sim.journal(0);
        assert!(!lifted.iter().any(|entry| entry.effect == Effect::Resumed));
        assert!(at.sim.resume_by_hand(KEY, &name));
        rig.eventually("the alarm stays", async |rig| {
            rig.engine.alarms().list().is_empty()
        })
        .await;
    }
}

#[tokio::test]
async fn a_stream_that_plays_in_spite_of_its_ban_is_told_and_banned_again() {
    for vendor in [Vendor::Aliyun, Vendor::Huawei] {
        let rig = Rig::with(watchful()).await;
        let at = Box::start(vendor, |_| {}).await;
        let (account, _) = rig.connect(&at).await;
        rig.decide("cam-7", FOREVER).await;
        at.reel.live.lock().push(at.name("cam-7"));
        compared(&rig, account, "it is not seen", |drift| drift.live == 1).await;
    }
}

#[tokio::test]
async fn a_stream_that_was_resumed_is_no_difference() {
    let rig = Rig::with(watchful()).await;
    let at = Box::start(Vendor::Huawei, |_| {}).await;
    let (account, _) = rig.connect(&at).await;
    rig.decide("cam-7", FOREVER).await;
    rig.decide("cam-7", AskKind::Resume).await;
    let calls = at.changes("cam-7").len();
    let now = rig.engine.now();
    compared(&rig, account, "no comparison", |drift| drift.at > now).await;
    assert_eq!(at.changes("cam-7").len(), calls);
    assert_eq!(rig.engine.alarms().list(), []);
    let status = rig.ledger.status(&rig.key("cam-7")).await.expect("status");
    assert!(status.block.is_none());
}

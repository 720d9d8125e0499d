//! Decisions through the engine: what is in force, what is answered, what a restart finds.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "test support may fail loudly"
)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{FOREVER, Rig, make_app};
use tidegate_core::publish_auth::{self, Recipe};
use tidegate_core::{AppId, AskKind, Generation, Secret, UnixMs};
use tidegate_engine::{AppError, Claim, Reply, ResultWord};
use tidegate_ledger::NonceUse;
use tidegate_origin::{Gate, Refusal};

#[tokio::test]
async fn a_forbid_refuses_publishers_and_players_until_a_resume() {
    let rig = Rig::start().await;
    let named = tidegate_core::name::canonical("live", "cam").expect("name");
    let peer = "127.0.0.1:9".parse().expect("address");
    assert!(rig.engine.admit_publish(&named, peer).is_ok());

    let answered = rig.decide("cam", FOREVER).await;
    assert_eq!(answered.generation, Generation(1));
    let words: Vec<_> = answered
        .results
        .iter()
        .map(|r| (r.vendor.word(), r.result))
        .collect();
    assert_eq!(words, [("origin", ResultWord::Success)]);
    for refused in [
        rig.engine.admit_publish(&named, peer),
        rig.engine.admit_play(&named, peer),
    ] {
        assert!(matches!(refused, Err(Refusal::Forbidden(_))), "{refused:?}");
    }
    assert!(rig.engine.standing(&rig.key("cam")).is_some());

    let answered = rig.decide("cam", AskKind::Resume).await;
    assert_eq!(answered.generation, Generation(2));
    assert!(rig.engine.admit_publish(&named, peer).is_ok());
}

#[tokio::test]
async fn blocks_survive_a_restart_and_generations_go_on() {
    let rig = Rig::start().await;
    rig.decide("cam", FOREVER).await;
    rig.decide("gone", FOREVER).await;
    rig.decide("gone", AskKind::Resume).await;
    let rig = rig.restart().await;
    assert!(rig.is_blocked("cam"));
    assert!(!rig.is_blocked("gone"));
    assert_eq!(rig.decide("gone", FOREVER).await.generation, Generation(3));
}

#[tokio::test]
async fn request_ids_do_not_repeat_across_restarts() {
    let rig = Rig::start().await;
    let first = rig.engine.request_id();
    let rig = rig.restart().await;
    assert_ne!(rig.engine.request_id(), first);
}

#[tokio::test]
async fn a_block_ends_at_its_instant_and_history_says_so() {
    let rig = Rig::start().await;
    rig.forbid_for("cam", Duration::from_millis(200)).await;
    assert!(rig.is_blocked("cam"));
    rig.eventually("the scheduled end", |rig| !rig.is_blocked("cam"))
        .await;
    let report = rig.engine.report(&rig.key("cam")).await.expect("report");
    let verbs: Vec<_> = report
        .ledger
        .decisions
        .iter()
        .map(|d| d.verb.as_str())
        .collect();
    assert_eq!(verbs, ["lapse", "forbid"]);
    let end = report.ledger.decisions[1].until.expect("an end");
    assert!(
        report.ledger.decisions[0].at >= end,
        "an end is never early"
    );
}

#[tokio::test]
async fn an_end_that_passed_while_the_server_was_down_is_carried_out_at_start() {
    let rig = Rig::start().await;
    let end = rig.engine.now().plus(Duration::from_millis(300));
    rig.forbid_for("cam", Duration::from_millis(300)).await;
    let dir = rig.stop().await;
    while std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("clock")
        .as_millis()
        < u128::try_from(end.0).expect("positive")
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let rig = Rig::reopen(dir).await;
    rig.eventually("the overdue end", |rig| !rig.is_blocked("cam"))
        .await;
}

#[tokio::test]
async fn an_earlier_end_wakes_the_loop_that_waits_for_a_later_one() {
    let rig = Rig::start().await;
    rig.forbid_for("later", Duration::from_secs(3600)).await;
    rig.forbid_for("soon", Duration::from_millis(100)).await;
    rig.eventually("the nearer end", |rig| !rig.is_blocked("soon"))
        .await;
    assert!(rig.is_blocked("later"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_races_memory_and_ledger_agree_on_the_newest_decision() {
    let rig = Arc::new(Rig::start().await);
    for round in 0..20 {
        let stream = format!("cam{round}");
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..16 {
            let (rig, stream) = (rig.clone(), stream.clone());
            let kind = if n % 2 == 0 { FOREVER } else { AskKind::Resume };
            tasks.spawn(async move { rig.decide(&stream, kind).await });
        }
        while let Some(done) = tasks.join_next().await {
            done.expect("decided");
        }
        let report = rig.engine.report(&rig.key(&stream)).await.expect("report");
        let newest = report
            .ledger
            .decisions
            .first()
            .expect("a decision")
            .verb
            .clone();
        assert_eq!(rig.is_blocked(&stream), newest == "forbid", "{stream}");
        assert_eq!(
            report.ledger.block.is_some(),
            newest == "forbid",
            "{stream}"
        );
    }
}

#[tokio::test]
async fn a_nonce_is_bound_by_the_decision_and_survives_a_restart() {
    let rig = Rig::start().await;
    let used = NonceUse {
        nonce: "n".into(),
        digest: [1; 32],
        expires: rig.engine.now().plus(Duration::from_secs(600)),
    };
    let Claim::New(ticket) = rig.engine.claim_nonce(rig.app, "n", [1; 32]).await else {
        panic!("unused");
    };
    let reply = rig
        .engine
        .decide(rig.ask("cam", FOREVER), Some(used.clone()))
        .await;
    assert!(matches!(reply, Ok(Reply::Decided(_))));
    rig.engine
        .finish(ticket, &rig.key("cam"), used.clone(), "the answer".into());
    assert!(matches!(
        rig.engine.claim_nonce(rig.app, "n", [2; 32]).await,
        Claim::Other
    ));

    let rig = rig.restart().await;
    let same = rig.engine.claim_nonce(rig.app, "n", [1; 32]).await;
    assert!(matches!(same, Claim::Answered(answer) if &*answer == "the answer"));
    assert!(matches!(
        rig.engine.claim_nonce(rig.app, "n", [2; 32]).await,
        Claim::Other
    ));
    let other = NonceUse {
        digest: [2; 32],
        ..used
    };
    let reply = rig
        .engine
        .decide(rig.ask("dog", FOREVER), Some(other))
        .await;
    assert!(
        matches!(reply, Ok(Reply::NonceTaken)),
        "the ledger holds it too"
    );
    assert!(
        !rig.is_blocked("dog"),
        "a forbid that was none leaves no block"
    );
}

#[tokio::test]
async fn a_disabled_app_carries_nothing_until_it_is_enabled() {
    let rig = Rig::start().await;
    let second = make_app(&rig.engine, "second").await;
    let rtmp_app = second.to_string();
    let named = tidegate_core::name::canonical(&rtmp_app, "cam").expect("name");
    let peer = "127.0.0.1:9".parse().expect("address");
    assert!(rig.engine.admit_publish(&named, peer).is_ok());
    rig.engine
        .set_disabled(second, true)
        .await
        .expect("disable");
    assert!(matches!(
        rig.engine.admit_publish(&named, peer),
        Err(Refusal::UnknownApp(_))
    ));
    rig.engine
        .set_disabled(second, false)
        .await
        .expect("enable");
    assert!(rig.engine.admit_publish(&named, peer).is_ok());
}

#[tokio::test]
async fn a_rotated_out_secret_lives_on_for_a_day_unless_ended_at_once() {
    let rig = Rig::start().await;
    let live = |rig: &Rig, now: UnixMs| {
        rig.engine
            .apps()
            .get(rig.app)
            .expect("App")
            .live_secrets(now)
            .count()
    };
    rig.engine
        .rotate_secret(rig.app, false)
        .await
        .expect("rotate");
    let now = rig.engine.now();
    assert_eq!(live(&rig, now), 2);
    assert_eq!(live(&rig, now.plus(Duration::from_secs(24 * 3600 + 1))), 1);
    rig.engine
        .rotate_secret(rig.app, true)
        .await
        .expect("rotate");
    assert_eq!(live(&rig, rig.engine.now()), 1);
}

#[tokio::test]
async fn a_rotated_out_publish_key_opens_until_the_next_rotation_or_ends_at_once() {
    let rig = Rig::start().await;
    let app = rig
        .engine
        .plan_app(tidegate_engine::NewApp {
            name: "signed".into(),
            rtmp_app: Some("signed".into()),
            publish_auth: tidegate_ledger::PublishAuth::Signed,
            bind_nonces: true,
            default_forbid: None,
        })
        .expect("plan");
    rig.engine.create_app(&app).await.expect("create");
    let end = rig.engine.now().seconds() + 3600;
    let opens = |key: &Secret| {
        let query = publish_auth::sign(Recipe::Tencent, key, "signed", "cam", end);
        let named = tidegate_core::name::canonical("signed", &format!("cam?{query}"));
        let peer = "127.0.0.1:9".parse().expect("address");
        rig.engine
            .admit_publish(&named.expect("name"), peer)
            .is_ok()
    };
    let rotate = |end_now| rig.engine.rotate_publish_key(app.id, end_now);
    assert!(opens(&app.publish_key));
    let second = rotate(false).await.expect("rotate");
    assert!(opens(&app.publish_key) && opens(&second));
    let third = rotate(false).await.expect("rotate");
    assert!(!opens(&app.publish_key) && opens(&second) && opens(&third));
    let fourth = rotate(true).await.expect("rotate");
    assert!(!opens(&third) && opens(&fourth));
    let unknown = rig.engine.rotate_publish_key(AppId(9), false).await;
    assert!(matches!(unknown, Err(AppError::Unknown(AppId(9)))));
}

#[tokio::test]
async fn a_taken_rtmp_app_name_and_bad_names_are_refused() {
    let rig = Rig::start().await;
    let new = |name: &str, rtmp_app: &str| tidegate_engine::NewApp {
        name: name.into(),
        rtmp_app: Some(rtmp_app.into()),
        publish_auth: tidegate_ledger::PublishAuth::None,
        bind_nonces: true,
        default_forbid: None,
    };
    let taken = rig.engine.plan_app(new("second", "live")).expect("plan");
    assert!(matches!(
        rig.engine.create_app(&taken).await,
        Err(AppError::Ledger(_))
    ));
    assert!(matches!(
        rig.engine.plan_app(new("", "x")),
        Err(AppError::Name)
    ));
    assert!(matches!(
        rig.engine.plan_app(new("a\nb", "x")),
        Err(AppError::Name)
    ));
    assert!(matches!(
        rig.engine.plan_app(new("ok", "a/b")),
        Err(AppError::RtmpApp)
    ));
}

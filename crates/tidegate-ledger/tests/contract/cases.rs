//! What every back end must do, one function a case, each on a fresh ledger.

use std::collections::BTreeSet;
use std::time::Duration;

use tidegate_core::clock::Sample;
use tidegate_core::{AppId, Ask, AskKind, Outcome, RequestId, Secret, UnixMs, Until};
use tidegate_ledger::{
    Attempt, AttemptResult, Bound, ClockMark, Head, Ledger, LedgerError, LiveSecret, SavedAnswer,
    Vendor,
};

pub(crate) use crate::cdns::*;
pub(crate) use crate::changes::*;
pub(crate) use crate::due::*;
use crate::fixture::{
    FOREVER, NOW, app, ask, decide, fresh, generation, key, nonce, until, with_app,
};
pub(crate) use crate::objects::*;

pub(crate) async fn a_fresh_ledger_is_empty(ledger: &impl Ledger) {
    assert!(ledger.apps(NOW).await.expect("read").is_empty());
    assert_eq!(ledger.admin_token().await.expect("read"), None);
    assert_eq!(ledger.newest_instant().await.expect("read"), None);
    assert_eq!(ledger.clock_mark().await.expect("read"), None);
    assert_eq!(ledger.restore_hold().await.expect("read"), None);
    let head = ledger.head().await.expect("read");
    assert_eq!(
        head,
        Head {
            length: 0,
            hash: "0".repeat(64)
        }
    );
    ledger
        .load_blocks(&mut |key, _| panic!("a block on {key}"))
        .await
        .expect("read");
    let status = ledger.status(&key(1, "cam")).await.expect("read");
    assert_eq!(status, tidegate_ledger::StreamStatus::default());
    assert_eq!(
        ledger.due_ends(NOW, 10).await.expect("read"),
        (vec![], None)
    );
}

pub(crate) async fn instances_rise_from_one(ledger: &impl Ledger) {
    for want in 1..4 {
        assert_eq!(ledger.next_instance().await.expect("written"), want);
    }
}

pub(crate) async fn an_app_comes_back_as_it_was_made(ledger: &impl Ledger) {
    let mut first = app(7);
    first.publish_key_backup = Some(Secret::new("second key".into()));
    first.server_secrets.push(LiveSecret {
        secret: Secret::new("older".into()),
        expires: Some(NOW.plus(Duration::from_secs(1))),
    });
    ledger.create_app(&first).await.expect("created");
    ledger.create_app(&app(3)).await.expect("created");
    let apps = ledger.apps(NOW).await.expect("read");
    assert_eq!(apps.len(), 2, "oldest first, whatever the ids");
    assert_eq!(
        format!("{:?}", apps[0]),
        format!("{first:?}"),
        "all but the secrets"
    );
    assert_eq!(apps[1].id, AppId(3));
    let secrets: Vec<_> = apps[0]
        .server_secrets
        .iter()
        .map(|s| s.secret.expose())
        .collect();
    assert_eq!(secrets, ["server-secret-7", "older"]);
    assert_eq!(apps[0].callback_secret.expose(), "callback");
    assert_eq!(apps[0].publish_key.expose(), "publish");
    let backup = apps[0].publish_key_backup.as_ref().map(Secret::expose);
    assert_eq!(backup, Some("second key"));
    let targets = ledger.targets(AppId(7)).await.expect("read");
    assert_eq!(targets.len(), 1);
    assert_eq!(targets[0].vendor, Vendor::Origin);
    assert_eq!(targets[0].rtmp_app, "live7");
    let later = NOW.plus(Duration::from_secs(1));
    let apps = ledger.apps(later).await.expect("read");
    assert_eq!(apps[0].server_secrets.len(), 1, "the older one has expired");
}

pub(crate) async fn taken_ids_and_rtmp_names_are_conflicts(ledger: &impl Ledger) {
    ledger.create_app(&app(1)).await.expect("created");
    let again = ledger.create_app(&app(1)).await;
    assert!(matches!(again, Err(LedgerError::Conflict(_))), "{again:?}");
    let mut same_name = app(2);
    same_name.rtmp_app = "live1".into();
    let taken = ledger.create_app(&same_name).await;
    assert!(
        matches!(&taken, Err(LedgerError::Conflict(words)) if words.contains("live1")),
        "{taken:?}"
    );
    let apps = ledger.apps(NOW).await.expect("read");
    assert_eq!(apps.len(), 1, "nothing of the refused App is left");
    ledger.create_app(&app(2)).await.expect("the id is free");
}

async fn live_secrets(ledger: &impl Ledger, now: UnixMs) -> Vec<String> {
    let apps = ledger.apps(now).await.expect("read");
    apps[0]
        .server_secrets
        .iter()
        .map(|s| s.secret.expose().to_owned())
        .collect()
}

pub(crate) async fn rotation_keeps_one_earlier_secret_until_its_end(ledger: &impl Ledger) {
    ledger.create_app(&app(1)).await.expect("created");
    let day = NOW.plus(Duration::from_secs(86_400));
    for secret in ["second", "third"] {
        ledger
            .rotate_secret(AppId(1), &Secret::new(secret.into()), NOW, day)
            .await
            .expect("rotated");
    }
    assert_eq!(live_secrets(ledger, NOW).await, ["third", "second"]);
    assert_eq!(live_secrets(ledger, day).await, ["third"]);
    let nobody = ledger
        .rotate_secret(AppId(9), &Secret::new("x".into()), NOW, day)
        .await;
    assert!(matches!(nobody, Err(LedgerError::NoSuchApp(9))));
}

pub(crate) async fn rotation_at_once_ends_every_earlier_secret(ledger: &impl Ledger) {
    ledger.create_app(&app(1)).await.expect("created");
    ledger
        .rotate_secret(AppId(1), &Secret::new("second".into()), NOW, NOW)
        .await
        .expect("rotated");
    assert_eq!(live_secrets(ledger, NOW).await, ["second"]);
}

pub(crate) async fn a_rotated_publish_key_leaves_the_earlier_one_as_backup_if_kept(
    ledger: &impl Ledger,
) {
    ledger.create_app(&app(1)).await.expect("created");
    let first = app(1).publish_key.expose().to_owned();
    let rotations = [
        ("second", true, Some(first.as_str())),
        ("third", true, Some("second")),
        ("fourth", false, None),
    ];
    for (key, keep, backup) in rotations {
        ledger
            .rotate_publish_key(AppId(1), &Secret::new(key.into()), keep)
            .await
            .expect("rotated");
        let apps = ledger.apps(NOW).await.expect("read");
        assert_eq!(apps[0].publish_key.expose(), key);
        let kept = apps[0].publish_key_backup.as_ref().map(Secret::expose);
        assert_eq!(kept, backup);
    }
    let nobody = ledger
        .rotate_publish_key(AppId(9), &Secret::new("x".into()), true)
        .await;
    assert!(matches!(nobody, Err(LedgerError::NoSuchApp(9))));
}

pub(crate) async fn disabling_an_unknown_app_says_so(ledger: &impl Ledger) {
    ledger.create_app(&app(1)).await.expect("created");
    ledger.set_disabled(AppId(1), true).await.expect("disabled");
    assert!(ledger.apps(NOW).await.expect("read")[0].disabled);
    ledger.set_disabled(AppId(1), false).await.expect("enabled");
    assert!(!ledger.apps(NOW).await.expect("read")[0].disabled);
    let unknown = ledger.set_disabled(AppId(2), true).await;
    assert!(matches!(unknown, Err(LedgerError::NoSuchApp(2))));
}

pub(crate) async fn the_admin_token_is_replaced(ledger: &impl Ledger) {
    for digest in [[1; 32], [2; 32]] {
        ledger.set_admin_token(digest).await.expect("written");
        assert_eq!(ledger.admin_token().await.expect("read"), Some(digest));
    }
}

pub(crate) async fn a_forbid_blocks_and_is_remembered(ledger: &impl Ledger) {
    let cam = with_app(ledger).await;
    let decided = decide(ledger, &cam, FOREVER).await;
    assert_eq!(decided.generation, generation(1));
    let block = decided.outcome.block().expect("blocked");
    assert_eq!((block.since, block.until), (NOW, Until::Lifted));
    let placement = &decided.placements[0];
    assert_eq!(placement.target.vendor, Vendor::Origin);
    assert_eq!(placement.wanted, generation(1));
    assert_eq!(placement.accepted, Some(generation(1)));
    assert_eq!(placement.accepted_at, Some(NOW));
    let status = ledger.status(&cam).await.expect("read");
    assert_eq!(status.block, Some(block));
    assert_eq!(status.placements, decided.placements);
    let record = &status.decisions[0];
    let asked = ask(&cam, FOREVER, NOW);
    assert_eq!(record.verb, "forbid");
    assert_eq!(record.until, Some(UnixMs::LAST));
    assert_eq!(record.by.as_ref(), Some(&asked.by));
    assert_eq!(record.reason, asked.reason);
    assert_eq!(record.at, NOW);
    assert_eq!(record.request_id, Some(asked.request_id));
}

pub(crate) async fn a_resume_opens_and_generations_keep_rising(ledger: &impl Ledger) {
    let cam = with_app(ledger).await;
    decide(ledger, &cam, until(NOW.0 + 5000)).await;
    let resumed = decide(ledger, &cam, AskKind::Resume).await;
    assert_eq!(resumed.outcome, Outcome::Opened { was_blocked: true });
    assert_eq!(resumed.placements[0].wanted, generation(2));
    let again = decide(ledger, &cam, AskKind::Resume).await;
    assert_eq!(again.outcome, Outcome::Opened { was_blocked: false });
    let forbidden = decide(ledger, &cam, FOREVER).await;
    assert_eq!(forbidden.generation, generation(4));
    let verbs: Vec<_> = ledger
        .status(&cam)
        .await
        .expect("read")
        .decisions
        .into_iter()
        .map(|d| d.verb)
        .collect();
    assert_eq!(verbs, ["forbid", "resume", "resume", "forbid"]);
}

pub(crate) async fn streams_of_different_apps_do_not_meet(ledger: &impl Ledger) {
    let cam = with_app(ledger).await;
    ledger.create_app(&app(2)).await.expect("created");
    let other = key(2, "cam");
    decide(ledger, &cam, FOREVER).await;
    assert_eq!(ledger.status(&other).await.expect("read").block, None);
    let decided = decide(ledger, &other, AskKind::Resume).await;
    assert_eq!(decided.generation, generation(1));
    assert!(ledger.status(&cam).await.expect("read").block.is_some());
    let upper = decide(ledger, &key(1, "CAM"), AskKind::Resume).await;
    assert_eq!(upper.generation, generation(1), "case matters");
}

pub(crate) async fn a_decision_for_an_unknown_app_is_refused(ledger: &impl Ledger) {
    let asked = ask(&key(5, "cam"), FOREVER, NOW);
    let refused = ledger.decide(asked, None).await;
    assert!(
        matches!(refused, Err(LedgerError::NoSuchApp(5))),
        "{refused:?}"
    );
    assert_eq!(ledger.head().await.expect("read").length, 0);
}

pub(crate) async fn the_same_nonce_and_request_is_a_replay(ledger: &impl Ledger) {
    let cam = with_app(ledger).await;
    let asked = ask(&cam, FOREVER, NOW);
    let first = ledger
        .decide(asked.clone(), Some(nonce("n", 1)))
        .await
        .expect("decided");
    let first = fresh(first);
    let mut twin = asked.clone();
    twin.request_id = RequestId::compose(1, 43);
    let Bound::Replay(record) = ledger
        .decide(twin.clone(), Some(nonce("n", 1)))
        .await
        .expect("decided")
    else {
        panic!("expected a replay");
    };
    assert_eq!(record.request_id, asked.request_id);
    assert_eq!(record.generation, first.generation);
    assert_eq!(record.key, cam);
    assert_eq!(record.answer, None);
    ledger
        .save_answers(vec![SavedAnswer {
            app: AppId(1),
            nonce: "n".into(),
            answer: "said".into(),
        }])
        .await
        .expect("saved");
    let again = ledger.decide(twin, Some(nonce("n", 1))).await;
    let Ok(Bound::Replay(record)) = again else {
        panic!("expected a replay, got {again:?}");
    };
    assert_eq!(record.answer.as_deref(), Some("said"));
    assert_eq!(ledger.head().await.expect("read").length, 1);
    assert_eq!(
        ledger.live_nonces(NOW).await.expect("read"),
        vec![record.clone()]
    );
    let expired = ledger.live_nonces(record.used.expires).await;
    assert_eq!(expired.expect("read"), vec![]);
}

pub(crate) async fn the_same_nonce_for_another_request_is_taken(ledger: &impl Ledger) {
    let cam = with_app(ledger).await;
    ledger.create_app(&app(2)).await.expect("created");
    let bound = ledger
        .decide(ask(&cam, FOREVER, NOW), Some(nonce("n", 1)))
        .await;
    fresh(bound.expect("decided"));
    let other = ask(&key(1, "other"), AskKind::Resume, NOW);
    let taken = ledger.decide(other, Some(nonce("n", 2))).await;
    assert_eq!(taken.expect("answered"), Bound::NonceTaken);
    let untouched = ledger.status(&key(1, "other")).await.expect("read");
    assert_eq!(untouched.decisions, vec![]);
    let elsewhere = ask(&key(2, "cam"), FOREVER, NOW);
    let bound = ledger.decide(elsewhere, Some(nonce("n", 2))).await;
    fresh(bound.expect("another App's nonces are its own"));
}

pub(crate) async fn a_nonce_is_free_again_once_expired(ledger: &impl Ledger) {
    let cam = with_app(ledger).await;
    let first = nonce("n", 1);
    let end = first.expires;
    let bound = ledger.decide(ask(&cam, FOREVER, NOW), Some(first)).await;
    fresh(bound.expect("decided"));
    let mut second = nonce("n", 2);
    second.expires = end.plus(Duration::from_secs(600));
    let bound = ledger
        .decide(ask(&cam, FOREVER, end), Some(second.clone()))
        .await;
    assert_eq!(fresh(bound.expect("decided")).generation, generation(2));
    let live = ledger.live_nonces(end).await.expect("read");
    assert_eq!(live.len(), 1);
    assert_eq!(live[0].used, second);
}

async fn decide_all(
    ledger: &impl Ledger,
    asks: Vec<(Ask, Option<tidegate_ledger::NonceUse>)>,
) -> Vec<Bound> {
    let mut pending: Vec<_> = asks
        .into_iter()
        .map(|(ask, nonce)| Box::pin(ledger.decide(ask, nonce)))
        .collect();
    let mut answers = Vec::new();
    // All are polled once before any is awaited, so that they wait together.
    std::future::poll_fn(|cx| {
        pending.retain_mut(|one| match one.as_mut().poll(cx) {
            std::task::Poll::Ready(answer) => {
                answers.push(answer.expect("decided"));
                false
            }
            std::task::Poll::Pending => true,
        });
        if pending.is_empty() {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    answers
}

pub(crate) async fn concurrent_twins_are_decided_once(ledger: &impl Ledger) {
    let cam = with_app(ledger).await;
    let twins = (0..16)
        .map(|_| (ask(&cam, FOREVER, NOW), Some(nonce("n", 1))))
        .collect();
    let answers = decide_all(ledger, twins).await;
    let fresh = answers
        .iter()
        .filter(|bound| matches!(bound, Bound::Fresh(_)))
        .count();
    assert_eq!((answers.len(), fresh), (16, 1));
    assert_eq!(ledger.head().await.expect("read").length, 1);
}

pub(crate) async fn concurrent_callers_get_distinct_generations(ledger: &impl Ledger) {
    let cam = with_app(ledger).await;
    let asks = (0..64)
        .map(|n| {
            let kind = if n % 2 == 0 { FOREVER } else { AskKind::Resume };
            (ask(&cam, kind, NOW), None)
        })
        .collect();
    let generations: BTreeSet<_> = decide_all(ledger, asks)
        .await
        .into_iter()
        .map(|bound| fresh(bound).generation.0)
        .collect();
    assert_eq!(generations, (1..=64).collect());
}

pub(crate) async fn blocks_load_whole_over_many_pages(ledger: &impl Ledger) {
    with_app(ledger).await;
    ledger.create_app(&app(2)).await.expect("created");
    let count = 10_000;
    let asks = (0..count)
        .map(|n| {
            let kind = if n % 3 == 0 {
                FOREVER
            } else {
                until(NOW.0 + n)
            };
            let app = if n < 4_000 { 1 } else { 2 };
            (ask(&key(app, &format!("s-{n}_")), kind, NOW), None)
        })
        .collect();
    decide_all(ledger, asks).await;
    let mut loaded = BTreeSet::new();
    ledger
        .load_blocks(&mut |key, block| {
            let n: i64 = key
                .stream
                .as_str()
                .trim_matches(|c: char| !c.is_ascii_digit())
                .parse()
                .expect("a number");
            let want = if n % 3 == 0 {
                Until::Lifted
            } else {
                Until::At(UnixMs(NOW.0 + n))
            };
            assert_eq!(block.until, want);
            assert_eq!((block.generation, block.since), (generation(1), NOW));
            assert_eq!(key.app.0, if n < 4_000 { 1 } else { 2 });
            assert!(loaded.insert(n), "{n} came twice");
        })
        .await
        .expect("loaded");
    assert_eq!(loaded.len(), 10_000);
}

pub(crate) async fn due_ends_come_earliest_first_with_the_next(ledger: &impl Ledger) {
    with_app(ledger).await;
    for (stream, end) in [("c", 30), ("a", 10), ("b", 20), ("d", 40)] {
        decide(ledger, &key(1, stream), until(NOW.0 + end)).await;
    }
    decide(ledger, &key(1, "forever"), FOREVER).await;
    let at = |end| UnixMs(NOW.0 + end);
    let names = |due: &[(tidegate_core::StreamKey, tidegate_core::Block)]| {
        due.iter()
            .map(|(key, _)| key.stream.to_string())
            .collect::<Vec<_>>()
    };
    let (due, next) = ledger.due_ends(at(20), 10).await.expect("read");
    assert_eq!(
        (names(&due), next),
        (vec!["a".into(), "b".into()], Some(at(30)))
    );
    let (due, next) = ledger.due_ends(at(99), 3).await.expect("read");
    assert_eq!(names(&due), ["a", "b", "c"]);
    assert_eq!(next, Some(at(40)), "cut by the limit, the rest is next");
    let (due, next) = ledger.due_ends(at(99), 4).await.expect("read");
    assert_eq!((due.len(), next), (4, None));
}

pub(crate) async fn a_lapse_opens_unless_a_newer_decision_stands(ledger: &impl Ledger) {
    let cam = with_app(ledger).await;
    decide(ledger, &cam, until(NOW.0 + 10)).await;
    decide(ledger, &cam, until(NOW.0 + 20)).await;
    let lapse = |block| ledger.lapse(cam.clone(), generation(block), UnixMs(NOW.0 + 20));
    assert_eq!(lapse(1).await.expect("answered"), None);
    assert!(ledger.status(&cam).await.expect("read").block.is_some());
    assert_eq!(lapse(2).await.expect("answered"), Some(generation(3)));
    let status = ledger.status(&cam).await.expect("read");
    assert_eq!(status.block, None);
    assert_eq!(status.decisions[0].verb, "lapse");
    assert_eq!(status.decisions[0].by, None);
    assert_eq!(status.placements[0].wanted, generation(3));
    assert_eq!(status.placements[0].accepted, Some(generation(3)));
    assert_eq!(lapse(2).await.expect("answered"), None, "only once");
}

fn attempt(key: &tidegate_core::StreamKey, target: i64, n: i64) -> Attempt {
    Attempt {
        key: key.clone(),
        target,
        generation: generation(1),
        at: UnixMs(NOW.0 + n),
        result: if n % 2 == 0 {
            AttemptResult::Accepted
        } else {
            AttemptResult::Failed
        },
        vendor_request_id: format!("id-{n}"),
        words: "said".into(),
    }
}

pub(crate) async fn attempts_are_listed_newest_first(ledger: &impl Ledger) {
    let cam = with_app(ledger).await;
    decide(ledger, &cam, FOREVER).await;
    let target = ledger.targets(AppId(1)).await.expect("read")[0].id;
    let all: Vec<_> = (0..30).map(|n| attempt(&cam, target, n)).collect();
    ledger
        .record_attempts(all[..10].to_vec())
        .await
        .expect("recorded");
    ledger
        .record_attempts(all[10..].to_vec())
        .await
        .expect("recorded");
    let newest: Vec<_> = all.iter().rev().take(20).cloned().collect();
    assert_eq!(ledger.status(&cam).await.expect("read").attempts, newest);
}

pub(crate) async fn the_chain_grows_with_history_only(ledger: &impl Ledger) {
    let cam = with_app(ledger).await;
    ledger.set_admin_token([1; 32]).await.expect("written");
    assert_eq!(ledger.head().await.expect("read").length, 0);
    decide(ledger, &cam, FOREVER).await;
    let first = ledger.head().await.expect("read");
    assert_eq!(first.length, 1);
    let batch = vec![attempt(&cam, 1, 0), attempt(&cam, 1, 1)];
    ledger.record_attempts(batch).await.expect("recorded");
    let second = ledger.head().await.expect("read");
    assert_eq!(second.length, 2, "one link a batch");
    assert_ne!(first.hash, second.hash);
    ledger.record_attempts(vec![]).await.expect("nothing to do");
    assert_eq!(ledger.head().await.expect("read"), second);
}

pub(crate) async fn the_newest_instant_covers_decisions_attempts_and_marks(ledger: &impl Ledger) {
    let cam = with_app(ledger).await;
    decide(ledger, &cam, FOREVER).await;
    assert_eq!(ledger.newest_instant().await.expect("read"), Some(NOW));
    let earlier = ask(&cam, FOREVER, UnixMs(5));
    fresh(ledger.decide(earlier, None).await.expect("decided"));
    assert_eq!(ledger.newest_instant().await.expect("read"), Some(NOW));
    ledger
        .record_attempts(vec![attempt(&cam, 1, 7)])
        .await
        .expect("recorded");
    let newest = ledger.newest_instant().await.expect("read");
    assert_eq!(newest, Some(UnixMs(NOW.0 + 7)));
    ledger.set_clock_mark(mark(9)).await.expect("written");
    let newest = ledger.newest_instant().await.expect("read");
    assert_eq!(newest, Some(UnixMs(NOW.0 + 9)));
}

fn mark(n: i64) -> ClockMark {
    ClockMark {
        sample: Sample {
            wall: UnixMs(NOW.0 + n),
            since_boot_ms: u64::MAX,
        },
        boot: format!("boot {n}"),
    }
}

pub(crate) async fn clock_marks_are_replaced(ledger: &impl Ledger) {
    for n in [3, 2] {
        ledger.set_clock_mark(mark(n)).await.expect("written");
        assert_eq!(ledger.clock_mark().await.expect("read"), Some(mark(n)));
    }
}

pub(crate) async fn hostile_text_is_stored_as_it_came(ledger: &impl Ledger) {
    let cam = with_app(ledger).await;
    let text = "'); DROP TABLE decisions; -- \u{0}\u{7f}\u{202e}\u{1f600} $1 ?2";
    let mut asked = ask(&cam, FOREVER, NOW);
    asked.reason = Some(text.into());
    let mut used = nonce("n", 1);
    used.nonce = text.into();
    fresh(
        ledger
            .decide(asked.clone(), Some(used))
            .await
            .expect("decided"),
    );
    let status = ledger.status(&cam).await.expect("read");
    assert_eq!(status.decisions[0].reason.as_deref(), Some(text));
    let live = ledger.live_nonces(NOW).await.expect("read");
    assert_eq!(live[0].used.nonce, text);
}

pub(crate) async fn a_refused_operation_leaves_nothing_behind(ledger: &impl Ledger) {
    let cam = with_app(ledger).await;
    // The refused ones and the good one share a batch or not; either way only the good one counts.
    let good = ask(&cam, FOREVER, NOW);
    let unknown = ask(&key(9, "cam"), FOREVER, NOW);
    let twin = app(1);
    let (a, b, c) = tokio::join!(
        ledger.decide(unknown, None),
        ledger.create_app(&twin),
        ledger.decide(good, None),
    );
    assert!(matches!(a, Err(LedgerError::NoSuchApp(9))), "{a:?}");
    assert!(matches!(b, Err(LedgerError::Conflict(_))), "{b:?}");
    assert_eq!(fresh(c.expect("decided")).generation, generation(1));
    assert_eq!(ledger.head().await.expect("read").length, 1);
}

pub(crate) async fn probing_succeeds(ledger: &impl Ledger) {
    let head = ledger.head().await.expect("read");
    ledger.probe().await.expect("writable");
    ledger.probe().await.expect("writable");
    assert_eq!(ledger.head().await.expect("read"), head);
}

//! Vendor objects: what their owners want, saves, what is due, looks.

use std::time::Duration;

use tidegate_core::placement::{Evidence, Observed, Opening, Want};
use tidegate_core::{AskKind, UnixMs, Until};
use tidegate_ledger::cdns::{CdnSave, LookSave, ObjectKey, ObjectRow, OwnerRow, WatchSave};
use tidegate_ledger::{Attempt, AttemptResult, Ledger};

use crate::fixture::{
    FOREVER, NOW, accepted_by, account, ask, decide, fresh, generation, key, object, save, saved,
    target, until, with_target,
};

const SITE: &str = "push.example.com/live";

async fn object_row(ledger: &impl Ledger, key: &ObjectKey) -> ObjectRow {
    let mut rows = ledger
        .objects(std::slice::from_ref(key))
        .await
        .expect("read");
    rows.pop().expect("one")
}

async fn owner(ledger: &impl Ledger, key: &ObjectKey) -> OwnerRow {
    let mut owners = object_row(ledger, key).await.owners;
    assert_eq!(owners.len(), 1);
    owners.remove(0)
}

fn later(n: i64) -> UnixMs {
    UnixMs(NOW.0 + n)
}

fn watch(state: &str, next: i64) -> Option<WatchSave> {
    Some(WatchSave {
        state: Some(state.into()),
        next: Some(later(next)),
    })
}

pub(crate) async fn an_owner_wants_what_its_stream_was_decided(ledger: &impl Ledger) {
    let (cam, account, id) = with_target(ledger).await;
    let key = object(account, SITE, "cam");
    assert_eq!(
        object_row(ledger, &key).await.owners,
        [],
        "never decided on"
    );
    decide(ledger, &cam, until(NOW.0 + 10)).await;
    let again = ask(&cam, until(NOW.0 + 20), later(3));
    fresh(ledger.decide(again, None).await.expect("decided"));
    let row = owner(ledger, &key).await;
    assert_eq!((row.owner.id.0, row.owner.app), (id, cam.app));
    assert_eq!(row.owner.want, Want::Banned(Until::At(later(20))));
    assert_eq!(
        (row.owner.generation, row.owner.decided),
        (generation(2), NOW)
    );
    assert_eq!((row.accepted, row.leaving), (None, false));
    let lapsed = ledger.lapse(cam.clone(), generation(2), later(20)).await;
    assert_eq!(lapsed.expect("answered"), Some(generation(3)));
    let row = owner(ledger, &key).await;
    assert_eq!(row.owner.want, Want::Open(Opening::Ended));
    assert_eq!(
        (row.owner.generation, row.owner.decided),
        (generation(3), later(20))
    );
    let resumed = ask(&cam, AskKind::Resume, later(30));
    fresh(ledger.decide(resumed, None).await.expect("decided"));
    let row = owner(ledger, &key).await;
    assert_eq!(row.owner.want, Want::Open(Opening::Resumed));
    assert_eq!(
        (row.owner.generation, row.owner.decided),
        (generation(4), later(30))
    );
}

pub(crate) async fn a_save_that_comes_late_writes_nothing(ledger: &impl Ledger) {
    let (cam, account, id) = with_target(ledger).await;
    decide(ledger, &cam, FOREVER).await;
    let key = object(account, SITE, "cam");
    let mut twice = saved(&key, 0, vec![]);
    twice.objects.push(twice.objects[0].clone());
    twice.objects.push(
        saved(&object(account, SITE, "b"), 0, vec![])
            .objects
            .remove(0),
    );
    assert_eq!(save(ledger, twice).await, [Some(1), None, Some(1)]);
    for stale in [0, 2] {
        let mut stale = saved(&key, stale, vec![accepted_by(1, id, 1)]);
        stale.objects[0].due = Some(NOW);
        assert_eq!(save(ledger, stale).await, [None]);
    }
    let row = object_row(ledger, &key).await;
    assert_eq!(
        (row.version, row.state.as_deref()),
        (1, Some("{\"after\":0}"))
    );
    assert_eq!(row.owners[0].accepted, None, "nothing of it");
    let hostile = "\\0 \u{0} '); \"{}\u{1f600}";
    let mut next = saved(&key, 1, vec![accepted_by(1, id, 1)]);
    next.objects[0].state = hostile.into();
    assert_eq!(save(ledger, next).await, [Some(2)]);
    let row = object_row(ledger, &key).await;
    assert_eq!((row.version, row.state.as_deref()), (2, Some(hostile)));
    assert_eq!(row.owners[0].accepted, Some(generation(1)));
    let nobody = object(99, SITE, "cam");
    assert_eq!(save(ledger, saved(&nobody, 0, vec![])).await, [None]);
}

pub(crate) async fn acceptance_only_rises(ledger: &impl Ledger) {
    let (cam, account, id) = with_target(ledger).await;
    decide(ledger, &cam, FOREVER).await;
    decide(ledger, &cam, FOREVER).await;
    let key = object(account, SITE, "cam");
    let mut newest = accepted_by(1, id, 2);
    newest.watch = watch("looking", 5);
    let mut older = accepted_by(1, id, 1);
    older.at = later(9);
    assert_eq!(save(ledger, saved(&key, 0, vec![newest])).await, [Some(1)]);
    let stray = accepted_by(7, 99, 1);
    assert_eq!(
        save(ledger, saved(&key, 1, vec![older, stray])).await,
        [Some(2)]
    );
    let status = ledger.status(&cam).await.expect("read");
    let placement = &status.placements[1];
    assert_eq!(placement.accepted, Some(generation(2)));
    assert_eq!(placement.accepted_at, Some(later(5)));
    let looks = ledger.due_looks(account, later(5), 9).await.expect("read");
    assert_eq!((looks.len(), looks[0].watch.as_str()), (1, "looking"));
    let again = decide(ledger, &cam, AskKind::Resume).await;
    assert_eq!(again.placements[1].accepted, Some(generation(2)), "kept");
}

async fn due(
    ledger: &impl Ledger,
    account: i64,
    before: UnixMs,
    after: Option<&ObjectKey>,
    limit: usize,
) -> Vec<String> {
    let keys = ledger.due_objects(account, before, after, limit).await;
    let keys = keys.expect("read").into_iter();
    keys.map(|key| format!("{} {}", key.site, key.stream))
        .collect()
}

pub(crate) async fn objects_are_due_by_time_and_while_not_settled(ledger: &impl Ledger) {
    let (_, account, id) = with_target(ledger).await;
    let second = target(1, account, "a.example.com");
    let second = ledger.add_target(&second).await.expect("added");
    for stream in ["C", "a", "b"] {
        decide(ledger, &key(1, stream), FOREVER).await;
    }
    let all = [
        "a.example.com/live C",
        "a.example.com/live a",
        "a.example.com/live b",
        "push.example.com/live C",
        "push.example.com/live a",
        "push.example.com/live b",
    ];
    assert_eq!(due(ledger, account, NOW, None, 99).await, all);
    let mut paged = Vec::new();
    let mut after: Option<ObjectKey> = None;
    loop {
        let page = ledger.due_objects(account, NOW, after.as_ref(), 4).await;
        let page = page.expect("read");
        assert!(page.len() <= 4);
        let Some(last) = page.last() else { break };
        after = Some(last.clone());
        paged.extend(
            page.iter()
                .map(|key| format!("{} {}", key.site, key.stream)),
        );
    }
    assert_eq!(paged, all);
    for (site, target) in [("a.example.com/live", second), (SITE, id)] {
        for (stream, at) in [("C", None), ("a", Some(later(10))), ("b", Some(later(20)))] {
            let key = object(account, site, stream);
            let mut settle = saved(&key, 0, vec![accepted_by(1, target, 1)]);
            settle.objects[0].due = at;
            assert_eq!(save(ledger, settle).await, [Some(1)]);
        }
    }
    assert_eq!(due(ledger, account, later(9), None, 99).await, [""; 0]);
    assert_eq!(
        due(ledger, account, later(10), None, 99).await,
        [all[1], all[4]]
    );
    assert_eq!(
        due(ledger, account, later(20), None, 2).await,
        [all[1], all[2]]
    );
    decide(ledger, &key(1, "C"), AskKind::Resume).await;
    assert_eq!(due(ledger, account, NOW, None, 99).await, [all[0], all[3]]);
    let kept = ledger.kept_objects(account, None, 4).await.expect("read");
    assert_eq!(kept.len(), 4);
    let rest = ledger.kept_objects(account, kept.last(), 4).await;
    let names = kept.into_iter().chain(rest.expect("read"));
    let names: Vec<_> = names
        .map(|key| format!("{} {}", key.site, key.stream))
        .collect();
    assert_eq!(names, all);
    let other = ledger.add_account(&account_at_ws()).await.expect("added");
    assert_eq!(due(ledger, other, later(99), None, 99).await, [""; 0]);
}

fn account_at_ws() -> tidegate_ledger::cdns::CdnAccount {
    account("other", tidegate_ledger::Vendor::Ws)
}

pub(crate) async fn looks_are_kept_and_come_back_when_due(ledger: &impl Ledger) {
    let (cam, account, id) = with_target(ledger).await;
    let other = key(1, "other");
    decide(ledger, &cam, FOREVER).await;
    decide(ledger, &other, FOREVER).await;
    let look = |key: &tidegate_core::StreamKey, observed, watch| LookSave {
        key: key.clone(),
        target: id,
        observed,
        watch,
        due: None,
    };
    let seen = |evidence, n| {
        Some(Observed {
            evidence,
            at: later(n),
        })
    };
    let looks = vec![
        look(&cam, seen(Evidence::Live, 1), watch("one", 20)),
        look(&other, None, watch("\\\u{0}", 10)),
        look(&key(1, "gone"), seen(Evidence::Dark, 1), watch("x", 1)),
    ];
    ledger.save_looks(looks).await.expect("kept");
    let due = ledger.due_looks(account, later(20), 9).await.expect("read");
    let found: Vec<_> = due
        .iter()
        .map(|d| (&d.key, d.watch.as_str(), d.next))
        .collect();
    assert_eq!(
        found,
        [(&other, "\\\u{0}", later(10)), (&cam, "one", later(20))]
    );
    assert_eq!(due[0].target, id);
    let due = ledger.due_looks(account, later(20), 1).await.expect("read");
    assert_eq!(due.len(), 1);
    assert_eq!(
        ledger.due_looks(account, later(9), 9).await.expect("read"),
        []
    );
    let again = vec![
        look(&cam, seen(Evidence::Dark, 2), None),
        look(&cam, None, watch("two", 30)),
        look(
            &other,
            seen(Evidence::Unknown, 3),
            Some(WatchSave {
                state: None,
                next: None,
            }),
        ),
    ];
    ledger.save_looks(again).await.expect("kept");
    let due = ledger.due_looks(account, later(99), 9).await.expect("read");
    let found: Vec<_> = due.iter().map(|d| (&d.key, d.watch.as_str())).collect();
    assert_eq!(found, [(&cam, "two")]);
    let mut late = look(&cam, None, watch("late", 40));
    late.due = Some(later(20));
    ledger.save_looks(vec![late]).await.expect("kept");
    let due = ledger.due_looks(account, later(99), 9).await.expect("read");
    assert_eq!(due[0].watch, "two", "a watch that took its place stays");
    for (stream, wanted) in [
        (&cam, seen(Evidence::Dark, 2)),
        (&other, seen(Evidence::Unknown, 3)),
    ] {
        let status = ledger.status(stream).await.expect("read");
        assert_eq!(status.placements[0].observed, None, "the origin");
        assert_eq!(status.placements[1].observed, wanted);
    }
    ledger.save_looks(vec![]).await.expect("nothing to do");
}

pub(crate) async fn looks_are_part_of_history(ledger: &impl Ledger) {
    let (cam, _, target) = with_target(ledger).await;
    decide(ledger, &cam, FOREVER).await;
    let attempts: Vec<_> = [AttemptResult::Live, AttemptResult::Dark]
        .into_iter()
        .map(|result| Attempt {
            key: cam.clone(),
            target,
            generation: generation(1),
            at: NOW,
            result,
            vendor_request_id: String::new(),
            words: String::new(),
        })
        .collect();
    ledger
        .record_attempts(attempts.clone())
        .await
        .expect("recorded");
    let status = ledger.status(&cam).await.expect("read");
    assert!(status.attempts.iter().eq(attempts.iter().rev()));
}

pub(crate) async fn the_last_budget_counts(ledger: &impl Ledger) {
    let (_, account, _) = with_target(ledger).await;
    assert_eq!(ledger.budget(account).await.expect("read"), None);
    for states in [&["a"][..], &["b", "c\\\u{0}"]] {
        let budgets = states.iter().map(|s| (account, (*s).to_owned())).collect();
        let objects = Vec::new();
        assert_eq!(save(ledger, CdnSave { budgets, objects }).await, []);
    }
    let budget = ledger.budget(account).await.expect("read");
    assert_eq!(budget.as_deref(), Some("c\\\u{0}"));
}

pub(crate) async fn a_lone_server_works_on_every_account(ledger: &impl Ledger) {
    let (_, first, _) = with_target(ledger).await;
    let second = ledger.add_account(&account_at_ws()).await.expect("added");
    let minute = Duration::from_secs(60);
    for _ in 0..2 {
        let held = ledger.lease_accounts("me", minute).await.expect("leased");
        assert_eq!(held, [first, second]);
    }
    ledger.release_accounts("me").await.expect("released");
}

pub(crate) async fn many_objects_are_saved_and_read_at_once(ledger: &impl Ledger) {
    let (_, account, id) = with_target(ledger).await;
    let names: Vec<_> = (0..256).map(|n| format!("s{n:03}")).collect();
    let streams: Vec<_> = names.iter().map(|name| key(1, name)).collect();
    let forbidding = streams.iter().map(|stream| decide(ledger, stream, FOREVER));
    futures_util::future::join_all(forbidding).await;
    let keys: Vec<_> = names
        .iter()
        .map(|name| object(account, SITE, name))
        .collect();
    let objects = keys
        .iter()
        .map(|key| saved(key, 0, vec![accepted_by(1, id, 1)]).objects.remove(0));
    let budgets = Vec::new();
    let objects = objects.collect();
    assert_eq!(
        save(ledger, CdnSave { budgets, objects }).await,
        [Some(1); 256]
    );
    let rows = ledger.objects(&keys).await.expect("read");
    assert!(rows.iter().map(|row| &row.key).eq(&keys));
    for row in rows {
        assert_eq!(
            (row.version, row.owners[0].accepted),
            (1, Some(generation(1)))
        );
    }
    assert_eq!(due(ledger, account, NOW, None, 999).await, [""; 0]);
}

//! Accounts and targets at vendors.

use tidegate_core::placement::{Opening, Want};
use tidegate_core::{AppId, AskKind, Secret, UnixMs, Until};
use tidegate_ledger::cdns::{AccountKey, CdnAccount, CdnSave, RemovedTarget};
use tidegate_ledger::{Ledger, LedgerError, Placement, Vendor};

use crate::fixture::{
    FOREVER, NOW, accepted_by, account, app, decide, generation, key, object, save, saved, target,
    with_app, with_target,
};

const SITE: &str = "push.example.com/live";

async fn accounts(ledger: &impl Ledger) -> Vec<CdnAccount> {
    ledger.cdn_accounts().await.expect("read")
}

async fn epoch(ledger: &impl Ledger) -> u64 {
    accounts(ledger).await[0].epoch
}

/// Where the stream stands on a target.
async fn placement(ledger: &impl Ledger, stream: &str, target: i64) -> Option<Placement> {
    let status = ledger.status(&key(1, stream)).await.expect("read");
    let mut placements = status.placements.into_iter();
    placements.find(|placement| placement.target.id == target)
}

fn conflict<T: std::fmt::Debug>(outcome: Result<T, LedgerError>) -> String {
    match outcome {
        Err(LedgerError::Conflict(words)) => words,
        other => panic!("expected a conflict, got {other:?}"),
    }
}

pub(crate) async fn accounts_come_back_as_they_were_added(ledger: &impl Ledger) {
    let mut full = account("z'\u{0}\\", Vendor::Tencent);
    full.key.security_token = Some(Secret::new("token".into()));
    full.scheme = Some("tc3".into());
    full.region = Some("ap-\\0".into());
    full.project_id = Some("p".into());
    full.endpoint = Some("http://127.0.0.1:1".into());
    full.strict = false;
    full.epoch = 4;
    full.rotated = Some(UnixMs(7));
    full.id = ledger.add_account(&full).await.expect("added");
    let mut plain = account("a", Vendor::Ws);
    plain.id = ledger.add_account(&plain).await.expect("added");
    assert_ne!(plain.id, full.id);
    let read = accounts(ledger).await;
    let wanted = format!("{plain:?} {full:?}");
    assert_eq!(format!("{:?} {:?}", read[0], read[1]), wanted, "by name");
    assert_eq!(read[1].key.secret.expose(), full.key.secret.expose());
    let token = read[1].key.security_token.as_ref().map(Secret::expose);
    assert_eq!(token, Some("token"));
    let taken = conflict(ledger.add_account(&account("a", Vendor::Huawei)).await);
    assert!(taken.contains("an account \"a\" already"), "{taken}");
    conflict(ledger.add_account(&account("o", Vendor::Origin)).await);
    assert_eq!(accounts(ledger).await.len(), 2);
}

pub(crate) async fn a_rotated_account_key_raises_the_epoch(ledger: &impl Ledger) {
    let new = account("main", Vendor::Ws);
    let id = ledger.add_account(&new).await.expect("added");
    let seen = ledger.cursor().await.expect("read");
    let pair = AccountKey {
        access_key_id: "second".into(),
        secret: Secret::new("other".into()),
        security_token: None,
    };
    let at = UnixMs(NOW.0 + 1);
    let rotated = ledger.rotate_account(id, &pair, at).await;
    rotated.expect("rotated");
    let after = &accounts(ledger).await[0];
    assert_eq!((after.epoch, after.rotated), (2, Some(at)));
    assert_eq!(after.key.access_key_id, "second");
    assert_eq!(after.key.secret.expose(), "other");
    assert!(ledger.changes_since(&seen).await.expect("read").apps);
    let nobody = ledger.rotate_account(99, &pair, at).await;
    assert!(matches!(nobody, Err(LedgerError::NoSuchAccount(99))));
}

pub(crate) async fn an_account_in_use_stays(ledger: &impl Ledger) {
    let (cam, account, first) = with_target(ledger).await;
    let second = target(1, account, "two.example.com");
    let second = ledger.add_target(&second).await.expect("added");
    decide(ledger, &cam, FOREVER).await;
    let words = conflict(ledger.remove_account(account).await);
    assert!(
        words.starts_with("2 targets use account \"main\""),
        "{words}"
    );
    let left = ledger.remove_target(second, true).await.expect("removed");
    assert_eq!(left, RemovedTarget::Leaving(1));
    let words = conflict(ledger.remove_account(account).await);
    assert!(words.contains("1 of them removed already"), "{words}");
    for target in [first, second] {
        let gone = ledger.remove_target(target, false).await.expect("removed");
        assert_eq!(gone, RemovedTarget::Gone);
    }
    let cam = object(account, SITE, "cam");
    let mut both = saved(&cam, 0, vec![]);
    both.budgets.push((account, "spent".into()));
    assert_eq!(save(ledger, both.clone()).await, [Some(1)]);
    ledger.remove_account(account).await.expect("removed");
    assert!(accounts(ledger).await.is_empty());
    assert_eq!(ledger.budget(account).await.expect("read"), None);
    let kept = ledger.kept_objects(account, None, 9).await;
    assert_eq!(kept.expect("read"), vec![]);
    assert_eq!(save(ledger, both).await, [None], "a late save is dropped");
    assert_eq!(ledger.budget(account).await.expect("read"), None);
    let again = ledger.remove_account(account).await;
    assert!(matches!(again, Err(LedgerError::NoSuchAccount(id)) if id == account));
}

pub(crate) async fn a_target_comes_back_as_it_was_added(ledger: &impl Ledger) {
    let (_, account, first) = with_target(ledger).await;
    let mut new = target(1, account, "two.example.com");
    new.play_domain = Some("play.example.com".into());
    new.play_urls = vec!["https://play.example.com/{stream}.flv?a=\"\\".into()];
    new.play_key = Some(Secret::new("play key".into()));
    let id = ledger.add_target(&new).await.expect("added");
    ledger.save_probe(id, "{\"\\\":0}").await.expect("kept");
    ledger.save_probe(99, "nobody").await.expect("dropped");
    let read = ledger.cdn_targets().await.expect("read");
    assert_eq!(
        read.iter().map(|t| t.target.id).collect::<Vec<_>>(),
        [first, id]
    );
    let second = &read[1];
    assert_eq!((second.target.app, second.account), (AppId(1), account));
    assert_eq!(second.target.vendor, Vendor::Aliyun);
    assert_eq!(second.play_domain, new.play_domain);
    assert_eq!(second.play_urls, new.play_urls);
    let play_key = second.play_key.as_ref().map(Secret::expose);
    assert_eq!(play_key, Some("play key"));
    assert_eq!(
        (second.leaving, second.probe.as_deref()),
        (false, Some("{\"\\\":0}"))
    );
    assert!(read[0].play_key.is_none() && read[0].play_urls.is_empty());
    let targets = ledger.targets(AppId(1)).await.expect("read");
    assert_eq!(targets.len(), 3);
    assert_eq!(targets[0].vendor, Vendor::Origin, "its origin first");
}

pub(crate) async fn a_taken_target_is_a_conflict(ledger: &impl Ledger) {
    let (cam, account, first) = with_target(ledger).await;
    ledger.create_app(&app(2)).await.expect("created");
    let head = ledger.cursor().await.expect("read");
    let taken = conflict(
        ledger
            .add_target(&target(2, account, "push.example.com"))
            .await,
    );
    assert!(
        taken.starts_with("push.example.com/live at aliyun is a target of App 1 already"),
        "{taken}"
    );
    assert_eq!(
        ledger.cursor().await.expect("read"),
        head,
        "nothing changed"
    );
    let no_app = ledger.add_target(&target(9, account, "x")).await;
    assert!(matches!(no_app, Err(LedgerError::NoSuchApp(9))));
    let no_account = ledger.add_target(&target(1, 99, "x")).await;
    assert!(matches!(no_account, Err(LedgerError::NoSuchAccount(99))));
    decide(ledger, &cam, FOREVER).await;
    ledger.remove_target(first, true).await.expect("removed");
    let leaving = conflict(
        ledger
            .add_target(&target(2, account, "push.example.com"))
            .await,
    );
    assert!(
        leaving.contains("still being removed from App 1"),
        "{leaving}"
    );
}

pub(crate) async fn a_new_target_gets_what_stands(ledger: &impl Ledger) {
    let cam = with_app(ledger).await;
    decide(ledger, &cam, AskKind::Resume).await;
    decide(ledger, &cam, FOREVER).await;
    decide(ledger, &key(1, "open"), FOREVER).await;
    decide(ledger, &key(1, "open"), AskKind::Resume).await;
    let new = account("main", Vendor::Aliyun);
    let account = ledger.add_account(&new).await.expect("added");
    let seen = ledger.cursor().await.expect("read");
    let new = target(1, account, "push.example.com");
    let id = ledger.add_target(&new).await.expect("added");
    assert_eq!(epoch(ledger).await, 2);
    assert!(ledger.changes_since(&seen).await.expect("read").apps);
    let placed = placement(ledger, "cam", id).await.expect("placed");
    assert_eq!((placed.wanted, placed.accepted), (generation(2), None));
    assert_eq!(placement(ledger, "open", id).await, None);
    let due = ledger.due_objects(account, NOW, None, 9).await;
    assert_eq!(due.expect("read"), [object(account, SITE, "cam")]);
    let decided = decide(ledger, &key(1, "open"), FOREVER).await;
    assert_eq!(decided.placements.len(), 2, "decisions reach it");
    assert_eq!(decided.placements[1].target.id, id);
    assert_eq!(decided.placements[1].accepted, None);
}

pub(crate) async fn a_target_that_is_not_lifted_goes_at_once(ledger: &impl Ledger) {
    let (cam, account, id) = with_target(ledger).await;
    decide(ledger, &cam, FOREVER).await;
    let seen = ledger.cursor().await.expect("read");
    let gone = ledger.remove_target(id, false).await.expect("removed");
    assert_eq!(gone, RemovedTarget::Gone);
    assert_eq!(epoch(ledger).await, 3);
    assert!(ledger.changes_since(&seen).await.expect("read").apps);
    assert_eq!(placement(ledger, "cam", id).await, None);
    assert_eq!(decide(ledger, &cam, FOREVER).await.placements.len(), 1);
    let rows = ledger.objects(&[object(account, SITE, "cam")]).await;
    assert!(rows.expect("read")[0].owners.is_empty());
    let again = ledger.remove_target(id, true).await;
    assert!(matches!(again, Err(LedgerError::NoSuchTarget(t)) if t == id));
    let origin = ledger.targets(AppId(1)).await.expect("read")[0].id;
    conflict(ledger.remove_target(origin, true).await);
    let next = target(1, account, "push.example.com");
    let next = ledger.add_target(&next).await.expect("free again");
    assert!(next > id, "row ids are not given out again");
}

pub(crate) async fn a_target_leaves_once_its_bans_are_lifted(ledger: &impl Ledger) {
    let (cam, account, id) = with_target(ledger).await;
    let (open, pending) = (key(1, "open"), key(1, "pending"));
    decide(ledger, &cam, FOREVER).await;
    for stream in [&open, &pending] {
        decide(ledger, stream, AskKind::Resume).await;
    }
    for stream in ["cam", "open"] {
        let settle = saved(
            &object(account, SITE, stream),
            0,
            vec![accepted_by(1, id, 1)],
        );
        assert_eq!(save(ledger, settle).await, [Some(1)]);
    }
    let left = ledger.remove_target(id, true).await.expect("removed");
    assert_eq!(left, RemovedTarget::Leaving(2));
    let again = ledger.remove_target(id, true).await.expect("answered");
    assert_eq!(again, left);
    assert_eq!(epoch(ledger).await, 3);
    assert!(ledger.cdn_targets().await.expect("read")[0].leaving);
    assert_eq!(ledger.targets(AppId(1)).await.expect("read").len(), 1);
    assert_eq!(placement(ledger, "open", id).await, None);
    assert!(
        placement(ledger, "cam", id).await.is_some(),
        "status shows it"
    );
    let decided = decide(ledger, &cam, FOREVER).await;
    assert_eq!(
        (decided.generation, decided.placements.len()),
        (generation(2), 1)
    );
    let keys = ["cam", "pending"].map(|stream| object(account, SITE, stream));
    let due = ledger.due_objects(account, NOW, None, 9).await;
    assert_eq!(due.expect("read"), keys);
    for row in ledger.objects(&keys).await.expect("read") {
        let owner = &row.owners[0];
        assert!(owner.leaving);
        assert_eq!(owner.owner.want, Want::Open(Opening::Resumed));
        assert_eq!(owner.owner.generation, generation(2));
        assert!(owner.owner.decided > NOW);
    }
    let late = saved(&keys[1], 0, vec![accepted_by(1, id, 1)]);
    assert_eq!(save(ledger, late).await, [Some(1)]);
    assert!(
        placement(ledger, "pending", id).await.is_some(),
        "an old call"
    );
    let settle = saved(&keys[0], 1, vec![accepted_by(1, id, 2)]);
    assert_eq!(save(ledger, settle).await, [Some(2)]);
    assert_eq!(placement(ledger, "cam", id).await, None);
    assert_eq!(epoch(ledger).await, 3, "one is left");
    let seen = ledger.cursor().await.expect("read");
    let settle = saved(&keys[1], 1, vec![accepted_by(1, id, 2)]);
    assert_eq!(save(ledger, settle).await, [Some(2)]);
    assert!(ledger.cdn_targets().await.expect("read").is_empty());
    assert_eq!(epoch(ledger).await, 4);
    assert!(ledger.changes_since(&seen).await.expect("read").apps);
    let due = ledger.due_objects(account, NOW, None, 9).await;
    assert_eq!(due.expect("read"), []);
}

pub(crate) async fn a_target_with_nothing_to_lift_goes_at_once(ledger: &impl Ledger) {
    let (cam, account, id) = with_target(ledger).await;
    decide(ledger, &cam, AskKind::Resume).await;
    let settle = saved(
        &object(account, SITE, "cam"),
        0,
        vec![accepted_by(1, id, 1)],
    );
    save(ledger, settle).await;
    let gone = ledger.remove_target(id, true).await.expect("removed");
    assert_eq!(gone, RemovedTarget::Gone);
    assert!(ledger.cdn_targets().await.expect("read").is_empty());
}

pub(crate) async fn owners_of_a_name_are_all_apps_with_that_stream(ledger: &impl Ledger) {
    with_app(ledger).await;
    ledger.create_app(&app(2)).await.expect("created");
    let mut loose = account("loose", Vendor::Tencent);
    loose.strict = false;
    let loose = ledger.add_account(&loose).await.expect("added");
    let strict = ledger
        .add_account(&account("strict", Vendor::Tencent))
        .await;
    let strict = strict.expect("added");
    let mut ids = Vec::new();
    for (app, account, domain) in [
        (1, loose, "one.example.com"),
        (2, loose, "two.example.com"),
        (2, strict, "strict.example.com"),
    ] {
        let added = ledger.add_target(&target(app, account, domain)).await;
        ids.push(added.expect("added"));
    }
    decide(ledger, &key(1, "cam"), FOREVER).await;
    decide(ledger, &key(2, "cam"), AskKind::Resume).await;
    let any = object(loose, "*", "cam");
    let site = object(strict, "strict.example.com/live", "cam");
    let other = object(strict, "one.example.com/live", "cam");
    let keys = [site.clone(), any.clone(), other.clone(), any.clone()];
    let rows = ledger.objects(&keys).await.expect("read");
    assert_eq!(rows.iter().map(|r| r.key.clone()).collect::<Vec<_>>(), keys);
    let owners = |n: usize| -> Vec<_> {
        let owners = rows[n].owners.iter();
        owners
            .map(|o| (o.owner.id.0, o.owner.app.0, o.owner.want))
            .collect()
    };
    let banned = Want::Banned(Until::Lifted);
    let open = Want::Open(Opening::Resumed);
    assert_eq!(owners(0), [(ids[2], 2, open)]);
    assert_eq!(owners(1), [(ids[0], 1, banned), (ids[1], 2, open)]);
    assert_eq!(owners(2), [], "another account's domain");
    assert_eq!(owners(3), owners(1), "in the order asked for");
    let due = ledger.due_objects(loose, NOW, None, 9).await.expect("read");
    assert_eq!(due, keys[1..2], "once, though two owners wait");
    let of = ledger.objects_of(&key(2, "cam")).await.expect("read");
    let of: Vec<_> = of.into_iter().map(|(id, row)| (id, row.key)).collect();
    assert_eq!(of, [(ids[1], any), (ids[2], site)]);
    assert_eq!(ledger.objects(&[]).await.expect("read"), []);
    assert_eq!(save(ledger, CdnSave::default()).await, []);
}

//! Copies from one back end to the other, backups and restores.

use std::path::Path;

use tidegate_core::placement::{Evidence, Observed};
use tidegate_core::{AppId, AskKind, Secret, UnixMs};
use tidegate_ledger::cdns::{LookSave, RemovedTarget, WatchSave};
use tidegate_ledger::{
    Address, Attempt, AttemptResult, CdnLedger, Head, Ledger, LedgerError, LedgerUrl, OpenOptions,
    SqliteLedger, Vendor, audit, copy, restore_postgres,
};

use crate::cluster::Cluster;
use crate::fixture::{
    FOREVER, NOW, accepted_by, account, app, ask, decide, fresh, generation, key, nonce, object,
    save, saved, target, until,
};
use crate::{dir_with_key_of, open};

const HOSTILE: &str = "\\0 \\ '); -- \u{0}\u{7f}\u{1f600}";

/// Something in every table.
async fn fill(ledger: &impl Ledger) -> Head {
    ledger.next_instance().await.expect("written");
    ledger.set_admin_token([7; 32]).await.expect("written");
    let mut first = app(1);
    first.name = HOSTILE.into();
    first.publish_key_backup = Some(Secret::new("backup".into()));
    ledger.create_app(&first).await.expect("created");
    ledger.create_app(&app(2)).await.expect("created");
    let later = NOW.plus(std::time::Duration::from_secs(60));
    let secret = Secret::new("second".into());
    let rotated = ledger.rotate_secret(AppId(1), &secret, NOW, later).await;
    rotated.expect("rotated");
    let mut asked = ask(&key(1, "a"), FOREVER, NOW);
    asked.reason = Some(HOSTILE.into());
    fresh(
        ledger
            .decide(asked, Some(nonce(HOSTILE, 1)))
            .await
            .expect("decided"),
    );
    decide(ledger, &key(2, "b"), until(NOW.0 + 5)).await;
    decide(ledger, &key(2, "c"), FOREVER).await;
    decide(ledger, &key(2, "c"), AskKind::Resume).await;
    let attempt = |n: i64| Attempt {
        key: key(1, "a"),
        target: 1,
        generation: generation(1),
        at: UnixMs(NOW.0 + n),
        result: AttemptResult::Accepted,
        vendor_request_id: HOSTILE.into(),
        words: HOSTILE.into(),
    };
    let attempts = vec![attempt(1), attempt(2)];
    ledger.record_attempts(attempts).await.expect("recorded");
    fill_cdns(ledger).await;
    ledger.head().await.expect("read")
}

/// An account with a target for each App, one of them leaving; a saved object, a look, a probe.
async fn fill_cdns(ledger: &impl Ledger) {
    let mut account = account(HOSTILE, Vendor::Tencent);
    account.key.security_token = Some(Secret::new("token".into()));
    account.strict = false;
    account.endpoint = Some(HOSTILE.into());
    let account = ledger.add_account(&account).await.expect("added");
    let mut first = target(1, account, "one.example.com");
    first.play_urls = vec![HOSTILE.into()];
    first.play_key = Some(Secret::new("play key".into()));
    let first = ledger.add_target(&first).await.expect("added");
    let second = target(2, account, "two.example.com");
    let second = ledger.add_target(&second).await.expect("added");
    ledger.save_probe(first, HOSTILE).await.expect("kept");
    let mut settled = accepted_by(1, first, 1);
    settled.watch = Some(WatchSave {
        state: Some(HOSTILE.into()),
        next: Some(NOW),
    });
    let mut kept = saved(&object(account, "*", "a"), 0, vec![settled]);
    kept.objects[0].state = HOSTILE.into();
    kept.objects[0].due = Some(NOW);
    kept.budgets.push((account, HOSTILE.into()));
    assert_eq!(save(ledger, kept).await, [Some(1)]);
    let seen = LookSave {
        key: key(1, "a"),
        target: first,
        observed: Some(Observed {
            evidence: Evidence::Dark,
            at: NOW,
        }),
        watch: None,
        due: None,
    };
    ledger.save_looks(vec![seen]).await.expect("kept");
    let left = ledger.remove_target(second, true).await.expect("removed");
    assert_eq!(left, RemovedTarget::Leaving(1));
}

async fn seen_cdns(ledger: &impl Ledger) -> String {
    let mut text = String::new();
    for account in ledger.cdn_accounts().await.expect("read") {
        let token = account.key.security_token.as_ref().map(Secret::expose);
        let id = account.id;
        let keys = ["a", "b", "c"].map(|stream| object(id, "*", stream));
        text.push_str(&format!(
            "{account:?} {} {token:?} {:?} {:?} {:?} {:?}\n",
            account.key.secret.expose(),
            ledger.budget(id).await.expect("read"),
            ledger.objects(&keys).await.expect("read"),
            ledger.due_objects(id, NOW, None, 9).await.expect("read"),
            ledger.due_looks(id, NOW, 9).await.expect("read"),
        ));
    }
    for target in ledger.cdn_targets().await.expect("read") {
        let play_key = target.play_key.as_ref().map(Secret::expose);
        text.push_str(&format!("{target:?} {play_key:?}\n"));
    }
    text
}

/// What readers see, as text.
async fn seen(ledger: &impl Ledger) -> String {
    let mut text = seen_cdns(ledger).await;
    for app in ledger.apps(NOW).await.expect("read") {
        let secrets: Vec<_> = app
            .server_secrets
            .iter()
            .map(|s| s.secret.expose())
            .collect();
        let keys = (
            app.callback_secret.expose(),
            app.publish_key.expose(),
            app.publish_key_backup.as_ref().map(Secret::expose),
        );
        let targets = ledger.targets(app.id).await.expect("read");
        text.push_str(&format!("{app:?} {secrets:?} {keys:?} {targets:?}\n"));
    }
    for stream in [key(1, "a"), key(2, "b"), key(2, "c")] {
        text.push_str(&format!(
            "{:?}\n",
            ledger.status(&stream).await.expect("read")
        ));
    }
    let nonces = ledger.live_nonces(NOW).await.expect("read");
    let token = ledger.admin_token().await.expect("read");
    let newest = ledger.newest_instant().await.expect("read");
    text.push_str(&format!("{nonces:?} {token:?} {newest:?}"));
    text
}

async fn sqlite(dir: &Path) -> SqliteLedger {
    SqliteLedger::open(OpenOptions::new(dir))
        .await
        .expect("opens")
}

fn at_url(url: &str, dir: &Path) -> Address {
    Address::Postgres(LedgerUrl::parse(url).expect("a URL"), OpenOptions::new(dir))
}

fn at_dir(dir: &Path) -> Address {
    Address::Directory(OpenOptions::new(dir))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_goes_to_postgres_and_back_without_loss() {
    let cluster = Cluster::shared();
    let url = cluster.database();
    let first_dir = tempfile::tempdir().expect("temp dir");
    let ledger = sqlite(first_dir.path()).await;
    let head = fill(&ledger).await;
    let before = seen(&ledger).await;
    let locked = copy(&at_dir(first_dir.path()), &at_url(&url, first_dir.path())).await;
    assert!(matches!(locked, Err(LedgerError::Locked(_))), "{locked:?}");
    ledger.close().await;
    drop(ledger);

    let there = copy(&at_dir(first_dir.path()), &at_url(&url, first_dir.path())).await;
    let there = there.expect("copied");
    assert_eq!((&there.head, there.resealed), (&head, false));
    assert_eq!((there.rows["decisions"], there.rows["attempts"]), (4, 2));
    let again = copy(&at_dir(first_dir.path()), &at_url(&url, first_dir.path())).await;
    assert!(matches!(again, Err(LedgerError::Conflict(_))), "{again:?}");

    let server_dir = dir_with_key_of(first_dir.path());
    let shared = open(&url, server_dir.path()).await;
    assert_eq!(seen(&shared).await, before);
    assert!(before.contains("play key") && before.contains("vendor-secret-of"));
    let back_dir = tempfile::tempdir().expect("temp dir");
    let in_use = copy(&at_url(&url, first_dir.path()), &at_dir(back_dir.path())).await;
    assert!(matches!(in_use, Err(LedgerError::Locked(_))), "{in_use:?}");
    assert!(!back_dir.path().join("ledger.db").exists());
    shared.create_app(&app(3)).await.expect("row ids go on");
    let added = account("next", Vendor::Ws);
    assert_eq!(shared.add_account(&added).await.expect("added"), 2);
    assert!(shared.targets(AppId(3)).await.expect("read")[0].id > 4);
    assert_eq!(shared.next_instance().await.expect("written"), 2);
    decide(&shared, &key(2, "c"), FOREVER).await;
    let (head, before) = (shared.head().await.expect("read"), seen(&shared).await);
    shared.close().await;
    drop(shared);

    let back = copy(&at_url(&url, first_dir.path()), &at_dir(back_dir.path())).await;
    let back = back.expect("copied");
    assert!(back.resealed, "the new directory has a key of its own");
    assert_eq!(back.head, head);
    let ledger = sqlite(back_dir.path()).await;
    assert_eq!(seen(&ledger).await, before);
    assert_eq!(
        decide(&ledger, &key(2, "c"), FOREVER).await.generation,
        generation(4)
    );
    ledger.close().await;
    let verdict = audit::verify(back_dir.path(), Some(&head))
        .await
        .expect("read");
    assert!(
        matches!(verdict, tidegate_ledger::Verdict::Intact(_)),
        "{verdict:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_restored_with_resumes_held() {
    let cluster = Cluster::shared();
    let url = cluster.database();
    let dir = tempfile::tempdir().expect("temp dir");
    let ledger = open(&url, dir.path()).await;
    fill(&ledger).await;
    let file = dir.path().join("backup.db");
    ledger.backup(&file).await.expect("backed up");
    let again = ledger.backup(&file).await.expect_err("never overwrites");
    assert!(again.to_string().contains("exists already"), "{again}");
    let before = seen(&ledger).await;
    let lost = decide(&ledger, &key(1, "a"), AskKind::Resume).await;
    let used = nonce("after the backup", 3);
    let asked = ask(&key(1, "d"), FOREVER, NOW);
    fresh(
        ledger
            .decide(asked, Some(used.clone()))
            .await
            .expect("decided"),
    );
    let leased = ledger.lease_accounts("lost", std::time::Duration::from_secs(600));
    assert_eq!(leased.await.expect("leased").len(), 1);
    let parsed = LedgerUrl::parse(&url).expect("a URL");
    let options = OpenOptions::new(dir.path());
    let other_dir = dir_with_key_of(dir.path());
    let elsewhere = OpenOptions::new(other_dir.path());
    let running = restore_postgres(&parsed, &elsewhere, &file, NOW).await;
    assert!(
        matches!(running, Err(LedgerError::Locked(_))),
        "{running:?}"
    );
    ledger.close().await;
    drop(ledger);

    let restored = restore_postgres(&parsed, &options, &file, NOW)
        .await
        .expect("restored");
    let replaced = restored.replaced.expect("kept");
    assert!(replaced.exists());
    let ledger = open(&url, dir.path()).await;
    assert!(ledger.restore_hold().await.expect("read").is_some());
    let nonces = ledger.live_nonces(NOW).await.expect("read");
    assert!(
        nonces.iter().any(|n| n.used == used),
        "used nonces stay used"
    );
    let status = ledger.status(&key(1, "a")).await.expect("read");
    assert!(status.block.is_some(), "the resume is not in the backup");
    assert_eq!(status.placements[1].accepted, None, "to be sent again");
    let account = ledger.cdn_accounts().await.expect("read").remove(0).id;
    let stands = ledger.objects(&[object(account, "*", "a")]).await;
    assert_eq!(
        stands.expect("read")[0].version,
        0,
        "nothing is believed of it"
    );
    let leased = ledger.lease_accounts("another", std::time::Duration::from_secs(60));
    assert_eq!(leased.await.expect("leased"), [account]);
    assert!(
        seen(&ledger).await.contains(
            before
                .lines()
                .find(|line| line.starts_with("App"))
                .expect("an App")
        )
    );
    let held = decide(&ledger, &key(1, "a"), AskKind::Resume).await;
    assert!(
        held.generation > lost.generation,
        "numbers that were used are not used again"
    );
    assert!(held.outcome.block().is_some(), "held");
    let by = ask(&key(1, "a"), FOREVER, NOW).by;
    let seen = ledger.cursor().await.expect("read");
    let request_id = tidegate_core::RequestId::compose(1, 1);
    let opened = ledger
        .confirm_restore(by, NOW, request_id)
        .await
        .expect("confirmed");
    assert_eq!(opened, vec![(key(1, "a"), held.generation)]);
    let changes = ledger.changes_since(&seen).await.expect("read");
    assert!(changes.events, "the others look at the hold again");
    assert_eq!(changes.streams.len(), 1, "and open what was held");
    assert_eq!(
        (changes.streams[0].block, changes.streams[0].generation),
        (None, held.generation)
    );
    let verdict = audit::verify_postgres(&parsed, None).await.expect("read");
    assert!(
        matches!(verdict, tidegate_ledger::Verdict::Intact(_)),
        "{verdict:?}"
    );
}

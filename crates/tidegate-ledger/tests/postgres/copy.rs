//! Copies from one back end to the other, backups and restores.

use std::path::Path;

use tidegate_core::{AppId, AskKind, Secret, UnixMs};
use tidegate_ledger::{
    Address, Attempt, AttemptResult, Head, Ledger, LedgerError, LedgerUrl, OpenOptions,
    SqliteLedger, audit, copy, restore_postgres,
};

use crate::cluster::Cluster;
use crate::fixture::{FOREVER, NOW, app, ask, decide, fresh, generation, key, nonce, until};
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
    ledger.head().await.expect("read")
}

/// What readers see, as text.
async fn seen(ledger: &impl Ledger) -> String {
    let mut text = String::new();
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
    let back_dir = tempfile::tempdir().expect("temp dir");
    let in_use = copy(&at_url(&url, first_dir.path()), &at_dir(back_dir.path())).await;
    assert!(matches!(in_use, Err(LedgerError::Locked(_))), "{in_use:?}");
    assert!(!back_dir.path().join("ledger.db").exists());
    shared.create_app(&app(3)).await.expect("row ids go on");
    assert!(shared.targets(AppId(3)).await.expect("read")[0].id > 2);
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
    assert!(
        seen(&ledger)
            .await
            .contains(before.lines().next().expect("an App"))
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

//! Backup and restore, of a stopped ledger and a running one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use sqlx::ConnectOptions;
use tempfile::TempDir;
use tidegate_core::placement::Want;
use tidegate_core::{AskKind, Outcome, RequestId, Secret, UnixMs, Until};
use tidegate_ledger::{
    CdnLedger, Ledger, LedgerError, OpenOptions, RestoreHold, SqliteLedger, Verdict, audit, restore,
};

use crate::fixture::{
    FOREVER, NOW, accepted_by, ask, decide, fresh, generation, key, nonce, object, save, saved,
    until, with_target,
};
use crate::open;

const SITE: &str = "push.example.com/live";
const LATER: UnixMs = UnixMs(NOW.0 + 60_000);

/// A backup with `cam` and `ending` forbidden, after which `cam` was resumed and `late` forbidden.
async fn backed_up() -> (TempDir, SqliteLedger, PathBuf) {
    let dir = tempfile::tempdir().expect("temp dir");
    let ledger = open(&dir.path().join("data")).await;
    let (cam, account, target) = with_target(&ledger).await;
    decide(&ledger, &cam, FOREVER).await;
    decide(&ledger, &key(1, "ending"), until(NOW.0 + 10)).await;
    decide(&ledger, &key(1, "open"), AskKind::Resume).await;
    for stream in ["cam", "open"] {
        let object = object(account, SITE, stream);
        let mut kept = saved(&object, 0, vec![accepted_by(1, target, 1)]);
        kept.budgets.push((account, "spent".into()));
        assert_eq!(save(&ledger, kept).await, [Some(1)]);
    }
    let to = dir.path().join("backup.db");
    ledger.backup(&to).await.expect("backed up");
    decide(&ledger, &cam, AskKind::Resume).await;
    let later = saved(&object(account, SITE, "cam"), 1, vec![]);
    assert_eq!(save(&ledger, later).await, [Some(2)]);
    ledger.remove_target(target, false).await.expect("removed");
    ledger.remove_account(account).await.expect("removed");
    let bound = ledger
        .decide(ask(&key(1, "late"), FOREVER, NOW), Some(nonce("n", 1)))
        .await;
    fresh(bound.expect("decided"));
    ledger.set_admin_token([9; 32]).await.expect("written");
    ledger.next_instance().await.expect("written");
    (dir, ledger, to)
}

/// The account and its target are back. What stands is to be brought to the vendor again; the rest
/// is believed to be as it was.
async fn check_cdns(ledger: &SqliteLedger) {
    let accounts = ledger.cdn_accounts().await.expect("read");
    let account = accounts[0].id;
    let budget = ledger.budget(account).await.expect("read");
    assert_eq!(budget.as_deref(), Some("spent"));
    let keys = ["cam", "ending", "open"].map(|stream| object(account, SITE, stream));
    let rows = ledger.objects(&keys).await.expect("read");
    let versions: Vec<_> = rows.iter().map(|row| row.version).collect();
    assert_eq!(versions, [0, 0, 1]);
    let accepted: Vec<_> = rows.iter().map(|row| row.owners[0].accepted).collect();
    assert_eq!(accepted, [None, None, Some(generation(1))]);
    let due = ledger.due_objects(account, NOW, None, 9).await;
    assert_eq!(due.expect("read"), keys[..2]);
    let origin = ledger
        .status(&key(1, "cam"))
        .await
        .expect("read")
        .placements;
    assert_eq!(origin[0].accepted, Some(generation(1)));
}

/// A resume that is held leaves the block, and with it what the vendor is asked for.
async fn check_held(ledger: &SqliteLedger) {
    let account = ledger.cdn_accounts().await.expect("read")[0].id;
    let rows = ledger.objects(&[object(account, SITE, "cam")]).await;
    let owner = rows.expect("read")[0].owners[0].owner;
    assert_eq!(owner.want, Want::Banned(Until::Lifted));
    assert_eq!(owner.decided, NOW);
}

async fn check_restored(ledger: &SqliteLedger) {
    let hold = ledger.restore_hold().await.expect("read");
    assert_eq!(hold, Some(RestoreHold { restored_at: LATER }));
    let late = ledger.status(&key(1, "late")).await.expect("read");
    assert_eq!(late.block, None, "decided after the backup");
    let token = ledger.admin_token().await.expect("read");
    assert_eq!(token, Some([9; 32]), "who may administer does not go back");
    assert_eq!(ledger.next_instance().await.expect("written"), 2);
    assert_eq!(ledger.live_nonces(NOW).await.expect("read").len(), 1);
    check_cdns(ledger).await;
    let cam = key(1, "cam");
    let lapse = ledger.lapse(key(1, "ending"), generation(1), LATER).await;
    assert_eq!(lapse.expect("answered"), None, "ends are held too");
    let resumed = decide(ledger, &cam, AskKind::Resume).await;
    assert!(matches!(resumed.outcome, Outcome::Held(_)), "{resumed:?}");
    assert!(resumed.generation.0 > 1_000_000);
    assert_eq!(resumed.placements[0].wanted, generation(1));
    check_held(ledger).await;
    let new = decide(ledger, &key(1, "new"), FOREVER).await;
    assert!(new.generation.0 > 1_000_000, "never decided on before");
    let by = ask(&cam, FOREVER, LATER).by;
    let opened = ledger
        .confirm_restore(by.clone(), LATER, RequestId(1))
        .await
        .expect("confirmed");
    assert_eq!(opened, vec![(cam.clone(), resumed.generation)]);
    let status = ledger.status(&cam).await.expect("read");
    assert_eq!(status.block, None);
    for placement in &status.placements {
        assert_eq!(placement.wanted, resumed.generation);
    }
    assert_eq!(ledger.restore_hold().await.expect("read"), None);
    let again = ledger.confirm_restore(by, LATER, RequestId(2)).await;
    assert_eq!(again.expect("answered"), vec![], "once");
    let lapse = ledger.lapse(key(1, "ending"), generation(1), LATER).await;
    assert!(lapse.expect("answered").is_some());
    let verdict = audit::verify(ledger.data_dir(), None).await.expect("read");
    assert!(matches!(verdict, Verdict::Intact(_)), "{verdict:?}");
}

#[tokio::test]
async fn a_stopped_ledger_is_restored_and_the_old_one_kept() {
    let (dir, ledger, backup) = backed_up().await;
    let mode = backup.metadata().expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let options = OpenOptions::new(dir.path().join("data"));
    let running = restore(&options, &backup, LATER).await;
    assert!(matches!(running, Err(LedgerError::Locked(_))));
    ledger.close().await;
    drop(ledger);
    let restored = restore(&options, &backup, LATER).await.expect("restored");
    let replaced = restored.replaced.expect("there was one");
    assert!(replaced.to_string_lossy().contains("ledger.db.replaced-2"));
    let ledger = open(&options.data_dir).await;
    assert_eq!(ledger.head().await.expect("read"), restored.head);
    check_restored(&ledger).await;
    ledger.close().await;
    drop(ledger);
    fs::rename(replaced, options.data_dir.join("ledger.db")).expect("put back");
    let old = open(&options.data_dir).await;
    let late = old.status(&key(1, "late")).await.expect("read");
    assert!(late.block.is_some(), "the replaced ledger is whole");
}

#[tokio::test]
async fn a_running_ledger_is_restored_in_one_step() {
    let (dir, ledger, backup) = backed_up().await;
    let restored = ledger
        .restore(&backup, None, LATER)
        .await
        .expect("restored");
    assert_eq!(ledger.head().await.expect("read"), restored.head);
    assert!(restored.replaced.expect("kept").exists());
    check_restored(&ledger).await;
    // A second restore of the same backup must not give out the same generations again.
    let used = decide(&ledger, &key(1, "cam"), FOREVER).await.generation;
    let again = UnixMs(LATER.0 + 60_000);
    ledger
        .restore(&backup, None, again)
        .await
        .expect("restored");
    let next = decide(&ledger, &key(1, "cam"), FOREVER).await.generation;
    assert!(next > used);
    let left: Vec<_> = fs::read_dir(dir.path().join("data"))
        .expect("read")
        .map(|e| e.expect("entry").file_name().into_string().expect("text"))
        .filter(|name| name.contains("restoring"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_backup_never_overwrites() {
    let (_dir, ledger, backup) = backed_up().await;
    let before = fs::read(&backup).expect("read");
    let error = ledger.backup(&backup).await.expect_err("refused");
    assert!(error.to_string().contains("exists already"), "{error}");
    assert_eq!(fs::read(&backup).expect("read"), before);
}

#[tokio::test]
async fn what_is_no_whole_backup_of_this_ledger_changes_nothing() {
    let (dir, ledger, backup) = backed_up().await;
    let head = ledger.head().await.expect("read");
    let other_dir = tempfile::tempdir().expect("temp dir");
    let other = open(other_dir.path()).await;
    let foreign = dir.path().join("foreign.db");
    other.backup(&foreign).await.expect("backed up");
    let text = dir.path().join("text");
    fs::write(&text, "not a database, by far").expect("written");
    let cut = dir.path().join("cut.db");
    let whole = fs::read(&backup).expect("read");
    fs::write(&cut, &whole[..whole.len() / 2]).expect("written");
    let edited_dir = tempfile::tempdir().expect("temp dir");
    let edited = edited_dir.path().join("ledger.db");
    fs::copy(&backup, &edited).expect("copied");
    let sql = "DELETE FROM blocks";
    crate::audit::tamper(edited_dir.path(), sql).await;
    for bad in [&foreign, &text, &cut, &edited, &dir.path().join("absent")] {
        let refused = ledger.restore(bad, None, LATER).await;
        assert!(refused.is_err(), "{}", bad.display());
        assert_eq!(ledger.head().await.expect("read"), head);
        assert_eq!(ledger.restore_hold().await.expect("read"), None);
    }
    let refused = ledger.restore(&foreign, None, LATER).await;
    assert!(matches!(refused, Err(LedgerError::Key(_))), "{refused:?}");
    let secret = Secret::new("still writable".into());
    let app = tidegate_core::AppId(1);
    let rotated = ledger.rotate_secret(app, &secret, NOW, LATER).await;
    rotated.expect("written");
}

#[tokio::test]
async fn a_backup_with_a_schema_of_its_own_is_refused() {
    let (dir, ledger, backup) = backed_up().await;
    let options = OpenOptions::new(dir.path().join("data"));
    let hostile = tempfile::tempdir().expect("temp dir");
    let file = hostile.path().join("ledger.db");
    let refused = [
        (
            "CREATE TRIGGER later AFTER INSERT ON events BEGIN DELETE FROM blocks; END",
            "trigger later",
        ),
        ("CREATE TABLE \"x\u{1b}[2J\" (y)", "table x\\u{1b}[2J"),
        ("CREATE INDEX i ON blocks (app_id)", "index i"),
        ("CREATE VIEW v AS SELECT 1", "view v"),
        (
            "ALTER TABLE meta RENAME TO kept; CREATE VIEW meta AS
             WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)
             SELECT kept.* FROM kept, n",
            "view meta",
        ),
        (
            "DROP TRIGGER chain_keeps_rows",
            "chain_keeps_rows is missing",
        ),
    ];
    for (sql, word) in refused {
        fs::copy(&backup, &file).expect("copied");
        crate::audit::tamper(hostile.path(), sql).await;
        let error = ledger.restore(&file, None, LATER).await;
        let error = error.expect_err(sql).to_string();
        assert!(error.contains(word), "{sql}: {error}");
    }
    ledger.close().await;
    drop(ledger);
    for (sql, word) in refused {
        fs::copy(&backup, &file).expect("copied");
        crate::audit::tamper(hostile.path(), sql).await;
        let error = restore(&options, &file, LATER).await;
        let error = error.expect_err(sql).to_string();
        assert!(error.contains(word), "{sql}: {error}");
    }
}

#[tokio::test]
async fn what_is_no_regular_file_is_refused_and_not_waited_for() {
    let (dir, ledger, _backup) = backed_up().await;
    let pipe = dir.path().join("pipe");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, mode).expect("made");
    for bad in [pipe.as_path(), "/dev/zero".as_ref(), dir.path()] {
        let error = ledger.restore(bad, None, LATER).await;
        let error = error.expect_err("refused").to_string();
        assert!(error.contains("not a regular file"), "{error}");
    }
}

#[tokio::test]
async fn what_a_killed_restore_left_behind_does_no_harm() {
    let (dir, ledger, backup) = backed_up().await;
    let donor = dir.path().join("donor.db");
    let mut conn = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(&donor)
        .create_if_missing(true)
        .connect()
        .await
        .expect("opened");
    // More than the cache holds, so that the journal is complete before the commit.
    let sql = "CREATE TABLE a (x); INSERT INTO a VALUES (1); PRAGMA cache_size = 2; BEGIN;
        UPDATE a SET x = 2; CREATE TABLE b (x);
        WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 100)
        INSERT INTO b SELECT randomblob(3000) FROM n";
    sqlx::raw_sql(sql).execute(&mut conn).await.expect("done");
    let journal = dir.path().join("donor.db-journal");
    let left = dir.path().join("data/ledger.db.restoring-journal");
    fs::copy(journal, &left).expect("a journal");
    let restored = ledger.restore(&backup, None, LATER).await;
    restored.expect("restored");
    assert!(!left.exists());
}

#[tokio::test]
async fn two_restores_in_one_second_keep_both_ledgers() {
    let (_dir, ledger, backup) = backed_up().await;
    let first = ledger.restore(&backup, None, LATER).await.expect("once");
    let second = ledger.restore(&backup, None, LATER).await.expect("again");
    assert_ne!(first.replaced, second.replaced);
    assert!(first.replaced.expect("kept").exists() && second.replaced.expect("kept").exists());
}

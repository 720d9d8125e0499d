//! The lock, the key file, and the modes of what is made.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tidegate_core::Secret;
use tidegate_ledger::{CdnLedger, Ledger, LedgerError, OpenOptions, SqliteLedger, Vendor};

use crate::fixture::{NOW, account, app, target, with_target};
use crate::open;

async fn refusal(options: OpenOptions) -> LedgerError {
    match SqliteLedger::open(options).await {
        Ok(_) => panic!("it opened"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_second_server_is_told_who_holds_the_directory() {
    let dir = tempfile::tempdir().expect("temp dir");
    let first = open(dir.path()).await;
    let error = refusal(OpenOptions::new(dir.path())).await;
    let words = error.to_string();
    assert!(matches!(error, LedgerError::Locked(_)), "{words}");
    assert!(words.contains(&format!("pid {}", std::process::id())));
    assert!(words.contains("--data-dir"));
    first.close().await;
    drop(first);
    open(dir.path()).await;
}

#[tokio::test]
async fn everything_that_is_made_is_private() {
    let parent = tempfile::tempdir().expect("temp dir");
    let dir = parent.path().join("data");
    let ledger = open(&dir).await;
    ledger.create_app(&app(1)).await.expect("created");
    let mode = |path: &std::path::Path| {
        let metadata = path.metadata().expect("there");
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode(&dir), 0o700);
    let names: Vec<_> = fs::read_dir(&dir)
        .expect("read")
        .map(|entry| entry.expect("entry").path())
        .collect();
    assert!(names.len() >= 4, "{names:?}");
    for path in names {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[tokio::test]
async fn a_missing_key_is_refused_and_none_is_made() {
    let dir = tempfile::tempdir().expect("temp dir");
    open(dir.path()).await.close().await;
    let key = dir.path().join("secrets.key");
    let kept = fs::read(&key).expect("made");
    fs::remove_file(&key).expect("removed");
    let error = refusal(OpenOptions::new(dir.path())).await;
    assert!(
        matches!(&error, LedgerError::Key(words) if words.contains("missing")),
        "{error}"
    );
    assert!(!key.exists());
    fs::write(&key, kept).expect("put back");
    open(dir.path()).await;
}

#[tokio::test]
async fn another_ledgers_key_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("temp dir");
    let other = tempfile::tempdir().expect("temp dir");
    open(dir.path()).await.close().await;
    open(other.path()).await.close().await;
    let error = refusal(OpenOptions {
        data_dir: dir.path().into(),
        key_file: Some(other.path().join("secrets.key")),
    })
    .await;
    assert!(
        matches!(&error, LedgerError::Key(words) if words.contains("holds another")),
        "{error}"
    );
}

#[tokio::test]
async fn a_key_left_over_without_a_ledger_is_used() {
    let dir = tempfile::tempdir().expect("temp dir");
    let line = format!("{}\n", "5a".repeat(32));
    let key = dir.path().join("elsewhere.key");
    fs::write(&key, &line).expect("written");
    let ledger = SqliteLedger::open(OpenOptions {
        data_dir: dir.path().join("data"),
        key_file: Some(key.clone()),
    })
    .await
    .expect("opened");
    ledger.create_app(&app(1)).await.expect("created");
    assert_eq!(fs::read_to_string(&key).expect("read"), line);
    assert_eq!(ledger.apps(NOW).await.expect("read").len(), 1);
}

#[tokio::test]
async fn no_secret_is_in_the_files_in_clear() {
    let dir = tempfile::tempdir().expect("temp dir");
    let ledger = open(dir.path()).await;
    let (_, id, _) = with_target(&ledger).await;
    let mut other = account("other", Vendor::Tencent);
    other.key.security_token = Some(Secret::new("session-of-other".into()));
    let other = ledger.add_account(&other).await.expect("added");
    let mut pair = account("rotated", Vendor::Ws).key;
    pair.security_token = Some(Secret::new("session-of-rotated".into()));
    let rotated = ledger.rotate_account(other, &pair, NOW).await;
    rotated.expect("rotated");
    let mut second = target(1, id, "two.example.com");
    second.play_key = Some(Secret::new("signs-play-urls".into()));
    ledger.add_target(&second).await.expect("added");
    for name in ["ledger.db", "ledger.db-wal"] {
        let bytes = fs::read(dir.path().join(name)).expect("read");
        for secret in [
            "server-secret-1",
            "callback",
            "publish",
            "vendor-secret",
            "session-of",
            "signs-play-urls",
        ] {
            let sought = secret.as_bytes();
            // Column names contain two of the words; a secret would follow a length, not "_".
            let found = bytes
                .windows(sought.len() + 1)
                .any(|w| w.starts_with(sought) && !w.ends_with(b"_"));
            assert!(!found, "{secret} is in {name}");
        }
    }
}

#[tokio::test]
async fn a_ledger_of_a_newer_version_is_refused_with_words() {
    let dir = tempfile::tempdir().expect("temp dir");
    open(dir.path()).await.close().await;
    let sql = "INSERT INTO _sqlx_migrations (version, description, success, checksum,
        execution_time) VALUES (999, 'later', 1, x'00', 0)";
    crate::audit::tamper(dir.path(), sql).await;
    let error = refusal(OpenOptions::new(dir.path())).await;
    assert!(error.to_string().contains("newer tidegate"), "{error}");
}

//! What the server must be like, what it keeps out, and lost connections.

use tidegate_core::AskKind;
use tidegate_ledger::{LedgerError, LedgerUrl, Verdict, audit};

use crate::cluster::{Cluster, PASSWORD};
use crate::fixture::{FOREVER, decide, generation, key, with_app};
use crate::{open, sql, try_open};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_answers_before_it_has_synced_is_refused() {
    let cluster = Cluster::shared();
    let url = cluster.database();
    let name = url.rsplit('/').next().expect("a name").to_owned();
    let dir = tempfile::tempdir().expect("temp dir");
    let ledger = open(&url, dir.path()).await;
    let cam = with_app(&ledger).await;
    ledger.close().await;
    drop(ledger);
    for setting in ["off", "local", "remote_write"] {
        let change = format!("ALTER DATABASE {name} SET synchronous_commit = {setting}");
        sql(&url, &change).await.expect("set");
        let refused = try_open(&url, dir.path()).await.err().expect("refused");
        assert!(matches!(refused, LedgerError::Unsuitable(_)), "{refused:?}");
        let words = refused.to_string();
        assert!(
            words.contains(&format!("synchronous_commit = {setting}")),
            "{words}"
        );
    }
    let back = format!("ALTER DATABASE {name} RESET synchronous_commit");
    sql(&url, &back).await.expect("set");
    let ledger = open(&url, dir.path()).await;
    decide(&ledger, &cam, FOREVER).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_never_show_the_password() {
    let cluster = Cluster::shared();
    let url = cluster.database();
    let dir = tempfile::tempdir().expect("temp dir");
    let wrong_password = url.replace(PASSWORD, "wr0ng-one");
    let no_database = format!("{url}-none");
    let port_closed = format!("postgres://tests:{PASSWORD}@127.0.0.1:1/x");
    let must_encrypt = format!("{url}?sslmode=require");
    for (url, secret) in [
        (wrong_password, "wr0ng-one"),
        (no_database, PASSWORD),
        (port_closed, PASSWORD),
        (must_encrypt, PASSWORD),
    ] {
        let refused = try_open(&url, dir.path()).await.err().expect("refused");
        assert!(
            matches!(refused, LedgerError::Unavailable { .. }),
            "{refused:?}"
        );
        let words = format!("{refused} {refused:?}");
        assert!(!words.contains(secret), "{words}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_connection_is_opened_again() {
    let cluster = Cluster::shared();
    let url = cluster.database();
    let dir = tempfile::tempdir().expect("temp dir");
    let ledger = open(&url, dir.path()).await;
    let cam = with_app(&ledger).await;
    for n in 1..4 {
        let end_all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()";
        sql(&url, end_all).await.expect("ended");
        let decided = decide(&ledger, &cam, FOREVER).await;
        assert_eq!(decided.generation, generation(n));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_is_append_only_and_tampering_is_found() {
    let cluster = Cluster::shared();
    let url = cluster.database();
    let dir = tempfile::tempdir().expect("temp dir");
    let ledger = open(&url, dir.path()).await;
    with_app(&ledger).await;
    decide(&ledger, &key(1, "a"), FOREVER).await;
    decide(&ledger, &key(1, "b"), FOREVER).await;
    decide(&ledger, &key(1, "b"), AskKind::Resume).await;
    let parsed = LedgerUrl::parse(&url).expect("a URL");
    for table in ["chain", "decisions", "attempts", "events"] {
        for verb in ["DELETE FROM", "TRUNCATE"] {
            let refused = sql(&url, &format!("{verb} {table}"))
                .await
                .expect_err("refused");
            assert!(refused.to_string().contains("append-only"), "{refused}");
        }
    }
    let intact = audit::verify_postgres(&parsed, None).await.expect("read");
    assert!(matches!(intact, Verdict::Intact(_)), "{intact:?}");
    let off = "ALTER TABLE decisions DISABLE TRIGGER decisions_keeps;";
    let on = "ALTER TABLE decisions ENABLE TRIGGER decisions_keeps;";
    for (change, undo, want) in [
        (off.to_owned(), on.to_owned(), "triggers"),
        (
            format!("{off} UPDATE decisions SET reason = 'other' WHERE link = 2; {on}"),
            format!("{off} UPDATE decisions SET reason = 'because' WHERE link = 2; {on}"),
            "link 2",
        ),
        (
            "INSERT INTO blocks VALUES (1, 'b', 1, 1, 1, NULL)".to_owned(),
            "DELETE FROM blocks WHERE stream = 'b'".to_owned(),
            "set without a decision",
        ),
        (
            "UPDATE blocks SET until_ms = 5".to_owned(),
            format!("UPDATE blocks SET until_ms = {}", i64::MAX),
            "not the one that history sets",
        ),
    ] {
        sql(&url, &change).await.expect("tampered");
        let verdict = audit::verify_postgres(&parsed, None).await.expect("read");
        let Verdict::Broken(words) = verdict else {
            panic!("{change} was not found");
        };
        assert!(words.contains(want), "{words}");
        sql(&url, &undo).await.expect("undone");
    }
    let intact = audit::verify_postgres(&parsed, None).await.expect("read");
    assert!(matches!(intact, Verdict::Intact(_)), "{intact:?}");
}

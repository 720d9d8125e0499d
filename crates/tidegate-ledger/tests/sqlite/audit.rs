//! The chain: every kind of tampering is found, and named.

use std::path::Path;

use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tidegate_core::AskKind;
use tidegate_ledger::{Attempt, AttemptResult, Head, Ledger, Verdict, audit};

use crate::fixture::{FOREVER, NOW, decide, generation, key, until, with_app};
use crate::open;

/// Runs SQL on the file, as somebody with access to it would.
pub(crate) async fn tamper(dir: &Path, sql: &str) {
    let mut conn = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(dir.join("ledger.db"))
        .foreign_keys(false)
        .connect()
        .await
        .expect("opened");
    sqlx::query(AssertSqlSafe(sql.to_owned()))
        .execute(&mut conn)
        .await
        .expect("done");
    conn.close().await.expect("closed");
}

async fn history(dir: &Path) -> Head {
    let ledger = open(dir).await;
    let cam = with_app(&ledger).await;
    decide(&ledger, &cam, FOREVER).await;
    decide(&ledger, &cam, AskKind::Resume).await;
    let attempt = Attempt {
        key: cam.clone(),
        target: 1,
        generation: generation(2),
        at: NOW,
        result: AttemptResult::Accepted,
        vendor_request_id: "v".into(),
        words: "ok".into(),
    };
    let attempts = vec![attempt.clone(), attempt];
    ledger.record_attempts(attempts).await.expect("recorded");
    decide(&ledger, &key(1, "b"), until(NOW.0 + 9)).await;
    decide(&ledger, &cam, FOREVER).await;
    let head = ledger.head().await.expect("read");
    ledger.close().await;
    head
}

async fn found(dir: &Path, expected: Option<&Head>) -> String {
    match audit::verify(dir, expected).await.expect("readable") {
        Verdict::Broken(words) => words,
        Verdict::Intact(head) => panic!("intact at {head:?}"),
    }
}

#[tokio::test]
async fn an_untouched_ledger_is_intact_up_and_down() {
    let dir = tempfile::tempdir().expect("temp dir");
    let head = history(dir.path()).await;
    let down = audit::verify(dir.path(), Some(&head)).await;
    assert_eq!(down.expect("read"), Verdict::Intact(head.clone()));
    let ledger = open(dir.path()).await;
    decide(&ledger, &key(1, "c"), FOREVER).await;
    let up = audit::verify(dir.path(), Some(&head)).await;
    let newer = ledger.head().await.expect("read");
    assert_eq!(up.expect("read"), Verdict::Intact(newer.clone()));
    assert_eq!(audit::head(dir.path()).await.expect("read"), newer);
}

const NO_TRIGGERS: &str = "DROP TRIGGER chain_keeps_rows; DROP TRIGGER chain_keeps_words;
    DROP TRIGGER decisions_keeps_rows; DROP TRIGGER decisions_keeps_words;
    DROP TRIGGER attempts_keeps_rows; DROP TRIGGER attempts_keeps_words;";

#[tokio::test]
async fn each_way_of_tampering_is_named() {
    for (sql, words) in [
        (
            "UPDATE decisions SET reason = 'another' WHERE link = 2",
            "link 2: the \"resume\" on 1/cam (generation 2) was changed",
        ),
        (
            "UPDATE decisions SET client = NULL WHERE link = 1",
            "link 1: the \"forbid\"",
        ),
        (
            "DELETE FROM decisions WHERE link = 2",
            "link 2: its decision is missing",
        ),
        (
            "UPDATE attempts SET words = 'no' WHERE place = 1",
            "link 3: a batch of attempts was changed",
        ),
        ("DELETE FROM attempts WHERE place = 1", "link 3: a batch"),
        ("DELETE FROM attempts", "link 3: its attempts is missing"),
        (
            "INSERT INTO decisions SELECT 6, app_id, 'new', 1, verb, until_ms, held, actor,
                 operator, client, reason, at_ms, request_id FROM decisions WHERE link = 1",
            "numbered 6",
        ),
        (
            "INSERT INTO decisions SELECT 3, app_id, 'new', 1, verb, until_ms, held, actor,
                 operator, client, reason, at_ms, request_id FROM decisions WHERE link = 1",
            "link 3: the \"forbid\" on 1/new (generation 1) was inserted",
        ),
        (
            "UPDATE decisions SET link = 99 WHERE link = 1;
             UPDATE decisions SET link = 1 WHERE link = 2;
             UPDATE decisions SET link = 2 WHERE link = 99",
            "link 1: the \"resume\"",
        ),
        ("DELETE FROM chain WHERE seq = 4", "link 4 of 5 is missing"),
        ("DELETE FROM chain WHERE seq = 5", "numbered 5"),
        (
            "UPDATE chain SET hash = zeroblob(32) WHERE seq = 3",
            "link 3 does not follow",
        ),
        (
            "DELETE FROM blocks WHERE stream = 'b'",
            "1/b (generation 1) was removed",
        ),
        (
            "UPDATE blocks SET until_ms = until_ms - 1 WHERE stream = 'b'",
            "the block on 1/b is not the one",
        ),
        (
            "INSERT INTO blocks VALUES (1, 'x', 1, 1, 1, NULL)",
            "1/x was set without a decision",
        ),
        (
            "INSERT INTO meta VALUES ('restore_hold', 1)",
            "the hold on resumes",
        ),
        ("SELECT 1", "triggers"),
    ] {
        let dir = tempfile::tempdir().expect("temp dir");
        history(dir.path()).await;
        tamper(dir.path(), &format!("{NO_TRIGGERS} {sql}")).await;
        let found = found(dir.path(), None).await;
        assert!(found.contains(words), "{sql}: {found}");
    }
}

#[tokio::test]
async fn a_tail_cut_off_with_all_that_followed_is_found_by_the_head() {
    let dir = tempfile::tempdir().expect("temp dir");
    let head = history(dir.path()).await;
    let cut = "DELETE FROM decisions WHERE link = 5; DELETE FROM chain WHERE seq = 5;
        DELETE FROM blocks WHERE stream = 'cam';";
    tamper(dir.path(), &format!("{NO_TRIGGERS} {cut}")).await;
    let words = found(dir.path(), Some(&head)).await;
    assert!(words.contains("cut off"), "{words}");
    let rewritten = Head {
        length: 2,
        hash: "ab".repeat(32),
    };
    let words = found(dir.path(), Some(&rewritten)).await;
    assert!(words.contains("rewritten"), "{words}");
}

#[tokio::test]
async fn history_refuses_to_be_changed_through_sql() {
    let dir = tempfile::tempdir().expect("temp dir");
    history(dir.path()).await;
    for sql in [
        "DELETE FROM decisions",
        "UPDATE decisions SET reason = ''",
        "DELETE FROM attempts",
        "UPDATE attempts SET words = ''",
        "DELETE FROM chain",
        "UPDATE chain SET hash = x''",
    ] {
        let mut conn = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(dir.path().join("ledger.db"))
            .connect()
            .await
            .expect("opened");
        let refused = sqlx::query(sql).execute(&mut conn).await;
        let words = refused.expect_err("refused").to_string();
        assert!(words.contains("append-only"), "{sql}: {words}");
    }
}

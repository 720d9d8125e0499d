//! Group commit: who shares an fsync, and who goes first.

use std::sync::Arc;

use sqlx::{ConnectOptions, Connection};
use tidegate_core::AskKind;
use tidegate_ledger::{Ledger, SqliteLedger};

use crate::fixture::{FOREVER, NOW, ask, decide, fresh, key, with_app};
use crate::open;

/// Keeps the writer out until dropped.
async fn hold_the_writer(dir: &std::path::Path) -> sqlx::SqliteConnection {
    let mut conn = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(dir.join("ledger.db"))
        .connect()
        .await
        .expect("opened");
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut conn)
        .await
        .expect("held");
    conn
}

fn queued(ledger: &SqliteLedger) -> usize {
    let queued = ledger.stats().queued;
    queued.takedown + queued.release
}

#[tokio::test]
async fn callers_that_wait_together_share_one_commit() {
    let dir = tempfile::tempdir().expect("temp dir");
    let ledger = Arc::new(open(dir.path()).await);
    with_app(&*ledger).await;
    let held = hold_the_writer(dir.path()).await;
    let before = ledger.stats();
    let spawn = |n: usize| {
        let ledger = Arc::clone(&ledger);
        let kind = if n.is_multiple_of(2) {
            FOREVER
        } else {
            AskKind::Resume
        };
        tokio::spawn(async move {
            let asked = ask(&key(1, &format!("s{n}")), kind, NOW);
            fresh(ledger.decide(asked, None).await.expect("decided"))
        })
    };
    // The first alone gets the writer stuck at its door; the others pile up behind it.
    let mut callers = vec![spawn(0)];
    while ledger.stats().queued.takedown > 0 || callers.len() < 2 {
        tokio::task::yield_now().await;
        if callers.len() < 2 {
            callers.push(spawn(1));
        }
    }
    callers.extend((2..65).map(spawn));
    while queued(&ledger) < 63 {
        tokio::task::yield_now().await;
    }
    held.close().await.expect("let go");
    for caller in callers {
        caller.await.expect("answered");
    }
    let after = ledger.stats();
    assert_eq!(after.decisions - before.decisions, 65);
    assert!(
        after.commits - before.commits <= 2,
        "{} commits",
        after.commits - before.commits
    );
    assert!(after.largest_batch >= 32);
}

#[tokio::test]
async fn a_lone_caller_has_one_commit_a_decision() {
    let dir = tempfile::tempdir().expect("temp dir");
    let ledger = open(dir.path()).await;
    let cam = with_app(&ledger).await;
    let before = ledger.stats().commits;
    for _ in 0..10 {
        decide(&ledger, &cam, FOREVER).await;
    }
    assert_eq!(ledger.stats().commits - before, 10);
}

#[tokio::test]
async fn what_arrived_before_close_is_finished_and_what_comes_after_is_refused() {
    let dir = tempfile::tempdir().expect("temp dir");
    let ledger = Arc::new(open(dir.path()).await);
    let cam = with_app(&*ledger).await;
    let asked = ask(&cam, FOREVER, NOW);
    let mut early = Box::pin(ledger.decide(asked.clone(), None));
    let queued = std::future::poll_fn(|cx| std::task::Poll::Ready(early.as_mut().poll(cx)));
    assert!(queued.await.is_pending());
    ledger.close().await;
    fresh(early.await.expect("finished"));
    assert!(ledger.decide(asked, None).await.is_err());
    assert!(!dir.path().join("ledger.db-wal").exists(), "checkpointed");
}

#[tokio::test]
async fn the_log_is_checkpointed_without_a_pause_in_the_load() {
    let dir = tempfile::tempdir().expect("temp dir");
    let ledger = open(dir.path()).await;
    with_app(&ledger).await;
    let streams: Vec<_> = (0..32).map(|n| key(1, &format!("s{n}"))).collect();
    let mut rounds = 0;
    while ledger.stats().checkpoints == 0 {
        let mut pending: Vec<_> = streams
            .iter()
            .map(|cam| Box::pin(ledger.decide(ask(cam, FOREVER, NOW), None)))
            .collect();
        for one in &mut pending {
            let _ = std::future::poll_fn(|cx| std::task::Poll::Ready(one.as_mut().poll(cx))).await;
        }
        for one in pending {
            // The writer shares this one thread, so none of them can have been ready before.
            fresh(one.await.expect("decided"));
        }
        rounds += 1;
        assert!(rounds < 1000, "32,000 decisions and no checkpoint");
    }
}

//! The PostgreSQL server is killed under load: every answered decision is there afterwards.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tidegate_core::AskKind;
use tidegate_ledger::{Bound, Ledger, LedgerError, LedgerUrl, Verdict, audit};

use crate::cluster::Cluster;
use crate::fixture::{FOREVER, NOW, ask, key, with_app};
use crate::open;

const CALLERS: usize = 32;
const BEFORE_THE_KILL: usize = 500;

/// Forbids and resumes one stream until told to stop. Returns what was answered, by generation,
/// and what came back after the failures.
async fn decide_until_told(
    ledger: Arc<impl Ledger>,
    caller: usize,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
) -> BTreeMap<u64, bool> {
    let cam = key(1, &format!("s{caller}"));
    let mut answers = BTreeMap::new();
    let mut turn = 0;
    while !stop.load(Ordering::Relaxed) {
        turn += 1;
        let kind = if turn % 3 == 2 {
            AskKind::Resume
        } else {
            FOREVER
        };
        match ledger.decide(ask(&cam, kind, NOW), None).await {
            Ok(Bound::Fresh(decided)) => {
                let blocked = decided.outcome.block().is_some();
                let twice = answers.insert(decided.generation.0, blocked);
                assert_eq!(twice, None, "a generation was answered twice");
                answered.fetch_add(1, Ordering::Relaxed);
            }
            Ok(other) => panic!("{other:?}"),
            Err(LedgerError::Unavailable { why, .. }) => {
                assert!(!why.contains(crate::cluster::PASSWORD), "{why}");
            }
            Err(other) => panic!("{other}"),
        }
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_no_answered_decision() {
    let cluster = Cluster::own();
    let url = cluster.database();
    let dir = tempfile::tempdir().expect("temp dir");
    let ledger = Arc::new(open(&url, dir.path()).await);
    with_app(&*ledger).await;
    let stop = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = (0..CALLERS)
        .map(|n| {
            let (ledger, stop) = (Arc::clone(&ledger), Arc::clone(&stop));
            tokio::spawn(decide_until_told(ledger, n, stop, Arc::clone(&answered)))
        })
        .collect();
    for round in 1..=3 {
        let enough = answered.load(Ordering::Relaxed) + BEFORE_THE_KILL;
        while answered.load(Ordering::Relaxed) < enough {
            assert!(callers.iter().all(|c| !c.is_finished()), "a caller failed");
            tokio::task::yield_now().await;
        }
        cluster.kill();
        tokio::task::block_in_place(|| cluster.start_again());
        let until_it_works = answered.load(Ordering::Relaxed);
        while answered.load(Ordering::Relaxed) == until_it_works {
            assert!(callers.iter().all(|c| !c.is_finished()), "round {round}");
            tokio::task::yield_now().await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    for (n, caller) in callers.into_iter().enumerate() {
        let answers = caller.await.expect("no panic");
        let status = ledger
            .status(&key(1, &format!("s{n}")))
            .await
            .expect("read");
        let newest = status.decisions.first().expect("some").generation.0;
        let (last, blocked) = answers.last_key_value().expect("some");
        assert!(
            newest >= *last,
            "s{n}: answered {last}, but {newest} is the newest"
        );
        if newest == *last {
            assert_eq!(status.block.is_some(), *blocked, "s{n}");
        }
        for record in &status.decisions {
            let Some(blocked) = answers.get(&record.generation.0) else {
                continue;
            };
            assert_eq!(
                record.verb == "forbid",
                *blocked,
                "s{n} {}",
                record.generation
            );
        }
    }
    ledger.close().await;
    let parsed = LedgerUrl::parse(&url).expect("a URL");
    let verdict = audit::verify_postgres(&parsed, None).await.expect("read");
    assert!(matches!(verdict, Verdict::Intact(_)), "{verdict:?}");
}

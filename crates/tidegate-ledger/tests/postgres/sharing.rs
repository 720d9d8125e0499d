//! Several servers on one ledger.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tidegate_core::AskKind;
use tidegate_ledger::{
    Bound, CdnLedger, Ledger, LedgerError, LedgerUrl, PostgresLedger, Verdict, audit,
};

use crate::cluster::Cluster;
use crate::fixture::{
    FOREVER, NOW, app, ask, decide, fresh, key, nonce, object, saved, with_app, with_target,
};
use crate::{dir_with_key_of, open, sql, try_open};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_share_generations_nonces_and_one_chain() {
    let cluster = Cluster::shared();
    let url = cluster.database();
    let first_dir = tempfile::tempdir().expect("temp dir");
    let first = Arc::new(open(&url, first_dir.path()).await);
    let second_dir = dir_with_key_of(first_dir.path());
    let second = Arc::new(open(&url, second_dir.path()).await);
    assert_ne!(
        first.next_instance().await.expect("written"),
        second.next_instance().await.expect("written")
    );
    with_app(&*first).await;
    let tasks: Vec<_> = (0..64)
        .map(|n| {
            let ledger = if n % 2 == 0 { &first } else { &second };
            let ledger = Arc::clone(ledger);
            tokio::spawn(async move {
                let cam = key(1, &format!("cam{}", n % 4));
                let mut generations = Vec::new();
                for turn in 0..20 {
                    let kind = if turn % 2 == 0 {
                        FOREVER
                    } else {
                        AskKind::Resume
                    };
                    generations.push(decide(&*ledger, &cam, kind).await.generation.0);
                }
                assert!(
                    generations.is_sorted(),
                    "each caller's rise: {generations:?}"
                );
                (n % 4, generations)
            })
        })
        .collect();
    let mut all: [BTreeSet<u64>; 4] = Default::default();
    for task in tasks {
        let (cam, generations) = task.await.expect("no panic");
        all[cam].extend(generations);
    }
    for generations in &all {
        assert_eq!(
            *generations,
            (1..=320).collect(),
            "each once, without a gap"
        );
    }
    let cam = key(1, "cam0");
    let bound = first
        .decide(ask(&cam, FOREVER, NOW), Some(nonce("n", 1)))
        .await;
    fresh(bound.expect("decided"));
    let other = ask(&key(1, "cam1"), AskKind::Resume, NOW);
    let taken = second.decide(other, Some(nonce("n", 2))).await;
    assert_eq!(taken.expect("answered"), Bound::NonceTaken);
    let parsed = LedgerUrl::parse(&url).expect("a URL");
    let verdict = audit::verify_postgres(&parsed, None).await.expect("read");
    let Verdict::Intact(head) = verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!(head.length, 64 * 20 + 1);
    assert_eq!(head, second.head().await.expect("read"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_hears_of_the_others_decisions_and_apps() {
    let cluster = Cluster::shared();
    let url = cluster.database();
    let first_dir = tempfile::tempdir().expect("temp dir");
    let first = open(&url, first_dir.path()).await;
    let second_dir = dir_with_key_of(first_dir.path());
    let second = open(&url, second_dir.path()).await;
    let cam = with_app(&first).await;
    decide(&second, &cam, FOREVER).await;
    let seen = second.cursor().await.expect("read");
    first.create_app(&app(2)).await.expect("created");
    decide(&first, &key(2, "cam"), FOREVER).await;
    let (mut apps, mut streams) = (false, BTreeSet::new());
    let mut cursor = seen;
    while !apps || streams.is_empty() {
        second.changed().await;
        let changes = second.changes_since(&cursor).await.expect("read");
        apps |= changes.apps;
        streams.extend(changes.streams.into_iter().map(|c| c.key.to_string()));
        cursor = changes.next;
    }
    assert_eq!(streams.len(), 1, "only what is new: {streams:?}");
    let decided = decide(&second, &key(2, "cam"), AskKind::Resume).await;
    assert_eq!(decided.placements.len(), 1, "the new App's target is known");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_one_servers_until_its_lease_ends() {
    let cluster = Cluster::shared();
    let url = cluster.database();
    let first_dir = tempfile::tempdir().expect("temp dir");
    let first = open(&url, first_dir.path()).await;
    let second_dir = dir_with_key_of(first_dir.path());
    let second = open(&url, second_dir.path()).await;
    assert!(!first.is_exclusive());
    let (_, account, _) = with_target(&first).await;
    let minute = Duration::from_secs(60);
    let lease = async |ledger: &PostgresLedger, holder: &str| {
        let held = ledger.lease_accounts(holder, minute).await;
        held.expect("leased")
    };
    assert_eq!(lease(&first, "one").await, [account]);
    assert_eq!(lease(&second, "two").await, [0; 0], "taken");
    assert_eq!(lease(&first, "one").await, [account], "renewed");
    first.release_accounts("two").await.expect("nothing to do");
    assert_eq!(lease(&second, "two").await, [0; 0], "another's");
    first.release_accounts("one").await.expect("released");
    assert_eq!(lease(&second, "two").await, [account]);
    assert_eq!(lease(&first, "one").await, [0; 0]);
    sql(&url, "UPDATE leases SET ends = now() - interval '1 second'")
        .await
        .expect("a lease that has ended");
    assert_eq!(lease(&first, "one").await, [account]);
    assert_eq!(lease(&second, "two").await, [0; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_servers_that_save_an_object_one_wins() {
    let cluster = Cluster::shared();
    let url = cluster.database();
    let first_dir = tempfile::tempdir().expect("temp dir");
    let first = open(&url, first_dir.path()).await;
    let second_dir = dir_with_key_of(first_dir.path());
    let second = open(&url, second_dir.path()).await;
    let (_, account, _) = with_target(&first).await;
    let key = object(account, "push.example.com/live", "cam");
    for version in 0..20 {
        let (a, b) = tokio::join!(
            first.save(saved(&key, version, vec![])),
            second.save(saved(&key, version, vec![])),
        );
        let mut both = [a.expect("answered")[0], b.expect("answered")[0]];
        both.sort();
        assert_eq!(both, [None, Some(version + 1)]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_needs_the_first_ones_key() {
    let cluster = Cluster::shared();
    let url = cluster.database();
    let first_dir = tempfile::tempdir().expect("temp dir");
    let first = open(&url, first_dir.path()).await;
    let bare = tempfile::tempdir().expect("temp dir");
    let refused = try_open(&url, bare.path()).await.err().expect("no key");
    assert!(matches!(refused, LedgerError::Key(_)), "{refused:?}");
    assert!(
        refused.to_string().contains("copy it from another server"),
        "{refused}"
    );
    assert!(
        !bare.path().join("secrets.key").exists(),
        "no key is made up"
    );
    std::fs::write(
        bare.path().join("secrets.key"),
        format!("{}\n", "ab".repeat(32)),
    )
    .expect("written");
    let refused = try_open(&url, bare.path())
        .await
        .err()
        .expect("another key");
    assert!(refused.to_string().contains("holds another"), "{refused}");
    let same_dir = try_open(&url, first_dir.path()).await.err().expect("taken");
    assert!(matches!(same_dir, LedgerError::Locked(_)), "{same_dir:?}");
    first.close().await;
}

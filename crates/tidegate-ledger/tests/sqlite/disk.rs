//! A disk that takes no more, by a limit on file sizes: the same errors, without needing root.

use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tidegate_core::AppId;
use tidegate_ledger::{Ledger, LedgerError, SqliteLedger, Verdict, audit};

use crate::fixture::{FOREVER, NOW, ask, decide, fresh, key, with_app};
use crate::{child, child_dir, open};

/// Nothing may be written past this many bytes of any file.
fn limit(bytes: Option<u64>) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    let limit = Rlimit {
        current: bytes,
        maximum,
    };
    setrlimit(Resource::Fsize, limit).expect("set");
}

async fn blocks(ledger: &SqliteLedger) -> usize {
    let mut count = 0;
    ledger
        .load_blocks(&mut |_, _| count += 1)
        .await
        .expect("blocks can be read");
    count
}

fn run_in_child(test: &str, dir: &Path) {
    // Past the limit the kernel sends SIGXFSZ, which would end the process.
    let done = child(test, dir, "trap '' XFSZ;").output().expect("started");
    assert!(
        done.status.success(),
        "{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
}

async fn fill_and_recover(dir: &Path) {
    let ledger = open(dir).await;
    with_app(&ledger).await;
    decide(&ledger, &key(1, "first"), FOREVER).await;
    let log = dir.join("ledger.db-wal").metadata().expect("there").len();
    limit(Some(log + 100_000));
    let mut recorded = 1;
    let refused = loop {
        let asked = ask(&key(1, &format!("s{recorded}")), FOREVER, NOW);
        match ledger.decide(asked, None).await {
            Ok(bound) => drop(fresh(bound)),
            Err(error) => break error,
        }
        recorded += 1;
    };
    assert!(
        matches!(
            refused,
            LedgerError::Unavailable {
                doing: "written",
                ..
            }
        ),
        "{refused}"
    );
    assert!(recorded > 1);
    assert_eq!(blocks(&ledger).await, recorded);
    limit(Some(0));
    let again = ledger.probe().await;
    assert!(again.is_err(), "still full");
    limit(None);
    ledger.probe().await.expect("it recovers by itself");
    decide(&ledger, &key(1, "last"), FOREVER).await;
    assert_eq!(blocks(&ledger).await, recorded + 1);
    let head = ledger.head().await.expect("read");
    let verdict = audit::verify(dir, None).await.expect("read");
    assert_eq!(verdict, Verdict::Intact(head));
}

#[tokio::test]
async fn a_full_disk_refuses_whole_operations_and_the_writer_recovers() {
    if let Some(dir) = child_dir() {
        return fill_and_recover(&dir).await;
    }
    let dir = tempfile::tempdir().expect("temp dir");
    run_in_child(
        "disk::a_full_disk_refuses_whole_operations_and_the_writer_recovers",
        dir.path(),
    );
}

async fn open_when_full(dir: &Path) {
    let ledger = open(dir).await;
    with_app(&ledger).await;
    decide(&ledger, &key(1, "cam"), FOREVER).await;
    ledger.close().await;
    drop(ledger);
    limit(Some(0));
    let ledger = open(dir).await;
    assert_eq!(blocks(&ledger).await, 1);
    assert_eq!(ledger.apps(NOW).await.expect("read").len(), 1);
    let refused = ledger.next_instance().await;
    assert!(
        matches!(refused, Err(LedgerError::Unavailable { .. })),
        "{refused:?}"
    );
    limit(None);
    assert_eq!(ledger.next_instance().await.expect("recovered"), 1);
    decide(&ledger, &key(1, "b"), FOREVER).await;
    assert_eq!(blocks(&ledger).await, 2, "readers see what is written");
    assert_eq!(ledger.targets(AppId(1)).await.expect("read").len(), 1);
}

#[tokio::test]
async fn a_ledger_on_a_full_disk_opens_for_reading_and_recovers() {
    if let Some(dir) = child_dir() {
        return open_when_full(&dir).await;
    }
    let dir = tempfile::tempdir().expect("temp dir");
    run_in_child(
        "disk::a_ledger_on_a_full_disk_opens_for_reading_and_recovers",
        dir.path(),
    );
}

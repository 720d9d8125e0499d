//! `kill -9` while many callers decide: every answered decision is there afterwards.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::sync::Arc;

use tidegate_core::AskKind;
use tidegate_ledger::{Bound, Ledger, Verdict, audit};

use crate::fixture::{FOREVER, NOW, ask, key, with_app};
use crate::{child, child_dir, open};

const TEST: &str = "crash::a_kill_loses_no_answered_decision";
const ANSWERS: usize = 1000;

/// 64 callers forbid and resume for ever, each on its own stream, and print what was answered.
async fn decide_until_killed(dir: &std::path::Path) {
    let ledger = Arc::new(open(dir).await);
    with_app(&*ledger).await;
    let callers: Vec<_> = (0..64)
        .map(|n| {
            let ledger = Arc::clone(&ledger);
            tokio::spawn(async move {
                let cam = key(1, &format!("s{n}"));
                for turn in 0_u64.. {
                    let kind = if turn % 3 == 2 {
                        AskKind::Resume
                    } else {
                        FOREVER
                    };
                    let bound = ledger.decide(ask(&cam, kind, NOW), None).await;
                    let Ok(Bound::Fresh(decided)) = bound else {
                        return;
                    };
                    let line = format!(
                        "answered {n} {} {}\n",
                        decided.generation,
                        decided.outcome.block().is_some()
                    );
                    let mut out = std::io::stdout().lock();
                    if out.write_all(line.as_bytes()).and(out.flush()).is_err() {
                        return;
                    }
                }
            })
        })
        .collect();
    for caller in callers {
        let _ = caller.await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_loses_no_answered_decision() {
    if let Some(dir) = child_dir() {
        return decide_until_killed(&dir).await;
    }
    let dir = tempfile::tempdir().expect("temp dir");
    let mut running = child(TEST, dir.path(), "")
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let mut newest: HashMap<usize, (u64, bool)> = HashMap::new();
    let mut lines = BufReader::new(running.stdout.take().expect("piped")).lines();
    let mut answers = 0;
    while let Some(Ok(line)) = lines.next() {
        // The harness prints its own words on the first line, in front of the first answer.
        let Some((_, answer)) = line.rsplit_once("answered ") else {
            continue;
        };
        let words: Vec<_> = answer.split(' ').collect();
        let caller = words[0].parse().expect("a number");
        let generation = words[1].parse().expect("a number");
        newest.insert(caller, (generation, words[2] == "true"));
        answers += 1;
        if answers == ANSWERS {
            running.kill().expect("killed with SIGKILL");
        }
    }
    running.wait().expect("gone");
    assert!(answers >= ANSWERS, "it ended early, after {answers}");
    let ledger = open(dir.path()).await;
    for (caller, (generation, blocked)) in newest {
        let status = ledger.status(&key(1, &format!("s{caller}"))).await;
        let status = status.expect("read");
        let kept = status.decisions[0].generation.0;
        // One more may have been committed with its answer still on the way.
        assert!(
            kept == generation || kept == generation + 1,
            "caller {caller} was answered {generation}, the ledger has {kept}"
        );
        if kept == generation {
            assert_eq!(status.block.is_some(), blocked);
        }
    }
    let verdict = audit::verify(dir.path(), None).await.expect("read");
    assert!(matches!(verdict, Verdict::Intact(_)), "{verdict:?}");
}

//! Following what is decided.

use std::collections::BTreeMap;

use tidegate_core::{AppId, AskKind, Secret, Until};
use tidegate_ledger::{Change, Changes, Cursor, Head, Ledger};

use crate::fixture::{FOREVER, NOW, app, decide, generation, key, with_app};

async fn since(ledger: &impl Ledger, seen: &Cursor) -> Changes {
    ledger.changes_since(seen).await.expect("read")
}

fn by_stream(changes: &Changes) -> BTreeMap<String, &Change> {
    changes
        .streams
        .iter()
        .map(|change| (change.key.stream.to_string(), change))
        .collect()
}

pub(crate) async fn changes_show_each_stream_as_it_stands(ledger: &impl Ledger) {
    with_app(ledger).await;
    let start = ledger.cursor().await.expect("read");
    assert_eq!(since(ledger, &start).await.streams, vec![]);
    decide(ledger, &key(1, "a"), FOREVER).await;
    decide(ledger, &key(1, "b"), FOREVER).await;
    decide(ledger, &key(1, "b"), AskKind::Resume).await;
    decide(ledger, &key(1, "a"), FOREVER).await;
    let changes = since(ledger, &start).await;
    assert!(!changes.apps && !changes.events && !changes.replaced && !changes.more);
    let streams = by_stream(&changes);
    assert_eq!(streams.len(), 2, "each stream once");
    let a = streams["a"];
    assert_eq!(a.generation, generation(2));
    assert_eq!(
        a.block.map(|b| (b.generation, b.until)),
        Some((generation(2), Until::Lifted))
    );
    let b = streams["b"];
    assert_eq!((b.generation, b.block), (generation(2), None));
    assert_eq!(changes.next, ledger.cursor().await.expect("read"));
    assert_eq!(
        since(ledger, &changes.next).await.streams,
        vec![],
        "nothing twice"
    );
    decide(ledger, &key(1, "b"), FOREVER).await;
    let later = since(ledger, &changes.next).await;
    assert_eq!(by_stream(&later).keys().collect::<Vec<_>>(), ["b"]);
}

pub(crate) async fn changes_tell_of_apps_and_of_history_that_is_gone(ledger: &impl Ledger) {
    let start = ledger.cursor().await.expect("read");
    ledger.create_app(&app(1)).await.expect("created");
    let created = since(ledger, &start).await;
    assert!(created.apps && !created.events);
    assert!(!since(ledger, &created.next).await.apps, "told once");
    let secret = Secret::new("second".into());
    let rotated = ledger.rotate_secret(AppId(1), &secret, NOW, NOW).await;
    rotated.expect("rotated");
    let rotated = since(ledger, &created.next).await;
    assert!(rotated.apps);
    ledger.set_disabled(AppId(1), true).await.expect("disabled");
    assert!(since(ledger, &rotated.next).await.apps);
    decide(ledger, &key(1, "a"), FOREVER).await;
    for length in [1, 2] {
        let elsewhere = Cursor {
            head: Head {
                length,
                hash: "ab".repeat(32),
            },
            revision: 0,
        };
        let changes = since(ledger, &elsewhere).await;
        assert!(
            changes.replaced && changes.events,
            "not this ledger's history"
        );
        assert_eq!(changes.next, ledger.cursor().await.expect("read"));
    }
}

pub(crate) async fn long_histories_are_followed_in_parts(ledger: &impl Ledger) {
    with_app(ledger).await;
    let start = ledger.cursor().await.expect("read");
    let decisions: Vec<_> = (0..5000).map(|n| key(1, &format!("s{n}"))).collect();
    let all = decisions.iter().map(|cam| decide(ledger, cam, FOREVER));
    futures_util::future::join_all(all).await;
    let first = since(ledger, &start).await;
    assert!(first.more && first.streams.len() < 5000);
    let second = since(ledger, &first.next).await;
    assert!(!second.more);
    assert_eq!(first.streams.len() + second.streams.len(), 5000);
}

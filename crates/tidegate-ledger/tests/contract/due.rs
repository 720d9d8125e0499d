//! Pages of what is due, while other things happen.

use std::collections::BTreeSet;

use tidegate_core::UnixMs;
use tidegate_ledger::cdns::{ANY_SITE, AcceptedBy, CdnSave, ObjectKey, ObjectSave};
use tidegate_ledger::{Ledger, Vendor};

use crate::fixture::{FOREVER, NOW, account, app, decide, key, object, target};

const PAGE: usize = 256;
/// More objects than a back end sorts by time for a page.
const MANY: u32 = 4_200;
const LATER: UnixMs = UnixMs(NOW.0 + 1);

/// Keeps objects, with all that their owners want as accepted or without.
async fn keep(ledger: &impl Ledger, keys: &[ObjectKey], due: Option<UnixMs>, accept: bool) {
    for keys in keys.chunks(PAGE) {
        let rows = ledger.objects(keys).await.expect("read");
        let objects = rows.into_iter().map(|row| {
            let owners = row.owners.iter().filter(|_| accept);
            let accepted = owners.map(|row| AcceptedBy {
                app: row.owner.app,
                target: row.owner.id.0,
                generation: row.owner.generation,
                at: NOW,
                watch: None,
            });
            ObjectSave {
                accepted: accepted.collect(),
                key: row.key,
                version: row.version,
                state: "{}".into(),
                due,
            }
        });
        let budgets = Vec::new();
        let objects = objects.collect();
        let saved = ledger.save(CdnSave { budgets, objects }).await;
        assert!(saved.expect("saved").iter().all(Option::is_some));
    }
}

/// Two Apps with a target each and 1,500 streams, a third of them the same: of each four one is
/// not settled, one is due, one is both, and one is due later. Returns account and those due.
async fn with_much_due(ledger: &impl Ledger, strict: bool) -> (i64, BTreeSet<ObjectKey>) {
    let vendor = if strict {
        Vendor::Aliyun
    } else {
        Vendor::Tencent
    };
    let mut new = account("much", vendor);
    new.strict = strict;
    let account = ledger.add_account(&new).await.expect("added");
    let mut all = BTreeSet::new();
    for id in 1..=2 {
        ledger.create_app(&app(id)).await.expect("created");
        let domain = format!("{id}.example.com");
        let new = target(id, account, &domain);
        ledger.add_target(&new).await.expect("added");
        let site = format!("{domain}/live");
        let site = if strict { &site } else { ANY_SITE };
        let names: Vec<_> = (1_000 * id..1_000 * id + 1_500)
            .map(|n| format!("s{n}"))
            .collect();
        let streams: Vec<_> = names.iter().map(|name| key(id, name)).collect();
        let forbidding = streams.iter().map(|stream| decide(ledger, stream, FOREVER));
        futures_util::future::join_all(forbidding).await;
        all.extend(names.iter().map(|name| object(account, site, name)));
    }
    let fourth = |rest: usize| -> Vec<_> { all.iter().skip(rest).step_by(4).cloned().collect() };
    keep(ledger, &fourth(1), Some(NOW), true).await;
    keep(ledger, &fourth(2), Some(NOW), false).await;
    keep(ledger, &fourth(3), Some(LATER), true).await;
    let later = BTreeSet::from_iter(fourth(3));
    (account, all.difference(&later).cloned().collect())
}

/// Every key that is due throughout comes once and in order, though between pages some are settled
/// that came already, and some that did not.
async fn page_through(ledger: &impl Ledger, account: i64, mut due: BTreeSet<ObjectKey>) {
    let mut seen: Vec<ObjectKey> = Vec::new();
    loop {
        let page = ledger.due_objects(account, NOW, seen.last(), PAGE).await;
        let page = page.expect("read");
        let last = page.len() < PAGE;
        seen.extend(page);
        if last {
            break;
        }
        let end = seen.last().expect("a page");
        let ahead = due.iter().filter(|key| *key > end);
        let ahead: Vec<_> = ahead.step_by(7).take(30).cloned().collect();
        let behind: Vec<_> = seen.iter().rev().step_by(9).take(20).cloned().collect();
        keep(ledger, &behind, None, true).await;
        keep(ledger, &ahead, None, true).await;
        due.retain(|key| !ahead.contains(key));
    }
    assert!(seen.iter().eq(&due), "{} of {}", seen.len(), due.len());
}

pub(crate) async fn pages_of_a_strict_account_miss_nothing(ledger: &impl Ledger) {
    let (account, due) = with_much_due(ledger, true).await;
    assert_eq!(due.len(), 2_250);
    page_through(ledger, account, due).await;
}

pub(crate) async fn pages_of_a_name_only_account_miss_nothing(ledger: &impl Ledger) {
    let (account, due) = with_much_due(ledger, false).await;
    assert_eq!(due.len(), 1_875);
    page_through(ledger, account, due).await;
}

pub(crate) async fn pages_miss_nothing_when_very_much_is_due(ledger: &impl Ledger) {
    let (account, mut due) = with_much_due(ledger, true).await;
    let more = (0..MANY).map(|n| object(account, "1.example.com/live", &format!("t{n}")));
    let more: Vec<_> = more.collect();
    keep(ledger, &more, Some(NOW), false).await;
    due.extend(more);
    page_through(ledger, account, due).await;
}

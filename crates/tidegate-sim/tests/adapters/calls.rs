//! Every operation by every scheme, when nothing goes wrong.

use std::time::Duration;

use tidegate_cdn::{Cdn, Done, ErrorClass, Failure, Page, Standing, StreamState, Vendor};
use tidegate_core::UnixMs;
use tidegate_sim::{Operation, ResumeNothing};

use crate::rig::{APP, HOUR, Rig, START, name, rig, schemes, site};

fn unsupported<T: std::fmt::Debug>(result: Result<T, Failure>) {
    let class = result.expect_err("no such call").class;
    assert_eq!(class, ErrorClass::Unsupported);
}

fn accepted(until: UnixMs) -> Done {
    Done::Accepted { until: Some(until) }
}

const LIFTED: Done = Done::Accepted { until: None };

#[tokio::test]
async fn a_ban_is_made_found_moved_and_lifted_by_every_scheme() {
    for (vendor, scheme) in schemes() {
        let rig = Rig::start(vendor, |_| {}, |spec| spec.scheme = Some(scheme)).await;
        let (adapter, object) = (&rig.adapter, rig.object("a"));
        rig.reel.live.lock().push(name("a"));
        let end = rig.now().plus(HOUR);
        let made = adapter.forbid(&object, Some(end)).await.expect("accepted");
        assert_eq!(made.value, accepted(end), "{scheme}");
        let entry = rig.last();
        assert_eq!(made.request_id, Some(entry.request_id), "{scheme}");
        assert_eq!(made.date, Some(rig.now()), "{scheme}");
        let ban = rig.sim.bans().pop().expect("a ban");
        assert_eq!(ban.until, end, "{scheme}");
        assert_eq!(*rig.reel.cuts.lock(), [(name("a"), Some(end))]);

        rig.tick();
        let found = adapter.find_forbidden(&object).await;
        match vendor {
            Vendor::Aliyun => unsupported(found),
            _ => {
                let until = (vendor != Vendor::Tencent).then_some(end);
                let found = found.expect("an answer").value;
                assert_eq!(found, Standing::Forbidden { until }, "{scheme}");
            }
        }
        rig.tick();
        let page = adapter.list_forbidden(&site(), Page::FIRST).await;
        let page = page.expect("a list").value;
        assert!(page.entries[0].fits(&object) && page.entries.len() == 1 && !page.more);

        rig.tick();
        let later = end.plus(HOUR);
        let again = adapter.forbid(&object, Some(later)).await.expect("taken");
        let stands_until = rig.sim.bans().pop().expect("a ban").until;
        match vendor {
            // It says that there is one and leaves its end alone.
            Vendor::Aliyun => assert_eq!((again.value, stands_until), (Done::AlreadySo, end)),
            _ => assert_eq!((again.value, stands_until), (accepted(later), later)),
        }
        rig.tick();
        let moved = adapter.change_end(&object, Some(end)).await;
        match vendor {
            Vendor::Huawei => {
                assert_eq!(moved.expect("moved").value, accepted(end));
                assert_eq!(rig.sim.bans().pop().expect("a ban").until, end);
            }
            _ => unsupported(moved),
        }

        rig.tick();
        let lifted = adapter.resume(&object).await.expect("lifted");
        assert_eq!(lifted.value, LIFTED, "{scheme}");
        assert!(!rig.is_forbidden("a") && rig.sim.bans().is_empty());
        rig.tick();
        let page = adapter.list_forbidden(&site(), Page::FIRST).await;
        assert_eq!(page.expect("a list").value.entries, []);
    }
}

#[tokio::test]
async fn without_an_end_the_longest_safe_ban_is_asked_for_and_kept_uncut() {
    for vendor in Vendor::ALL {
        let rig = rig(vendor).await;
        let made = rig.adapter.forbid(&rig.object("a"), None).await;
        let Done::Accepted { until: Some(until) } = made.expect("accepted").value else {
            panic!("{vendor}: no end");
        };
        assert_eq!(
            rig.sim.bans().pop().expect("a ban").until,
            until,
            "{vendor}"
        );
        assert!(rig.now().until(until) > Duration::from_secs(29 * 86_400));
    }
}

#[tokio::test]
async fn a_kick_cuts_and_bans_nothing() {
    for (vendor, scheme) in schemes() {
        let rig = Rig::start(vendor, |_| {}, |spec| spec.scheme = Some(scheme)).await;
        rig.reel.live.lock().push(name("a"));
        let kicked = rig.adapter.kick(&rig.object("a")).await.expect("kicked");
        assert_eq!(kicked.value, LIFTED);
        assert_eq!(*rig.reel.cuts.lock(), [(name("a"), None)], "{scheme}");
        assert!(rig.sim.bans().is_empty());
    }
}

#[tokio::test]
async fn live_streams_are_seen_where_the_vendor_shows_them() {
    for (vendor, scheme) in schemes() {
        let rig = Rig::start(vendor, |_| {}, |spec| spec.scheme = Some(scheme)).await;
        let (adapter, live, idle) = (&rig.adapter, rig.object("ab"), rig.object("a"));
        rig.reel.live.lock().push(name("ab"));
        let online = adapter.online(&site(), Page::FIRST).await;
        if vendor == Vendor::Ws {
            unsupported(online);
            unsupported(adapter.stream_state(&live).await);
            continue;
        }
        let page = online.expect("a list").value;
        let [entry] = page.entries.as_slice() else {
            panic!("{scheme}: {page:?}");
        };
        let told = (entry.app.as_str(), entry.stream.as_str(), entry.since);
        assert_eq!(told, (APP, "ab", Some(START)), "{scheme}");
        assert_eq!(entry.domain.as_deref(), Some("push.example.com"));
        for (object, want) in [(&live, StreamState::Live), (&idle, StreamState::Idle)] {
            let state = adapter.stream_state(object).await.expect("a state").value;
            assert_eq!(state, want, "{scheme}");
        }
        adapter.forbid(&live, None).await.expect("accepted");
        let want = match vendor {
            Vendor::Tencent => StreamState::Forbidden,
            _ => StreamState::Idle,
        };
        let state = adapter.stream_state(&live).await.expect("a state").value;
        assert_eq!(state, want, "{scheme}");
    }
}

#[tokio::test]
async fn long_lists_are_read_page_by_page_without_loss() {
    for vendor in Vendor::ALL {
        let rig = rig(vendor).await;
        let far = rig.now().plus(HOUR);
        let mut want: Vec<String> = (0..230).map(|at| format!("s{at:03}")).collect();
        for stream in &want {
            rig.sim.forbid_by_hand(crate::rig::KEY, &name(stream), far);
            rig.reel.live.lock().push(name(&format!("on-{stream}")));
        }
        let (mut seen, mut number) = (Vec::new(), 0);
        loop {
            let page = Page { number, size: 100 };
            rig.tick();
            let page = rig.adapter.list_forbidden(&site(), page).await;
            let page = page.expect("a page").value;
            assert_eq!(page.total, Some(230), "{vendor}");
            let fits = |e: &tidegate_cdn::ForbiddenEntry| e.fits(&rig.object(&e.stream));
            assert!(page.entries.iter().all(fits), "{vendor}");
            seen.extend(page.entries.into_iter().map(|entry| entry.stream));
            if !page.more {
                break;
            }
            number += 1;
        }
        assert_eq!(number, if vendor == Vendor::Ws { 0 } else { 2 }, "{vendor}");
        seen.sort();
        want.sort();
        assert_eq!(seen, want, "{vendor}");
        if vendor == Vendor::Ws {
            continue;
        }
        let (mut seen, mut number) = (0, 0);
        loop {
            let page = Page { number, size: 100 };
            let page = rig
                .adapter
                .online(&site(), page)
                .await
                .expect("a page")
                .value;
            assert_eq!(page.total, Some(230), "{vendor}");
            seen += page.entries.len();
            if !page.more {
                break;
            }
            number += 1;
        }
        assert_eq!((seen, number), (230, 2), "{vendor}");
    }
}

#[tokio::test]
async fn a_refusal_to_lift_what_is_not_banned_is_checked_and_then_done() {
    for vendor in Vendor::ALL {
        let refuse = |config: &mut tidegate_sim::Config| {
            config.resume_nothing = ResumeNothing::Refuse;
        };
        let rig = Rig::start(vendor, refuse, |_| {}).await;
        let lifted = rig.adapter.resume(&rig.object("a")).await;
        assert_eq!(lifted.expect("checked").value, Done::AlreadySo, "{vendor}");
        assert_eq!(rig.sim.journal(0)[0].operation, Operation::Resume);
    }
}

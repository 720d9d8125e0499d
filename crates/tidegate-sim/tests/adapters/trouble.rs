//! What goes wrong at the vendor or on the way, and what the adapter says of it.

use std::time::Duration;

use tidegate_cdn::ErrorClass::{QuotaSpent, Retry, Throttled, Unknown};
use tidegate_cdn::{Cdn, Done, ErrorClass, Failure, Page, Quota, Standing, Vendor};
use tidegate_sim::{Fault, Operation, Outcome, Rule};

use crate::rig::{HOUR, Rig, forbade, name, rig, site};

async fn forbid(rig: &Rig, stream: &str) -> Result<Done, Failure> {
    let end = Some(rig.now().plus(HOUR));
    let answer = rig.adapter.forbid(&rig.object(stream), end).await?;
    Ok(answer.value)
}

async fn class(rig: &Rig, stream: &str) -> ErrorClass {
    let failure = forbid(rig, stream).await.expect_err("a failure");
    assert!(!failure.may_be_done(), "{failure}");
    assert!(!rig.is_forbidden(stream), "{failure}");
    failure.class
}

fn once(fault: Fault) -> Vec<Rule> {
    vec![Rule::always(fault).times(1)]
}

#[tokio::test]
async fn throttling_is_told_with_the_wait_that_was_asked_for() {
    for vendor in Vendor::ALL {
        let rig = rig(vendor).await;
        for asked in [None, Some(7)] {
            rig.sim.set_faults(once(Fault::Throttle {
                retry_after_s: asked,
            }));
            rig.tick();
            // Tencent has no way to say how long.
            let after = asked.filter(|_| vendor != Vendor::Tencent);
            let after = after.map(|s| Duration::from_secs(s.into()));
            assert_eq!(class(&rig, "a").await, Throttled { after }, "{vendor}");
        }
        rig.tick();
        forbid(&rig, "a").await.expect("the next one is taken");
    }
}

#[tokio::test]
async fn published_rates_are_enforced_and_told() {
    for (vendor, most) in [(Vendor::Ws, 10), (Vendor::Aliyun, 50), (Vendor::Tencent, 2)] {
        let rig = rig(vendor).await;
        for _ in 0..most {
            if vendor == Vendor::Ws {
                rig.tick();
            }
            let list = rig.adapter.list_forbidden(&site(), Page::FIRST).await;
            list.expect("within the rate");
        }
        let list = rig.adapter.list_forbidden(&site(), Page::FIRST).await;
        let failure = list.expect_err("beyond the rate");
        assert_eq!(failure.class, Throttled { after: None }, "{vendor}");
    }
}

#[tokio::test]
async fn spent_quotas_are_told_apart_from_rates() {
    let rig = Rig::start(
        Vendor::Ws,
        |config| config.limits = [("commands".into(), 2)].into(),
        |_| {},
    )
    .await;
    forbid(&rig, "a").await.expect("the first");
    rig.adapter
        .resume(&rig.object("a"))
        .await
        .expect("the second");
    assert_eq!(class(&rig, "b").await, QuotaSpent(Quota::Calls));
    rig.clock.advance(Duration::from_secs(86_400));
    forbid(&rig, "b").await.expect("another day");

    let rig = Rig::start(Vendor::Aliyun, |config| config.capacity = Some(1), |_| {}).await;
    forbid(&rig, "a").await.expect("the first");
    assert_eq!(class(&rig, "b").await, QuotaSpent(Quota::Capacity));
    rig.adapter.resume(&rig.object("a")).await.expect("lifted");
    forbid(&rig, "b").await.expect("there is room again");

    for (vendor, want) in [
        (Vendor::Ws, QuotaSpent(Quota::Calls)),
        (Vendor::Aliyun, QuotaSpent(Quota::Capacity)),
        (Vendor::Tencent, QuotaSpent(Quota::Capacity)),
        // It publishes rates only.
        (Vendor::Huawei, Throttled { after: None }),
    ] {
        let rig = crate::rig::rig(vendor).await;
        rig.sim.set_faults(once(Fault::QuotaSpent));
        assert_eq!(class(&rig, "a").await, want, "{vendor}");
    }
}

#[tokio::test]
async fn a_dropped_connection_is_unknown_whether_or_not_it_was_done() {
    for vendor in Vendor::ALL {
        let rig = rig(vendor).await;
        // A connection from the pool must not be an excuse to send a command twice.
        forbid(&rig, "warm").await.expect("taken");
        for (fault, done) in [(Fault::DropBefore, false), (Fault::DropAfter, true)] {
            let calls = rig.calls();
            rig.sim.set_faults(vec![Rule::always(fault)]);
            let failure = forbid(&rig, "a").await.expect_err("no answer");
            assert_eq!(failure.class, Unknown, "{vendor}");
            assert!(failure.may_be_done());
            assert_eq!(rig.calls(), calls + 1, "{vendor}: sent once");
            let entry = rig.last();
            assert_eq!(entry.outcome, Outcome::Dropped);
            assert_eq!((forbade(&entry), rig.is_forbidden("a")), (done, done));
        }
        rig.sim.set_faults(Vec::new());
        rig.tick();
        let again = forbid(&rig, "a").await.expect("taken");
        assert_eq!(again == Done::AlreadySo, vendor == Vendor::Aliyun);
        rig.adapter.resume(&rig.object("a")).await.expect("lifted");
        assert!(!rig.is_forbidden("a"), "{vendor}");
    }
}

#[tokio::test]
async fn an_answer_that_comes_too_late_is_unknown() {
    for vendor in Vendor::ALL {
        let rig = rig(vendor).await;
        let adapter = rig.impatient(Duration::from_millis(300));
        rig.sim.set_faults(once(Fault::Latency {
            ms: 60_000,
            after_effect: true,
        }));
        let end = Some(rig.now().plus(HOUR));
        let failure = adapter.forbid(&rig.object("a"), end).await;
        let failure = failure.expect_err("no answer in time");
        assert_eq!(failure.class, Unknown, "{vendor}: {failure}");
        assert!(forbade(&rig.last()) && rig.is_forbidden("a"), "{vendor}");
    }
}

#[tokio::test]
async fn a_slow_answer_within_the_time_is_an_answer() {
    for vendor in Vendor::ALL {
        let rig = rig(vendor).await;
        let slow = |after_effect| Fault::Latency {
            ms: 50,
            after_effect,
        };
        rig.sim
            .set_faults(vec![Rule::always(slow(false)), Rule::always(slow(true))]);
        forbid(&rig, "a").await.expect("taken");
    }
}

#[tokio::test]
async fn a_vendor_that_breaks_down_may_have_done_it() {
    for vendor in Vendor::ALL {
        for status in [500, 502, 503, 504] {
            for after_effect in [false, true] {
                let rig = rig(vendor).await;
                rig.sim.set_faults(once(Fault::ServerError {
                    status,
                    after_effect,
                }));
                let failure = forbid(&rig, "a").await.expect_err("a breakdown");
                let fits = matches!(failure.class, Retry { after: None } | Unknown);
                assert!(fits, "{vendor} {status}: {failure}");
                assert!(failure.may_be_done(), "{vendor} {status}: {failure}");
                assert_eq!(failure.status, Some(status), "{vendor}");
                assert_eq!(rig.is_forbidden("a"), after_effect, "{vendor}");
                rig.tick();
                forbid(&rig, "a").await.expect("the next one is taken");
            }
        }
    }
}

#[tokio::test]
async fn a_page_of_somebody_else_is_no_answer() {
    for vendor in Vendor::ALL {
        let rig = rig(vendor).await;
        rig.sim.set_faults(once(Fault::Garbage));
        let failure = forbid(&rig, "a").await.expect_err("a page");
        assert_eq!(failure.class, Unknown, "{vendor}");
        assert!(failure.words.contains("It works!"), "{failure}");
    }
}

#[tokio::test]
async fn nobody_at_the_endpoint_means_that_nothing_was_sent() {
    let rig = rig(Vendor::Tencent).await;
    let nobody = rig.other(0, |spec| spec.endpoint = Some("http://127.0.0.1:1".into()));
    let end = Some(rig.now().plus(HOUR));
    let failure = nobody.forbid(&rig.object("a"), end).await;
    let failure = failure.expect_err("no connection");
    assert_eq!(failure.class, Retry { after: None });
    assert!(!failure.may_be_done());
}

#[tokio::test]
async fn lists_that_lie_are_read_as_they_are() {
    for vendor in Vendor::ALL {
        let rig = rig(vendor).await;
        forbid(&rig, "a").await.expect("taken");
        rig.clock.advance(Duration::from_secs(60));
        forbid(&rig, "b").await.expect("taken");
        rig.adapter.resume(&rig.object("a")).await.expect("lifted");
        for (lie, want) in [
            (None, &["b"] as &[&str]),
            (Some(Fault::ListMissing { entries: vec![] }), &[]),
            (
                Some(Fault::ListMissing {
                    entries: vec![name("b")],
                }),
                &[],
            ),
            (
                Some(Fault::ListExtra {
                    entries: vec![name("ghost")],
                }),
                &["b", "ghost"],
            ),
            (Some(Fault::ListStale { ms: 30_000 }), &["a"]),
        ] {
            let rule = |fault| Rule::always(fault).on(&[Operation::List]);
            rig.sim.set_faults(lie.map(rule).into_iter().collect());
            rig.tick();
            let page = rig.adapter.list_forbidden(&site(), Page::FIRST).await;
            let entries = page.expect("a list").value.entries;
            let mut seen: Vec<&str> = entries.iter().map(|e| e.stream.as_str()).collect();
            seen.sort_unstable();
            assert_eq!(seen, want, "{vendor}");
        }
        // Where one ban is looked for in the list, it is not found while it stands.
        let missing = Rule::always(Fault::ListMissing { entries: vec![] });
        rig.sim.set_faults(vec![missing]);
        rig.tick();
        if matches!(vendor, Vendor::Ws | Vendor::Huawei) {
            let found = rig.adapter.find_forbidden(&rig.object("b")).await;
            assert_eq!(found.expect("an answer").value, Standing::Free, "{vendor}");
            assert!(rig.is_forbidden("b"));
        }
    }
}

#[tokio::test]
async fn a_ban_that_spreads_slowly_or_lapses_is_accepted_all_the_same() {
    for vendor in Vendor::ALL {
        let rig = rig(vendor).await;
        let ms = 5_000;
        rig.sim.set_faults(once(Fault::SlowPropagation { ms }));
        forbid(&rig, "slow").await.expect("taken");
        assert!(!rig.is_forbidden("slow"), "{vendor}");
        rig.sim.set_faults(once(Fault::LapseEarly { ms }));
        forbid(&rig, "short").await.expect("taken");
        assert!(rig.is_forbidden("short"), "{vendor}");
        rig.clock.advance(Duration::from_secs(5));
        assert!(rig.is_forbidden("slow"), "{vendor}");
        assert!(!rig.is_forbidden("short"), "{vendor}");
    }
}

//! Faults on demand, in process and over real connections.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails says so"
)]

#[path = "support/bench.rs"]
#[expect(dead_code, reason = "shared by several test files")]
mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use serde_json::Value;
use support::{Bench, bench, bench_with, body, stream};
use tidegate_sim::{
    Effect, Fault, Operation, Outcome, Request, Rule, Serving, Vendor, parse_faults, serve,
};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

async fn on_air(bench: &Bench) -> Serving {
    serve(Arc::clone(&bench.sim), ANY, Some(ANY))
        .await
        .expect("a socket")
}

/// Sends a signed request; the Host header stays the one that was signed.
async fn send(
    client: &reqwest::Client,
    serving: &Serving,
    request: &Request,
) -> reqwest::Result<reqwest::Response> {
    let method = request.method.parse().unwrap();
    let url = format!(
        "{}{}?{}",
        serving.endpoint(),
        request.path,
        request.raw_query
    );
    let mut call = client.request(method, url).body(request.body.clone());
    for (name, value) in &request.headers {
        call = call.header(name, value.clone());
    }
    call.send().await
}

#[tokio::test]
async fn every_vendor_answers_over_http_with_its_clock_in_the_date() {
    for vendor in Vendor::ALL {
        let bench = bench(vendor);
        let serving = on_air(&bench).await;
        let client = reqwest::Client::new();
        let request = bench.signed(Operation::Forbid, &bench.named("直播 a+b*~%"));
        let answer = send(&client, &serving, &request).await.unwrap();
        assert!(answer.status().is_success(), "{vendor:?}");
        let date = answer.headers()["date"].to_str().unwrap();
        assert!(date.starts_with("Thu, 05 Mar 2026 08:09:1"), "{date}");
        assert!(bench.sim.is_forbidden(&stream("直播 a+b*~%")), "{vendor:?}");
    }
}

#[tokio::test]
async fn a_dropped_connection_leaves_the_effect_only_when_it_came_after() {
    for vendor in Vendor::ALL {
        let bench = bench(vendor);
        let serving = on_air(&bench).await;
        let client = reqwest::Client::new();
        for (fault, stands) in [(Fault::DropBefore, false), (Fault::DropAfter, true)] {
            bench.sim.set_faults(vec![Rule::always(fault).times(1)]);
            let request = bench.signed(Operation::Forbid, &bench.named("a"));
            send(&client, &serving, &request).await.unwrap_err();
            assert_eq!(bench.sim.is_forbidden(&stream("a")), stands, "{vendor:?}");
            let last = bench.sim.journal(0).pop().unwrap();
            assert_eq!(last.outcome, Outcome::Dropped);
            assert_eq!(matches!(last.effect, Effect::Forbade { .. }), stands);
        }
        let request = bench.signed(Operation::Resume, &bench.named("a"));
        let answer = send(&client, &serving, &request).await.unwrap();
        assert!(answer.status().is_success());
    }
}

#[test]
fn refusals_on_demand_have_the_vendors_shape_and_no_effect() {
    let all = [
        Fault::ServerError {
            status: 502,
            after_effect: false,
        },
        Fault::Throttle {
            retry_after_s: Some(7),
        },
        Fault::WrongClock { seconds: -4000 },
        Fault::ExpiredKey,
        Fault::QuotaSpent,
        Fault::Garbage,
    ];
    for (vendor, codes) in [
        (
            Vendor::Wangsu,
            ["417", "429", "401", "401", "quotaExceeded", "garbage"],
        ),
        (
            Vendor::Aliyun,
            [
                "InternalError",
                "Throttling.User",
                "InvalidTimeStamp.Expired",
                "InvalidAccessKeyId.Inactive",
                "QuotaExceeded.Blacklist",
                "garbage",
            ],
        ),
        (
            Vendor::Tencent,
            [
                "InternalError",
                "RequestLimitExceeded",
                "AuthFailure.SignatureExpire",
                "AuthFailure.SecretIdNotFound",
                "LimitExceeded",
                "garbage",
            ],
        ),
        (
            Vendor::Huawei,
            [
                "LIVE.103011021",
                "APIGW.0308",
                "APIGW.0303",
                "APIGW.0301",
                "APIGW.0308",
                "garbage",
            ],
        ),
    ] {
        for (fault, code) in all.iter().zip(codes) {
            let bench = bench(vendor);
            bench
                .sim
                .set_faults(vec![Rule::always(fault.clone()).times(1)]);
            let reply = bench.forbid("a");
            assert_eq!(reply.code, code, "{vendor:?} {fault:?}");
            assert!(bench.sim.bans().is_empty());
            bench.forbid("a");
            assert!(bench.sim.is_forbidden(&stream("a")), "{vendor:?} {fault:?}");
        }
    }
}

#[test]
fn an_error_after_the_effect_hides_it() {
    let bench = bench(Vendor::Tencent);
    bench.sim.add_fault(Rule::always(Fault::ServerError {
        status: 500,
        after_effect: true,
    }));
    assert_eq!(bench.forbid("a").status, 500);
    assert!(bench.sim.is_forbidden(&stream("a")));
}

#[test]
fn a_slow_ban_is_listed_at_once_and_holds_later() {
    let bench = bench(Vendor::Huawei);
    bench
        .sim
        .set_faults(vec![Rule::always(Fault::SlowPropagation { ms: 60_000 })]);
    bench.forbid("a");
    assert_eq!(bench.sim.bans().len(), 1);
    bench.pass(59);
    bench.sim.settle();
    assert!(!bench.sim.is_forbidden(&stream("a")));
    assert!(bench.reel.cuts.lock().is_empty());
    bench.pass(1);
    bench.sim.settle();
    assert!(bench.sim.is_forbidden(&stream("a")));
    assert_eq!(*bench.reel.cuts.lock(), [stream("a")]);
    bench.resume("a");
    assert!(bench.sim.bans().is_empty());
    assert!(bench.sim.is_forbidden(&stream("a")));
    bench.pass(60);
    assert!(!bench.sim.is_forbidden(&stream("a")));
}

#[test]
fn a_ban_can_lapse_before_its_end() {
    let bench = bench(Vendor::Aliyun);
    bench
        .sim
        .set_faults(vec![Rule::always(Fault::LapseEarly { ms: 5_000 })]);
    bench.forbid("a");
    bench.pass(4);
    assert!(bench.sim.is_forbidden(&stream("a")));
    bench.pass(1);
    assert!(!bench.sim.is_forbidden(&stream("a")));
    assert!(bench.sim.bans().is_empty());
}

#[test]
fn lists_can_lie() {
    let bench = bench(Vendor::Aliyun);
    let list = || {
        let fields = [("DomainName", "play.example.com")];
        body(&bench.call(Operation::List, &fields))["StreamUrls"]["StreamUrl"].clone()
    };
    let urls = |names: &[&str]| -> Value {
        names
            .iter()
            .map(|n| format!("push.example.com/live/{n}"))
            .collect()
    };
    bench.forbid("a");
    bench.pass(60);
    bench.forbid("b");
    bench.resume("a");
    bench.pass(1);
    let entries = vec![stream("b")];
    let lie = |fault| {
        bench
            .sim
            .set_faults(vec![Rule::always(fault).on(&[Operation::List])])
    };
    assert_eq!(list(), urls(&["b"]));
    lie(Fault::ListMissing { entries });
    assert_eq!(list(), urls(&[]));
    lie(Fault::ListExtra {
        entries: vec![stream("ghost")],
    });
    assert_eq!(list(), urls(&["b", "ghost"]));
    lie(Fault::ListStale { ms: 30_000 });
    assert_eq!(list(), urls(&["a"]));
}

#[test]
fn rules_pick_calls_by_operation_stream_count_and_time() {
    let bench = bench(Vendor::Tencent);
    let rules = r#"
        [[fault]]
        kind = "server-error"
        operations = ["forbid"]
        stream = "bad"
        skip = 1
        count = 2
        from-ms = 10000
        until-ms = 20000
    "#;
    bench.sim.set_faults(parse_faults(rules).unwrap());
    let met = || bench.forbid("bad").status == 503;
    assert!(!met());
    bench.pass(10);
    assert!(!met());
    assert_eq!(bench.forbid("good").status, 200);
    assert_eq!(bench.resume("bad").status, 200);
    assert!(met());
    assert!(met());
    assert!(!met());
    bench.sim.set_faults(parse_faults(rules).unwrap());
    bench.pass(10);
    assert!(!met() && !met() && !met());
}

#[test]
fn chance_is_seeded() {
    let run = |seed| {
        let bench = bench_with(Vendor::Tencent, |config| config.seed = seed);
        let rule = Rule::always(Fault::Garbage).chance(0.3);
        bench.sim.set_faults(vec![rule]);
        let hits: Vec<bool> = (0..150)
            .map(|at| bench.forbid(&at.to_string()).code == "garbage")
            .collect();
        hits
    };
    let first = run(1);
    assert_eq!(first, run(1));
    assert_ne!(first, run(2));
    let hits = first.iter().filter(|hit| **hit).count();
    assert!((25..65).contains(&hits), "{hits}");
}

#[tokio::test]
async fn the_admin_endpoint_changes_faults_and_shows_the_journal() {
    let bench = bench(Vendor::Aliyun);
    let serving = on_air(&bench).await;
    let client = reqwest::Client::new();
    let admin = format!("http://{}", serving.admin().unwrap());
    let put = |text: &'static str| client.put(format!("{admin}/faults")).body(text).send();
    let bad = put("[[fault]]\nkind = \"meteor\"").await.unwrap();
    assert_eq!(bad.status(), 400);
    assert!(bad.text().await.unwrap().contains("meteor"));
    let good = put(r#"{"fault": [{"kind": "throttle", "seconds": 3, "count": 1}]}"#)
        .await
        .unwrap();
    assert_eq!(good.status(), 204);
    let shown = client.get(format!("{admin}/faults")).send().await.unwrap();
    let shown = shown.text().await.unwrap();
    assert_eq!(parse_faults(&shown).unwrap().len(), 1);

    let request = bench.signed(Operation::Forbid, &bench.named("a"));
    let answer = send(&client, &serving, &request).await.unwrap();
    assert_eq!(answer.headers()["x-acs-retry-after"], "3000");
    let request = bench.signed(Operation::Forbid, &bench.named("a"));
    assert_eq!(
        send(&client, &serving, &request).await.unwrap().status(),
        200
    );
    let journal = client
        .get(format!("{admin}/journal?after=1"))
        .send()
        .await
        .unwrap();
    let journal: Value = journal.json().await.unwrap();
    assert_eq!(journal.as_array().map(Vec::len), Some(1));
    assert_eq!(journal[0]["operation"], "forbid");
    assert_eq!(journal[0]["effect"]["did"], "forbade");
    let usage = client.get(format!("{admin}/usage")).send().await.unwrap();
    let usage: Value = usage.json().await.unwrap();
    assert_eq!(usage[0]["accepted"], 2);
}

#[test]
fn unusable_faults_are_refused_in_words() {
    for (text, part) in [
        ("[[fault]]\nkind = \"x\"", "there is no fault"),
        (
            "[[fault]]\nkind = \"latency\"\nms = -1",
            "expected 0 or more",
        ),
        (
            "[[fault]]\nkind = \"server-error\"\nstatus = 404",
            "500 to 599",
        ),
        ("[[fault]]\nkind = \"garbage\"\nprobability = 2", "0 to 1"),
        ("[[fault]]\nkind = \"garbage\"\ncolour = \"red\"", "colour"),
        ("{", "EOF"),
    ] {
        let error = parse_faults(text).expect_err(text).to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn latency_comes_before_or_after_the_effect() {
    let bench = bench(Vendor::Tencent);
    let ms = 30_000;
    let request = bench.signed(Operation::Forbid, &bench.named("a"));
    for after_effect in [false, true] {
        let fault = Fault::Latency { ms, after_effect };
        bench.sim.set_faults(vec![Rule::always(fault)]);
        let plan = bench.sim.prepare(&request);
        let waits = (
            plan.wait_before().as_millis(),
            plan.wait_after().as_millis(),
        );
        assert_eq!(
            waits,
            if after_effect {
                (0, 30_000)
            } else {
                (30_000, 0)
            }
        );
    }
}

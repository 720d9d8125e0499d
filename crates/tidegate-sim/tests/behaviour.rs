//! What each simulated vendor does with calls that nothing goes wrong with.
#![expect(clippy::expect_used, reason = "a test that fails says so")]

#[path = "support/bench.rs"]
mod support;

use serde_json::{Value, json};
use support::{bench, bench_with, body, stream};
use tidegate_core::{Secret, UnixMs};
use tidegate_sim::{Config, ForbidAgain, Operation, Permission, ResumeNothing, StreamName, Vendor};

const DAY: u64 = 86_400;

fn code(reply: &tidegate_sim::Reply) -> Value {
    let body = body(reply);
    for path in ["/Response/Error/Code", "/code", "/Code", "/error_code"] {
        if let Some(code) = body.pointer(path) {
            return code.clone();
        }
    }
    Value::Null
}

#[test]
fn default_and_longest_bans_are_the_vendors() {
    for (vendor, default_days, cut) in [
        (Vendor::Wangsu, 1, Some(("reltime", "3024000", 30))),
        (Vendor::Aliyun, 180, None),
        (
            Vendor::Tencent,
            7,
            Some(("ResumeTime", "2026-12-31T00:00:00Z", 90)),
        ),
        (Vendor::Huawei, 7, None),
    ] {
        let bench = bench(vendor);
        bench.forbid("a");
        let ban = &bench.sim.bans()[0];
        assert_eq!(ban.made_at.until(ban.until).as_secs(), default_days * DAY);
        bench.pass(default_days * DAY - 5);
        assert!(bench.sim.is_forbidden(&stream("a")), "{vendor:?}");
        bench.pass(6);
        assert!(!bench.sim.is_forbidden(&stream("a")), "{vendor:?}");
        assert!(bench.sim.bans().is_empty());
        if let Some((field, value, days)) = cut {
            let mut fields = bench.named("a");
            fields.push((field, value));
            bench.call(Operation::Forbid, &fields);
            let ban = &bench.sim.bans()[0];
            assert_eq!(ban.made_at.until(ban.until).as_secs(), days * DAY);
        }
    }
}

#[test]
fn a_ban_is_listed_and_a_resume_lifts_it() {
    let wangsu = bench(Vendor::Wangsu);
    assert_eq!(
        body(&wangsu.forbid("a")),
        json!({"code": "00", "message": "success append purge tasks"})
    );
    let listed = wangsu.call(Operation::List, &[("channel", "push.example.com")]);
    let row = &body(&listed)["resultDetail"][0];
    assert_eq!(row["url"], "rtmp://push.example.com/live/a");
    assert_eq!(row["endTime"], support::START.seconds() + 1 + 86_400);

    let aliyun = bench(Vendor::Aliyun);
    for name in ["a", "b", "c"] {
        assert_eq!(aliyun.forbid(name).status, 200);
    }
    let fields = [
        ("DomainName", "play.example.com"),
        ("PageNum", "2"),
        ("PageSize", "2"),
    ];
    let page = body(&aliyun.call(Operation::List, &fields));
    assert_eq!(page["TotalNum"], 3);
    assert_eq!(page["TotalPage"], 2);
    assert_eq!(
        page["StreamUrls"]["StreamUrl"],
        json!(["push.example.com/live/c"])
    );
    let ingest = aliyun.call(Operation::List, &[("DomainName", "push.example.com")]);
    assert_eq!(
        (ingest.status, code(&ingest)),
        (404, json!("InvalidDomain.NotFound"))
    );

    let tencent = bench(Vendor::Tencent);
    tencent.forbid("a");
    let listed = body(&tencent.call(Operation::List, &[("PageNum", "1")]));
    let row = &listed["Response"]["ForbidStreamList"][0];
    assert_eq!(row["StreamName"], "a");
    assert_eq!(row["ExpireTime"], "2026-03-12T08:09:10Z");

    let huawei = bench(Vendor::Huawei);
    for name in ["a", "b", "c"] {
        assert_eq!(huawei.forbid(name).status, 204);
    }
    let fields = [("domain", "push.example.com"), ("page", "1"), ("size", "2")];
    let page = body(&huawei.call(Operation::List, &fields));
    assert_eq!(page["total"], 3);
    assert_eq!(page["blocks"].as_array().map(Vec::len), Some(1));

    for bench in [wangsu, aliyun, tencent, huawei] {
        assert!(bench.sim.is_forbidden(&stream("a")));
        bench.resume("a");
        assert!(!bench.sim.is_forbidden(&stream("a")));
    }
}

#[test]
fn banning_twice_is_each_vendors_choice_and_can_be_configured() {
    for (vendor, again) in [
        (Vendor::Wangsu, json!("00")),
        (Vendor::Aliyun, json!("ConfigAlreadyExists")),
        (Vendor::Tencent, Value::Null),
        (Vendor::Huawei, json!("LIVE.103011018")),
    ] {
        let bench = bench(vendor);
        bench.forbid("a");
        assert_eq!(code(&bench.forbid("a")), again);
        bench
            .sim
            .reconfigure(|config| config.forbid_again = Some(ForbidAgain::MoveEnd));
        bench.pass(60);
        let moved = bench.forbid("a");
        assert!(moved.status < 300, "{vendor:?}");
        let ban = &bench.sim.bans()[0];
        assert!(ban.made_at.until(ban.until).as_secs() % DAY >= 60);
        bench
            .sim
            .reconfigure(|config| config.resume_nothing = ResumeNothing::Refuse);
        bench.resume("a");
        let nothing = code(&bench.resume("a"));
        assert!(!nothing.is_null() && nothing != "00", "{vendor:?}");
    }
}

#[test]
fn huawei_moves_an_end_by_put_and_refuses_what_it_cannot_keep() {
    let bench = bench(Vendor::Huawei);
    let mut fields = bench.named("a");
    fields.push(("resume_time", "2026-04-01T00:00:00Z"));
    assert_eq!(
        code(&bench.call(Operation::Change, &fields)),
        "LIVE.103011022"
    );
    bench.forbid("a");
    assert_eq!(bench.call(Operation::Change, &fields).status, 204);
    assert_eq!(
        bench.sim.bans()[0].until.to_string(),
        "2026-04-01T00:00:00Z"
    );
    for end in ["2026-03-05T08:09:10Z", "2026-12-31T00:00:00Z", "soon"] {
        let mut fields = bench.named("b");
        fields.push(("resume_time", end));
        let refused = bench.call(Operation::Forbid, &fields);
        assert_eq!(
            (refused.status, code(&refused)),
            (400, json!("LIVE.100011001"))
        );
    }
    bench
        .sim
        .reconfigure(|config| config.accounts[0].project_id = Some("other".into()));
    let refused = bench.forbid("c");
    assert_eq!(
        (refused.status, code(&refused)),
        (401, json!("LIVE.100011003"))
    );
}

#[test]
fn tencent_bans_by_name_alone_unless_strict() {
    let other = StreamName::new("push2.example.com", "x", "a");
    for strict in [false, true] {
        let bench = bench_with(Vendor::Tencent, |config| config.strict_names = strict);
        *bench.reel.live.lock() = vec![stream("a"), other.clone(), stream("b")];
        let state = |fields: &[(&str, &str)]| {
            body(&bench.call(Operation::State, fields))["Response"]["StreamState"].clone()
        };
        assert_eq!(state(&bench.named("a")), "active");
        bench.forbid("a");
        assert_eq!(state(&bench.named("a")), "forbid");
        assert_eq!(state(&bench.named("b")), "active");
        assert_eq!(state(&bench.named("z")), "inactive");
        assert_eq!(bench.sim.is_forbidden(&other), !strict);
        assert_eq!(bench.reel.live.lock().contains(&other), strict);
        assert!(!bench.reel.live.lock().contains(&stream("a")));
    }
}

#[test]
fn a_kick_cuts_once_and_bans_nothing() {
    for vendor in Vendor::ALL {
        let bench = bench(vendor);
        *bench.reel.live.lock() = vec![stream("a")];
        let mut fields = bench.named("a");
        if vendor == Vendor::Aliyun {
            fields.push(("Oneshot", "yes"));
        }
        assert!(bench.call(Operation::Kick, &fields).status < 300);
        assert_eq!(*bench.reel.cuts.lock(), [stream("a")]);
        assert!(bench.sim.bans().is_empty());
    }
}

#[test]
fn online_lists_show_what_the_media_carries() {
    for (vendor, fields, pointer) in [
        (
            Vendor::Aliyun,
            [("DomainName", "play.example.com"), ("StreamName", "a")],
            "/OnlineInfo/LiveStreamOnlineInfo/0/StreamName",
        ),
        (
            Vendor::Tencent,
            [("DomainName", "push.example.com"), ("StreamName", "ab")],
            "/Response/OnlineInfo/0/StreamName",
        ),
        (
            Vendor::Huawei,
            [("publish_domain", "push.example.com"), ("app", "live")],
            "/streams/0/stream",
        ),
    ] {
        let bench = bench(vendor);
        *bench.reel.live.lock() = vec![stream("ab")];
        let online = body(&bench.call(Operation::Online, &fields));
        assert_eq!(online.pointer(pointer), Some(&json!("ab")), "{online}");
    }
}

#[test]
fn the_list_of_bans_has_an_end_at_alibaba() {
    let bench = bench_with(Vendor::Aliyun, |config| config.capacity = Some(2));
    bench.forbid("a");
    bench.forbid("b");
    assert_eq!(code(&bench.forbid("c")), "QuotaExceeded.Blacklist");
    bench.resume("a");
    assert_eq!(bench.forbid("c").status, 200);
}

#[test]
fn wangsus_day_is_shared_by_ban_resume_and_stop() {
    let bench = bench_with(Vendor::Wangsu, |config| {
        config.limits.insert("commands".into(), 3);
    });
    bench.forbid("a");
    bench.resume("a");
    bench.call(Operation::Kick, &bench.named("a"));
    assert_eq!(code(&bench.forbid("a")), "quotaExceeded");
    assert!(!bench.sim.is_forbidden(&stream("a")));
    let usage = bench.sim.usage();
    assert_eq!((usage[0].accepted, usage[0].exceeded), (3, 1));
    bench.pass(DAY);
    assert_eq!(code(&bench.forbid("a")), "00");
}

#[test]
fn rates_are_the_published_ones() {
    for (vendor, operation, most, refused) in [
        (Vendor::Wangsu, Operation::List, 10, json!("429")),
        (
            Vendor::Aliyun,
            Operation::Forbid,
            20,
            json!("Throttling.User"),
        ),
        (
            Vendor::Aliyun,
            Operation::Resume,
            30,
            json!("Throttling.User"),
        ),
        (
            Vendor::Tencent,
            Operation::Resume,
            100,
            json!("RequestLimitExceeded"),
        ),
        (Vendor::Huawei, Operation::Resume, 3000, json!("APIGW.0308")),
    ] {
        let bench = bench(vendor);
        for at in 0..most {
            let name = at.to_string();
            let mut fields = bench.named(&name);
            if vendor == Vendor::Wangsu {
                fields = vec![("channel", "push.example.com")];
            }
            assert!(
                bench.call(operation, &fields).status < 300,
                "{vendor:?} {at}"
            );
        }
        let mut fields = bench.named("last");
        if vendor == Vendor::Wangsu {
            fields = vec![("channel", "push.example.com")];
        }
        assert_eq!(code(&bench.call(operation, &fields)), refused);
        assert_eq!(bench.sim.usage()[0].peak, most);
        bench.pass(300);
        assert!(bench.call(operation, &fields).status < 300);
    }
}

#[test]
fn refusals_have_the_vendors_status_and_code() {
    for (vendor, key, rights, domain, missing) in [
        (
            Vendor::Wangsu,
            (401, "401"),
            (200, "6"),
            (200, "28"),
            (200, "400"),
        ),
        (
            Vendor::Aliyun,
            (404, "InvalidAccessKeyId.NotFound"),
            (401, "Forbidden"),
            (404, "InvalidDomain.NotFound"),
            (400, "MissingDomainName"),
        ),
        (
            Vendor::Tencent,
            (200, "AuthFailure.SecretIdNotFound"),
            (200, "AuthFailure.UnauthorizedOperation"),
            (200, "InternalError.ConfigNotExist"),
            (200, "MissingParameter"),
        ),
        (
            Vendor::Huawei,
            (401, "APIGW.0301"),
            (401, "LIVE.100011003"),
            (404, "LIVE.103011019"),
            (400, "LIVE.100011001"),
        ),
    ] {
        let mut bench = bench(vendor);
        let said = |reply: tidegate_sim::Reply| (reply.status, code(&reply));
        let wanted = |pair: (u16, &str)| (pair.0, json!(pair.1));
        assert_eq!(said(bench.call(Operation::Forbid, &[])), wanted(missing));
        bench
            .sim
            .reconfigure(|c| c.accounts[0].permission = Permission::Read);
        assert_eq!(said(bench.forbid("a")), wanted(rights));
        bench
            .sim
            .reconfigure(|c| c.accounts[0].permission = Permission::Full);
        bench.sim.reconfigure(|c| c.domains.clear());
        assert_eq!(said(bench.forbid("a")), wanted(domain));
        bench.key = "nobody".into();
        assert_eq!(said(bench.forbid("a")), wanted(key));
        assert!(bench.sim.bans().is_empty());
        let last = bench.sim.journal(0).pop().expect("a row");
        assert_eq!((last.seq, last.account), (4, None));
    }
}

#[test]
fn wangsus_other_scheme_is_good_too() {
    let bench = bench_with(Vendor::Wangsu, |config| {
        config.accounts[0].api_key = Some(Secret::new("api".into()));
    });
    let mut request = bench.signed(Operation::Forbid, &bench.named("a"));
    let date = "Thu, 05 Mar 2026 08:09:11 GMT";
    support::basic(&mut request, "one", "api", date);
    let reply = bench.sim.call(&request).reply.unwrap();
    assert_eq!(code(&reply), "00");
    support::basic(&mut request, "one", "other", date);
    let reply = bench.sim.call(&request).reply.unwrap();
    assert_eq!((reply.status, code(&reply)), (401, json!("401")));
}

#[test]
fn a_rotated_key_is_refused_and_its_successor_is_not() {
    let mut bench = bench(Vendor::Aliyun);
    bench.sim.reconfigure(|config| {
        let keys = &mut config.accounts[0].keys;
        keys[0].expired = true;
        keys.push(tidegate_sim::Key::new("key-two", "secret-one"));
    });
    assert_eq!(code(&bench.forbid("a")), "InvalidAccessKeyId.Inactive");
    bench.key = "key-two".into();
    assert_eq!(bench.forbid("a").status, 200);
}

#[test]
fn bans_by_hand_show_in_lists_and_cut() {
    let bench = bench(Vendor::Huawei);
    let until = UnixMs(support::START.0 + 1_000_000);
    bench.sim.forbid_by_hand("one", &stream("a"), until);
    assert!(bench.sim.is_forbidden(&stream("a")));
    assert_eq!(*bench.reel.cuts.lock(), [stream("a")]);
    assert!(bench.sim.resume_by_hand("one", &stream("a")));
    assert!(!bench.sim.resume_by_hand("one", &stream("a")));
}

#[test]
fn a_configuration_is_read_from_toml_and_keeps_its_secrets() {
    let text = r#"
        vendor = "tencent"
        seed = 7
        strict_names = true
        limits = { forbid = 5 }
        [[accounts]]
        name = "main"
        keys = [{ id = "AKID1", secret = "hush-hush" }]
        permission = "read"
        [[domains]]
        publish = "push.example.com"
        play = "play.example.com"
        account = "main"
    "#;
    let config = Config::from_toml(text).expect("a configuration");
    assert_eq!(config.vendor, Vendor::Tencent);
    assert_eq!(config.accounts[0].keys[0].secret.expose(), "hush-hush");
    assert!(!format!("{config:?}").contains("hush"));
    let error = Config::from_toml("vendor = \"tencent\"\ncolour = 1").expect_err("unknown field");
    assert!(error.to_string().contains("colour"), "{error}");
    assert!("akamai".parse::<Vendor>().is_err());
}

//! Keys, clocks and rights: what is refused, and what the adapter makes of the refusal.

use tidegate_cdn::ErrorClass::Permanent;
use tidegate_cdn::{Cdn, ErrorClass, Failure, Page, Refusal, Vendor};
use tidegate_core::Secret;
use tidegate_sim::{Fault, Key, Permission, Rule};

use crate::rig::{HOUR, KEY, Rig, SECRET, name, rig, schemes, site};

/// Bans stream `a` and gives the class of the failure; nothing may have come of it.
async fn refused(rig: &Rig, adapter: &tidegate_cdn::Adapter) -> Failure {
    // Far enough that it has not passed by a clock that is a day ahead.
    let end = Some(rig.now().plus(48 * HOUR));
    let failure = adapter.forbid(&rig.object("a"), end).await;
    let failure = failure.expect_err("a refusal");
    let is_final = matches!(failure.class, Permanent(_));
    assert_eq!(failure.may_be_done(), !is_final, "{failure}");
    assert!(!rig.is_forbidden("a"), "{failure}");
    assert!(!failure.words.is_empty() && !failure.to_string().contains(SECRET));
    failure
}

#[tokio::test]
async fn an_unknown_key_and_a_wrong_secret_are_the_credentials() {
    for (vendor, scheme) in schemes() {
        let rig = rig(vendor).await;
        let wrong = rig.other(0, |spec| {
            spec.scheme = Some(scheme);
            spec.secret = Secret::new("another".into());
        });
        let unknown = rig.other(0, |spec| {
            spec.scheme = Some(scheme);
            spec.access_key_id = "nobody".into();
        });
        for adapter in [wrong, unknown] {
            let failure = refused(&rig, &adapter).await;
            assert_eq!(failure.class, Permanent(Refusal::Credentials), "{scheme}");
        }
    }
}

#[tokio::test]
async fn an_expired_key_is_the_credentials_and_its_successor_is_taken() {
    for (vendor, scheme) in schemes() {
        let rig = Rig::start(vendor, |_| {}, |spec| spec.scheme = Some(scheme)).await;
        let expired = Rule::always(Fault::ExpiredKey).times(1);
        rig.sim.set_faults(vec![expired]);
        let failure = refused(&rig, &rig.adapter).await;
        assert_eq!(failure.class, Permanent(Refusal::Credentials), "{scheme}");
    }
    for vendor in Vendor::ALL {
        let rig = rig(vendor).await;
        rig.sim.reconfigure(|config| {
            for account in &mut config.accounts {
                account.keys.iter_mut().for_each(|key| key.expired = true);
                account.keys.push(Key::new("key-two", "second"));
            }
        });
        let failure = refused(&rig, &rig.adapter).await;
        assert_eq!(failure.class, Permanent(Refusal::Credentials), "{vendor}");
        let rotated = rig.other(0, |spec| {
            spec.access_key_id = "key-two".into();
            spec.secret = Secret::new("second".into());
        });
        let end = Some(rig.now().plus(HOUR));
        rotated.forbid(&rig.object("a"), end).await.expect("taken");
    }
}

#[tokio::test]
async fn temporary_credentials_need_their_token() {
    for (vendor, scheme) in schemes().filter(|(vendor, _)| *vendor != Vendor::Ws) {
        let with_token = |config: &mut tidegate_sim::Config| {
            let key = Key {
                token: Some(Secret::new("tok/en+==".into())),
                ..Key::new("sts", SECRET)
            };
            config
                .accounts
                .iter_mut()
                .for_each(|a| a.keys.push(key.clone()));
        };
        let rig = Rig::start(vendor, with_token, |_| {}).await;
        let sts = |token: &str| {
            rig.other(0, |spec| {
                spec.scheme = Some(scheme);
                spec.access_key_id = "sts".into();
                spec.security_token = Some(Secret::new(token.into()));
            })
        };
        let failure = refused(&rig, &sts("other")).await;
        assert_eq!(failure.class, Permanent(Refusal::Credentials), "{scheme}");
        let end = Some(rig.now().plus(HOUR));
        let right = sts("tok/en+==");
        right.forbid(&rig.object("a"), end).await.expect("taken");
    }
}

#[tokio::test]
async fn a_clock_that_is_off_is_told_as_that_with_the_vendors_own() {
    for (vendor, scheme) in schemes() {
        let rig = rig(vendor).await;
        let window = match vendor {
            Vendor::Ws | Vendor::Tencent => 300_000,
            Vendor::Aliyun | Vendor::Huawei => 900_000,
        };
        for beyond in [window + 1000, -window - 1000, 86_400_000, -86_400_000] {
            let adapter = rig.other(beyond, |spec| spec.scheme = Some(scheme));
            let failure = refused(&rig, &adapter).await;
            assert_eq!(
                failure.class,
                Permanent(Refusal::Clock),
                "{scheme} {beyond}"
            );
            assert_eq!(failure.date, Some(rig.now()), "{scheme}");
        }
        for within in [window - 1000, 1000 - window] {
            let adapter = rig.other(within, |spec| spec.scheme = Some(scheme));
            let end = Some(rig.now().plus(HOUR));
            let object = rig.object(if within > 0 { "ahead" } else { "behind" });
            adapter
                .forbid(&object, end)
                .await
                .expect("within the window");
        }
    }
}

#[tokio::test]
async fn a_signature_that_was_used_wants_no_more_than_another_second() {
    let rig = rig(Vendor::Ws).await;
    let end = Some(rig.now().plus(48 * HOUR));
    rig.adapter
        .forbid(&rig.object("a"), end)
        .await
        .expect("taken");
    rig.adapter.resume(&rig.object("a")).await.expect("taken");
    // Another process with the same key knows nothing of the seconds that this one signed.
    let other = rig.other(0, |_| {});
    let failure = refused(&rig, &other).await;
    assert_eq!(
        failure.class,
        ErrorClass::Retry { after: None },
        "{failure}"
    );
    rig.tick();
    other.forbid(&rig.object("a"), end).await.expect("taken");
}

#[tokio::test]
async fn rights_domains_and_projects_are_told_apart() {
    for (vendor, scheme) in schemes() {
        let rig = Rig::start(vendor, |_| {}, |spec| spec.scheme = Some(scheme)).await;
        let permit = |permission| {
            rig.sim.reconfigure(|config| {
                config
                    .accounts
                    .iter_mut()
                    .for_each(|a| a.permission = permission);
            });
        };
        permit(Permission::Read);
        let failure = refused(&rig, &rig.adapter).await;
        assert_eq!(failure.class, Permanent(Refusal::Permission), "{scheme}");
        rig.tick();
        let list = rig.adapter.list_forbidden(&site(), Page::FIRST).await;
        assert_eq!(list.expect("reading is allowed").value.entries, []);
        permit(Permission::Full);
        rig.sim.reconfigure(|config| config.domains.clear());
        rig.tick();
        let failure = refused(&rig, &rig.adapter).await;
        assert_eq!(failure.class, Permanent(Refusal::Domain), "{scheme}");
    }
    let rig = rig(Vendor::Huawei).await;
    let other = rig.other(0, |spec| spec.project_id = Some("another".into()));
    let failure = refused(&rig, &other).await;
    assert_eq!(failure.class, Permanent(Refusal::Permission));
    assert_eq!(rig.last().account.as_deref(), Some(KEY));
    assert_eq!(rig.last().name, Some(name("a")));
}

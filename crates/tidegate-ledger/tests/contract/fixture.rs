//! Values that the cases use.

use std::net::Ipv4Addr;
use std::time::Duration;

use tidegate_core::{
    Actor, AppId, Ask, AskKind, AskedEnd, Generation, RequestId, Secret, StreamId, StreamKey,
    UnixMs,
};
use tidegate_ledger::cdns::{
    AcceptedBy, AccountKey, CdnAccount, CdnSave, NewTarget, ObjectKey, ObjectSave,
};
use tidegate_ledger::{App, Bound, Decided, Ledger, LiveSecret, NonceUse, PublishAuth, Vendor};

pub(crate) const NOW: UnixMs = UnixMs(1_700_000_000_000);

pub(crate) fn app(id: u32) -> App {
    App {
        id: AppId(id),
        name: format!("App {id}"),
        rtmp_app: format!("live{id}"),
        disabled: false,
        created: NOW,
        publish_auth: PublishAuth::Signed,
        bind_nonces: true,
        default_forbid: Some(Duration::from_secs(60)),
        server_secrets: vec![LiveSecret {
            secret: Secret::new(format!("server-secret-{id}")),
            expires: None,
        }],
        callback_secret: Secret::new("callback".into()),
        publish_key: Secret::new("publish".into()),
        publish_key_backup: None,
    }
}

pub(crate) fn key(app: u32, stream: &str) -> StreamKey {
    StreamKey::new(AppId(app), StreamId::parse(stream).expect("valid"))
}

pub(crate) fn ask(key: &StreamKey, kind: AskKind, at: UnixMs) -> Ask {
    Ask {
        key: key.clone(),
        kind,
        by: Actor::Operator {
            name: "ops".into(),
            client: Ipv4Addr::new(192, 0, 2, 7).into(),
        },
        reason: Some("because".into()),
        at,
        request_id: RequestId::compose(1, 42),
    }
}

pub(crate) fn until(at: i64) -> AskKind {
    AskKind::Forbid(AskedEnd::At(UnixMs(at)))
}

pub(crate) const FOREVER: AskKind = AskKind::Forbid(AskedEnd::Lifted);

pub(crate) fn nonce(text: &str, digest: u8) -> NonceUse {
    NonceUse {
        nonce: text.into(),
        digest: [digest; 32],
        expires: NOW.plus(Duration::from_secs(600)),
    }
}

pub(crate) fn fresh(bound: Bound) -> Decided {
    match bound {
        Bound::Fresh(decided) => decided,
        other => panic!("expected a fresh decision, got {other:?}"),
    }
}

pub(crate) async fn decide(ledger: &impl Ledger, key: &StreamKey, kind: AskKind) -> Decided {
    let bound = ledger.decide(ask(key, kind, NOW), None).await;
    fresh(bound.expect("decided"))
}

pub(crate) async fn with_app(ledger: &impl Ledger) -> StreamKey {
    ledger.create_app(&app(1)).await.expect("created");
    key(1, "cam")
}

pub(crate) fn generation(n: u64) -> Generation {
    Generation(n)
}

pub(crate) fn account(name: &str, vendor: Vendor) -> CdnAccount {
    CdnAccount {
        id: 0,
        name: name.into(),
        vendor,
        key: AccountKey {
            access_key_id: "key id".into(),
            secret: Secret::new(format!("vendor-secret-of-{name}")),
            security_token: None,
        },
        scheme: None,
        region: None,
        project_id: None,
        endpoint: None,
        strict: true,
        epoch: 1,
        created: NOW,
        rotated: None,
    }
}

pub(crate) fn target(app: u32, account: i64, domain: &str) -> NewTarget {
    NewTarget {
        app: AppId(app),
        account,
        publish_domain: domain.into(),
        play_domain: None,
        rtmp_app: "live".into(),
        play_urls: Vec::new(),
        play_key: None,
    }
}

pub(crate) fn object(account: i64, site: &str, stream: &str) -> ObjectKey {
    ObjectKey {
        account,
        site: site.into(),
        stream: StreamId::parse(stream).expect("valid"),
    }
}

pub(crate) fn saved(key: &ObjectKey, version: i64, accepted: Vec<AcceptedBy>) -> CdnSave {
    CdnSave {
        budgets: Vec::new(),
        objects: vec![ObjectSave {
            key: key.clone(),
            version,
            state: format!("{{\"after\":{version}}}"),
            due: None,
            accepted,
        }],
    }
}

/// The App's stream is settled on a target.
pub(crate) fn accepted_by(app: u32, target: i64, n: u64) -> AcceptedBy {
    AcceptedBy {
        app: AppId(app),
        target,
        generation: generation(n),
        at: UnixMs(NOW.0 + 5),
        watch: None,
    }
}

pub(crate) async fn save(ledger: &impl Ledger, save: CdnSave) -> Vec<Option<i64>> {
    ledger.save(save).await.expect("saved")
}

/// App 1 with a stream `cam`, on a target `push.example.com/live` of a strict account at Aliyun.
pub(crate) async fn with_target(ledger: &impl Ledger) -> (StreamKey, i64, i64) {
    let cam = with_app(ledger).await;
    let new = account("main", Vendor::Aliyun);
    let account = ledger.add_account(&new).await.expect("added");
    let new = target(1, account, "push.example.com");
    let target = ledger.add_target(&new).await.expect("added");
    (cam, account, target)
}

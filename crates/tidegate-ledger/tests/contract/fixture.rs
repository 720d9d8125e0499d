//! Values that the cases use.

use std::net::Ipv4Addr;
use std::time::Duration;

use tidegate_core::{
    Actor, AppId, Ask, AskKind, AskedEnd, Generation, RequestId, Secret, StreamId, StreamKey,
    UnixMs,
};
use tidegate_ledger::{App, Bound, Decided, Ledger, LiveSecret, NonceUse, PublishAuth};

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

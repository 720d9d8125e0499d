//! An engine over a real SQLite ledger in a directory of its own.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tidegate_core::{Actor, AppId, Ask, AskKind, AskedEnd, StreamId, StreamKey};
use tidegate_engine::{Answered, Engine, NewApp, Options, Reply};
use tidegate_ledger::{OpenOptions, PublishAuth, SqliteLedger};
use tidegate_origin::Hub;
use tokio_util::sync::CancellationToken;

/// A running engine with one App.
pub(crate) struct Rig {
    pub(crate) engine: Arc<Engine>,
    pub(crate) ledger: Arc<SqliteLedger>,
    pub(crate) app: AppId,
    stop: CancellationToken,
    run: tokio::task::JoinHandle<()>,
    dir: TempDir,
}

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::in_dir(TempDir::new().expect("temporary directory")).await
    }

    async fn in_dir(dir: TempDir) -> Self {
        let ledger = SqliteLedger::open(OpenOptions::new(dir.path()))
            .await
            .expect("ledger");
        let ledger = Arc::new(ledger);
        let hub = Hub::new(&tidegate_origin::Options::default());
        let engine = Engine::start(ledger.clone(), hub, Options::default())
            .await
            .expect("engine");
        let known = engine.apps().list().first().map(|entry| entry.app.id);
        let app = match known {
            Some(app) => app,
            None => make_app(&engine, "first").await,
        };
        let stop = CancellationToken::new();
        let run = tokio::spawn(engine.clone().run(stop.clone()));
        Self {
            engine,
            ledger,
            app,
            stop,
            run,
            dir,
        }
    }

    /// Stops everything and starts again on the same data.
    pub(crate) async fn restart(self) -> Self {
        Self::in_dir(self.stop().await).await
    }

    /// Starts on data that a stopped rig left.
    pub(crate) async fn reopen(dir: TempDir) -> Self {
        Self::in_dir(dir).await
    }

    /// Stops everything; the data stay.
    pub(crate) async fn stop(self) -> TempDir {
        self.stop.cancel();
        self.run.await.expect("loops end");
        self.ledger.close().await;
        self.dir
    }

    pub(crate) fn key(&self, stream: &str) -> StreamKey {
        StreamKey::new(self.app, StreamId::parse(stream).expect("valid id"))
    }

    pub(crate) fn ask(&self, stream: &str, kind: AskKind) -> Ask {
        Ask {
            key: self.key(stream),
            kind,
            by: Actor::Operator {
                name: "test".into(),
                client: Ipv4Addr::LOCALHOST.into(),
            },
            reason: Some("because".into()),
            at: self.engine.now(),
            request_id: self.engine.request_id(),
        }
    }

    pub(crate) async fn decide(&self, stream: &str, kind: AskKind) -> Answered {
        match self.engine.decide(self.ask(stream, kind), None).await {
            Ok(Reply::Decided(answered)) => answered,
            other => panic!("not decided: {other:?}"),
        }
    }

    pub(crate) async fn forbid_for(&self, stream: &str, length: Duration) -> Answered {
        let end = AskedEnd::At(self.engine.now().plus(length));
        self.decide(stream, AskKind::Forbid(end)).await
    }

    pub(crate) fn is_blocked(&self, stream: &str) -> bool {
        self.engine.blocks().get(self.app, stream).is_some()
    }

    /// Waits, with a generous bound, for something that the loops do.
    pub(crate) async fn eventually(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while !holds(self) {
            assert!(
                tokio::time::Instant::now() < deadline,
                "{what} did not happen"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

pub(crate) async fn make_app(engine: &Engine, name: &str) -> AppId {
    let new = NewApp {
        name: name.into(),
        rtmp_app: None,
        publish_auth: PublishAuth::None,
        bind_nonces: true,
        default_forbid: None,
    };
    let app = engine.plan_app(new).expect("plan");
    engine.create_app(&app).await.expect("App");
    app.id
}

pub(crate) const FOREVER: AskKind = AskKind::Forbid(AskedEnd::Lifted);

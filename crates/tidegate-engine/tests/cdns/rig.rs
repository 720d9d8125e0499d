//! An engine over a real SQLite ledger that drives simulated vendors over real sockets.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tempfile::TempDir;
use tidegate_core::{Actor, AppId, Ask, AskKind, AskedEnd, Secret, StreamId, StreamKey, UnixMs};
use tidegate_engine::{Answered, CdnOptions, Engine, NewApp, Options, Reply, ResultWord};
use tidegate_ledger::cdns::{AccountKey, CdnAccount, NewTarget};
use tidegate_ledger::{
    CdnLedger as _, Ledger as _, OpenOptions, PublishAuth, SqliteLedger, Vendor,
};
use tidegate_origin::Hub;
use tidegate_sim::{
    Config, Domain, Entry, Media, Online, Serving, Simulator, StreamName, SystemClock, serve,
};
use tokio_util::sync::CancellationToken;

pub(crate) const KEY: &str = "AKIDEXAMPLE";
pub(crate) const SECRET: &str = "s3cr3t-of-the-account";
pub(crate) const PROJECT: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const FOREVER: AskKind = AskKind::Forbid(AskedEnd::Lifted);
/// Far longer than anything takes that does happen.
const PATIENCE: Duration = Duration::from_secs(40);

/// A media plane: publishers that come back as long as they are let.
#[derive(Default)]
pub(crate) struct Reel {
    /// Cuts do nothing.
    pub(crate) immortal: AtomicBool,
    pub(crate) live: Mutex<Vec<StreamName>>,
}

impl Media for Reel {
    fn cut(&self, name: &StreamName, _until: Option<UnixMs>) {
        if !self.immortal.load(Ordering::SeqCst) {
            self.live.lock().retain(|live| live.stream != name.stream);
        }
    }

    fn online(&self) -> Vec<Online> {
        let live = self.live.lock();
        let online = |name: &StreamName| Online {
            name: name.clone(),
            since: UnixMs(0),
            client_ip: "192.0.2.7".into(),
        };
        live.iter().map(online).collect()
    }
}

/// A simulated vendor on a socket.
pub(crate) struct Box {
    pub(crate) vendor: Vendor,
    pub(crate) sim: Arc<Simulator>,
    pub(crate) reel: Arc<Reel>,
    serving: Serving,
}

impl Box {
    pub(crate) async fn start(vendor: Vendor, change: impl FnOnce(&mut Config)) -> Self {
        let mut account = tidegate_sim::Account::new(KEY, KEY, SECRET);
        account.project_id = Some(PROJECT.into());
        let mut config = Config {
            accounts: vec![account],
            domains: vec![Domain::new(&push(vendor), Some(&play(vendor)))],
            ..Config::new(vendor.word().parse().expect("the same words"))
        };
        change(&mut config);
        let reel = Arc::new(Reel::default());
        let sim = Simulator::new(config, Arc::new(SystemClock), reel.clone());
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let serving = serve(sim.clone(), any, None).await.expect("a socket");
        Self {
            vendor,
            sim,
            reel,
            serving,
        }
    }

    pub(crate) fn name(&self, stream: &str) -> StreamName {
        StreamName::new(&push(self.vendor), "live", stream)
    }

    pub(crate) fn forbids(&self, stream: &str) -> bool {
        self.sim.is_forbidden(&self.name(stream))
    }

    /// Calls that change a ban of this stream, as the vendor received them.
    pub(crate) fn changes(&self, stream: &str) -> Vec<Entry> {
        let mine = |entry: &Entry| {
            entry
                .name
                .as_ref()
                .is_some_and(|name| name.stream == stream)
                && !entry.operation.is_read()
        };
        self.sim.journal(0).into_iter().filter(mine).collect()
    }
}

pub(crate) fn push(vendor: Vendor) -> String {
    format!("push-{vendor}.example.com")
}

pub(crate) fn play(vendor: Vendor) -> String {
    format!("play-{vendor}.example.com")
}

/// A running engine with one App.
pub(crate) struct Rig {
    pub(crate) engine: Arc<Engine>,
    pub(crate) ledger: Arc<SqliteLedger>,
    pub(crate) app: AppId,
    stop: CancellationToken,
    run: tokio::task::JoinHandle<()>,
    options: CdnOptions,
    dir: TempDir,
}

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::with(CdnOptions {
            // An answer waits as long as it takes, so that tests see the last word.
            answer_within: Duration::from_secs(20),
            ..CdnOptions::default()
        })
        .await
    }

    pub(crate) async fn with(options: CdnOptions) -> Self {
        Self::in_dir(TempDir::new().expect("temporary directory"), options).await
    }

    async fn in_dir(dir: TempDir, options: CdnOptions) -> Self {
        let ledger = SqliteLedger::open(OpenOptions::new(dir.path()))
            .await
            .expect("ledger");
        let ledger = Arc::new(ledger);
        let hub = Hub::new(&tidegate_origin::Options::default());
        let settings = Options {
            cdn: options.clone(),
            ..Options::default()
        };
        let engine = Engine::start(ledger.clone(), hub, settings)
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
            options,
            dir,
        }
    }

    /// Stops everything in order and starts again on the same data.
    pub(crate) async fn restart(self) -> Self {
        let (dir, options) = self.stop().await;
        Self::in_dir(dir, options).await
    }

    async fn stop(self) -> (TempDir, CdnOptions) {
        self.stop.cancel();
        self.run.await.expect("loops end");
        self.ledger.close().await;
        (self.dir, self.options)
    }

    /// An account at the simulated vendor.
    pub(crate) async fn account(&self, at: &Box, change: impl FnOnce(&mut CdnAccount)) -> i64 {
        let mut account = CdnAccount {
            id: 0,
            name: format!("{}-main", at.vendor),
            vendor: at.vendor,
            key: key(SECRET),
            scheme: None,
            region: None,
            project_id: (at.vendor == Vendor::Huawei).then(|| PROJECT.into()),
            endpoint: Some(at.serving.endpoint()),
            strict: at.vendor != Vendor::Tencent,
            epoch: 0,
            created: self.engine.now(),
            rotated: None,
        };
        change(&mut account);
        let id = self.ledger.add_account(&account).await.expect("account");
        self.engine.reload().await.expect("reload");
        id
    }

    pub(crate) async fn target(&self, app: AppId, at: &Box, account: i64) -> i64 {
        self.target_with(app, at, account, |_| {}).await
    }

    pub(crate) async fn target_with(
        &self,
        app: AppId,
        at: &Box,
        account: i64,
        change: impl FnOnce(&mut NewTarget),
    ) -> i64 {
        let mut target = NewTarget {
            app,
            account,
            publish_domain: push(at.vendor),
            play_domain: Some(play(at.vendor)),
            rtmp_app: "live".into(),
            play_urls: Vec::new(),
            play_key: None,
        };
        change(&mut target);
        let id = self.ledger.add_target(&target).await.expect("target");
        self.engine.reload().await.expect("reload");
        id
    }

    /// An account and a target of the first App.
    pub(crate) async fn connect(&self, at: &Box) -> (i64, i64) {
        let account = self.account(at, |_| {}).await;
        (account, self.target(self.app, at, account).await)
    }

    pub(crate) fn key(&self, stream: &str) -> StreamKey {
        StreamKey::new(self.app, StreamId::parse(stream).expect("valid id"))
    }

    pub(crate) async fn decide(&self, stream: &str, kind: AskKind) -> Answered {
        self.decide_for(self.app, stream, kind).await
    }

    pub(crate) async fn decide_for(&self, app: AppId, stream: &str, kind: AskKind) -> Answered {
        let ask = Ask {
            key: StreamKey::new(app, StreamId::parse(stream).expect("valid id")),
            kind,
            by: Actor::Operator {
                name: "test".into(),
                client: Ipv4Addr::LOCALHOST.into(),
            },
            reason: None,
            at: self.engine.now(),
            request_id: self.engine.request_id(),
        };
        match self.engine.decide(ask, None).await {
            Ok(Reply::Decided(answered)) => answered,
            other => panic!("not decided: {other:?}"),
        }
    }

    /// Waits, with a generous bound, for something that the loops do.
    pub(crate) async fn eventually(&self, what: &str, holds: impl AsyncFn(&Self) -> bool) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !holds(self).await {
            assert!(tokio::time::Instant::now() < deadline, "{what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until every target of this stream accepted the newest decision.
    pub(crate) async fn converged(&self, stream: &str) {
        self.eventually(&format!("{stream} does not converge"), async |rig| {
            let status = rig.ledger.status(&rig.key(stream)).await.expect("status");
            status
                .placements
                .iter()
                .all(|p| p.accepted == Some(p.wanted))
        })
        .await;
    }
}

pub(crate) fn key(secret: &str) -> AccountKey {
    AccountKey {
        access_key_id: KEY.into(),
        secret: Secret::new(secret.into()),
        security_token: None,
    }
}

/// What each vendor said to a decision.
pub(crate) fn results(answered: &Answered) -> BTreeMap<&'static str, (ResultWord, String)> {
    let results = answered.results.iter();
    results
        .map(|r| (r.vendor.word(), (r.result, r.words.clone())))
        .collect()
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

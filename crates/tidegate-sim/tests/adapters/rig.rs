//! One simulated vendor on a socket, one adapter that calls it, and a clock that both look at.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidegate_cdn::{
    Account, AccountSpec, Adapter, AuthScheme, ClientOptions, HttpClient, Matching, Site, Vendor,
    VendorObject,
};
use tidegate_core::{Secret, StreamId, UnixMs};
use tidegate_sim::{
    Clock, Config, Domain, Effect, Entry, ManualClock, Media, Online, Serving, Simulator,
    StreamName, serve,
};

pub(crate) const START: UnixMs = UnixMs(1_772_698_150_000);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const KEY: &str = "AKID-0f+x.~_*";
pub(crate) const SECRET: &str = "s3cr3t/+=~*%&";
pub(crate) const PROJECT: &str = "0123456789abcdef0123456789abcdef";
const PUSH: &str = "push.example.com";
const PLAY: &str = "play.example.com";
/// With what every scheme has to encode in its own way.
pub(crate) const APP: &str = "直播 a+b~c%d*";

/// A media plane that remembers cuts.
#[derive(Default)]
pub(crate) struct Reel {
    pub(crate) live: Mutex<Vec<StreamName>>,
    pub(crate) cuts: Mutex<Vec<(StreamName, Option<UnixMs>)>>,
}

impl Media for Reel {
    fn cut(&self, name: &StreamName, until: Option<UnixMs>) {
        self.live.lock().retain(|live| live != name);
        self.cuts.lock().push((name.clone(), until));
    }

    fn online(&self) -> Vec<Online> {
        let live = self.live.lock();
        let online = |name: &StreamName| Online {
            name: name.clone(),
            since: START,
            client_ip: "192.0.2.7".into(),
        };
        live.iter().map(online).collect()
    }
}

pub(crate) struct Rig {
    pub(crate) vendor: Vendor,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) reel: Arc<Reel>,
    pub(crate) sim: Arc<Simulator>,
    pub(crate) adapter: Adapter,
    endpoint: String,
    _serving: Serving,
}

/// Every vendor with every scheme it takes.
pub(crate) fn schemes() -> impl Iterator<Item = (Vendor, AuthScheme)> {
    let of = |vendor: Vendor| vendor.schemes().iter().map(move |scheme| (vendor, *scheme));
    Vendor::ALL.into_iter().flat_map(of)
}

pub(crate) async fn rig(vendor: Vendor) -> Rig {
    Rig::start(vendor, |_| {}, |_| {}).await
}

impl Rig {
    pub(crate) async fn start(
        vendor: Vendor,
        config: impl FnOnce(&mut Config),
        spec: impl FnOnce(&mut AccountSpec),
    ) -> Self {
        let of_sim: tidegate_sim::Vendor = vendor.word().parse().expect("the same words");
        // Wangsu's other scheme names the account by the key id.
        let mut account = tidegate_sim::Account::new(KEY, KEY, SECRET);
        account.api_key = Some(Secret::new(SECRET.into()));
        account.project_id = Some(PROJECT.into());
        let mut settings = Config {
            accounts: vec![account],
            domains: vec![Domain::new(PUSH, Some(PLAY))],
            ..Config::new(of_sim)
        };
        config(&mut settings);
        let clock = Arc::new(ManualClock::new(START));
        let reel = Arc::new(Reel::default());
        let sim = Simulator::new(settings, clock.clone(), reel.clone());
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let serving = serve(sim.clone(), any, None).await.expect("a socket");
        let endpoint = serving.endpoint();
        let adapter = adapter(vendor, &endpoint, &clock, 0, ClientOptions::default(), spec);
        Self {
            vendor,
            clock,
            reel,
            sim,
            adapter,
            endpoint,
            _serving: serving,
        }
    }

    /// Another adapter of the same account, its clock off by `skew_ms`.
    pub(crate) fn other(&self, skew_ms: i64, spec: impl FnOnce(&mut AccountSpec)) -> Adapter {
        let options = ClientOptions::default();
        adapter(
            self.vendor,
            &self.endpoint,
            &self.clock,
            skew_ms,
            options,
            spec,
        )
    }

    pub(crate) fn impatient(&self, total: Duration) -> Adapter {
        let options = ClientOptions {
            total_timeout: total,
            ..ClientOptions::default()
        };
        adapter(self.vendor, &self.endpoint, &self.clock, 0, options, |_| {})
    }

    pub(crate) fn now(&self) -> UnixMs {
        self.clock.now()
    }

    /// Lets a second pass, so that rates and used signatures are no matter.
    pub(crate) fn tick(&self) {
        self.clock.advance(Duration::from_secs(1));
    }

    pub(crate) fn object(&self, stream: &str) -> VendorObject {
        let stream = StreamId::parse(stream).expect("a stream id");
        VendorObject::new(self.vendor, "main", site(), stream, Matching::NameOnly)
    }

    pub(crate) fn is_forbidden(&self, stream: &str) -> bool {
        self.sim.is_forbidden(&name(stream))
    }

    pub(crate) fn last(&self) -> Entry {
        self.sim.journal(0).pop().expect("a call")
    }

    pub(crate) fn calls(&self) -> usize {
        self.sim.journal(0).len()
    }
}

pub(crate) fn site() -> Site {
    Site::new(PUSH, Some(PLAY), APP).expect("a site")
}

pub(crate) fn name(stream: &str) -> StreamName {
    StreamName::new(PUSH, APP, stream)
}

pub(crate) fn forbade(entry: &Entry) -> bool {
    matches!(entry.effect, Effect::Forbade { .. })
}

fn adapter(
    vendor: Vendor,
    endpoint: &str,
    clock: &Arc<ManualClock>,
    skew_ms: i64,
    options: ClientOptions,
    change: impl FnOnce(&mut AccountSpec),
) -> Adapter {
    let mut spec = AccountSpec {
        name: "main".into(),
        vendor,
        access_key_id: KEY.into(),
        secret: Secret::new(SECRET.into()),
        security_token: None,
        scheme: None,
        region: None,
        project_id: (vendor == Vendor::Huawei).then(|| PROJECT.into()),
        endpoint: Some(endpoint.to_owned()),
        matching: Matching::NameOnly,
    };
    change(&mut spec);
    let account = Account::new(spec).expect("an account");
    let client = HttpClient::new(options).expect("a client");
    let clock = clock.clone();
    Adapter::new(account, client, move || UnixMs(clock.now().0 + skew_ms))
}

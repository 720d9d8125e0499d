//! Four simulated vendors in this process, and the accounts and targets that lead to them.
//!
//! Use it beside the harness: `#[path = "common/fleet.rs"] mod fleet;`.
#![allow(
    dead_code,
    clippy::expect_used,
    reason = "shared by several test binaries, each of which uses a part of it"
)]

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;
use tidegate_core::UnixMs;
use tidegate_sim::{
    Account, Clock as _, Config, Domain, NoMedia, Serving, Simulator, StreamName, SystemClock,
    Vendor, serve,
};
use tokio::runtime::Runtime;

use crate::harness::{Place, Server};

const KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "s3cr3t-of-the-account";
const PROJECT: &str = "0123456789abcdef0123456789abcdef";
/// Streams of the first App, which has targets at all vendors but Wangsu.
pub(crate) const WIDE: usize = 476;
/// Streams of the second App, named as the first ones of the first App. Its targets are at Wangsu,
/// which takes one call a second and 500 a day, and at Tencent, where both Apps share the names.
pub(crate) const NARROW: usize = 24;

/// A simulated vendor.
pub(crate) struct Cdn {
    pub(crate) vendor: Vendor,
    pub(crate) sim: Arc<Simulator>,
    serving: Serving,
}

/// All of them.
pub(crate) struct Fleet {
    pub(crate) cdns: Vec<Cdn>,
    pub(crate) secret_file: PathBuf,
    _place: Place,
    _runtime: Runtime,
}

/// One of the two Apps.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) id: u64,
    pub(crate) secret: String,
    pub(crate) streams: usize,
    pub(crate) vendors: &'static [Vendor],
    /// Whether bans may end within the campaign. Wangsu's list, where it is looked up whether they
    /// did, takes ten calls in five minutes.
    pub(crate) has_short_bans: bool,
    /// Second label of its publish domains.
    domain: &'static str,
}

impl App {
    /// The stream as a vendor of this App names it.
    pub(crate) fn name(&self, vendor: Vendor, stream: &str) -> StreamName {
        StreamName::new(&push(vendor, self.domain), "live", stream)
    }
}

/// Names of streams; bans of the weak ones may vanish before their end.
pub(crate) fn stream(number: usize) -> String {
    let weak = if is_weak(number) { "-weak" } else { "" };
    format!("cam-{number}{weak}")
}

pub(crate) fn is_weak(number: usize) -> bool {
    number % 20 == 19
}

fn push(vendor: Vendor, domain: &str) -> String {
    format!("push-{}.{domain}.example.com", vendor.name())
}

impl Fleet {
    pub(crate) fn start(seed: u64) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let place = Place::new();
        let secret_file = place.beside("secret");
        std::fs::write(&secret_file, SECRET).expect("written");
        let owner_only = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&secret_file, owner_only).expect("mode set");
        let cdns = Vendor::ALL.map(|vendor| {
            let mut account = Account::new(KEY, KEY, SECRET);
            account.project_id = Some(PROJECT.into());
            let domains = ["wide", "narrow"].map(|domain| {
                let play = format!("play-{}.{domain}.example.com", vendor.name());
                Domain::new(&push(vendor, domain), Some(&play))
            });
            let config = Config {
                accounts: vec![account],
                domains: domains.into(),
                seed,
                ..Config::new(vendor)
            };
            let sim = Simulator::new(config, Arc::new(SystemClock), Arc::new(NoMedia));
            let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let serving = runtime.block_on(serve(sim.clone(), any, None));
            Cdn {
                vendor,
                sim,
                serving: serving.expect("a socket"),
            }
        });
        Self {
            cdns: cdns.into(),
            secret_file,
            _place: place,
            _runtime: runtime,
        }
    }

    pub(crate) fn now(&self) -> UnixMs {
        SystemClock.now()
    }

    /// Adds accounts, the second App and the targets of both, by the command line.
    pub(crate) fn connect(&self, server: &Server) -> [App; 2] {
        for cdn in &self.cdns {
            let (name, endpoint) = (cdn.vendor.name(), cdn.serving.endpoint());
            let file = self.secret_file.to_str().expect("text");
            let mut args = vec!["account", "add", "--vendor", name, "--name", name];
            args.extend(["--access-key-id", KEY, "--secret-file", file]);
            args.extend(["--endpoint", &endpoint]);
            if cdn.vendor == Vendor::Huawei {
                args.extend(["--project-id", PROJECT]);
            }
            server.json(&args);
        }
        let (id, secret) = server.first_app();
        let wide = App {
            id,
            secret,
            streams: WIDE,
            vendors: &[Vendor::Aliyun, Vendor::Tencent, Vendor::Huawei],
            has_short_bans: true,
            domain: "wide",
        };
        let made = server.json(&["app", "create", "--name", "narrow"]);
        let narrow = App {
            id: number(&made["app_id"]),
            secret: made["server_secret"].as_str().expect("text").to_owned(),
            streams: NARROW,
            vendors: &[Vendor::Wangsu, Vendor::Tencent],
            has_short_bans: false,
            domain: "narrow",
        };
        for app in [&wide, &narrow] {
            for vendor in app.vendors {
                let (id, name) = (app.id.to_string(), vendor.name());
                let (push, play) = (
                    push(*vendor, app.domain),
                    format!("play-{name}.{}.example.com", app.domain),
                );
                server.json(&[
                    "target",
                    "add",
                    "--app-id",
                    &id,
                    "--vendor",
                    name,
                    "--account",
                    name,
                    "--publish-domain",
                    &push,
                    "--play-domain",
                    &play,
                ]);
            }
        }
        [wide, narrow]
    }
}

fn number(value: &Value) -> u64 {
    let text = value.as_str().and_then(|text| text.parse().ok());
    value.as_u64().or(text).expect("a number")
}

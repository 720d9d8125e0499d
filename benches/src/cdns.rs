//! What our fan-out adds to the slowest CDN: a forbid that has to be accepted by four simulated
//! vendors, beside a call to the slowest of them alone.
//!
//! Every vendor answers after a fixed time of its own. The bare call is made by the same adapter,
//! from this process, between the decisions. One decision in 1.2 s, since Wangsu takes one a second and no more.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use tidegate_cdn::{
    Account, AccountSpec, Adapter, Cdn as _, ClientOptions, HttpClient, Matching, Site, Vendor,
    VendorObject,
};
use tidegate_core::{Secret, StreamId, UnixMs};
use tidegate_sim::{Config, Domain, Fault, NoMedia, Rule, Serving, Simulator, SystemClock, serve};
use tokio::runtime::Runtime;

use crate::Bench;
use crate::api::{call, connect};
use crate::report::{Better, Table, line, progress};
use crate::stats::Samples;
use crate::tidegate::Tidegate;

/// What the fan-out may add, in milliseconds.
const BUDGET: f64 = 5.0;
/// How long each vendor takes, in milliseconds. The last is the slowest.
const LATENCIES: [(Vendor, u64); 4] = [
    (Vendor::Ws, 20),
    (Vendor::Aliyun, 30),
    (Vendor::Tencent, 40),
    (Vendor::Huawei, 50),
];
/// Between two decisions.
const PACE: Duration = Duration::from_millis(1200);
const KEY: &str = "AKIDBENCH";
const SECRET: &str = "a-secret-for-the-bench";
const PROJECT: &str = "0123456789abcdef0123456789abcdef";

/// A simulated vendor that takes its time.
struct Slow {
    vendor: Vendor,
    serving: Serving,
}

pub(crate) fn run(bench: &Bench) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let vendors = LATENCIES
        .iter()
        .map(|(vendor, ms)| Slow::start(&runtime, *vendor, *ms))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let tidegate = Tidegate::start(&bench.server, &bench.scratch)?;
    for vendor in &vendors {
        vendor.connect(bench, &tidegate)?;
    }
    let slowest = vendors.last().context("no vendor")?;
    let adapter = slowest.adapter()?;
    let mut caller = tidegate.caller()?;
    let mut api = connect(tidegate.listen.api)?;
    let rounds = if bench.quick { 8 } else { 150 };
    progress(&format!("cdns: {rounds} decisions, one a second"));
    let (mut bare, mut answered) = (Samples::default(), Samples::default());
    for n in 0..rounds + 2 {
        let began = Instant::now();
        runtime.block_on(forbid_bare(&adapter, n))?;
        let alone = began.elapsed();
        let request = caller.forbid(&format!("cam-{n}"));
        let sent = Instant::now();
        call(&mut api, &request)?;
        let whole = sent.elapsed();
        // The first rounds open connections.
        if n >= 2 {
            bare.push(alone);
            answered.push(whole);
        }
        std::thread::sleep(PACE.saturating_sub(began.elapsed()));
    }
    let mut table = Table::new("cdns");
    table.plain("the slowest CDN alone, p50", bare.p50(), "ms");
    table.plain("the slowest CDN alone, p99", bare.p99(), "ms");
    table.plain("four CDNs, answered, p50", answered.p50(), "ms");
    table.plain("four CDNs, answered, p99", answered.p99(), "ms");
    for (what, part) in [("p50", 0.5), ("p99", 0.99)] {
        let over = answered.quantile(part) - bare.quantile(part);
        let what = format!("added to the slowest CDN, {what}");
        table.held(&what, over, "ms", BUDGET, Better::Lower);
    }
    line(&table.to_string());
    Ok(())
}

async fn forbid_bare(adapter: &Adapter, n: u32) -> anyhow::Result<()> {
    let stream = StreamId::parse(&format!("bare-{n}"))?;
    let site = Site::new("push.huawei.test", None, "live")?;
    let object = VendorObject::new(Vendor::Huawei, "bare", site, stream, Matching::Strict);
    let until = UnixMs(now().0.saturating_add(86_400_000));
    adapter
        .forbid(&object, Some(until))
        .await
        .map_err(|failure| anyhow::anyhow!("{failure}"))?;
    Ok(())
}

impl Slow {
    fn start(runtime: &Runtime, vendor: Vendor, ms: u64) -> anyhow::Result<Self> {
        let word = vendor.word();
        let mut account = tidegate_sim::Account::new(KEY, KEY, SECRET);
        account.project_id = Some(PROJECT.to_owned());
        let config = Config {
            accounts: vec![account],
            domains: vec![Domain::new(&format!("push.{word}.test"), None)],
            ..Config::new(word.parse()?)
        };
        let simulator = Simulator::new(config, Arc::new(SystemClock), Arc::new(NoMedia));
        simulator.set_faults(vec![Rule::always(Fault::Latency {
            ms,
            after_effect: false,
        })]);
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let serving = runtime.block_on(serve(simulator, any, None))?;
        Ok(Self { vendor, serving })
    }

    /// Adds an account and a target, as an operator would.
    fn connect(&self, bench: &Bench, tidegate: &Tidegate) -> anyhow::Result<()> {
        let word = self.vendor.word();
        let secret = tidegate.directory().join("vendor-secret");
        std::fs::write(&secret, SECRET)?;
        let data = tidegate.directory().join("data");
        let run = |arguments: &[&str]| -> anyhow::Result<()> {
            let mut command = Command::new(&bench.server);
            command.arg("--data-dir").arg(&data).args(arguments);
            let done = command.stdin(Stdio::null()).output()?;
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            ensure!(done.status.success(), "{arguments:?}: {said}");
            Ok(())
        };
        let endpoint = self.serving.endpoint();
        let secret = secret.display().to_string();
        let mut account = vec!["account", "add", "--vendor", word, "--name", word];
        account.extend(["--access-key-id", KEY, "--secret-file", &secret]);
        account.extend(["--endpoint", &endpoint]);
        if self.vendor == Vendor::Huawei {
            account.extend(["--region", "cn-north-4", "--project-id", PROJECT]);
        }
        run(&account)?;
        let domain = format!("push.{word}.test");
        run(&[
            "target",
            "add",
            "--vendor",
            word,
            "--account",
            word,
            "--publish-domain",
            &domain,
        ])
    }

    fn adapter(&self) -> anyhow::Result<Adapter> {
        let account = Account::new(AccountSpec {
            name: "bare".to_owned(),
            vendor: self.vendor,
            access_key_id: KEY.to_owned(),
            secret: Secret::new(SECRET.to_owned()),
            security_token: None,
            scheme: None,
            region: None,
            project_id: Some(PROJECT.to_owned()),
            endpoint: Some(self.serving.endpoint()),
            matching: Matching::Strict,
        })?;
        let client = HttpClient::new(ClientOptions::default())?;
        Ok(Adapter::new(account, client, now))
    }
}

fn now() -> UnixMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let ms = since.map_or(0, |since| since.as_millis());
    UnixMs(i64::try_from(ms).unwrap_or(i64::MAX))
}

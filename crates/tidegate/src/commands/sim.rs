//! `sim`: one simulated CDN, a vendor's API in front of a media server of its own.
//!
//! What the vendor does is `tidegate-sim`'s, what carries media is `tidegate-origin`'s. Here the
//! two are put together: [`media`] translates names, [`account`] makes a ready customer.

mod account;
mod media;

use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use serde_json::Value;
use tidegate_origin::{Hub, Options, Origin};
use tidegate_sim::{Config, Rule, Serving, Simulator, SystemClock, Vendor};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::Log;
use crate::exit::{Exit, Failure};
use crate::files::{self, Readers};
use crate::output;
use crate::signals::Signals;
use crate::telemetry::Telemetry;
use account::Ready;
use media::{Door, Plane};

pub(crate) const EXAMPLES: &str = "\
Examples:
  tidegate sim --vendor aliyun --listen 127.0.0.1:9001 --rtmp 127.0.0.1:9101 \\
      --media 127.0.0.1:9201 --admin 127.0.0.1:9301 --state-dir ./sim-aliyun
  tidegate sim --vendor tencent --listen 127.0.0.1:0 --json --faults faults.toml
  ffmpeg -re -i in.mp4 -c copy -f flv rtmp://127.0.0.1:9101/live/cam-7
  curl http://127.0.0.1:9301/bans";

/// What is left running once everything was told to stop is given up after this.
const LAST_TASKS: Duration = Duration::from_secs(1);

/// Any free port.
const FREE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Arguments of `sim`.
#[derive(Args, Debug)]
pub(crate) struct SimArgs {
    /// Whose API is spoken: ws, aliyun, tencent or huawei [default: the configuration's]
    #[arg(long, value_name = "VENDOR", value_parser = vendor)]
    vendor: Option<Vendor>,

    /// Where the vendor's API listens; port 0 picks a free one
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    listen: SocketAddr,

    /// Where publishers push to [default: a free port on loopback]
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    rtmp: Option<SocketAddr>,

    /// Where players get HTTP-FLV and WebSocket-FLV [default: a free port on loopback]
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    media: Option<SocketAddr>,

    /// Where journal, bans and faults can be read and changed by anybody [default: nowhere]
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    admin: Option<SocketAddr>,

    /// Faults from the start on (TOML or JSON)
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,

    /// Directory for account.json, secret and listen.json; made when absent
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,

    /// Access key id of the one account, instead of a new one
    #[arg(long, value_name = "ID", requires = "secret_file")]
    access_key_id: Option<String>,

    /// File with the secret of that key; one newline at its end does not count
    #[arg(long, value_name = "FILE", requires = "access_key_id")]
    secret_file: Option<PathBuf>,

    /// Print the addresses, and the key if one was made, as one line of JSON
    #[arg(long)]
    json: bool,
}

fn vendor(text: &str) -> Result<Vendor, String> {
    text.parse()
        .map_err(|_| "use ws, aliyun, tencent or huawei".to_owned())
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let wrong = || "expected HOST:PORT, such as 127.0.0.1:9001 or [::1]:0".to_owned();
    let mut found = text.to_socket_addrs().map_err(|_| wrong())?;
    found.next().ok_or_else(wrong)
}

/// Runs the simulated CDN until a signal ends it.
pub(crate) fn run(args: &SimArgs, config: Option<&Path>, log: &Log) -> Result<Exit, Failure> {
    let (config, ready) = prepare(args, config)?;
    let rules = args.faults.as_deref().map(read_faults).transpose()?;
    let telemetry = Telemetry::start(log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = simulate(args, config, ready, rules.unwrap_or_default()) => outcome,
            never = telemetry.report_loss() => never,
        }
    });
    runtime.shutdown_timeout(LAST_TASKS);
    outcome
}

/// The simulator's configuration, and the account that was made when there is no file.
fn prepare(args: &SimArgs, file: Option<&Path>) -> Result<(Config, Option<Ready>), Failure> {
    let Some(file) = file else {
        let vendor = args.vendor.ok_or_else(|| {
            Failure::usage("name a vendor: --vendor ws, aliyun, tencent or huawei")
        })?;
        let ready = Ready::make(vendor, args)?;
        return Ok((ready.config(), Some(ready)));
    };
    let named =
        |what: &dyn std::fmt::Display| Failure::usage(format!("{}: {what}", file.display()));
    if args.access_key_id.is_some() {
        return Err(Failure::usage(
            "--access-key-id is for a simulator without --config; add the key to the file",
        ));
    }
    let config = Config::from_toml(&read(file)?).map_err(|e| named(&e))?;
    if args.vendor.is_some_and(|vendor| vendor != config.vendor) {
        let is = config.vendor.name();
        return Err(named(&format!("its vendor is {is}, --vendor says another")));
    }
    if config.accounts.is_empty() || config.domains.is_empty() {
        return Err(named(
            &"it needs at least one [[accounts]] and one [[domains]]",
        ));
    }
    Ok((config, None))
}

fn read(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file)
        .map_err(|error| Failure::usage(format!("cannot read {}: {error}", file.display())))
}

fn read_faults(file: &Path) -> Result<Vec<Rule>, Failure> {
    tidegate_sim::parse_faults(&read(file)?)
        .map_err(|error| Failure::usage(format!("{}: {error}", file.display())))
}

async fn simulate(
    args: &SimArgs,
    config: Config,
    ready: Option<Ready>,
    rules: Vec<Rule>,
) -> Result<Exit, Failure> {
    let mut signals = Signals::listen()?;
    crate::limits::raise_open_files();
    let running = Running::start(args, config, rules).await?;
    let shown = running.announce(args, ready.as_ref());
    if let Err(failure) = shown {
        running.stop().await;
        return Err(failure);
    }
    signals.stop().await;
    tracing::info!("stopping");
    let stopping = running.stop();
    tokio::select! {
        () = stopping => Ok(Exit::Done),
        () = signals.stop() => Err(Failure::failed("stopped at once by a second signal")),
    }
}

/// The addresses that can be connected to, as host and port.
#[derive(Serialize)]
struct Listening {
    vendor: &'static str,
    api: String,
    rtmp: String,
    media: String,
    admin: Option<String>,
    /// A key that was made and is told nowhere else.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<Value>,
}

/// A simulated CDN on the air.
struct Running {
    vendor: Vendor,
    api: Serving,
    rtmp: SocketAddr,
    media: SocketAddr,
    origin: JoinHandle<()>,
    listen_file: Option<PathBuf>,
    shutdown: CancellationToken,
}

impl Running {
    async fn start(args: &SimArgs, config: Config, rules: Vec<Rule>) -> Result<Self, Failure> {
        let vendor = config.vendor;
        let listen_file = args.state_dir.as_ref().map(|dir| dir.join(files::LISTEN));
        // What an earlier run left behind points to nobody.
        if let Some(file) = &listen_file {
            let _ = std::fs::remove_file(file);
        }
        let options = Options {
            rtmp: args.rtmp.unwrap_or(FREE),
            media: args.media.unwrap_or(FREE),
            ..Options::default()
        };
        let hub = Hub::new(&options);
        let plane = Arc::new(Plane::new(hub.clone(), &config.domains));
        let simulator = Simulator::new(config, Arc::new(SystemClock), plane.clone());
        simulator.set_faults(rules);
        let door = Arc::new(Door::new(plane, simulator.clone()));
        let origin = Origin::bind(&options, hub, door)
            .await
            .map_err(|error| Failure::failed(format!("{error}; choose another port")))?;
        let addresses = origin.addresses();
        let api = tidegate_sim::serve(simulator, args.listen, args.admin)
            .await
            .map_err(|error| {
                let wanted = args.admin.map(|a| format!(" or {a}")).unwrap_or_default();
                Failure::failed(format!("cannot listen on {}{wanted}: {error}", args.listen))
            })?;
        if let Some(admin) = api.admin().filter(|admin| !admin.ip().is_loopback()) {
            tracing::warn!(%admin, "the admin endpoint asks nobody for a key and is not on loopback");
        }
        let shutdown = CancellationToken::new();
        let token = shutdown.clone();
        Ok(Self {
            vendor,
            api,
            rtmp: addresses.rtmp,
            media: addresses.media,
            origin: tokio::spawn(origin.run(token)),
            listen_file,
            shutdown,
        })
    }

    async fn stop(self) {
        self.api.stop();
        self.shutdown.cancel();
        let _ = self.origin.await;
        if let Some(file) = &self.listen_file {
            let _ = std::fs::remove_file(file);
        }
    }

    fn listening(&self) -> Listening {
        let reachable = |mut address: SocketAddr| {
            files::make_reachable(&mut address);
            address.to_string()
        };
        Listening {
            vendor: self.vendor.name(),
            api: reachable(self.api.api()),
            rtmp: reachable(self.rtmp),
            media: reachable(self.media),
            admin: self.api.admin().map(reachable),
            account: None,
        }
    }

    /// Puts files away first: whoever sees `listen.json` finds the account too.
    fn announce(&self, args: &SimArgs, ready: Option<&Ready>) -> Result<(), Failure> {
        let mut listening = self.listening();
        let endpoint = format!("http://{}", listening.api);
        if let Some(dir) = &args.state_dir {
            if let Some(ready) = ready {
                ready.put_away(dir, &endpoint)?;
            }
            let text = serde_json::to_string(&listening).map_err(Failure::failed)?;
            write(dir, files::LISTEN, &format!("{text}\n"), Readers::All)?;
        }
        tracing::info!(
            vendor = self.vendor.name(),
            api = endpoint,
            rtmp = %self.rtmp,
            media = %self.media,
            "simulated CDN ready"
        );
        if args.json {
            let untold = ready.filter(|ready| ready.is_made && args.state_dir.is_none());
            listening.account = untold.map(|ready| ready.shown(&endpoint));
            let text = serde_json::to_string(&listening).map_err(Failure::failed)?;
            return output::line(&text);
        }
        let Listening { rtmp, media, .. } = &listening;
        output::pairs(&[
            ("API", endpoint),
            ("publish to", format!("rtmp://{rtmp}/live/STREAM")),
            ("play from", format!("http://{media}/live/STREAM.flv")),
            ("admin", listening.admin.unwrap_or_else(|| "-".to_owned())),
        ])?;
        match ready {
            Some(ready) => ready.announce(args),
            None => Ok(()),
        }
    }
}

/// Writes a file of the state directory, which is made for its owner alone.
fn write(dir: &Path, name: &str, text: &str, readers: Readers) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt as _;
    let path = dir.join(name);
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .and_then(|()| files::replace(&path, text.as_bytes(), readers))
        .map_err(|error| Failure::failed(format!("cannot write {}: {error}", path.display())))
}

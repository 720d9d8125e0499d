//! What all requests share, before and after the engine is attached.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use arc_swap::ArcSwapOption;
use tidegate_core::{Actor, Secret, UnixMs};
use tidegate_engine::Engine;
use tidegate_ledger::LedgerError;

use crate::api::Rates;
use crate::metrics::Calls;
use crate::options::ServerOptions;

/// A future that a [`Maintenance`] returns.
pub type Work<T> = Pin<Box<dyn Future<Output = Result<T, LedgerError>> + Send>>;

/// Work on the ledger that its trait does not cover; the binary knows the back end.
pub trait Maintenance: Send + Sync + 'static {
    /// Replaces the ledger's content by that of a backup, while it is in use, and returns where the
    /// replaced one is kept, if it is. The server makes the engine follow once this has returned.
    fn restore(&self, from: PathBuf, by: Actor, at: UnixMs) -> Work<Option<PathBuf>>;

    /// Figures of the store for `/metrics`.
    fn figures(&self) -> Vec<Figure> {
        Vec::new()
    }
}

/// One figure of the store.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// Without the `tidegate_ledger_` in front and without `_total` behind.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// Whether it only ever rises.
    pub rises: bool,
    /// Its value.
    pub value: f64,
}

/// What is attached once it is ready.
pub struct Attachment {
    /// Decides. Its ledger must already hold an admin token, or `/v1` answers nobody.
    pub engine: Arc<Engine>,
    /// Where the origin serves RTMP.
    pub rtmp: SocketAddr,
    /// Where the origin serves HTTP-FLV.
    pub media: SocketAddr,
    /// See there.
    pub maintenance: Arc<dyn Maintenance>,
}

/// What requests need once the server is ready.
pub(crate) struct Attached {
    pub(crate) engine: Arc<Engine>,
    pub(crate) rtmp: SocketAddr,
    pub(crate) media: SocketAddr,
    pub(crate) maintenance: Arc<dyn Maintenance>,
    pub(crate) origin_host: OriginHost,
    /// SHA-256 of the admin token. Kept here so that a stranger's guess never reaches the ledger.
    pub(crate) admin: ArcSwapOption<[u8; 32]>,
    /// Serialises what changes the admin token, so that ledger, memory and file agree.
    pub(crate) admin_changes: tokio::sync::Mutex<()>,
}

/// What every request shares.
pub(crate) struct Shared {
    pub(crate) options: ServerOptions,
    pub(crate) address: SocketAddr,
    pub(crate) rates: Rates,
    pub(crate) calls: Calls,
    /// Stands in for the secrets of an App that does not exist.
    pub(crate) dummy: Secret,
    pub(crate) began: Instant,
    pub(crate) started: UnixMs,
    attached: OnceLock<Arc<Attached>>,
}

impl Shared {
    pub(crate) fn new(options: ServerOptions, address: SocketAddr) -> Self {
        let mut random = [0u8; 16];
        // Its value does not matter, only its length: no signature is accepted with it.
        let _ = getrandom::fill(&mut random);
        Self {
            options,
            address,
            rates: Rates::default(),
            calls: Calls::default(),
            dummy: Secret::new(hex::encode(random)),
            began: Instant::now(),
            started: wall(),
            attached: OnceLock::new(),
        }
    }

    pub(crate) fn attached(&self) -> Option<&Arc<Attached>> {
        self.attached.get()
    }

    pub(crate) async fn attach(&self, parts: Attachment) -> Result<(), LedgerError> {
        let admin = parts.engine.ledger().admin_token().await?;
        let host = self.options.public_host.as_deref();
        let attached = Attached {
            origin_host: OriginHost::new(host, parts.rtmp),
            engine: parts.engine,
            rtmp: parts.rtmp,
            media: parts.media,
            maintenance: parts.maintenance,
            admin: ArcSwapOption::from(admin.map(Arc::new)),
            admin_changes: tokio::sync::Mutex::default(),
        };
        if self.attached.set(Arc::new(attached)).is_err() {
            tracing::warn!("an engine is attached already; the second one is ignored");
        }
        Ok(())
    }
}

fn wall() -> UnixMs {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UnixMs(0).plus(since.unwrap_or_default())
}

/// The origin's name in answers.
pub(crate) struct OriginHost {
    channel: String,
    in_url: String,
}

impl OriginHost {
    fn new(public: Option<&str>, rtmp: SocketAddr) -> Self {
        let channel = match public {
            Some(host) => host.to_owned(),
            None => reachable(rtmp.ip()).to_string(),
        };
        let in_url = match rtmp.port() {
            1935 => in_url(&channel),
            port => format!("{}:{port}", in_url(&channel)),
        };
        Self { channel, in_url }
    }

    /// The bare host.
    pub(crate) fn channel(&self) -> &str {
        &self.channel
    }

    /// With the port, unless it is RTMP's own.
    pub(crate) fn in_url(&self) -> &str {
        &self.in_url
    }
}

/// An address that a client on this machine can use: a wildcard becomes loopback.
pub(crate) fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(v4) if v4.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        // A v6 wildcard takes v4 peers too.
        IpAddr::V6(v6) if v6.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(v6.into(), IpAddr::V4),
        ip => ip,
    }
}

/// A host as it stands in a URL.
pub(crate) fn in_url(host: &str) -> String {
    match host.parse::<Ipv6Addr>() {
        Ok(_) => format!("[{host}]"),
        Err(_) => host.to_owned(),
    }
}

/// Replaces a file in one step, readable by its owner only.
pub(crate) fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;

    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    // A leftover of a crash could have other permissions.
    let _ = std::fs::remove_file(&beside);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    if let Some(parent) = path.parent() {
        std::fs::File::open(parent)?.sync_all()?;
    }
    Ok(())
}

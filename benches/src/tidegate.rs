//! The server under test: `tidegate serve` on private ports and a fresh data directory.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use md5::{Digest as _, Md5};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tidegate_core::AppId;

use crate::api::{Caller, now_seconds};
use crate::player::Source;
use crate::process::Server;
use crate::rtmp::Target;

/// Calls per second that are let through: more than there can be, so that the limiter does its
/// work and refuses nobody.
const NO_LIMIT: &str = "10000000";

/// A running server.
pub(crate) struct Tidegate {
    // Stopped before its directory goes.
    pub(crate) server: Server,
    dir: TempDir,
    pub(crate) listen: Listen,
    first_app: FirstApp,
}

/// What it says it listens on.
#[derive(Deserialize, Debug)]
pub(crate) struct Listen {
    pub(crate) rtmp: SocketAddr,
    pub(crate) media: SocketAddr,
    pub(crate) api: SocketAddr,
}

#[derive(Deserialize)]
struct FirstApp {
    app_id: u32,
    server_secret: String,
    publish_key: String,
    rtmp_app: String,
}

impl Tidegate {
    /// Starts it with rate limits lifted, nothing else changed.
    pub(crate) fn start(binary: &Path, scratch: &Path) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("tidegate-bench-")
            .tempdir_in(scratch)?;
        Self::start_in(binary, dir)
    }

    /// The same in a directory that an earlier one has left.
    pub(crate) fn start_in(binary: &Path, dir: TempDir) -> anyhow::Result<Self> {
        let data = dir.path().join("data");
        let _ = std::fs::remove_file(data.join("listen.json"));
        let binary = binary
            .canonicalize()
            .with_context(|| format!("no server at {}", binary.display()))?;
        let mut server = Server::start(&binary, &dir.path().join("log"), |command| {
            command.arg("serve").arg("--data-dir").arg(&data);
            for listener in ["RTMP", "MEDIA", "API", "WEBRTC"] {
                command.env(format!("TIDEGATE__LISTEN__{listener}"), "127.0.0.1:0");
            }
            for action in ["FORBID", "RESUME", "QUERY_FORBID"] {
                let key = format!("TIDEGATE__SERVER_API__RATES__{action}_CDN_LIVE_STREAM");
                command.env(key, NO_LIMIT);
            }
        })?;
        let listen = server
            .wait_for(|| read_json::<Listen>(&data.join("listen.json")))
            .with_context(|| log_tail(dir.path()))?;
        let first_app = read_json(&data.join("first-app.json"))
            .context("no readable first-app.json in the data directory")?;
        Ok(Self {
            server,
            dir,
            listen,
            first_app,
        })
    }

    /// Stops it and leaves its directory.
    pub(crate) fn stop(self) -> TempDir {
        drop(self.server);
        self.dir
    }

    /// The first App.
    pub(crate) fn app(&self) -> AppId {
        AppId(self.first_app.app_id)
    }

    /// The directory that holds its data, for measuring the disk it writes to.
    pub(crate) fn directory(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    pub(crate) fn caller(&self) -> anyhow::Result<Caller> {
        Caller::new(self.first_app.app_id, &self.first_app.server_secret)
    }

    /// Where to publish a stream, signed by the Tencent recipe as published.
    pub(crate) fn publish_target(&self, stream: &str) -> Target {
        let time = format!("{:x}", now_seconds() + 24 * 3600);
        let mut md5 = Md5::new();
        md5.update(format!("{}{stream}{time}", self.first_app.publish_key));
        let secret = hex::encode(md5.finalize());
        Target {
            addr: self.listen.rtmp,
            app: self.first_app.rtmp_app.clone(),
            name: format!("{stream}?txSecret={secret}&txTime={time}"),
        }
    }

    pub(crate) fn flv(&self, stream: &str) -> Source {
        Source::Http {
            addr: self.listen.media,
            path: format!("/{}/{stream}.flv", self.first_app.rtmp_app),
            live: true,
        }
    }

    pub(crate) fn rtmp(&self, stream: &str) -> Source {
        Source::Rtmp(Target {
            addr: self.listen.rtmp,
            app: self.first_app.rtmp_app.clone(),
            name: stream.to_owned(),
        })
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// The end of what the server wrote, for the error message.
fn log_tail(dir: &Path) -> String {
    let log = std::fs::read_to_string(dir.join("log")).unwrap_or_default();
    let skip = log.lines().count().saturating_sub(5);
    log.lines().skip(skip).collect::<Vec<_>>().join("\n")
}

//! `serve`: starts the parts in order, waits for a signal, stops them in order.

mod maintenance;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tidegate_engine::Engine;
use tidegate_ledger::DataDir;
use tidegate_origin::{Hub, Origin};
use tidegate_server::{Attachment, Server, ServerOptions};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::config::{AuthCodes, Config};
use crate::exit::{Exit, Failure};
use crate::files::{self, Readers};
use crate::signals::Signals;
use crate::store::Store;
use crate::telemetry::Telemetry;
use crate::{first_start, limits};
use maintenance::StoreWork;

/// What is left running once everything was told to stop is given up after this.
const LAST_TASKS: Duration = Duration::from_secs(1);

/// Runs the server until a signal ends it.
pub(crate) fn run(config: &Config) -> Result<Exit, Failure> {
    let telemetry = Telemetry::start(&config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = serve(config) => outcome,
            never = telemetry.report_loss() => never,
        }
    });
    runtime.shutdown_timeout(LAST_TASKS);
    outcome
}

async fn serve(config: &Config) -> Result<Exit, Failure> {
    let mut signals = Signals::listen()?;
    limits::raise_open_files();
    let mut running = tokio::select! {
        started = Running::start(config) => started?,
        () = signals.stop() => {
            tracing::info!("stopped before it had started");
            return Ok(Exit::Done);
        }
    };
    let ended = tokio::select! {
        () = signals.stop() => None,
        ended = running.faces.join_next() => ended,
        ended = running.loops.join_next() => ended,
    };
    let stopping = running.stop();
    tokio::select! {
        () = stopping => {}
        () = signals.stop() => {
            tracing::warn!("stopped at once by a second signal");
            return Err(Failure::failed("stopped at once by a second signal"));
        }
    }
    match ended {
        None => Ok(Exit::Done),
        Some(outcome) => Err(ended_by_itself(outcome)),
    }
}

fn ended_by_itself(outcome: Result<&'static str, JoinError>) -> Failure {
    match outcome {
        Ok(part) => Failure::failed(format!("the {part} stopped by itself; the log says why")),
        Err(error) => Failure::failed(format!("a part of the server failed: {error}")),
    }
}

/// What is really in use.
#[derive(Serialize)]
struct Listening {
    rtmp: String,
    media: String,
    api: String,
}

/// `listen.json`: there while the server runs.
struct ListenFile(PathBuf);

impl ListenFile {
    /// Says where the server is. Without the file the server serves all the same.
    fn write(&self, listening: &Listening) {
        let written = serde_json::to_string(listening)
            .map_err(std::io::Error::other)
            .and_then(|text| files::replace(&self.0, format!("{text}\n").as_bytes(), Readers::All));
        if let Err(error) = written {
            tracing::warn!(
                file = %self.0.display(), %error,
                "the addresses in use could not be written; name the server with --server"
            );
        }
    }

    /// What an earlier run left behind points to nobody, or to somebody else.
    fn remove(&self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Drop for ListenFile {
    fn drop(&mut self) {
        self.remove();
    }
}

/// A started server.
struct Running {
    stop_faces: CancellationToken,
    stop_loops: CancellationToken,
    /// What is listened on.
    faces: JoinSet<&'static str>,
    /// What records and carries out ends.
    loops: JoinSet<&'static str>,
    store: Store,
    listen_file: ListenFile,
}

impl Running {
    /// Starts everything; media and the Server API are served only once the blocks are in force.
    async fn start(config: &Config) -> Result<Self, Failure> {
        // Asked for before anything else, so that a second server hears who has the directory
        // rather than that a port is taken. The ledger takes the lock for good.
        drop(DataDir::lock(&config.data_dir)?);
        let (stop_faces, stop_loops) = (CancellationToken::new(), CancellationToken::new());
        let (mut faces, mut loops) = (JoinSet::new(), JoinSet::new());

        let server = Server::bind(server_options(config))
            .await
            .map_err(Failure::failed)?;
        let (api, handle) = (server.address(), server.handle());
        let token = stop_faces.clone();
        faces.spawn(async move {
            server.run(token).await;
            "API server"
        });

        let store = Store::open(config).await?;
        let listen_file = ListenFile(store.data_dir().join(files::LISTEN));
        listen_file.remove();
        let options = config.origin_options();
        let hub = Hub::new(&options);
        let settings = tidegate_engine::Options {
            cdn: config.cdn_options(),
            ..Default::default()
        };
        let engine = Engine::start(store.ledger(), hub.clone(), settings).await?;
        first_start::prepare(&engine, store.data_dir()).await?;

        let origin = Origin::bind(&options, hub, engine.clone())
            .await
            .map_err(media_bind_failed)?;
        let media = origin.addresses();
        let attachment = Attachment {
            engine: engine.clone(),
            rtmp: media.rtmp,
            media: media.media,
            maintenance: Arc::new(StoreWork(store.clone())),
        };
        handle.attach(attachment).await?;
        let token = stop_faces.clone();
        faces.spawn(async move {
            origin.run(token).await;
            "media server"
        });
        let token = stop_loops.clone();
        loops.spawn(async move {
            engine.run(token).await;
            "engine"
        });
        let listening = Listening {
            rtmp: media.rtmp.to_string(),
            media: media.media.to_string(),
            api: api.to_string(),
        };
        listen_file.write(&listening);
        log_ready(&listening, store.data_dir());
        Ok(Self {
            stop_faces,
            stop_loops,
            faces,
            loops,
            store,
            listen_file,
        })
    }

    /// Ends listeners and streams, then records what is queued, then closes the ledger: nothing is
    /// accepted that could not be recorded any more. Each part bounds its own time.
    async fn stop(&mut self) {
        tracing::info!("stopping");
        self.stop_faces.cancel();
        while self.faces.join_next().await.is_some() {}
        self.stop_loops.cancel();
        while self.loops.join_next().await.is_some() {}
        self.store.close().await;
        self.listen_file.remove();
        tracing::info!("stopped");
    }
}

fn log_ready(listening: &Listening, data_dir: &std::path::Path) {
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        data_dir = %data_dir.display(),
        rtmp = format!("rtmp://{}", listening.rtmp),
        media = format!("http://{}", listening.media),
        api = format!("http://{}", listening.api),
        "ready"
    );
}

fn media_bind_failed(error: tidegate_origin::BindError) -> Failure {
    let key = match error.what {
        "RTMP" => "listen.rtmp",
        _ => "listen.media",
    };
    Failure::failed(format!("{error}; free it, or set {key}"))
}

fn server_options(config: &Config) -> ServerOptions {
    let rates = &config.server_api.rates;
    ServerOptions {
        listen: config.listen.api,
        default_forbid: config.server_api.default_forbid,
        auth_codes: match config.server_api.auth_codes {
            AuthCodes::Action => tidegate_server::AuthCodes::Action,
            AuthCodes::Gateway => tidegate_server::AuthCodes::Gateway,
        },
        rates: tidegate_server::Rates {
            forbid_cdn_live_stream: rates.forbid_cdn_live_stream,
            resume_cdn_live_stream: rates.resume_cdn_live_stream,
            query_forbid_cdn_live_stream: rates.query_forbid_cdn_live_stream,
        },
        allow_plain_http: config.api.allow_plain_http,
        admin_token_file: Some(config.data_dir.join(files::ADMIN_TOKEN)),
        public_host: (!config.api.public_host.is_empty()).then(|| config.api.public_host.clone()),
        limits: tidegate_server::Limits {
            connections: config.api.max_connections,
            header_read: config.api.header_timeout,
            body_read: config.api.body_timeout,
            write: config.api.write_timeout,
            drain: config.api.drain,
        },
    }
}

//! A server with one App on a ledger of its own, and the signing of calls.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tidegate_core::{Actor, UnixMs, api_signature};
use tidegate_engine::{Engine, NewApp};
use tidegate_ledger::{App, Ledger, OpenOptions, PublishAuth, SqliteLedger};
use tidegate_origin::Hub;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{Attachment, Handle, Maintenance, Server, ServerOptions, Work};

pub(super) const TOKEN: &str = "token-of-the-test";

pub(super) struct Site {
    pub(super) dir: Arc<TempDir>,
    pub(super) ledger: Arc<SqliteLedger>,
    pub(super) engine: Arc<Engine>,
    pub(super) address: SocketAddr,
    pub(super) app: App,
    client: reqwest::Client,
    shutdown: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

struct Restorer(Arc<SqliteLedger>);

impl Maintenance for Restorer {
    fn restore(&self, from: PathBuf, by: Actor, at: UnixMs) -> Work<Option<PathBuf>> {
        let ledger = Arc::clone(&self.0);
        Box::pin(async move { Ok(ledger.restore(&from, Some(by), at).await?.replaced) })
    }
}

/// Options for a test: a free port, and no rates to run into.
pub(super) fn options() -> ServerOptions {
    let mut options = ServerOptions {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        ..ServerOptions::default()
    };
    options.rates.forbid_cdn_live_stream = 0;
    options.rates.resume_cdn_live_stream = 0;
    options.rates.query_forbid_cdn_live_stream = 0;
    options
}

/// A server that has nothing attached yet.
pub(super) async fn bare(options: ServerOptions) -> (SocketAddr, Handle, CancellationToken) {
    let server = Server::bind(options).await.expect("a free port");
    let (address, handle) = (server.address(), server.handle());
    let shutdown = CancellationToken::new();
    tokio::spawn(server.run(shutdown.clone()));
    (address, handle, shutdown)
}

pub(super) fn new_app(bind_nonces: bool) -> NewApp {
    NewApp {
        name: "test".into(),
        rtmp_app: None,
        publish_auth: PublishAuth::Signed,
        bind_nonces,
        default_forbid: None,
    }
}

impl Site {
    pub(super) async fn start() -> Self {
        Self::with(options()).await
    }

    pub(super) async fn with(options: ServerOptions) -> Self {
        let dir = Arc::new(tempfile::tempdir().expect("a directory"));
        Self::on(dir, options, None).await
    }

    /// Stops and starts again on the same ledger.
    pub(super) async fn restart(self) -> Self {
        let (dir, app) = (Arc::clone(&self.dir), self.app.clone());
        self.stop().await;
        Self::on(dir, options(), Some(app)).await
    }

    pub(super) async fn stop(self) {
        self.shutdown.cancel();
        for task in self.tasks {
            task.await.expect("no panic");
        }
        self.ledger.close().await;
    }

    async fn on(dir: Arc<TempDir>, options: ServerOptions, app: Option<App>) -> Self {
        let ledger = SqliteLedger::open(OpenOptions::new(dir.path())).await;
        let ledger = Arc::new(ledger.expect("a ledger"));
        let digest: [u8; 32] = Sha256::digest(TOKEN).into();
        ledger.set_admin_token(digest).await.expect("written");
        let hub = Hub::new(&tidegate_origin::Options::default());
        let settings = tidegate_engine::Options::default();
        let engine = Engine::start(ledger.clone(), hub, settings).await;
        let engine = engine.expect("an engine");
        let app = match app {
            Some(app) => app,
            None => {
                let app = engine.plan_app(new_app(true)).expect("a plan");
                engine.create_app(&app).await.expect("an App");
                app
            }
        };
        let server = Server::bind(options).await.expect("a free port");
        let address = server.address();
        server
            .handle()
            .attach(Attachment {
                engine: engine.clone(),
                rtmp: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 1935)),
                media: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
                maintenance: Arc::new(Restorer(ledger.clone())),
            })
            .await
            .expect("attached");
        let shutdown = CancellationToken::new();
        let tasks = vec![
            tokio::spawn(server.run(shutdown.clone())),
            tokio::spawn(engine.clone().run(shutdown.clone())),
        ];
        Self {
            dir,
            ledger,
            engine,
            address,
            app,
            client: reqwest::Client::new(),
            shutdown,
            tasks,
        }
    }

    /// A query signed at `timestamp` with a nonce of its own; `rest` is appended as it is.
    pub(super) fn signed_at(&self, action: &str, rest: &str, timestamp: i64) -> String {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let nonce = format!("nonce{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.signed_with(action, rest, timestamp, &nonce)
    }

    pub(super) fn signed_with(
        &self,
        action: &str,
        rest: &str,
        timestamp: i64,
        nonce: &str,
    ) -> String {
        let app = &self.app;
        let secret = &app.server_secrets[0].secret;
        let text = timestamp.to_string();
        let signature = api_signature::sign(app.id, nonce, secret, &text);
        format!(
            "Action={action}&AppId={}&SignatureNonce={nonce}&Timestamp={text}&Signature=\
             {signature}&SignatureVersion=2.0{rest}",
            app.id
        )
    }

    pub(super) fn signed(&self, action: &str, rest: &str) -> String {
        self.signed_at(action, rest, self.seconds())
    }

    pub(super) fn seconds(&self) -> i64 {
        self.engine.now().seconds()
    }

    /// Sends a GET with this query, answered with 200.
    pub(super) async fn get(&self, query: &str) -> Value {
        let url = format!("http://{}/?{query}", self.address);
        answer(self.client.get(url)).await
    }

    /// Sends a POST, answered with 200.
    pub(super) async fn post(&self, query: &str, body: impl Into<reqwest::Body>) -> Value {
        let url = format!("http://{}/?{query}", self.address);
        answer(self.client.post(url).body(body)).await
    }

    /// A freshly signed GET.
    pub(super) async fn call(&self, action: &str, rest: &str) -> Value {
        self.get(&self.signed(action, rest)).await
    }

    pub(super) fn is_blocked(&self, stream: &str) -> bool {
        self.engine.blocks().get(self.app.id, stream).is_some()
    }

    /// Calls `/v1` with the admin token; status and JSON.
    pub(super) async fn v1(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        self.v1_as(Some(TOKEN), method, path, body.to_string())
            .await
    }

    pub(super) async fn v1_as(
        &self,
        token: Option<&str>,
        method: &str,
        path: &str,
        body: String,
    ) -> (u16, Value) {
        let url = format!("http://{}/v1/{path}", self.address);
        let mut request = self.client.request(method.parse().expect("a method"), url);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if method != "GET" {
            request = request.body(body);
        }
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        let text = response.text().await.expect("text");
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Value {
    let response = request.send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    let kind = &response.headers()["content-type"];
    assert_eq!(kind, "application/json; charset=utf-8");
    let value: Value = response.json().await.expect("JSON");
    for field in ["Code", "Message", "RequestId", "Data"] {
        assert!(value.get(field).is_some(), "{field} in {value}");
    }
    value
}

/// Sends bytes as they are and returns everything until the server closes.
pub(super) async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).await.expect("connected");
    // The server may close before it has read all.
    let _ = socket.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

pub(super) fn code(answer: &Value) -> u64 {
    answer["Code"].as_u64().expect("a number")
}

pub(super) fn message(answer: &Value) -> &str {
    answer["Message"].as_str().expect("a text")
}

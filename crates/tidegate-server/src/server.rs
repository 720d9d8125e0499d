//! The accept loop, the connections, and where a request goes.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Extension;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tidegate_ledger::LedgerError;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service as _;

use crate::body::Reply;
use crate::connections::Connections;
use crate::options::ServerOptions;
use crate::state::{Attachment, Shared};
use crate::wire::Wire;
use crate::{api, health, metrics, v1};

/// hyper's buffer for a head: the longest query and all headers fit.
const HEAD_BUFFER: usize = 128 * 1024;
/// How long a connection that makes room may take to write an answer or end a request's head.
const EVICTION_GRACE: Duration = Duration::from_secs(1);
/// Pause after an accept that failed, as when file descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for the API: {source}; free it, or set listen.api")]
pub struct BindError {
    address: SocketAddr,
    source: io::Error,
}

/// A bound server that does not answer yet.
pub struct Server {
    listener: TcpListener,
    shared: Arc<Shared>,
    connections: Arc<Connections>,
}

/// Hands the engine to a running server.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    /// From here on the Server API and `/v1` answer. Later calls are ignored.
    pub async fn attach(&self, parts: Attachment) -> Result<(), LedgerError> {
        self.shared.attach(parts).await
    }
}

impl Server {
    /// Listens.
    pub async fn bind(options: ServerOptions) -> Result<Self, BindError> {
        let asked = options.listen;
        let failed = |source| BindError {
            address: asked,
            source,
        };
        let listener = TcpListener::bind(asked).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self {
            listener,
            shared: Arc::new(Shared::new(options, address)),
            connections: Arc::default(),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Attaches the engine later.
    pub fn handle(&self) -> Handle {
        Handle {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Serves until told to stop; then lets requests under way finish, for a bounded time.
    pub async fn run(self, shutdown: CancellationToken) {
        let limits = self.shared.options.limits;
        let abort = CancellationToken::new();
        let tasks = TaskTracker::new();
        let serve = Arc::new(Serve {
            router: router(&self.shared, &self.connections),
            shared: self.shared,
        });
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = shutdown.cancelled() => break,
            };
            let (socket, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Some(connection) = self.connections.open(limits.connections) else {
                tracing::warn!(%peer, "turned away: every connection is in the middle of a request");
                continue;
            };
            let serving = Arc::clone(&serve).connection(socket, peer, connection, shutdown.clone());
            let abort = abort.clone();
            tasks.spawn(async move { abort.run_until_cancelled(serving).await });
        }
        drop(self.listener);
        tasks.close();
        if tokio::time::timeout(limits.drain, tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                connections = tasks.len(),
                "closing before their requests are done"
            );
            abort.cancel();
            tasks.wait().await;
        }
    }
}

fn router(shared: &Arc<Shared>, connections: &Arc<Connections>) -> Router {
    Router::new()
        .merge(health::routes(shared))
        .merge(metrics::routes(shared, connections))
        .merge(v1::routes(shared))
}

/// What serves connections.
struct Serve {
    shared: Arc<Shared>,
    router: Router,
}

impl Serve {
    async fn connection(
        self: Arc<Self>,
        socket: TcpStream,
        peer: SocketAddr,
        connection: crate::connections::Connection,
        shutdown: CancellationToken,
    ) {
        let _ = socket.set_nodelay(true);
        let limits = self.shared.options.limits;
        let connection = &connection;
        let serve = &self;
        let service = service_fn(move |request| async move {
            connection.set_busy(true);
            let response = serve.request(peer, request).await;
            connection.set_busy(false);
            Ok::<_, Infallible>(response)
        });
        let io = TokioIo::new(Wire::new(socket, limits.write));
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_read)
            .max_buf_size(HEAD_BUFFER)
            // Answers are small: one copy is cheaper than a vectored write.
            .writev(false)
            .serve_connection(io, service);
        let mut serving = pin!(serving);
        let evicted = tokio::select! {
            // What went wrong is the peer's business: it hung up, or was answered with a 4xx.
            _ = serving.as_mut() => return,
            () = shutdown.cancelled() => false,
            () = connection.evicted() => true,
        };
        serving.as_mut().graceful_shutdown();
        loop {
            tokio::select! {
                _ = serving.as_mut() => return,
                // A head that trickles in would hold the room for as long as it likes.
                () = tokio::time::sleep(EVICTION_GRACE), if evicted => {
                    if !connection.is_busy() {
                        return;
                    }
                }
            }
        }
    }

    /// `/` is the hot path and goes past the router.
    async fn request(&self, peer: SocketAddr, request: Request<Incoming>) -> Response<Reply> {
        if request.uri().path() == "/" {
            return api::serve(&self.shared, peer, request).await;
        }
        let mut request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(Peer(peer));
        let Ok(response) = self.router.clone().call(request).await;
        response.map(Reply::Routed)
    }
}

/// Who is at the other end.
#[derive(Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// How handlers get it.
pub(crate) type PeerExtension = Extension<Peer>;

//! The two listeners: binding, accepting within bounds, stopping.

use std::hash::{BuildHasher as _, Hasher as _};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::gate::Gate;
use crate::hub::Hub;
use crate::metrics::{Metrics, Reason};
use crate::options::Options;
use crate::{http, rtmp};

/// Connections that the kernel may hold before they are accepted.
const BACKLOG: i32 = 4096;

/// First and longest wait after an accept error, such as too many open files.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Least time between two lines about the same trouble of a listener.
const LOG_EVERY: Duration = Duration::from_secs(5);

/// What every connection needs.
pub(crate) struct Context {
    pub(crate) hub: Hub,
    pub(crate) gate: Arc<dyn Gate>,
}

/// A connection's place among those allowed at once; given back when dropped.
pub(crate) struct Place {
    metrics: Arc<Metrics>,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    fn new(metrics: &Arc<Metrics>, permit: OwnedSemaphorePermit) -> Self {
        metrics.connections.rise();
        Self {
            metrics: Arc::clone(metrics),
            _permit: permit,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.connections.fall();
    }
}

/// The media server, bound and ready to run.
pub struct Origin {
    rtmp: TcpListener,
    media: TcpListener,
    addresses: Addresses,
    context: Arc<Context>,
    permits: Arc<Semaphore>,
}

/// The addresses in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Addresses {
    /// RTMP.
    pub rtmp: SocketAddr,
    /// HTTP-FLV and WebSocket-FLV.
    pub media: SocketAddr,
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for {what} on {address}: {source}")]
pub struct BindError {
    /// `RTMP` or `HTTP media`.
    pub what: &'static str,
    /// The address asked for.
    pub address: SocketAddr,
    /// The system's reason.
    pub source: io::Error,
}

#[derive(Clone, Copy)]
enum Kind {
    Rtmp,
    Media,
}

impl Origin {
    /// Opens both listeners. Nothing is accepted before [`Origin::run`], but the kernel already
    /// queues connections.
    #[expect(
        clippy::unused_async,
        reason = "the listeners register with the runtime"
    )]
    pub async fn bind(options: &Options, hub: Hub, gate: Arc<dyn Gate>) -> Result<Self, BindError> {
        let (rtmp, rtmp_address) = listen("RTMP", options.rtmp)?;
        let (media, media_address) = listen("HTTP media", options.media)?;
        Ok(Self {
            rtmp,
            media,
            addresses: Addresses {
                rtmp: rtmp_address,
                media: media_address,
            },
            context: Arc::new(Context { hub, gate }),
            permits: Arc::new(Semaphore::new(options.max_connections)),
        })
    }

    /// The addresses really in use.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Serves until told to stop, then ends publishers and players politely, for at most the
    /// grace of the hub's options.
    pub async fn run(self, shutdown: CancellationToken) {
        let hub = self.context.hub.clone();
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.accept(&self.rtmp, Kind::Rtmp) => {}
            () = self.accept(&self.media, Kind::Media) => {}
        }
        drop(self);
        hub.close();
        let shared = &hub.shared;
        shared.tasks.close();
        if timeout(shared.options.grace, shared.tasks.wait())
            .await
            .is_err()
        {
            tracing::info!("media connections closed: they did not end within the grace");
            shared.abort.cancel();
            shared.tasks.wait().await;
        }
    }

    async fn accept(&self, listener: &TcpListener, kind: Kind) {
        let mut back_off = BACK_OFF.0;
        let mut last_line: Option<Instant> = None;
        loop {
            let is_quiet = last_line.is_some_and(|at| at.elapsed() < LOG_EVERY);
            let (socket, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    if !is_quiet {
                        tracing::warn!("cannot accept connections: {error}");
                        last_line = Some(Instant::now());
                    }
                    sleep(back_off).await;
                    back_off = (back_off * 2).min(BACK_OFF.1);
                    continue;
                }
            };
            back_off = BACK_OFF.0;
            let metrics = &self.context.hub.shared.metrics;
            metrics.accepted.add(1);
            let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
                metrics.refuse(Reason::Limit);
                if !is_quiet {
                    let most = self.context.hub.shared.options.max_connections;
                    tracing::warn!(%peer, "connections are being closed: all {most} are in use");
                    last_line = Some(Instant::now());
                }
                continue;
            };
            let _ = socket.set_nodelay(true);
            self.spawn(kind, socket, peer, Place::new(metrics, permit));
        }
    }

    fn spawn(&self, kind: Kind, socket: TcpStream, peer: SocketAddr, place: Place) {
        let context = Arc::clone(&self.context);
        let shared = Arc::clone(&context.hub.shared);
        match kind {
            Kind::Rtmp => shared.spawn(rtmp::serve(context, socket, peer, place)),
            Kind::Media => shared.spawn(http::serve(context, socket, peer, place)),
        }
    }
}

fn listen(what: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), BindError> {
    let open = || -> io::Result<(TcpListener, SocketAddr)> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from_std(socket.into())?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    };
    open().map_err(|source| BindError {
        what,
        address,
        source,
    })
}

/// A handshake seed: unlike any other, not secret.
pub(crate) fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    for part in seed.chunks_exact_mut(8) {
        let random = std::hash::RandomState::new().build_hasher().finish();
        part.copy_from_slice(&random.to_ne_bytes());
    }
    seed
}

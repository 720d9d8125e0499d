//! A simulator on a socket: HTTP/1.1 with keep-alive, over an accept loop of our own so that a
//! connection can be closed in the middle of a call.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::{HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tidegate_core::UnixMs;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::admin::admin_routes;
use crate::simulator::{Simulator, Verdict};
use crate::wire::Request;

const MOST_CONNECTIONS: usize = 2048;
const MOST_BODY: usize = 1 << 20;
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// How often bans that spread slowly are looked at while no call comes.
const SETTLE_EVERY: Duration = Duration::from_millis(20);
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A running simulator. Stops when dropped.
#[derive(Debug)]
pub struct Serving {
    api: SocketAddr,
    admin: Option<SocketAddr>,
    stop: CancellationToken,
}

impl Serving {
    /// Where the vendor's API is.
    pub fn api(&self) -> SocketAddr {
        self.api
    }

    /// Where the admin endpoint is, if there is one.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// The API as a URL without a slash at the end.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.api)
    }

    /// Stops listening and closes every connection.
    pub fn stop(&self) {
        self.stop.cancel();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Serves the vendor's API on `listen` and, if wanted, the admin endpoint on `admin`. Port 0 picks
/// a free one.
///
/// # Errors
/// When a socket cannot be opened.
pub async fn serve(
    simulator: Arc<Simulator>,
    listen: SocketAddr,
    admin: Option<SocketAddr>,
) -> io::Result<Serving> {
    let stop = CancellationToken::new();
    let api = TcpListener::bind(listen).await?;
    let mut serving = Serving {
        api: api.local_addr()?,
        admin: None,
        stop: stop.clone(),
    };
    if let Some(admin) = admin {
        let listener = TcpListener::bind(admin).await?;
        serving.admin = Some(listener.local_addr()?);
        let routes = admin_routes(Arc::clone(&simulator));
        tokio::spawn(accept(listener, routes, stop.clone()));
    }
    let routes = Router::new()
        .fallback(any(answer))
        .with_state(Arc::clone(&simulator));
    tokio::spawn(accept(api, routes, stop.clone()));
    tokio::spawn(settle(simulator, stop));
    Ok(serving)
}

async fn settle(simulator: Arc<Simulator>, stop: CancellationToken) {
    let mut tick = tokio::time::interval(SETTLE_EVERY);
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        simulator.settle();
    }
}

async fn accept(listener: TcpListener, routes: Router, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let Some(Ok(place)) = stop
            .run_until_cancelled(Arc::clone(&places).acquire_owned())
            .await
        else {
            return;
        };
        let Some(accepted) = stop.run_until_cancelled(listener.accept()).await else {
            return;
        };
        match accepted {
            Ok((socket, _)) => {
                let (routes, stop) = (routes.clone(), stop.clone());
                tokio::spawn(async move {
                    stop.run_until_cancelled(connection(socket, routes)).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Tells the connection to close without an answer.
#[derive(Clone, Copy)]
struct CloseInstead;

async fn connection(socket: TcpStream, routes: Router) {
    let _ = socket.set_nodelay(true);
    let service = service_fn(|request: http::Request<Incoming>| {
        let answered = tower::Service::call(&mut routes.clone(), request);
        async move {
            let response = match answered.await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            if response.extensions().get::<CloseInstead>().is_some() {
                return Err(io::Error::from(io::ErrorKind::ConnectionAborted));
            }
            Ok(response)
        }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(socket), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "connection ended");
    }
}

async fn answer(
    State(simulator): State<Arc<Simulator>>,
    request: axum::extract::Request,
) -> Response {
    let Some(request) = read(request).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    // A task of its own: what has come in is done, even if its caller has gone meanwhile.
    let done = tokio::spawn(async move {
        let plan = simulator.prepare(&request);
        tokio::time::sleep(plan.wait_before()).await;
        let verdict = simulator.execute(&plan, &request);
        tokio::time::sleep(plan.wait_after()).await;
        verdict
    });
    match done.await {
        Ok(verdict) => respond(verdict),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn read(request: axum::extract::Request) -> Option<Request> {
    let (head, body) = request.into_parts();
    let body = http_body_util::Limited::new(body, MOST_BODY)
        .collect()
        .await
        .ok()?
        .to_bytes();
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
        .collect();
    Some(Request {
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        raw_query: head.uri.query().unwrap_or_default().to_owned(),
        headers,
        body,
    })
}

fn respond(verdict: Verdict) -> Response {
    let mut response = Response::new(Body::empty());
    let Some(reply) = verdict.reply else {
        response.extensions_mut().insert(CloseInstead);
        return response;
    };
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.status_mut() = status;
    let fields = response.headers_mut();
    for (name, value) in reply.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            fields.insert(name, value);
        }
    }
    if let Some(date) = http_date(verdict.date) {
        fields.insert(header::DATE, date);
    }
    *response.body_mut() = Body::from(reply.body);
    response
}

fn http_date(at: UnixMs) -> Option<HeaderValue> {
    let at = jiff::Timestamp::from_second(at.seconds()).ok()?;
    let text = jiff::fmt::rfc2822::DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&at)
        .ok()?;
    HeaderValue::from_str(&text).ok()
}

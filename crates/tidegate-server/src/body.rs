//! Request bodies with bounds, and response bodies without boxing on the hot path.

use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::{Semaphore, SemaphorePermit};

/// A response body.
pub(crate) enum Reply {
    /// Bytes that are there.
    Whole(Full<Bytes>),
    /// What an axum handler made.
    Routed(axum::body::Body),
}

impl Body for Reply {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|never| match never {}),
            Self::Routed(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Routed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Routed(body) => body.size_hint(),
        }
    }
}

/// A JSON response.
pub(crate) fn json(status: StatusCode, body: impl Into<Bytes>) -> Response<Reply> {
    let mut response = Response::new(Reply::Whole(Full::new(body.into())));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/json; charset=utf-8"),
    );
    response
}

/// Why a body could not be had.
#[derive(Debug)]
pub(crate) enum ReadError {
    TooLarge,
    Slow,
    Broken,
}

/// Bodies longer than [`SMALL`] that are held at once, over all connections. What is to be decided
/// fits a small one by far, so callers that send large ones wait for each other and for nobody else.
pub(crate) static LARGE: Semaphore = Semaphore::const_new(16);

/// Longest body that is read without waiting for a place among the large ones.
const SMALL: usize = 16 * 1024;

/// A body, and its place among the large ones for as long as it is held.
#[derive(Debug, Default)]
pub(crate) struct Held {
    bytes: Vec<u8>,
    place: Option<SemaphorePermit<'static>>,
}

impl Deref for Held {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads a body of at most `max` bytes within `wait`.
pub(crate) async fn read(
    mut body: Incoming,
    max: usize,
    wait: Duration,
) -> Result<Held, ReadError> {
    let read = async {
        let mut whole = Held::default();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| ReadError::Broken)?;
            if let Ok(data) = frame.into_data() {
                let length = whole.bytes.len() + data.len();
                if length > max {
                    return Err(ReadError::TooLarge);
                }
                if length > SMALL && whole.place.is_none() {
                    whole.place = LARGE.acquire().await.ok();
                    // Growing by doubling would hold up to twice the body.
                    whole.bytes.reserve_exact(max - whole.bytes.len());
                }
                whole.bytes.extend_from_slice(&data);
            }
        }
        Ok(whole)
    };
    let outcome = tokio::time::timeout(wait, read).await;
    let outcome = outcome.unwrap_or(Err(ReadError::Slow));
    if outcome.is_err() {
        drain(body);
    }
    outcome
}

/// Most bytes that are read and thrown away so that a peer in mid-body still gets its answer.
const DRAIN_BYTES: usize = 8 * 1024 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// Reads the rest of an unwanted body in the background. Closing with bytes unread would reset the
/// connection, and the peer could lose the answer.
pub(crate) fn drain(mut body: Incoming) {
    if body.is_end_stream() {
        return;
    }
    tokio::spawn(tokio::time::timeout(DRAIN_TIME, async move {
        let mut left = DRAIN_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let size = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(size) {
                Some(rest) => left = rest,
                None => break,
            }
        }
    }));
}

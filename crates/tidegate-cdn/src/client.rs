//! The HTTP client: pooled, bounded in time and size, and going nowhere but where it is sent.

use std::error::Error as _;
use std::time::Duration;

use reqwest::header::{HOST, HeaderName, HeaderValue};
use reqwest::{Method, Response, redirect};
use tidegate_core::text::printable;

use crate::endpoint::check_clear_text;
use crate::failure::{ErrorClass, Refusal};
use crate::wire::{HttpRequest, HttpResponse};

/// Most response headers kept, and most bytes of each value.
const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 1024;

/// Bounds of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientOptions {
    /// To a connection, TLS included.
    pub connect_timeout: Duration,
    /// Between two reads.
    pub read_timeout: Duration,
    /// From the first step to the last byte; a lease must outlast it.
    pub total_timeout: Duration,
    /// Most bytes of a body.
    pub max_response_bytes: usize,
    /// Connections kept open per host while idle.
    pub idle_per_host: usize,
}

impl Default for ClientOptions {
    /// 3 s to connect, 5 s between reads, 8 s in all, 4 MiB, 16 idle connections.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            read_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(8),
            max_response_bytes: 4 << 20,
            idle_per_host: 16,
        }
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A bound of zero would refuse every call.
    #[error("{0} is zero; it must be more")]
    Zero(&'static str),
    /// TLS could not be set up.
    #[error("the HTTP client cannot be set up: {0}")]
    Setup(String),
}

/// A pooled client for HTTP/1.1 and HTTP/2; cheap to clone, shared by all accounts. It follows no
/// redirects, looks at no proxy in the environment, keeps no cookies and decompresses nothing.
#[derive(Clone, Debug)]
pub struct HttpClient {
    inner: reqwest::Client,
    options: ClientOptions,
}

/// A call that brought no answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SendError {
    pub(crate) class: ErrorClass,
    pub(crate) words: String,
}

impl SendError {
    fn new(class: ErrorClass, words: impl Into<String>) -> Self {
        let words = words.into();
        Self { class, words }
    }
}

impl HttpClient {
    /// Sets up TLS with the system's roots.
    pub fn new(options: ClientOptions) -> Result<Self, ClientError> {
        for (what, bound) in [
            ("connect_timeout", options.connect_timeout),
            ("read_timeout", options.read_timeout),
            ("total_timeout", options.total_timeout),
        ] {
            if bound.is_zero() {
                return Err(ClientError::Zero(what));
            }
        }
        if options.max_response_bytes == 0 {
            return Err(ClientError::Zero("max_response_bytes"));
        }
        let inner = reqwest::Client::builder()
            .connect_timeout(options.connect_timeout)
            .read_timeout(options.read_timeout)
            .timeout(options.total_timeout)
            .pool_max_idle_per_host(options.idle_per_host)
            .pool_idle_timeout(Duration::from_secs(30))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .user_agent(concat!("tidegate/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| ClientError::Setup(chain(&error)))?;
        Ok(Self { inner, options })
    }

    /// The bounds it keeps.
    pub fn options(&self) -> &ClientOptions {
        &self.options
    }

    /// Sends a request and reads the answer to its end, within `budget` if that is less than the
    /// total timeout.
    pub(crate) async fn send(
        &self,
        request: &HttpRequest,
        budget: Duration,
    ) -> Result<HttpResponse, SendError> {
        check_clear_text(request.scheme, &request.host)
            .map_err(|error| unsendable(error.to_string()))?;
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|_| unsendable("the method is not one of HTTP"))?;
        let mut builder = self
            .inner
            .request(method, request.url())
            .timeout(budget.min(self.options.total_timeout));
        for (name, value) in &request.headers {
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| unsendable("a header name is not one of HTTP"))?;
            // The host follows from the address, also where HTTP/2 has no such header.
            if name == HOST {
                continue;
            }
            let mut value = HeaderValue::from_bytes(value.as_bytes())
                .map_err(|_| unsendable(format!("the {name} header cannot be sent")))?;
            value.set_sensitive(true);
            builder = builder.header(name, value);
        }
        let response = builder
            .body(request.body.clone())
            .send()
            .await
            .map_err(|error| not_answered(&error))?;
        self.receive(response).await
    }

    async fn receive(&self, mut response: Response) -> Result<HttpResponse, SendError> {
        let status = response.status().as_u16();
        let headers = response
            .headers()
            .iter()
            .take(MAX_HEADERS)
            .map(|(name, value)| {
                let bytes = value.as_bytes();
                let kept = bytes.get(..MAX_HEADER_BYTES).unwrap_or(bytes);
                let value = String::from_utf8_lossy(kept).into_owned();
                (name.as_str().to_owned(), value)
            })
            .collect();
        let max = self.options.max_response_bytes;
        let too_large = || {
            let words = format!("HTTP {status} with more than the {max} bytes that are read");
            SendError::new(ErrorClass::Unknown, words)
        };
        let announced = response.content_length().unwrap_or_default();
        if usize::try_from(announced).map_or(true, |announced| announced > max) {
            return Err(too_large());
        }
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > max => return Err(too_large()),
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => {
                    let words = format!(
                        "HTTP {status}, then the answer broke off: {}",
                        chain(&error)
                    );
                    return Err(SendError::new(ErrorClass::Unknown, words));
                }
            }
        }
        Ok(HttpResponse {
            status,
            headers,
            body,
        })
    }
}

fn unsendable(words: impl Into<String>) -> SendError {
    SendError::new(ErrorClass::Permanent(Refusal::Endpoint), words)
}

/// Only what failed while connecting is known not to have been sent.
fn not_answered(error: &reqwest::Error) -> SendError {
    let text = chain(error);
    if error.is_builder() {
        return unsendable(text);
    }
    if error.is_connect() {
        let class = ErrorClass::Retry { after: None };
        return SendError::new(class, format!("no connection, nothing was sent: {text}"));
    }
    let words = match error.is_timeout() {
        true => format!("no answer in time: {text}"),
        false => format!("no answer: {text}"),
    };
    SendError::new(ErrorClass::Unknown, words)
}

/// An error with its causes but without the address, which holds signatures.
fn chain(error: &reqwest::Error) -> String {
    let mut texts = Vec::new();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        source = cause.source();
    }
    if texts.is_empty() {
        let kind = if error.is_timeout() {
            "timed out"
        } else {
            "the request failed"
        };
        texts.push(kind.to_owned());
    }
    printable(&texts.join(": "), 300)
}

//! Server API v2: transport, and the order of checks of every call.
//!
//! What an action's parameters mean is in a module of its own, with one row in [`actions`].

mod actions;
mod answer;
mod auth;
mod codes;
mod decide;
mod decisions;
mod params;
mod query;
mod rates;
mod refusal;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use tidegate_core::text::printable;
use tidegate_core::{RequestId, UnixMs};
use tidegate_engine::AppEntry;

pub(crate) use self::actions::ACTIONS;
use self::actions::Serve;
use self::answer::Answer;
use self::auth::{Asked, Identified, Keys};
pub(crate) use self::codes::Code;
use self::params::{Common, Params};
pub(crate) use self::rates::Rates;
use self::refusal::Refusal;
use crate::body::{self, Held, ReadError, Reply};
use crate::state::{Attached, OriginHost, Shared};

/// Longest query.
const MAX_QUERY: usize = 60 * 1024;
/// Largest body.
const MAX_BODY: usize = 1024 * 1024;
/// Largest head besides the query.
const MAX_HEADERS: usize = 32 * 1024;

/// An authenticated call, as actions see it.
pub(crate) struct Call<'a> {
    pub(crate) attached: &'a Attached,
    pub(crate) entry: &'a AppEntry,
    pub(crate) now: UnixMs,
    pub(crate) default_forbid: Duration,
    pub(crate) origin_host: &'a OriginHost,
}

/// Answers a request on `/`.
pub(crate) async fn serve(
    shared: &Arc<Shared>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Response<Reply> {
    let began = Instant::now();
    let (head, body) = request.into_parts();
    let Some(attached) = shared.attached() else {
        return body::json(
            StatusCode::SERVICE_UNAVAILABLE,
            answer::compose(1, "starting: blocks are being loaded", "", b"null"),
        );
    };
    if let Err((status, words)) = acceptable(&head, &body) {
        body::drain(body);
        return refuse_transport(attached, status, words, peer);
    }
    let query = head.uri.query().unwrap_or("");
    let common = Common::read(query);
    let id = attached.engine.request_id();
    let asked = auth::action(&common);
    let mut line = Line {
        action: None,
        app: 0,
        peer,
        began,
    };
    if let Ok(Ok((at, _))) = &asked {
        line.action = Some(*at);
    }
    let mut call = Executing {
        shared,
        attached,
        peer,
        id,
        query,
        common: &common,
        line: &mut line,
    };
    let executed = match &asked {
        Ok(asked) => call.execute(asked, &head, body).await,
        Err(refusal) => {
            body::drain(body);
            Ok(Answer::refused(refusal, id))
        }
    };
    match executed {
        Ok(answer) => {
            let unknown = match &asked {
                Ok(Err(name)) => Some(&**name),
                _ => None,
            };
            line.write(shared, &answer, id, unknown);
            body::json(StatusCode::OK, answer.body)
        }
        Err((status, words)) => refuse_transport(attached, status, words, peer),
    }
}

/// A status above 399 and its words.
type Transport = (StatusCode, &'static str);

struct Executing<'a> {
    shared: &'a Arc<Shared>,
    attached: &'a Arc<Attached>,
    peer: SocketAddr,
    id: RequestId,
    query: &'a str,
    common: &'a Common<'a>,
    line: &'a mut Line,
}

impl Executing<'_> {
    async fn execute(
        &mut self,
        asked: &Asked<'_>,
        head: &Parts,
        body: Incoming,
    ) -> Result<Answer, Transport> {
        let now = self.attached.engine.now();
        let (action, who) = match self.admit(asked, now) {
            Ok(admitted) => admitted,
            Err(refusal) => {
                body::drain(body);
                return Ok(Answer::refused(&refusal, self.id));
            }
        };
        let body = match head.method {
            Method::POST => self.read(body).await?,
            _ => Held::default(),
        };
        let params = Params::gather(self.query, &body);
        let call = Call {
            attached: self.attached,
            entry: &who.entry,
            now,
            default_forbid: self.shared.options.default_forbid,
            origin_host: &self.attached.origin_host,
        };
        let served = match &action.1.serve {
            Serve::Read(read, _) => self
                .within_rate(action, &who)
                .and(params)
                .and_then(|params| read(&call, &params))
                .map(|found| Answer::new(Code::Success, &found.message, self.id, &found.data)),
            Serve::Decide(wish, _) => {
                let digest = match &params {
                    Ok(params) => params.digest(),
                    Err(_) => params::unreadable_digest(self.query, &body),
                };
                match self.claim(asked, &who, digest).await {
                    Ok(claimed) => match claimed {
                        decide::Claimed::Answer(answer) => Ok(answer),
                        decide::Claimed::Go(nonce) => {
                            let wish = self
                                .within_rate(action, &who)
                                .and(params)
                                .and_then(|params| wish(&call, &params));
                            match wish {
                                Ok(wish) => self.decide(asked, &who, wish, nonce, now).await,
                                Err(refusal) => Err(refusal),
                            }
                        }
                    },
                    Err(refusal) => Err(refusal),
                }
            }
            Serve::Unsupported => Err(unsupported(action.1.name)),
        };
        Ok(served.unwrap_or_else(|refusal| Answer::refused(&refusal, self.id)))
    }

    /// Everything up to and including "Action known".
    fn admit(
        &mut self,
        asked: &Asked<'_>,
        now: UnixMs,
    ) -> Result<((usize, &'static actions::Action), Identified), Refusal> {
        let apps = self.attached.engine.apps();
        let keys = Keys {
            find: &|id| apps.get(id).cloned(),
            dummy: &self.shared.dummy,
            codes: self.shared.options.auth_codes,
            now,
        };
        let who = auth::identify(self.common, asked, &keys)?;
        self.line.app = who.entry.app.id.0;
        match asked {
            Ok((_, action)) if matches!(action.serve, Serve::Unsupported) => {
                Err(unsupported(action.name))
            }
            Ok(action) => Ok((*action, who)),
            Err(name) => Err(unsupported(name)),
        }
    }

    fn within_rate(
        &self,
        (at, action): (usize, &actions::Action),
        who: &Identified,
    ) -> Result<(), Refusal> {
        let limits = &self.shared.options.rates;
        let per_second = match &action.serve {
            Serve::Read(_, limit) | Serve::Decide(_, limit) => limit(limits),
            Serve::Unsupported => 0,
        };
        let now_ms = u64::try_from(self.shared.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let app = who.entry.app.id;
        if self.shared.rates.take(app, at, per_second, now_ms) {
            return Ok(());
        }
        Err(Refusal::new(
            Code::TooOften,
            format!(
                "called too often: this App may call {} {per_second} times a second; wait and \
                 call again",
                action.name
            ),
        ))
    }

    async fn read(&self, body: Incoming) -> Result<Held, Transport> {
        let wait = self.shared.options.limits.body_read;
        body::read(body, MAX_BODY, wait)
            .await
            .map_err(|error| match error {
                ReadError::TooLarge => TOO_LARGE,
                ReadError::Slow => (
                    StatusCode::REQUEST_TIMEOUT,
                    "the body did not arrive in time",
                ),
                ReadError::Broken => (StatusCode::BAD_REQUEST, "the body could not be read"),
            })
    }
}

const TOO_LARGE: Transport = (
    StatusCode::PAYLOAD_TOO_LARGE,
    "the body may have 1048576 bytes at most",
);

fn unsupported(name: &str) -> Refusal {
    let words = format!(
        "Action {} is not supported here; ForbidCDNLiveStream, ResumeCDNLiveStream and \
         QueryForbidCDNLiveStream are",
        refusal::shown(name)
    );
    Refusal::new(Code::ActionUnsupported, words)
}

/// What can be said before a call is looked at.
fn acceptable(head: &Parts, body: &Incoming) -> Result<(), Transport> {
    if !matches!(head.method, Method::GET | Method::POST) {
        return Err((
            StatusCode::METHOD_NOT_ALLOWED,
            "only GET and POST are served here",
        ));
    }
    if head
        .uri
        .query()
        .is_some_and(|query| query.len() > MAX_QUERY)
    {
        return Err((
            StatusCode::URI_TOO_LONG,
            "the query may have 61440 bytes at most",
        ));
    }
    let headers = head.headers.iter();
    let size: usize = headers
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    if size > MAX_HEADERS {
        return Err((
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "the headers may have 32768 bytes at most",
        ));
    }
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(TOO_LARGE);
    }
    Ok(())
}

fn refuse_transport(
    attached: &Attached,
    status: StatusCode,
    words: &str,
    peer: SocketAddr,
) -> Response<Reply> {
    let id = attached.engine.request_id();
    tracing::info!(target: "tidegate::api", status = status.as_u16(), request_id = %id, %peer,
        "refused: {words}");
    let code = Code::Parameter.number();
    let json = answer::compose(code, words, &id.to_string(), b"null");
    let mut response = body::json(status, json);
    if status == StatusCode::METHOD_NOT_ALLOWED {
        let allow = http::HeaderValue::from_static("GET, POST");
        response.headers_mut().insert(http::header::ALLOW, allow);
    }
    response
}

/// The one log line of a call.
struct Line {
    action: Option<usize>,
    app: u32,
    peer: SocketAddr,
    began: Instant,
}

impl Line {
    fn write(&self, shared: &Shared, answer: &Answer, id: RequestId, unknown: Option<&str>) {
        let took = self.began.elapsed();
        shared.calls.count(self.action, answer.code, took);
        if !tracing::enabled!(target: "tidegate::api", tracing::Level::INFO) {
            return;
        }
        let known = self.action.and_then(|at| ACTIONS.get(at));
        let stranger;
        let action = match (known, unknown) {
            (Some(action), _) => action.name,
            (None, Some(name)) => {
                stranger = printable(name, 64);
                &stranger
            }
            (None, None) => "-",
        };
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        tracing::info!(target: "tidegate::api", action, app_id = self.app,
            code = answer.code.number(), request_id = %id, peer = %self.peer, us, "call");
    }
}

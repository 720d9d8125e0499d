//! REST `/v1`, for operators: the command line and the console are its clients.
//!
//! Every call is checked here once; the modules below hold one resource each.

mod accounts;
mod apps;
mod decisions;
mod error;
mod input;
mod maintenance;
mod status;
mod streams;
mod targets;
mod urls;

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{OriginalUri, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Extension, Router};
use http::header::AUTHORIZATION;
use sha2::{Digest, Sha256};
use tidegate_core::Actor;
use tidegate_core::secret::same_bytes;

use self::error::ApiError;
use crate::server::PeerExtension;
use crate::state::{Attached, Shared};

/// Largest request body.
const MAX_BODY: usize = 1024 * 1024;

/// A request that has passed the guard.
#[derive(Clone)]
struct Context {
    shared: Arc<Shared>,
    attached: Arc<Attached>,
    operator: Operator,
}

/// Who is at work.
#[derive(Clone)]
struct Operator {
    name: String,
    client: IpAddr,
}

impl Operator {
    fn actor(&self) -> Actor {
        Actor::Operator {
            name: self.name.clone(),
            client: self.client,
        }
    }
}

type Ctx = Extension<Context>;

pub(crate) fn routes(shared: &Arc<Shared>) -> Router {
    let calls = Router::new()
        .route("/status", get(status::server))
        .route("/apps", get(apps::list).post(apps::create))
        .route("/apps/{id}", get(apps::show))
        .route("/apps/{id}/rotate-secret", post(apps::rotate_secret))
        .route(
            "/apps/{id}/rotate-publish-key",
            post(apps::rotate_publish_key),
        )
        .route("/apps/{id}/disable", post(apps::disable))
        .route("/apps/{id}/enable", post(apps::enable))
        .route("/apps/{id}/targets", get(targets::list).post(targets::add))
        .route("/apps/{id}/streams", get(streams::live))
        .route("/apps/{id}/blocks", get(streams::blocks))
        .route("/apps/{id}/streams/{stream}", get(streams::status))
        .route(
            "/apps/{id}/streams/{stream}/forbid",
            post(decisions::forbid),
        )
        .route(
            "/apps/{id}/streams/{stream}/resume",
            post(decisions::resume),
        )
        .route(
            "/apps/{id}/streams/{stream}/publish-url",
            get(urls::publish),
        )
        .route("/apps/{id}/sign", post(urls::sign))
        .route("/targets", get(targets::list_all))
        .route("/targets/{id}", delete(targets::remove))
        .route("/targets/{id}/test", post(targets::test))
        .route("/accounts", get(accounts::list).post(accounts::add))
        .route("/accounts/{name}", delete(accounts::remove))
        .route("/accounts/{name}/test", post(accounts::test))
        .route("/accounts/{name}/rotate", post(accounts::rotate))
        .route("/audit/head", get(maintenance::head))
        .route("/ledger/backup", post(maintenance::backup))
        .route("/ledger/restore", post(maintenance::restore))
        .route("/ledger/confirm", post(maintenance::confirm))
        .route("/clock/accept", post(maintenance::accept_clock))
        .route("/admin-token/rotate", post(maintenance::rotate_token))
        .fallback(no_such_call)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(Arc::clone(shared), guard));
    Router::new().nest("/v1", calls).fallback(no_such_call)
}

async fn no_such_call(OriginalUri(uri): OriginalUri) -> ApiError {
    let path = tidegate_core::text::printable(uri.path(), 120);
    ApiError::not_found(format!("there is nothing at {path}"))
}

async fn wrong_method(request: Request) -> ApiError {
    ApiError::wrong_method(request.method())
}

/// Address, readiness, token, operator name and body, in this order. The call itself runs in a
/// task of its own, so that a client who hangs up leaves nothing half done.
async fn guard(
    State(shared): State<Arc<Shared>>,
    Extension(peer): PeerExtension,
    request: Request,
    next: Next,
) -> Response {
    match admit(&shared, peer.0.ip().to_canonical(), request).await {
        Ok(request) => match tokio::spawn(next.run(request)).await {
            Ok(response) => response,
            Err(_) => ApiError::internal("an internal error; the log has more").into_response(),
        },
        Err(error) => error.into_response(),
    }
}

async fn admit(
    shared: &Arc<Shared>,
    client: IpAddr,
    request: Request,
) -> Result<Request, ApiError> {
    if !client.is_loopback() && !shared.options.allow_plain_http {
        return Err(ApiError::forbidden(
            "/v1 is served over plain HTTP to this machine only; put TLS in front of it and set \
             api.allow_plain_http = true",
        ));
    }
    let Some(attached) = shared.attached() else {
        return Err(ApiError::unavailable("starting: blocks are being loaded"));
    };
    let (mut head, body) = request.into_parts();
    let bearer = head
        .headers
        .get(AUTHORIZATION)
        .map(|value| value.as_bytes());
    authenticate(attached, bearer)?;
    let operator = Operator {
        name: input::operator_name(&head.headers)?,
        client,
    };
    let wait = shared.options.limits.body_read;
    let read = tokio::time::timeout(wait, axum::body::to_bytes(body, MAX_BODY)).await;
    let body = match read {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return Err(ApiError::too_large(MAX_BODY)),
        Err(_) => return Err(ApiError::invalid("the body did not arrive in time")),
    };
    head.extensions.insert(Context {
        shared: Arc::clone(shared),
        attached: Arc::clone(attached),
        operator,
    });
    Ok(Request::from_parts(head, body.into()))
}

fn authenticate(attached: &Attached, header: Option<&[u8]>) -> Result<(), ApiError> {
    let Some(header) = header else {
        return Err(ApiError::unauthorised(
            "the admin token is missing: send `Authorization: Bearer <token>`; the server keeps \
             it in the file admin-token of its data directory",
        ));
    };
    let token = match header.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => token,
        _ => {
            return Err(ApiError::unauthorised(
                "Authorization must be `Bearer <token>`",
            ));
        }
    };
    let digest: [u8; 32] = Sha256::digest(token.trim_ascii()).into();
    let want = attached.admin.load();
    let right = want
        .as_ref()
        .is_some_and(|want| same_bytes(&**want, &digest));
    if right {
        return Ok(());
    }
    Err(ApiError::unauthorised(
        "the admin token is wrong; the server keeps it in the file admin-token of its data \
         directory",
    ))
}

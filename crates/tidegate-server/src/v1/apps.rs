//! Apps and their secrets.

use axum::body::Bytes;
use axum::extract::Path;
use axum::{Extension, Json};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_core::UnixMs;
use tidegate_engine::NewApp;
use tidegate_ledger::{App, PublishAuth};

use super::error::ApiError;
use super::input;
use super::{Context, Ctx};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    name: Option<String>,
    rtmp_app: Option<String>,
    publish_auth: Option<PublishAuth>,
    nonce: Option<NonceRule>,
    default_forbid: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum NonceRule {
    Bind,
    Compatible,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotate {
    #[serde(default)]
    now: bool,
}

/// An App as `/v1` shows it: no secrets.
fn shown(context: &Context, app: &App) -> Value {
    let now = context.attached.engine.now();
    let live = |end: Option<UnixMs>| end.is_none_or(|end| end > now);
    let secrets = app
        .server_secrets
        .iter()
        .filter(|s| live(s.expires))
        .count();
    let default = context.shared.options.default_forbid;
    json!({
        "app_id": app.id,
        "name": app.name,
        "rtmp_app": app.rtmp_app,
        "disabled": app.disabled,
        "created": app.created.to_string(),
        "publish_auth": app.publish_auth,
        "nonce": if app.bind_nonces { "bind" } else { "compatible" },
        "default_forbid": input::written(app.default_forbid.unwrap_or(default)),
        "secrets": secrets,
    })
}

pub(super) async fn list(Extension(context): Ctx) -> Json<Value> {
    let apps = context.attached.engine.apps();
    Json(
        apps.list()
            .iter()
            .map(|e| shown(&context, &e.app))
            .collect(),
    )
}

pub(super) async fn show(
    Extension(context): Ctx,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(shown(&context, &context.app(&id)?.app)))
}

pub(super) async fn create(
    Extension(context): Ctx,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let asked: Create = input::body(&body)?;
    let default_forbid = asked.default_forbid.as_deref().map(input::duration);
    let name = asked.name.or_else(|| asked.rtmp_app.clone());
    let engine = &context.attached.engine;
    let app = engine.plan_app(NewApp {
        name: name.unwrap_or_else(|| "app".to_owned()),
        rtmp_app: asked.rtmp_app,
        publish_auth: asked.publish_auth.unwrap_or(PublishAuth::Signed),
        bind_nonces: !matches!(asked.nonce, Some(NonceRule::Compatible)),
        default_forbid: default_forbid.transpose()?,
    })?;
    engine.create_app(&app).await?;
    let mut answer = shown(&context, &app);
    if let (Value::Object(fields), Some(current)) = (&mut answer, app.server_secrets.first()) {
        for (name, secret) in [
            ("server_secret", &current.secret),
            ("callback_secret", &app.callback_secret),
            ("publish_key", &app.publish_key),
        ] {
            fields.insert(name.to_owned(), secret.expose().into());
        }
    }
    Ok((StatusCode::CREATED, Json(answer)))
}

pub(super) async fn rotate_secret(
    Extension(context): Ctx,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let asked: Rotate = input::body(&body)?;
    let entry = context.app(&id)?;
    let engine = &context.attached.engine;
    let now = engine.now();
    let secret = engine.rotate_secret(entry.app.id, asked.now).await?;
    let rotated = engine.apps().get(entry.app.id).cloned();
    let earlier = rotated.and_then(|entry| entry.app.server_secrets.get(1)?.expires);
    Ok(Json(json!({
        "app_id": entry.app.id,
        "server_secret": secret.expose(),
        "earlier_ends": earlier.unwrap_or(now).to_string(),
    })))
}

pub(super) async fn rotate_publish_key(
    Extension(context): Ctx,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let asked: Rotate = input::body(&body)?;
    let app = context.app(&id)?.app.id;
    let engine = &context.attached.engine;
    let key = engine.rotate_publish_key(app, asked.now).await?;
    Ok(Json(json!({
        "app_id": app,
        "publish_key": key.expose(),
        "earlier_kept": !asked.now,
    })))
}

pub(super) async fn disable(ctx: Ctx, path: Path<String>) -> Result<Json<Value>, ApiError> {
    set_disabled(ctx, path, true).await
}

pub(super) async fn enable(ctx: Ctx, path: Path<String>) -> Result<Json<Value>, ApiError> {
    set_disabled(ctx, path, false).await
}

async fn set_disabled(
    Extension(context): Ctx,
    Path(id): Path<String>,
    disabled: bool,
) -> Result<Json<Value>, ApiError> {
    let app = context.app(&id)?.app.id;
    context.attached.engine.set_disabled(app, disabled).await?;
    Ok(Json(shown(&context, &context.app(&id)?.app)))
}

//! Accounts at CDN vendors. Secrets come in and are never shown.

use axum::body::Bytes;
use axum::extract::Path;
use axum::{Extension, Json};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_engine::cdns::{AccountEntry, Check, DeskView, NewAccount, NewKey, Trial, cdn_vendor};

use super::error::ApiError;
use super::input::{self, SecretText};
use super::{Context, Ctx};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Add {
    vendor: String,
    name: String,
    access_key_id: String,
    secret: SecretText,
    security_token: Option<SecretText>,
    auth: Option<String>,
    endpoint: Option<String>,
    region: Option<String>,
    project_id: Option<String>,
    #[serde(default)]
    strict: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotate {
    access_key_id: Option<String>,
    secret: SecretText,
    security_token: Option<SecretText>,
}

/// An account as `/v1` shows it: no secrets.
fn shown(context: &Context, entry: &AccountEntry) -> Value {
    let account = &entry.account;
    let cdns = context.attached.engine.cdns();
    let targets = cdns.directory().targets();
    let leaving = targets
        .iter()
        .filter(|target| target.target.account == account.id)
        .map(|target| target.target.leaving);
    let leaving: Vec<bool> = leaving.collect();
    json!({
        "name": account.name,
        "vendor": account.vendor,
        "access_key_id": account.key.access_key_id,
        "auth": entry.signer.scheme().word(),
        "endpoint": entry.signer.endpoint().to_string(),
        "region": account.region,
        "project_id": account.project_id,
        "strict": account.strict,
        "temporary": account.key.security_token.is_some(),
        "created": account.created.to_string(),
        "rotated": account.rotated.map(|at| at.to_string()),
        "targets": leaving.iter().filter(|leaving| !**leaving).count(),
        "leaving": leaving.iter().filter(|leaving| **leaving).count(),
        "state": cdns.view(account.id).as_ref().map(state),
    })
}

/// How an account fares, as the server that drives it sees it.
fn state(view: &DeskView) -> Value {
    let limits = view
        .limits
        .iter()
        .map(|(what, used, most)| json!({"limit": what, "used": used, "of": most}));
    json!({
        "pending": view.pending,
        "refused": view.refused,
        "list_full": view.list_full,
        "oldest": view.oldest.map(|at| at.to_string()),
        "in_flight": view.in_flight,
        "breaker_open": view.breaker_open,
        "limits": limits.collect::<Vec<_>>(),
        "standing": view.standing.0,
        "standing_most": view.standing.1,
        "last_success": view.last_success.map(|at| at.to_string()),
        "last_error": view.last_error.as_ref().map(|(at, words)| {
            json!({"at": at.to_string(), "words": words})
        }),
    })
}

pub(super) async fn list(Extension(context): Ctx) -> Json<Value> {
    let accounts = context.attached.engine.cdns().directory().accounts();
    Json(
        accounts
            .iter()
            .map(|entry| shown(&context, entry))
            .collect(),
    )
}

pub(super) async fn add(
    Extension(context): Ctx,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let asked: Add = input::body(&body)?;
    let new = NewAccount {
        vendor: cdn_vendor(&asked.vendor)?,
        name: asked.name,
        access_key_id: asked.access_key_id,
        secret: asked.secret.0,
        security_token: asked.security_token.map(|token| token.0),
        scheme: asked.auth,
        region: asked.region,
        project_id: asked.project_id,
        endpoint: asked.endpoint,
        strict: asked.strict,
    };
    let entry = context.attached.engine.add_account(new).await?;
    tracing::info!(
        account = entry.account.name,
        vendor = %entry.account.vendor,
        key_id = entry.account.key.access_key_id,
        endpoint = %entry.signer.endpoint(),
        operator = context.operator.name,
        "account added"
    );
    Ok((StatusCode::CREATED, Json(shown(&context, &entry))))
}

pub(super) async fn test(
    Extension(context): Ctx,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let trial = context.attached.engine.test_account(&name).await?;
    Ok(Json(trial_json(&trial)))
}

pub(super) async fn rotate(
    Extension(context): Ctx,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let asked: Rotate = input::body(&body)?;
    let new = NewKey {
        access_key_id: asked.access_key_id,
        secret: asked.secret.0,
        security_token: asked.security_token.map(|token| token.0),
    };
    let entry = context.attached.engine.rotate_account(&name, new).await?;
    tracing::info!(
        account = entry.account.name,
        key_id = entry.account.key.access_key_id,
        operator = context.operator.name,
        "account has another key"
    );
    Ok(Json(shown(&context, &entry)))
}

pub(super) async fn remove(
    Extension(context): Ctx,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    context.attached.engine.remove_account(&name).await?;
    tracing::info!(
        account = name,
        operator = context.operator.name,
        "account removed"
    );
    Ok(Json(json!({ "removed": name })))
}

/// What trying an account or a target showed.
pub(super) fn trial_json(trial: &Trial) -> Value {
    json!({
        "ok": trial.is_fine(),
        "vendor": trial.vendor,
        "account": trial.account,
        "checks": trial.checks.iter().map(check_json).collect::<Vec<_>>(),
        "warnings": trial.warnings,
    })
}

fn check_json(check: &Check) -> Value {
    json!({
        "what": check.what,
        "ok": check.problem.is_none(),
        "problem": check.problem.map(|problem| problem.word()),
        "words": check.words,
        "request_id": check.request_id,
        "took_ms": u64::try_from(check.took.as_millis()).unwrap_or(u64::MAX),
        "vendor_date": check.vendor_date.map(|at| at.to_string()),
    })
}

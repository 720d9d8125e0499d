//! The ledger, the clock and the admin token.

use std::path::PathBuf;

use axum::body::Bytes;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tidegate_ledger::{Head, LedgerError};

use super::Ctx;
use super::error::ApiError;
use super::input;
use crate::state::write_private;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    path: PathBuf,
}

impl File {
    fn read(body: &[u8]) -> Result<PathBuf, ApiError> {
        let Self { path } = input::body(body)?;
        if path.is_absolute() {
            return Ok(path);
        }
        Err(ApiError::invalid(
            "path must be an absolute path on the server's machine",
        ))
    }
}

pub(super) async fn head(Extension(context): Ctx) -> Result<Json<Head>, ApiError> {
    Ok(Json(context.attached.engine.ledger().head().await?))
}

pub(super) async fn backup(Extension(context): Ctx, body: Bytes) -> Result<Json<Value>, ApiError> {
    let path = File::read(&body)?;
    context.attached.engine.ledger().backup(&path).await?;
    tracing::info!(path = %path.display(), operator = context.operator.name, "ledger backed up");
    Ok(Json(json!({ "path": path })))
}

pub(super) async fn restore(Extension(context): Ctx, body: Bytes) -> Result<Json<Value>, ApiError> {
    let path = File::read(&body)?;
    let attached = &context.attached;
    let _one_at_a_time = attached.admin_changes.lock().await;
    let engine = &attached.engine;
    let (by, at) = (context.operator.actor(), engine.now());
    let replace = async {
        let replaced = attached.maintenance.restore(path.clone(), by, at).await?;
        // The token that opened this call goes on opening the server, whatever the backup holds.
        if let Some(digest) = attached.admin.load_full() {
            engine.ledger().set_admin_token(*digest).await?;
        }
        Ok::<_, LedgerError>(replaced)
    };
    let replaced = engine.restore_with(replace).await?;
    tracing::warn!(path = %path.display(), operator = context.operator.name,
        "ledger restored from a backup");
    Ok(Json(json!({
        "path": path,
        "replaced": replaced,
        "blocks": engine.blocks().len(),
        "unrecorded": engine.blocks().unrecorded(),
        "resumes_held": true,
    })))
}

pub(super) async fn confirm(Extension(context): Ctx) -> Result<Json<Value>, ApiError> {
    let by = context.operator.actor();
    let opened = context.attached.engine.confirm_restore(by).await?;
    let opened: Vec<_> = opened.iter().map(ToString::to_string).collect();
    Ok(Json(json!({ "opened": opened })))
}

pub(super) async fn accept_clock(Extension(context): Ctx) -> Json<Value> {
    context.attached.engine.accept_clock();
    tracing::warn!(
        operator = context.operator.name,
        "the wall clock was vouched for"
    );
    Json(json!({}))
}

pub(super) async fn rotate_token(Extension(context): Ctx) -> Result<Json<Value>, ApiError> {
    let attached = &context.attached;
    let _one_at_a_time = attached.admin_changes.lock().await;
    let mut random = [0u8; 32];
    getrandom::fill(&mut random)
        .map_err(|error| ApiError::internal(format!("no random bytes: {error}")))?;
    let token = hex::encode(random);
    let digest: [u8; 32] = Sha256::digest(&token).into();
    attached.engine.ledger().set_admin_token(digest).await?;
    attached.admin.store(Some(digest.into()));
    tracing::warn!(operator = context.operator.name, "admin token rotated");
    let mut answer = json!({ "admin_token": token });
    if let Some(path) = context.shared.options.admin_token_file.clone() {
        let text = format!("{token}\n");
        let written = tokio::task::spawn_blocking(move || write_private(&path, &text)).await;
        if !matches!(written, Ok(Ok(()))) {
            tracing::error!(?written, "the admin token's file could not be written");
            let words = "the token is valid, but its file could not be written: keep it yourself";
            if let Value::Object(fields) = &mut answer {
                fields.insert("warning".to_owned(), words.into());
            }
        }
    }
    Ok(Json(answer))
}

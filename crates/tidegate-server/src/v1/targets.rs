//! Targets: where an App's streams live, at the origin and at vendors.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::Path;
use axum::{Extension, Json};
use http::{StatusCode, Uri};
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_core::StreamId;
use tidegate_core::text::printable;
use tidegate_engine::AppEntry;
use tidegate_engine::cdns::{CdnDirectory, NewCdnTarget, TargetEntry, blast_radius, cdn_vendor};
use tidegate_ledger::cdns::RemovedTarget;
use tidegate_ledger::{Target, Vendor};

use super::Ctx;
use super::accounts::trial_json;
use super::error::ApiError;
use super::input::{self, SecretText};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Add {
    account: String,
    vendor: Option<String>,
    publish_domain: String,
    play_domain: Option<String>,
    rtmp_app: Option<String>,
    #[serde(default)]
    play_urls: Vec<String>,
    play_key: Option<SecretText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Test {
    stream: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Remove {
    #[serde(default)]
    keep_bans: bool,
}

/// The origin's target of an App.
fn origin_json(target: &Target) -> Value {
    json!({
        "id": target.id,
        "app_id": target.app,
        "vendor": target.vendor,
        "account": null,
        "publish_domain": target.publish_domain,
        "play_domain": null,
        "rtmp_app": target.rtmp_app,
        "play_urls": [],
        "has_play_key": false,
        "leaving": false,
        "blast_radius": null,
    })
}

/// A target at a vendor; its play key is not shown.
fn target_json(directory: &CdnDirectory, entry: &TargetEntry) -> Value {
    let target = &entry.target;
    let account = directory.account(target.account);
    json!({
        "id": target.target.id,
        "app_id": target.target.app,
        "vendor": target.target.vendor,
        "account": account.map(|account| &account.account.name),
        "publish_domain": target.target.publish_domain,
        "play_domain": target.play_domain,
        "rtmp_app": target.target.rtmp_app,
        "play_urls": target.play_urls,
        "has_play_key": target.play_key.is_some(),
        "leaving": target.leaving,
        "blast_radius": account.and_then(|account| blast_radius(account, &entry.site)),
    })
}

/// All targets of these Apps: the origin's first, then those at vendors, leaving ones too.
fn of_apps<'a>(
    directory: &CdnDirectory,
    apps: impl Iterator<Item = &'a Arc<AppEntry>>,
) -> Vec<Value> {
    let at_vendors = directory.targets();
    let mut shown = Vec::new();
    for entry in apps {
        let at_origin = entry.targets.iter().filter(|t| t.vendor == Vendor::Origin);
        shown.extend(at_origin.map(origin_json));
        let of_app = |target: &&Arc<TargetEntry>| target.target.target.app == entry.app.id;
        let own = at_vendors.iter().filter(of_app);
        shown.extend(own.map(|target| target_json(directory, target)));
    }
    shown
}

pub(super) async fn list_all(Extension(context): Ctx) -> Json<Value> {
    let engine = &context.attached.engine;
    let apps = engine.apps();
    let shown = of_apps(&engine.cdns().directory(), apps.list().iter());
    Json(shown.into())
}

pub(super) async fn list(
    Extension(context): Ctx,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let entry = context.app(&id)?;
    let directory = context.attached.engine.cdns().directory();
    let shown = of_apps(&directory, std::iter::once(&entry));
    Ok(Json(shown.into()))
}

pub(super) async fn add(
    Extension(context): Ctx,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let asked: Add = input::body(&body)?;
    let app = context.app(&id)?.app.id;
    let engine = &context.attached.engine;
    let vendor = asked.vendor.as_deref().map(cdn_vendor);
    let new = NewCdnTarget {
        app,
        account: asked.account,
        vendor: vendor.transpose()?,
        publish_domain: asked.publish_domain,
        play_domain: asked.play_domain,
        rtmp_app: asked.rtmp_app.unwrap_or_else(|| "live".to_owned()),
        play_urls: asked.play_urls,
        play_key: asked.play_key.map(|key| key.0),
    };
    let added = engine.add_target(new).await?;
    let target = &added.target.target.target;
    tracing::info!(
        target_id = target.id,
        app_id = app.0,
        vendor = %target.vendor,
        publish_domain = target.publish_domain,
        rtmp_app = target.rtmp_app,
        blocks = added.blocks,
        operator = context.operator.name,
        "target added"
    );
    let mut answer = target_json(&engine.cdns().directory(), &added.target);
    if let Value::Object(fields) = &mut answer {
        fields.insert("blocks".to_owned(), added.blocks.into());
        fields.insert("warnings".to_owned(), added.warnings.into());
    }
    Ok((StatusCode::CREATED, Json(answer)))
}

pub(super) async fn test(
    Extension(context): Ctx,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let Test { stream } = input::body(&body)?;
    let id = target_id(&id)?;
    let stream = stream.as_deref().map(|stream| {
        StreamId::parse(stream).map_err(|why| {
            let came = printable(stream, 80);
            ApiError::invalid(format!("{came:?} is not a stream id: {why}"))
        })
    });
    let stream = stream.transpose()?;
    let engine = &context.attached.engine;
    let trial = engine.test_target(id, stream.as_ref()).await?;
    let mut answer = trial_json(&trial);
    if let Value::Object(fields) = &mut answer {
        fields.insert("target".to_owned(), id.into());
    }
    Ok(Json(answer))
}

pub(super) async fn remove(
    Extension(context): Ctx,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<Value>, ApiError> {
    let Remove { keep_bans } = input::query(&uri)?;
    let id = target_id(&id)?;
    let removed = context.attached.engine.remove_target(id, keep_bans).await?;
    let bans = match removed {
        RemovedTarget::Gone => 0,
        RemovedTarget::Leaving(bans) => bans,
    };
    tracing::info!(
        target_id = id,
        keep_bans,
        bans_to_lift = bans,
        operator = context.operator.name,
        "target removed"
    );
    Ok(Json(json!({
        "target": id,
        "leaving": removed != RemovedTarget::Gone,
        "bans_to_lift": bans,
        "bans_kept": keep_bans,
    })))
}

fn target_id(text: &str) -> Result<i64, ApiError> {
    let plain = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| plain).ok_or_else(|| {
        let came = printable(text, 40);
        ApiError::invalid(format!("a target's id is a decimal number, came {came:?}"))
    })
}

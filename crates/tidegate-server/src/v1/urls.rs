//! URLs to copy: for an encoder, for players, and signed calls of the Server API.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::Path;
use axum::{Extension, Json};
use http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_core::api_signature;
use tidegate_core::publish_auth::{self, Recipe};
use tidegate_ledger::PublishAuth;

use super::error::ApiError;
use super::input;
use super::{Context, Ctx};
use crate::state::{in_url, reachable};

/// What RFC 3986 leaves as it is.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

const DEFAULT_TTL: Duration = Duration::from_secs(24 * 3600);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Publish {
    recipe: Option<RecipeName>,
    ttl: Option<String>,
    host: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RecipeName {
    Tencent,
    Wangsu,
    Huawei,
}

impl From<RecipeName> for Recipe {
    fn from(name: RecipeName) -> Self {
        match name {
            RecipeName::Tencent => Self::Tencent,
            RecipeName::Wangsu => Self::Wangsu,
            RecipeName::Huawei => Self::Huawei,
        }
    }
}

pub(super) async fn publish(
    Extension(context): Ctx,
    Path((id, stream)): Path<(String, String)>,
    uri: Uri,
) -> Result<Json<Value>, ApiError> {
    let (entry, key) = context.stream(&id, &stream)?;
    let asked: Publish = input::query(&uri)?;
    let ttl = asked.ttl.as_deref().map(input::duration);
    let ttl = ttl.transpose()?.unwrap_or(DEFAULT_TTL);
    let hosts = Hosts::new(&context, asked.host)?;
    let app = &entry.app;
    let place = format!("{}/{}", app.rtmp_app, key.stream);
    let expires = context.attached.engine.now().plus(ttl);
    let (query, expires) = match app.publish_auth {
        PublishAuth::None => (String::new(), None),
        PublishAuth::Signed => {
            let recipe = asked.recipe.unwrap_or(RecipeName::Tencent).into();
            let at = expires.seconds();
            let stream = key.stream.as_str();
            let signed = publish_auth::sign(recipe, &app.publish_key, &app.rtmp_app, stream, at);
            (format!("?{signed}"), Some(expires.to_string()))
        }
    };
    Ok(Json(json!({
        "url": format!("rtmp://{}/{place}{query}", hosts.rtmp),
        "play": {
            "flv": format!("http://{}/{place}.flv", hosts.media),
            "ws_flv": format!("ws://{}/{place}.flv", hosts.media),
            "rtmp": format!("rtmp://{}/{place}", hosts.rtmp),
        },
        "expires": expires,
    })))
}

/// Host and port of both listeners of the origin.
struct Hosts {
    rtmp: String,
    media: String,
}

impl Hosts {
    fn new(context: &Context, asked: Option<String>) -> Result<Self, ApiError> {
        let (rtmp, media) = (context.attached.rtmp, context.attached.media);
        let host = asked.or_else(|| context.shared.options.public_host.clone());
        if let Some(host) = &host {
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'_');
            if !(1..=253).contains(&host.len()) || !host.bytes().all(plain) {
                return Err(ApiError::invalid(
                    "host must be a host name or an IP address",
                ));
            }
        }
        let at = |address: std::net::SocketAddr| {
            let host = host
                .clone()
                .unwrap_or_else(|| reachable(address.ip()).to_string());
            format!("{}:{}", in_url(&host), address.port())
        };
        Ok(Self {
            rtmp: at(rtmp),
            media: at(media),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sign {
    action: String,
    #[serde(default)]
    params: BTreeMap<String, OneOrMore>,
    base_url: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

const COMMON: [&str; 6] = [
    "Action",
    "AppId",
    "SignatureNonce",
    "Timestamp",
    "Signature",
    "SignatureVersion",
];

pub(super) async fn sign(
    Extension(context): Ctx,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let entry = context.app(&id)?;
    let asked: Sign = input::body(&body)?;
    if let Some(name) = COMMON.iter().find(|name| asked.params.contains_key(**name)) {
        return Err(ApiError::invalid(format!(
            "{name} is filled in by signing; leave it out of params"
        )));
    }
    let app = &entry.app;
    let Some(current) = app.server_secrets.first() else {
        return Err(ApiError::internal("this App has no ServerSecret"));
    };
    let mut random = [0u8; 8];
    getrandom::fill(&mut random)
        .map_err(|error| ApiError::internal(format!("no random bytes: {error}")))?;
    let nonce = hex::encode(random);
    let timestamp = context.attached.engine.now().seconds().to_string();
    let signature = api_signature::sign(app.id, &nonce, &current.secret, &timestamp);
    let mut query = Query::default();
    query.add("Action", &asked.action);
    for (name, value) in &asked.params {
        match value {
            OneOrMore::One(value) => query.add(name, value),
            OneOrMore::More(values) => values.iter().for_each(|value| query.add(name, value)),
        }
    }
    query.add("AppId", &app.id.to_string());
    query.add("SignatureNonce", &nonce);
    query.add("Timestamp", &timestamp);
    query.add("SignatureVersion", "2.0");
    query.add("Signature", &signature);
    let base = asked.base_url.unwrap_or_else(|| {
        let own = context.shared.address;
        let host = in_url(&reachable(own.ip()).to_string());
        format!("http://{host}:{}", own.port())
    });
    let url = format!("{}/?{}", base.trim_end_matches('/'), query.0);
    Ok(Json(json!({ "url": url })))
}

#[derive(Default)]
struct Query(String);

impl Query {
    fn add(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.extend(utf8_percent_encode(name, ENCODED));
        self.0.push('=');
        self.0.extend(utf8_percent_encode(value, ENCODED));
    }
}

//! The server's own state.

use axum::{Extension, Json};
use serde_json::{Value, json};

use super::Ctx;
use crate::health;

pub(super) async fn server(Extension(context): Ctx) -> Json<Value> {
    let (shared, attached) = (&context.shared, &context.attached);
    let engine = &attached.engine;
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "started": shared.started.to_string(),
        "now": engine.now().to_string(),
        "ready": true,
        "apps": engine.apps().list().len(),
        "blocks": engine.blocks().len(),
        "alarms": health::alarms(&engine.alarms().list()),
        "listeners": {
            "rtmp": attached.rtmp.to_string(),
            "media": attached.media.to_string(),
            "api": shared.address.to_string(),
        },
    }))
}

//! `/healthz`: the process runs. `/readyz`: blocks are in force and calls are decided.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use serde_json::json;
use tidegate_engine::Alarm;

use crate::state::Shared;

pub(crate) fn routes(shared: &Arc<Shared>) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(Arc::clone(shared))
}

async fn healthz() -> Json<serde_json::Value> {
    Json(json!({"healthy": true}))
}

/// Stays 200 while alarms stand: a takedown must still find its way here.
async fn readyz(State(shared): State<Arc<Shared>>) -> Response {
    let Some(attached) = shared.attached() else {
        let body = json!({"ready": false, "reason": "starting: blocks are being loaded"});
        return (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response();
    };
    let engine = &attached.engine;
    Json(json!({
        "ready": true,
        "blocks": engine.blocks().len(),
        "alarms": alarms(&engine.alarms().list()),
    }))
    .into_response()
}

/// Alarms as `/readyz` and `/v1/status` show them.
pub(crate) fn alarms(alarms: &[Alarm]) -> Vec<serde_json::Value> {
    alarms
        .iter()
        .map(|alarm| {
            json!({
                "kind": alarm.kind.word(),
                "since": alarm.since.to_string(),
                "text": alarm.text,
            })
        })
        .collect()
}

//! The admin endpoint of a simulator: reading what happened, changing faults while it runs.
//!
//! | | |
//! |---|---|
//! | `GET /journal?after=N` | rows after `N` |
//! | `GET /usage` | budgets |
//! | `GET /bans` | standing bans |
//! | `GET /faults`, `PUT /faults`, `POST /faults`, `DELETE /faults` | read, replace, add to, clear |
//!
//! There is no authentication: it belongs on loopback.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use crate::faults;
use crate::simulator::Simulator;

type Shared = State<Arc<Simulator>>;

/// The routes of the admin endpoint, to be served by whoever wants them elsewhere.
pub fn admin_routes(simulator: Arc<Simulator>) -> Router {
    Router::new()
        .route("/journal", get(journal))
        .route("/usage", get(usage))
        .route("/bans", get(bans))
        .route(
            "/faults",
            get(list_faults)
                .put(replace_faults)
                .post(add_faults)
                .delete(clear_faults),
        )
        .with_state(simulator)
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    after: u64,
}

async fn journal(State(simulator): Shared, Query(query): Query<After>) -> Response {
    Json(simulator.journal(query.after)).into_response()
}

async fn usage(State(simulator): Shared) -> Response {
    Json(simulator.usage()).into_response()
}

async fn bans(State(simulator): Shared) -> Response {
    Json(simulator.bans()).into_response()
}

async fn list_faults(State(simulator): Shared) -> Response {
    Json(json!({"fault": simulator.faults()})).into_response()
}

async fn replace_faults(State(simulator): Shared, text: String) -> Response {
    match faults::parse(&text) {
        Ok(rules) => {
            simulator.set_faults(rules);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

async fn add_faults(State(simulator): Shared, text: String) -> Response {
    match faults::parse(&text) {
        Ok(rules) => {
            for rule in rules {
                simulator.add_fault(rule);
            }
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

async fn clear_faults(State(simulator): Shared) -> Response {
    simulator.set_faults(Vec::new());
    StatusCode::NO_CONTENT.into_response()
}

//! `/metrics`: counters of calls kept here, and everything else read where it is kept when the
//! page is asked for. No stream and no App is ever a label; accounts at vendors are.

mod page;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use self::page::Page;
use crate::api::{ACTIONS, Code};
use crate::connections::Connections;
use crate::state::Shared;

/// One row for each action, and a last one for everything else.
const ROWS: usize = ACTIONS.len() + 1;

/// Upper bounds of the latency histogram, in seconds.
const BOUNDS: [f64; 12] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0,
];

/// Calls of the Server API.
pub(crate) struct Calls {
    counts: [[AtomicU64; Code::COUNT]; ROWS],
    latency: [Histogram; ROWS],
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            counts: std::array::from_fn(|_| std::array::from_fn(|_| AtomicU64::new(0))),
            latency: std::array::from_fn(|_| Histogram::new(BOUNDS)),
        }
    }
}

impl Calls {
    /// One more call.
    pub(crate) fn count(&self, action: Option<usize>, code: Code, took: Duration) {
        let row = action.unwrap_or(ROWS - 1);
        if let Some(counter) = self.counts.get(row).and_then(|r| r.get(code.index())) {
            counter.fetch_add(1, Relaxed);
        }
        if let Some(histogram) = self.latency.get(row) {
            histogram.observe(took.as_secs_f64());
        }
    }

    /// Action, code and count of every combination that has happened.
    fn counted(&self) -> impl Iterator<Item = (&'static str, u32, u64)> {
        self.counts.iter().enumerate().flat_map(|(row, codes)| {
            let counts = Code::numbers()
                .zip(codes)
                .map(|(n, c)| (n, c.load(Relaxed)));
            counts
                .filter(|(_, count)| *count > 0)
                .map(move |(number, count)| (row_name(row), number, count))
        })
    }

    /// Action and latencies of every action that has been called.
    fn latencies(&self) -> impl Iterator<Item = (&'static str, &Histogram)> {
        let rows = self.latency.iter().zip(&self.counts).enumerate();
        rows.filter(|(_, (_, counts))| counts.iter().any(|count| count.load(Relaxed) > 0))
            .map(|(row, (histogram, _))| (row_name(row), histogram))
    }
}

fn row_name(row: usize) -> &'static str {
    ACTIONS.get(row).map_or("other", |action| action.name)
}

pub(crate) fn routes(shared: &Arc<Shared>, connections: &Arc<Connections>) -> Router {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Page {
        shared: Arc::clone(shared),
        connections: Arc::clone(connections),
    }));
    Router::new()
        .route("/metrics", get(metrics))
        .with_state(Arc::new(registry))
}

async fn metrics(State(registry): State<Arc<Registry>>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(CONTENT_TYPE, kind)], text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

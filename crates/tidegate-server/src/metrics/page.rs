//! Everything on the page, read at the moment it is asked for.

mod cdns;

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use tidegate_engine::{AlarmKind, Engine};
use tidegate_origin::Metrics as Origin;

use crate::connections::Connections;
use crate::state::Shared;

pub(super) struct Page {
    pub(super) shared: Arc<Shared>,
    pub(super) connections: Arc<Connections>,
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Page")
    }
}

impl Collector for Page {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Out(encoder);
        self.server(&mut out)?;
        let Some(attached) = self.shared.attached() else {
            return Ok(());
        };
        engine(&attached.engine, &mut out)?;
        cdns::encode(attached.engine.cdns(), attached.engine.now(), &mut out)?;
        origin(&attached.engine.hub().metrics(), &mut out)?;
        for figure in attached.maintenance.figures() {
            let name = format!("tidegate_ledger_{}", figure.name);
            let kind = if figure.rises {
                MetricType::Counter
            } else {
                MetricType::Gauge
            };
            out.plain(&name, figure.help, kind, figure.value)?;
        }
        Ok(())
    }
}

impl Page {
    fn server(&self, out: &mut Out<'_>) -> fmt::Result {
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        out.0
            .encode_descriptor(
                "tidegate_build",
                "Version of this server",
                None,
                MetricType::Info,
            )?
            .encode_info(&version)?;
        let ready = self.shared.attached().is_some();
        let kind = MetricType::Gauge;
        out.plain(
            "tidegate_ready",
            "1 once blocks are in force and calls are decided",
            kind,
            f64::from(u8::from(ready)),
        )?;
        out.gauge(
            "tidegate_api_connections",
            "Open connections to the API",
            self.connections.count() as u64,
        )?;
        let mut calls = out.0.encode_descriptor(
            "tidegate_api_calls",
            "Calls of the Server API by action and Code",
            None,
            MetricType::Counter,
        )?;
        for (action, code, count) in self.shared.calls.counted() {
            let labels = [("action", action.to_owned()), ("code", code.to_string())];
            let family = calls.encode_family(&labels)?;
            ConstCounter::new(count).encode(family)?;
        }
        let mut latency = out.0.encode_descriptor(
            "tidegate_api_call_seconds",
            "From the head of a call to its answer, by action",
            None,
            MetricType::Histogram,
        )?;
        for (action, histogram) in self.shared.calls.latencies() {
            let labels = [("action", action)];
            histogram.encode(latency.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

fn engine(engine: &Engine, out: &mut Out<'_>) -> fmt::Result {
    let blocks = engine.blocks();
    out.gauge(
        "tidegate_blocks",
        "Recorded blocks in force",
        blocks.len() as u64,
    )?;
    out.gauge(
        "tidegate_blocks_unrecorded",
        "Forbids in force in memory only",
        blocks.unrecorded() as u64,
    )?;
    let stats = engine.stats();
    out.labelled(
        "tidegate_decisions",
        "Decisions recorded, by verb",
        MetricType::Counter,
        "verb",
        [
            ("forbid", stats.forbids.get()),
            ("resume", stats.resumes.get()),
            ("lapse", stats.lapses.get()),
        ],
    )?;
    out.counter(
        "tidegate_decisions_unrecorded",
        "Forbids that the ledger did not take",
        stats.unrecorded.get(),
    )?;
    out.counter(
        "tidegate_replays",
        "Requests answered with the decision of an earlier one, as found by the ledger",
        stats.replays.get(),
    )?;
    out.counter(
        "tidegate_still_live",
        "Streams seen live past the deadline after a CDN accepted their ban",
        stats.still_live.get(),
    )?;
    out.counter(
        "tidegate_attempts_lost",
        "Attempts that could not be queued for recording",
        stats.attempts_lost.get(),
    )?;
    let standing = |kind: AlarmKind| (kind.word(), u64::from(engine.alarms().stands(kind)));
    out.labelled(
        "tidegate_alarm",
        "1 while the alarm of this kind stands",
        MetricType::Gauge,
        "kind",
        AlarmKind::ALL.map(standing),
    )
}

fn origin(origin: &Origin, out: &mut Out<'_>) -> fmt::Result {
    out.gauge(
        "tidegate_origin_publishers",
        "Streams being published",
        origin.publishers.get(),
    )?;
    out.labelled(
        "tidegate_origin_players",
        "Players by protocol",
        MetricType::Gauge,
        "protocol",
        [
            ("http_flv", origin.http_players.get()),
            ("websocket_flv", origin.websocket_players.get()),
            ("rtmp", origin.rtmp_players.get()),
        ],
    )?;
    out.gauge(
        "tidegate_origin_connections",
        "Open connections to the origin",
        origin.connections.get(),
    )?;
    for (name, help, counter) in [
        ("accepted", "Connections accepted", &origin.accepted),
        ("bytes_in", "Media bytes from publishers", &origin.bytes_in),
        ("bytes_out", "Bytes written to players", &origin.bytes_out),
        ("cut_publishers", "Publishers cut", &origin.cut_publishers),
        ("cut_players", "Players cut", &origin.cut_players),
        (
            "dropped_players",
            "Players dropped because they took nothing",
            &origin.dropped_players,
        ),
        (
            "skips",
            "Times that a slow player skipped to a key frame",
            &origin.skips,
        ),
        (
            "protocol_errors",
            "Connections ended because the peer broke the protocol",
            &origin.protocol_errors,
        ),
        (
            "timeouts",
            "Connections ended because the peer was silent",
            &origin.timeouts,
        ),
    ] {
        out.counter(&format!("tidegate_origin_{name}"), help, counter.get())?;
    }
    out.labelled(
        "tidegate_origin_refused",
        "Publishers and players turned away, by reason",
        MetricType::Counter,
        "reason",
        Origin::REASONS.map(|(reason, word)| (word, origin.refused(reason))),
    )?;
    out.histogram(
        "tidegate_cut_publisher_seconds",
        "From a cut to the close of the publisher's socket",
        &origin.cut_to_publisher_closed,
    )?;
    out.histogram(
        "tidegate_cut_players_seconds",
        "From a cut to the close of the last player's socket",
        &origin.cut_to_players_closed,
    )
}

/// Writes metrics of one shape each.
struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    fn plain(&mut self, name: &str, help: &str, kind: MetricType, value: f64) -> fmt::Result {
        let encoder = self.0.encode_descriptor(name, help, None, kind)?;
        match kind {
            MetricType::Counter => ConstCounter::new(value).encode(encoder),
            _ => ConstGauge::new(value).encode(encoder),
        }
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
        let kind = MetricType::Gauge;
        gauge.encode(self.0.encode_descriptor(name, help, None, kind)?)
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let kind = MetricType::Counter;
        ConstCounter::new(value).encode(self.0.encode_descriptor(name, help, None, kind)?)
    }

    fn labelled<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        label: &'static str,
        values: [(&'static str, u64); N],
    ) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, kind)?;
        for (word, value) in values {
            let labels = [(label, word)];
            let family = encoder.encode_family(&labels)?;
            match kind {
                MetricType::Counter => ConstCounter::new(value).encode(family)?,
                _ => ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(family)?,
            }
        }
        Ok(())
    }

    fn histogram(
        &mut self,
        name: &str,
        help: &str,
        times: &tidegate_origin::Histogram,
    ) -> fmt::Result {
        let counts = times.counts();
        let bounds = tidegate_origin::Histogram::BOUNDS_US
            .iter()
            .map(|us| *us as f64 / 1e6)
            .chain([f64::MAX]);
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let total = counts.iter().sum();
        let kind = MetricType::Histogram;
        let mut encoder = self.0.encode_descriptor(name, help, None, kind)?;
        encoder.encode_histogram::<[(&str, &str); 0]>(
            times.sum_us() as f64 / 1e6,
            total,
            &buckets,
            None,
        )
    }
}

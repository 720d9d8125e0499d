//! Counters of the origin: plain atomics that another crate reads for its metrics page. No stream
//! ids, no strings on the hot path.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// How a player receives its stream.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Protocol {
    /// FLV over HTTP.
    HttpFlv,
    /// FLV over WebSocket.
    WebSocketFlv,
    /// RTMP play.
    Rtmp,
}

/// Why somebody was turned away.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reason {
    /// The stream is forbidden.
    Forbidden,
    /// Publish or play authentication failed.
    Auth,
    /// No App has this name.
    UnknownApp,
    /// The name has no canonical form.
    Name,
    /// The stream is already being published.
    AlreadyLive,
    /// The stream to play is not live.
    NotLive,
    /// The origin is full or stopping.
    Limit,
    /// A WebSocket from an origin that is not allowed.
    Origin,
}

/// A number that only rises.
#[derive(Default, Debug)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }
}

/// A number that rises and falls.
#[derive(Default, Debug)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub(crate) fn rise(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    pub(crate) fn fall(&self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Times in fixed buckets.
#[derive(Default, Debug)]
pub struct Histogram {
    buckets: [AtomicU64; Self::BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    /// Upper bounds of the buckets in microseconds; one more bucket takes what is above.
    pub const BOUNDS_US: [u64; 14] = [
        100, 250, 500, 1_000, 2_000, 3_000, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000,
        500_000, 1_000_000,
    ];

    pub(crate) fn observe(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let at = Self::BOUNDS_US.partition_point(|bound| *bound < us);
        if let Some(bucket) = self.buckets.get(at) {
            bucket.fetch_add(1, Relaxed);
        }
        self.sum_us.fetch_add(us, Relaxed);
    }

    /// How many fell in each bucket, not cumulative; the last one is above all bounds.
    pub fn counts(&self) -> [u64; Self::BOUNDS_US.len() + 1] {
        std::array::from_fn(|at| self.buckets.get(at).map_or(0, |b| b.load(Relaxed)))
    }

    /// The sum of all times, in microseconds.
    pub fn sum_us(&self) -> u64 {
        self.sum_us.load(Relaxed)
    }
}

/// Everything that the origin counts.
#[derive(Default, Debug)]
pub struct Metrics {
    /// Streams being published.
    pub publishers: Gauge,
    /// Players over HTTP-FLV.
    pub http_players: Gauge,
    /// Players over WebSocket-FLV.
    pub websocket_players: Gauge,
    /// Players over RTMP.
    pub rtmp_players: Gauge,
    /// Open connections, both listeners.
    pub connections: Gauge,
    /// Connections ever accepted.
    pub accepted: Counter,
    /// Media bytes received from publishers.
    pub bytes_in: Counter,
    /// Bytes written to players.
    pub bytes_out: Counter,
    /// Streams and players cut, by publisher and player.
    pub cut_publishers: Counter,
    /// Players ended by a cut.
    pub cut_players: Counter,
    /// Players dropped because they took nothing for the write timeout.
    pub dropped_players: Counter,
    /// Times that a slow player skipped to a key frame.
    pub skips: Counter,
    /// Connections ended because the peer broke the protocol.
    pub protocol_errors: Counter,
    /// Connections ended because the peer was silent too long.
    pub timeouts: Counter,
    /// From the cut to the FIN or reset of the publisher's socket.
    pub cut_to_publisher_closed: Histogram,
    /// From the cut to the FIN or reset of the last player's socket.
    pub cut_to_players_closed: Histogram,
    refused: [Counter; 8],
}

impl Metrics {
    /// All reasons, for a page that prints each.
    pub const REASONS: [(Reason, &'static str); 8] = [
        (Reason::Forbidden, "forbidden"),
        (Reason::Auth, "auth"),
        (Reason::UnknownApp, "unknown_app"),
        (Reason::Name, "name"),
        (Reason::AlreadyLive, "already_live"),
        (Reason::NotLive, "not_live"),
        (Reason::Limit, "limit"),
        (Reason::Origin, "origin"),
    ];

    /// How many were turned away for this reason.
    pub fn refused(&self, reason: Reason) -> u64 {
        self.refused_counter(reason).map_or(0, Counter::get)
    }

    /// Players over this protocol.
    pub fn players(&self, protocol: Protocol) -> &Gauge {
        match protocol {
            Protocol::HttpFlv => &self.http_players,
            Protocol::WebSocketFlv => &self.websocket_players,
            Protocol::Rtmp => &self.rtmp_players,
        }
    }

    /// Players over all protocols.
    pub fn all_players(&self) -> u64 {
        self.http_players.get() + self.websocket_players.get() + self.rtmp_players.get()
    }

    pub(crate) fn refuse(&self, reason: Reason) {
        if let Some(counter) = self.refused_counter(reason) {
            counter.add(1);
        }
    }

    fn refused_counter(&self, reason: Reason) -> Option<&Counter> {
        let at = Self::REASONS.iter().position(|(r, _)| *r == reason)?;
        self.refused.get(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_lands_in_the_first_bucket_that_holds_it() {
        let histogram = Histogram::default();
        for us in [100, 101, 3_000, 2_000_000] {
            histogram.observe(Duration::from_micros(us));
        }
        let counts = histogram.counts();
        assert_eq!((counts[0], counts[1], counts[5], counts[14]), (1, 1, 1, 1));
        assert_eq!(histogram.sum_us(), 2_003_201);
    }
}

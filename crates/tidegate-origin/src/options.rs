//! What can be set: addresses, limits and times, with their defaults.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tidegate_media::rtmp::Limits;

/// Settings of the origin. [`Options::default`] gives the documented values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Where RTMP is served. Port 0 picks one.
    pub rtmp: SocketAddr,
    /// Where HTTP-FLV and WebSocket-FLV are served. Port 0 picks one.
    pub media: SocketAddr,
    /// Connections at once, over both listeners; more are closed as they come.
    pub max_connections: usize,
    /// Streams that one RTMP connection may publish at once.
    pub publishes_per_connection: usize,
    /// From accept to the end of the RTMP handshake.
    pub handshake_timeout: Duration,
    /// From the handshake, or from the end of the last publish, to a publish or play command.
    pub command_timeout: Duration,
    /// Longest silence of a publisher.
    pub publish_read_timeout: Duration,
    /// From accept to the end of an HTTP request head.
    pub head_timeout: Duration,
    /// Longest time that a peer takes no byte at all while there is something for it.
    pub write_timeout: Duration,
    /// A player that has not caught up for this long skips to a key frame.
    pub player_queue_time: Duration,
    /// A player that is this many bytes behind skips to a key frame.
    pub player_queue_bytes: usize,
    /// Largest GOP cache of a stream, in bytes of payload. A longer GOP is not cached.
    pub gop_bytes: usize,
    /// Longest GOP cache of a stream.
    pub gop_duration: Duration,
    /// Longest RTMP message, in bytes.
    pub max_message: usize,
    /// Kernel send buffer asked for on a player's socket, in bytes. Bounds the media queued
    /// behind a cut; must hold one batch, about 300 ms of a stream.
    pub send_buffer: usize,
    /// Longest that media is held back so that one write carries more of it. Used only when there
    /// are so many players that writing each frame to each would cost too much.
    pub max_batch: Duration,
    /// Tasks that share the players of one stream.
    pub distributors: usize,
    /// How long a cut player that is stuck in mid-frame may take to take the rest of it.
    pub cut_grace: Duration,
    /// How long players may take to receive what is queued once their stream has ended.
    pub drain: Duration,
    /// How long a closed publisher may take to read its last status.
    pub linger: Duration,
    /// How long a stop may take.
    pub grace: Duration,
    /// `Access-Control-Allow-Origin` of HTTP-FLV; empty sends none.
    pub cors_allow_origin: String,
    /// Origins besides the server's own host that may open a WebSocket, such as
    /// `https://example.com`; `*` allows all. Requests without an `Origin` are always allowed.
    pub websocket_origins: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            rtmp: SocketAddr::from((Ipv4Addr::LOCALHOST, 1935)),
            media: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            max_connections: 16_384,
            publishes_per_connection: 4,
            handshake_timeout: Duration::from_secs(10),
            command_timeout: Duration::from_secs(10),
            publish_read_timeout: Duration::from_secs(30),
            head_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(10),
            player_queue_time: Duration::from_secs(5),
            player_queue_bytes: 8 << 20,
            gop_bytes: 8 << 20,
            gop_duration: Duration::from_secs(20),
            max_message: 8 << 20,
            send_buffer: 256 << 10,
            max_batch: Duration::from_millis(350),
            distributors: std::thread::available_parallelism().map_or(1, |n| n.get().min(16)),
            cut_grace: Duration::from_millis(300),
            drain: Duration::from_secs(2),
            linger: Duration::from_secs(1),
            grace: Duration::from_secs(5),
            cors_allow_origin: "*".to_owned(),
            websocket_origins: Vec::new(),
        }
    }
}

impl Options {
    /// The bounds that an RTMP session gets.
    pub(crate) fn rtmp_limits(&self) -> Limits {
        Limits {
            message: self.max_message,
            partial: self.max_message.saturating_add(self.max_message / 2),
            ..Limits::default()
        }
    }
}

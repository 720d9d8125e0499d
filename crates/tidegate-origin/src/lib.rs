//! The built-in media server.
//!
//! It listens for RTMP and HTTP, keeps the table of live streams, fans each one out to its
//! players, and cuts a stream within milliseconds when told. Who may publish or play is decided
//! behind [`Gate`]; wire formats live in `tidegate-media`.
//!
//! A publisher has a task of its own, which pushes frames into its stream. Players have none:
//! once admitted, they belong to one of the stream's distributors, which writes to all of its
//! players in turn.

mod container;
mod distributor;
mod frame;
mod gate;
mod gop;
mod http;
mod hub;
mod listener;
mod metrics;
mod options;
mod player;
mod player_input;
mod queue;
mod rtmp;
mod stream;

pub use gate::{Gate, Refusal};
pub use hub::{Cut, Hub};
pub use listener::{Addresses, BindError, Origin};
pub use metrics::{Counter, Gauge, Histogram, Metrics, Protocol, Reason};
pub use options::Options;
pub use stream::StreamInfo;

#[cfg(test)]
mod tests;

//! The built-in media server.
//!
//! It listens for RTMP and HTTP, keeps the table of live streams, fans each one out to its
//! players, and cuts a stream within milliseconds when told. Who may publish or play is decided
//! behind [`Gate`]; wire formats live in `tidegate-media`.

mod gate;

pub use gate::{Gate, Refusal};

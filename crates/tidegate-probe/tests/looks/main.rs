//! Looks at running servers, hand-made and real.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

mod flv;
mod hls;
mod origin;
mod rtmp;
mod server;

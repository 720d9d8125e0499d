//! Decisions on their way to vendors' CDNs: real sockets, real ledger, simulated vendors.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at what it does not expect"
)]

mod drift;
mod pressure;
mod proof;
mod reconcile;
mod report;
mod rig;

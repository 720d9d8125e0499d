//! The adapters of `tidegate-cdn` against the simulated vendors, over real HTTP. The two were
//! written apart and verify each other's reading of the vendors' documents.
#![expect(clippy::expect_used, reason = "a test that fails says so")]

mod calls;
mod keys;
mod rig;
mod trouble;

//! Types and pure decisions of Tidegate.
//!
//! Nothing here does I/O, reads a clock or awaits: the instant is always an argument. Everything
//! that can be decided from values alone lives here (names, ends of a block, signatures, clock
//! suspicion, token buckets); storing and acting on it is the ledger's and the engine's job.

pub mod api_signature;
pub mod backoff;
pub mod blocks;
pub mod breaker;
pub mod bucket;
pub mod budget;
pub mod clock;
pub mod decision;
pub mod ids;
pub mod lanes;
pub mod name;
pub mod placement;
pub mod probe;
pub mod publish_auth;
pub mod reconcile;
pub mod secret;
pub mod text;
pub mod time;

pub use blocks::BlockSet;
pub use decision::{Actor, Ask, AskKind, AskedEnd, Block, Outcome, Until, decide};
pub use ids::{AppId, Generation, RequestId, StreamId, StreamKey};
pub use secret::Secret;
pub use time::UnixMs;

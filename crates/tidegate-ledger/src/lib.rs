//! The durable store: Apps, sealed secrets, targets, decisions, blocks, placements, attempts and
//! the hash chain over them, behind the [`Ledger`] trait.
//!
//! What a decision *does* is decided in `tidegate-core`; this crate stores it, all or nothing, and
//! answers after the commit is on disk. It knows no HTTP, no media and no vendor.

pub mod audit;
pub mod cdns;
mod chain;
mod columns;
mod copy;
mod data_dir;
mod encode;
mod error;
mod keys;
mod lanes;
mod model;
mod postgres;
mod sqlite;
mod stats;
mod store;

pub use cdns::CdnLedger;
pub use copy::{Address, Copied, copy, restore_postgres};
pub use data_dir::DataDir;
pub use error::LedgerError;
pub use model::{
    App, Attempt, AttemptResult, Bound, Change, Changes, ClockMark, Cursor, Decided,
    DecisionRecord, Head, LiveSecret, NonceRecord, NonceUse, Placement, PublishAuth, RestoreHold,
    SavedAnswer, StreamStatus, Target, Vendor, Verdict,
};
pub use postgres::PostgresLedger;
pub use postgres::url::{BadLedgerUrl, LedgerUrl};
pub use sqlite::restore::{Restored, restore};
pub use sqlite::{OpenOptions, SqliteLedger};
pub use stats::{Queued, Stats};
pub use store::Ledger;

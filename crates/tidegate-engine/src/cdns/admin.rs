//! Accounts and targets as operators change and try them.
//!
//! Everything is checked before it is written: a row that is in the ledger can be used. What then
//! happens at the vendors is the desks' business; trying asks harmless questions only.

mod account;
mod error;
mod target;
mod trial;

pub use account::{NewAccount, NewKey, cdn_vendor};
pub use error::CdnError;
pub use target::{AddedTarget, NewCdnTarget, blast_radius};
pub use trial::{Check, Problem, Trial};

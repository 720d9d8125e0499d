//! What can go wrong with a ledger.

/// An operation on the ledger did not happen. Nothing is half done: an operation that failed left
/// the ledger as it was.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The store refused or could not be reached: disk full, read-only, broken connection.
    #[error("the ledger could not be {doing}: {why}")]
    Unavailable {
        /// `written` or `read`.
        doing: &'static str,
        /// The store's own words.
        why: String,
    },
    /// A value that must be unique is taken.
    #[error("{0}")]
    Conflict(String),
    /// No such App.
    #[error("there is no App {0}")]
    NoSuchApp(u32),
    /// No such account.
    #[error("there is no account {0}")]
    NoSuchAccount(i64),
    /// No such target.
    #[error("there is no target {0}")]
    NoSuchTarget(i64),
    /// Another server holds the data directory.
    #[error("{0}")]
    Locked(String),
    /// The key file is missing, unreadable or not the one this ledger was sealed with.
    #[error("{0}")]
    Key(String),
    /// The store is not set up so that a ledger can be kept in it.
    #[error("{0}")]
    Unsuitable(String),
    /// The stored data contradict themselves, or come from a newer version.
    #[error("{0}")]
    Corrupt(String),
}

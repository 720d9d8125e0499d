//! SQLite's errors as the ledger's.

use sqlx::error::DatabaseError;
use sqlx::sqlite::SqliteError;

use crate::error::LedgerError;

/// Why an operation inside a batch did not happen.
pub(crate) enum OpError {
    /// This operation alone; the rest of the batch goes on.
    Refused(LedgerError),
    /// The store is in trouble: nothing of the batch can be committed.
    Broken(sqlx::Error),
}

impl From<LedgerError> for OpError {
    fn from(error: LedgerError) -> Self {
        Self::Refused(error)
    }
}

impl From<sqlx::Error> for OpError {
    fn from(error: sqlx::Error) -> Self {
        if spoils_the_batch(&error) {
            Self::Broken(error)
        } else {
            Self::Refused(writing(&error))
        }
    }
}

/// A store that could not be opened.
pub(crate) fn opening(error: &sqlx::Error) -> LedgerError {
    unavailable("opened", error)
}

/// A read that went wrong.
pub(crate) fn reading(error: &sqlx::Error) -> LedgerError {
    unavailable("read", error)
}

/// A write that went wrong.
pub(crate) fn writing(error: &sqlx::Error) -> LedgerError {
    unavailable("written", error)
}

pub(crate) fn unavailable(doing: &'static str, error: &sqlx::Error) -> LedgerError {
    let why = error
        .as_database_error()
        .map_or_else(|| error.to_string(), |e| e.message().to_owned());
    match primary_code(error) {
        Some(11 | 26) => LedgerError::Corrupt(format!(
            "the ledger file is damaged ({why}); restore a backup with tidegate ledger restore"
        )),
        _ => LedgerError::Unavailable { doing, why },
    }
}

/// SQLite's primary result code, if the error is SQLite's.
pub(crate) fn primary_code(error: &sqlx::Error) -> Option<u32> {
    let code = error
        .as_database_error()?
        .try_downcast_ref::<SqliteError>()?
        .code()?;
    code.parse::<u32>().ok().map(|code| code & 0xff)
}

/// Whether a statement broke a UNIQUE or PRIMARY KEY constraint.
pub(crate) fn is_unique(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|e| e.is_unique_violation())
}

/// Errors of one statement (constraint, mismatch, value too big) leave the transaction standing.
/// After any other, SQLite may have rolled it back already, and going on would commit each later
/// statement alone.
fn spoils_the_batch(error: &sqlx::Error) -> bool {
    !matches!(primary_code(error), Some(18..=20))
}

/// The store's words about a write that went wrong.
pub(crate) fn writing_words(error: &sqlx::Error) -> String {
    match writing(error) {
        LedgerError::Unavailable { why, .. } => why,
        other => other.to_string(),
    }
}

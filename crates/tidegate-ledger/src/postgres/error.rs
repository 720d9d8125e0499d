//! PostgreSQL's errors as the ledger's.

use sqlx::postgres::{PgDatabaseError, PgSeverity};

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
        if is_about_values(&error) {
            Self::Refused(unavailable("written", &error))
        } else {
            Self::Broken(error)
        }
    }
}

/// What to do about a transaction that failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Trouble {
    /// A deadlock, a conflict or a lost connection: the same again may work.
    Passing,
    /// Some value in it cannot be stored: one operation is to blame, not the store.
    Values,
    /// Anything else.
    Lasting,
}

pub(super) fn trouble(error: &sqlx::Error) -> Trouble {
    match database(error) {
        None => Trouble::Passing,
        Some(e) if e.severity() != PgSeverity::Error => Trouble::Passing,
        Some(e) if matches!(e.code(), "40001" | "40P01") => Trouble::Passing,
        Some(_) if is_about_values(error) => Trouble::Values,
        Some(_) => Trouble::Lasting,
    }
}

/// Whether the server itself said that the statement failed and the session goes on. Only then is
/// it known that a commit did not happen.
pub(super) fn is_plain_refusal(error: &sqlx::Error) -> bool {
    database(error).is_some_and(|e| e.severity() == PgSeverity::Error)
}

fn database(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error
        .as_database_error()?
        .try_downcast_ref::<PgDatabaseError>()
}

/// Data exceptions, broken constraints, values too long: one operation's fault.
fn is_about_values(error: &sqlx::Error) -> bool {
    let class = database(error).and_then(|e| e.code().get(..2));
    matches!(class, Some("22" | "23" | "54"))
}

/// Whether a statement broke a UNIQUE or PRIMARY KEY constraint.
pub(super) fn is_unique(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|e| e.is_unique_violation())
}

pub(crate) fn unavailable(doing: &'static str, error: &sqlx::Error) -> LedgerError {
    LedgerError::Unavailable {
        doing,
        why: words(error),
    }
}

/// A read that went wrong.
pub(crate) fn reading(error: &sqlx::Error) -> LedgerError {
    unavailable("read", error)
}

/// The server's words, or the driver's.
pub(crate) fn words(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::PoolTimedOut => {
            "no connection to the PostgreSQL server in time; is it up and reachable?".to_owned()
        }
        _ => match database(error) {
            Some(e) => format!("PostgreSQL says: {} ({})", e.message(), e.code()),
            None => error.to_string(),
        },
    }
}

//! Exit codes, and the error that carries one.

use std::fmt;
use std::process::ExitCode;

/// What the process says with its exit code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// The server refused, or the operation failed.
    Failed = 1,
    /// The command line, an argument or the configuration is wrong.
    Usage = 2,
    /// The audit chain does not hold.
    AuditBroken = 3,
    /// No server answered.
    Unreachable = 4,
    /// Decided and recorded, but not accepted by every CDN yet.
    NotEverywhere = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What every `--help` ends with.
pub(crate) const HELP: &str = "\
Exit codes:
  0  done
  1  the server refused, or the operation failed
  2  wrong usage, argument or configuration
  3  the audit chain is broken
  4  no server answered
  5  decided and recorded, but not every CDN has accepted it yet";

/// Why a command did not do what it was asked to: the words for standard error, and the code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) words: String,
}

impl Failure {
    /// With code 1.
    pub(crate) fn failed(words: impl fmt::Display) -> Self {
        Self::new(Exit::Failed, words)
    }

    /// With code 2.
    pub(crate) fn usage(words: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, words)
    }

    /// With code 4.
    pub(crate) fn unreachable(words: impl fmt::Display) -> Self {
        Self::new(Exit::Unreachable, words)
    }

    /// With any code.
    pub(crate) fn new(exit: Exit, words: impl fmt::Display) -> Self {
        Self {
            exit,
            words: words.to_string(),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::failed(error)
    }
}

impl From<tidegate_ledger::LedgerError> for Failure {
    fn from(error: tidegate_ledger::LedgerError) -> Self {
        Self::failed(error)
    }
}

impl From<crate::config::ConfigError> for Failure {
    fn from(error: crate::config::ConfigError) -> Self {
        Self::usage(error)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::failed(format!("{error:#}"))
    }
}

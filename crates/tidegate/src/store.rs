//! The back end that the configuration names.

use std::path::Path;
use std::sync::Arc;

use tidegate_ledger::{
    Address, Head, Ledger, LedgerError, OpenOptions, PostgresLedger, SqliteLedger, Stats, Verdict,
    audit,
};

use crate::config::Config;

/// An open ledger, for what the trait does not cover.
#[derive(Clone)]
pub(crate) enum Store {
    Sqlite(Arc<SqliteLedger>),
    Postgres(Arc<PostgresLedger>),
}

impl Store {
    /// Opens the ledger of this configuration.
    pub(crate) async fn open(config: &Config) -> Result<Self, LedgerError> {
        let options = open_options(config);
        match &config.ledger.url {
            None => Ok(Self::Sqlite(Arc::new(SqliteLedger::open(options).await?))),
            Some(url) => {
                let ledger = PostgresLedger::open(url, &options).await?;
                Ok(Self::Postgres(Arc::new(ledger)))
            }
        }
    }

    /// As every caller but the wiring sees it.
    pub(crate) fn ledger(&self) -> Arc<dyn Ledger> {
        match self {
            Self::Sqlite(ledger) => ledger.clone(),
            Self::Postgres(ledger) => ledger.clone(),
        }
    }

    /// Records what is queued and lets go.
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(ledger) => ledger.close().await,
            Self::Postgres(ledger) => ledger.close().await,
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        match self {
            Self::Sqlite(ledger) => ledger.stats(),
            Self::Postgres(ledger) => ledger.stats(),
        }
    }

    pub(crate) fn data_dir(&self) -> &Path {
        match self {
            Self::Sqlite(ledger) => ledger.data_dir(),
            Self::Postgres(ledger) => ledger.data_dir(),
        }
    }
}

/// Where this configuration keeps its data and its key.
pub(crate) fn open_options(config: &Config) -> OpenOptions {
    OpenOptions {
        data_dir: config.data_dir.clone(),
        key_file: config.secrets.key_file.clone(),
    }
}

/// The ledger of this configuration, for a copy.
pub(crate) fn address(config: &Config) -> Address {
    match &config.ledger.url {
        None => Address::Directory(open_options(config)),
        Some(url) => Address::Postgres(url.clone(), open_options(config)),
    }
}

/// Verifies the ledger of this configuration, server up or down.
pub(crate) async fn verify(
    config: &Config,
    expected: Option<&Head>,
) -> Result<Verdict, LedgerError> {
    match &config.ledger.url {
        None => audit::verify(&config.data_dir, expected).await,
        Some(url) => audit::verify_postgres(url, expected).await,
    }
}

/// The head of its chain.
pub(crate) async fn head(config: &Config) -> Result<Head, LedgerError> {
    match &config.ledger.url {
        None => audit::head(&config.data_dir).await,
        Some(url) => audit::head_postgres(url).await,
    }
}

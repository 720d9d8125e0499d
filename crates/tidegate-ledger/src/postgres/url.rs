//! The address of a PostgreSQL ledger, which may hold a password.

use std::fmt;
use std::str::FromStr;

use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

/// A `postgres://` URL. Neither Debug nor Display shows the password.
#[derive(Clone, PartialEq, Eq)]
pub struct LedgerUrl(String);

/// The text is no usable `postgres://` URL. Does not repeat it: it may hold a password.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "expected a URL such as \"postgres://user:password@host:5432/database?sslmode=verify-full\""
)]
pub struct BadLedgerUrl;

/// Parameters that are understood. Others are refused, so that a misspelt `sslmode` is no
/// unencrypted connection.
const PARAMETERS: [&str; 15] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "host",
    "port",
    "dbname",
    "user",
    "application_name",
    "options",
];

impl LedgerUrl {
    /// From its text.
    pub fn parse(text: &str) -> Result<Self, BadLedgerUrl> {
        let known = text.starts_with("postgres://") || text.starts_with("postgresql://");
        let parameters = text.split_once('?').map_or("", |(_, query)| query);
        let understood = parameters
            .split('&')
            .filter(|pair| !pair.is_empty())
            .all(|pair| PARAMETERS.contains(&pair.split('=').next().unwrap_or_default()));
        if !known || !understood || PgConnectOptions::from_str(text).is_err() {
            return Err(BadLedgerUrl);
        }
        Ok(Self(text.to_owned()))
    }

    /// The text as given, password and all.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// How to connect. Statements are never logged.
    pub(crate) fn options(&self) -> Result<PgConnectOptions, sqlx::Error> {
        let options = PgConnectOptions::from_str(&self.0)?;
        let named = options.get_application_name().is_some();
        let options = if named {
            options
        } else {
            options.application_name("tidegate")
        };
        Ok(options.disable_statement_logging())
    }
}

impl fmt::Display for LedgerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("postgres", ""));
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
        match authority.rsplit_once('@') {
            Some((user, host)) => {
                let shown = match user.split_once(':') {
                    Some((name, _)) => format!("{name}:***"),
                    None => user.to_owned(),
                };
                write!(f, "{scheme}://{shown}@{host}{path}")
            }
            None => write!(f, "{scheme}://{authority}{path}"),
        }
    }
}

impl fmt::Debug for LedgerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LedgerUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_never_shown() {
        for text in [
            "postgres://ops:s3cret@db:5432/ledger?sslmode=require",
            "postgresql://ops:s3cret%40x@[::1]/ledger",
            "postgres://ops:s3cret:more@db",
        ] {
            let url = LedgerUrl::parse(text).expect("right");
            let shown = format!("{url} {url:?}");
            assert!(!shown.contains("s3cret"), "{shown}");
            assert!(shown.contains("ops:***@"), "{shown}");
            assert_eq!(url.expose(), text);
        }
        let plain = LedgerUrl::parse("postgres://%2Frun%2Fpg/ledger").expect("right");
        assert_eq!(plain.to_string(), "postgres://%2Frun%2Fpg/ledger");
    }

    #[test]
    fn what_is_no_postgres_url_is_refused_without_repeating_it() {
        for wrong in [
            "",
            "ledger.db",
            "mysql://ops:s3cret@db/x",
            "postgres://ops:s3cret@db:port/x",
            "postgres://ops:s3cret@db/x?sslmode=maybe",
            "postgres://ops:s3cret@db/x?ssl_mode=require",
            "postgres://ops@db/x?password=s3cret",
        ] {
            let error = LedgerUrl::parse(wrong).expect_err(wrong);
            assert!(!error.to_string().contains("s3cret"));
        }
    }
}

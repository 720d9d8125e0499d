//! A ledger that this process alone holds, to copy from or to.

use std::fs;
use std::path::{Path, PathBuf};

use sqlx::{Connection, PgConnection, SqliteConnection};

use super::Address;
use super::rows::{Sink, Source};
use super::{fold_and_close, new_file};
use crate::audit;
use crate::data_dir::DataDir;
use crate::error::LedgerError;
use crate::keys::{KeyMarks, key_path, sync_parent, write_new_file};
use crate::model::Verdict;
use crate::postgres::connect as pg_connect;
use crate::postgres::error as pg;
use crate::postgres::url::LedgerUrl;
use crate::sqlite::connect::{self as lite_connect, beside};
use crate::sqlite::error as lite;
use crate::sqlite::open::{self, FILE};

/// The connection of one, and what keeps others away.
pub(super) struct Held {
    store: Store,
    key_file: PathBuf,
    _dir: Option<DataDir>,
}

enum Store {
    Sqlite {
        conn: SqliteConnection,
        /// The file that is being made, and the one that it becomes.
        becomes: Option<(PathBuf, PathBuf)>,
    },
    Postgres(PgConnection),
}

impl Held {
    /// A ledger to read.
    pub(super) async fn source(address: &Address) -> Result<Self, LedgerError> {
        match address {
            Address::Directory(options) => {
                let dir = DataDir::lock(&options.data_dir)?;
                let conn = lite_connect::look(&dir.path().join(FILE)).await?;
                let becomes = None;
                Ok(Self {
                    store: Store::Sqlite { conn, becomes },
                    key_file: key_path(dir.path(), options.key_file.as_deref()),
                    _dir: Some(dir),
                })
            }
            Address::Postgres(url, options) => {
                let key_file = key_path(&options.data_dir, options.key_file.as_deref());
                let mut held = Self::postgres(url, key_file).await?;
                if held.has_ledger().await? {
                    Ok(held)
                } else {
                    Err(LedgerError::Unavailable {
                        doing: "read",
                        why: format!("there is no ledger in {url}"),
                    })
                }
            }
        }
    }

    /// A place for a ledger.
    pub(super) async fn target(address: &Address) -> Result<Self, LedgerError> {
        match address {
            Address::Directory(options) => {
                let dir = DataDir::lock(&options.data_dir)?;
                let file = dir.path().join(FILE);
                refuse_existing(&file)?;
                let making = beside(&file, ".copying");
                remove_with_log(&making);
                write_new_file(&making, b"").map_err(|error| LedgerError::Unavailable {
                    doing: "written",
                    why: format!("{}: {error}", making.display()),
                })?;
                let conn = new_file(&making).await?;
                let becomes = Some((making, file));
                Ok(Self {
                    store: Store::Sqlite { conn, becomes },
                    key_file: key_path(dir.path(), options.key_file.as_deref()),
                    _dir: Some(dir),
                })
            }
            Address::Postgres(url, options) => {
                fs::create_dir_all(&options.data_dir).map_err(|error| {
                    LedgerError::Unavailable {
                        doing: "opened",
                        why: format!("{}: {error}", options.data_dir.display()),
                    }
                })?;
                let key_file = key_path(&options.data_dir, options.key_file.as_deref());
                Self::postgres(url, key_file).await
            }
        }
    }

    /// A PostgreSQL ledger, or the place for one: its tables are made.
    pub(super) async fn postgres(url: &LedgerUrl, key_file: PathBuf) -> Result<Self, LedgerError> {
        let told = |e| pg::unavailable("opened", &e);
        let mut conn = pg_connect::for_writing(&url.options().map_err(told)?).await?;
        sqlx::raw_sql(
            "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;
             RESET enable_seqscan; RESET enable_bitmapscan; RESET enable_hashjoin;
             RESET enable_mergejoin",
        )
        .execute(&mut conn)
        .await
        .map_err(told)?;
        pg_connect::check_server(&mut conn).await?;
        let alone: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock(1413958705, 2)")
            .fetch_one(&mut conn)
            .await
            .map_err(told)?;
        if !alone {
            return Err(LedgerError::Locked(format!(
                "a tidegate server uses {url}; stop every server of this ledger first"
            )));
        }
        pg_connect::migrate(&mut conn).await?;
        Ok(Self {
            store: Store::Postgres(conn),
            key_file,
            _dir: None,
        })
    }

    pub(super) fn key_file(&self) -> &Path {
        &self.key_file
    }

    pub(super) fn as_source(&mut self) -> Source<'_> {
        match &mut self.store {
            Store::Sqlite { conn, .. } => Source::Sqlite(conn),
            Store::Postgres(conn) => Source::Postgres(conn),
        }
    }

    pub(super) fn as_sink(&mut self) -> Sink<'_> {
        match &mut self.store {
            Store::Sqlite { conn, .. } => Sink::Sqlite(conn),
            Store::Postgres(conn) => Sink::Postgres(conn),
        }
    }

    pub(super) async fn verify(&mut self) -> Result<Verdict, LedgerError> {
        match &mut self.store {
            Store::Sqlite { conn, .. } => audit::verify_history(conn, None).await,
            Store::Postgres(conn) => audit::verify_history(conn, None).await,
        }
    }

    pub(super) async fn marks(&mut self) -> Result<KeyMarks, LedgerError> {
        match &mut self.store {
            Store::Sqlite { conn, .. } => open::key_marks(conn).await,
            Store::Postgres(conn) => crate::postgres::key_marks(conn)
                .await?
                .ok_or_else(|| LedgerError::Corrupt("the ledger names no key".into())),
        }
    }

    /// Whether there is more than empty tables.
    pub(super) async fn has_ledger(&mut self) -> Result<bool, LedgerError> {
        match &mut self.store {
            Store::Sqlite { becomes, .. } => Ok(becomes.is_none()),
            Store::Postgres(conn) => sqlx::query_scalar(
                "SELECT EXISTS (SELECT FROM apps) OR EXISTS (SELECT FROM chain)
                     OR EXISTS (SELECT FROM nonces) OR EXISTS (SELECT FROM meta)",
            )
            .fetch_one(conn)
            .await
            .map_err(|e| pg::reading(&e)),
        }
    }

    pub(super) async fn refuse_unless_empty(&mut self) -> Result<(), LedgerError> {
        if self.has_ledger().await? {
            return Err(LedgerError::Conflict(
                "there is a ledger in this database already; a copy never overwrites one, name \
                 an empty database"
                    .into(),
            ));
        }
        Ok(())
    }

    pub(super) async fn begin(&mut self) -> Result<(), LedgerError> {
        self.simple("BEGIN").await
    }

    pub(super) async fn commit(&mut self) -> Result<(), LedgerError> {
        self.simple("COMMIT").await
    }

    /// Empties a PostgreSQL ledger, inside the transaction that fills it again.
    pub(super) async fn clear(&mut self) -> Result<(), LedgerError> {
        self.simple(
            "ALTER TABLE chain DISABLE TRIGGER chain_keeps;
             ALTER TABLE decisions DISABLE TRIGGER decisions_keeps;
             ALTER TABLE attempts DISABLE TRIGGER attempts_keeps;
             ALTER TABLE events DISABLE TRIGGER events_keeps;
             DELETE FROM nonces; DELETE FROM placements; DELETE FROM blocks;
             DELETE FROM events; DELETE FROM attempts; DELETE FROM decisions; DELETE FROM chain;
             DELETE FROM objects; DELETE FROM budgets; DELETE FROM leases; DELETE FROM targets;
             DELETE FROM accounts; DELETE FROM server_secrets; DELETE FROM apps;
             DELETE FROM clock; DELETE FROM meta; DELETE FROM writers;
             ALTER TABLE chain ENABLE TRIGGER chain_keeps;
             ALTER TABLE decisions ENABLE TRIGGER decisions_keeps;
             ALTER TABLE attempts ENABLE TRIGGER attempts_keeps;
             ALTER TABLE events ENABLE TRIGGER events_keeps",
        )
        .await
    }

    async fn simple(&mut self, sql: &'static str) -> Result<(), LedgerError> {
        match &mut self.store {
            Store::Sqlite { conn, .. } => sqlx::raw_sql(sql)
                .execute(conn)
                .await
                .map(|_| ())
                .map_err(|e| lite::writing(&e)),
            Store::Postgres(conn) => sqlx::raw_sql(sql)
                .execute(conn)
                .await
                .map(|_| ())
                .map_err(|e| pg::unavailable("written", &e)),
        }
    }

    /// Closes what was only read.
    pub(super) async fn close(self) {
        match self.store {
            Store::Sqlite { conn, .. } => drop(conn.close().await),
            Store::Postgres(conn) => drop(conn.close().await),
        }
    }

    /// Puts what was committed in place, or takes away what was not.
    pub(super) async fn finish(self, committed: bool) -> Result<(), LedgerError> {
        let (conn, becomes) = match self.store {
            Store::Sqlite { conn, becomes } => (conn, becomes),
            Store::Postgres(mut conn) => {
                if committed {
                    let _ = sqlx::query("ANALYZE").execute(&mut conn).await;
                }
                let _ = conn.close().await;
                return Ok(());
            }
        };
        let folded = fold_and_close(conn).await;
        let Some((making, file)) = becomes else {
            return folded;
        };
        if !committed {
            remove_with_log(&making);
            return Ok(());
        }
        folded?;
        refuse_existing(&file)?;
        fs::rename(&making, &file)
            .and_then(|()| sync_parent(&file))
            .map_err(|error| LedgerError::Unavailable {
                doing: "written",
                why: format!("{}: {error}", file.display()),
            })
    }
}

fn refuse_existing(file: &Path) -> Result<(), LedgerError> {
    if file.exists() {
        return Err(LedgerError::Conflict(format!(
            "there is a ledger {} already; a copy never overwrites one, name another directory",
            file.display()
        )));
    }
    Ok(())
}

fn remove_with_log(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(beside(path, suffix));
    }
}

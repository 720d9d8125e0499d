//! Opening a ledger: the file, its key, and what must fit together.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use sqlx::{ConnectOptions, SqliteConnection};

use super::connect;
use super::error::{opening, reading, writing};
use super::operation::Memory;
use super::readers::Readers;
use super::writer::run;
use crate::error::LedgerError;
use crate::keys::{KeyMarks, SealingKey, sync_parent};

/// Name of the database in the data directory.
pub(crate) const FILE: &str = "ledger.db";
/// A ledger that was opened as far as the disk allows.
pub(super) struct Opened {
    pub readers: Readers,
    pub sealing: SealingKey,
    /// Absent when the ledger can be read only, for the time being.
    pub store: Option<(SqliteConnection, Memory)>,
}

/// Opens the database, or makes it together with its key.
pub(super) async fn open(file: &Path, key_file: &Path) -> Result<Opened, LedgerError> {
    let exists = file.metadata().is_ok_and(|m| m.len() > 0);
    let written = if exists {
        open_for_writing(file).await
    } else {
        create(file, key_file).await
    };
    let (store, trouble) = match written {
        Ok(conn) => (Some(conn), None),
        Err(error @ LedgerError::Unavailable { .. }) if exists => (None, Some(error)),
        Err(error) => return Err(error),
    };
    let readers = match Readers::open(file).await {
        Ok(readers) => readers,
        Err(error) => return Err(trouble.unwrap_or(error)),
    };
    if let Some(error) = &trouble {
        tracing::error!(%error, "the ledger is read-only until the disk recovers");
    }
    let mut conn = readers.get().await?;
    check_readable(&mut conn).await?;
    let sealing = matching_key(&mut conn, key_file).await?;
    drop(conn);
    let store = match store {
        Some(mut conn) => {
            let memory = Memory::load(&mut conn).await.map_err(|e| opening(&e))?;
            Some((conn, memory))
        }
        None => None,
    };
    Ok(Opened {
        readers,
        sealing,
        store,
    })
}

async fn open_for_writing(file: &Path) -> Result<SqliteConnection, LedgerError> {
    let mut conn = connect::for_writing(file)
        .connect()
        .await
        .map_err(|e| opening(&e))?;
    connect::check_version(&mut conn).await?;
    connect::migrate(&mut conn).await?;
    Ok(conn)
}

/// A ledger whose schema is behind can be read by this version only after a migration.
async fn check_readable(conn: &mut SqliteConnection) -> Result<(), LedgerError> {
    let found = connect::check_version(conn).await?;
    if found < connect::newest_schema() {
        return Err(LedgerError::Unavailable {
            doing: "opened",
            why: format!(
                "its schema {found} must be brought up to date first, and it cannot be written"
            ),
        });
    }
    Ok(())
}

async fn create(file: &Path, key_file: &Path) -> Result<SqliteConnection, LedgerError> {
    let sealing = SealingKey::load_or_create(key_file)?;
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(file)
        .and_then(|_| sync_parent(file))
        .map_err(|error| LedgerError::Unavailable {
            doing: "created",
            why: format!("{}: {error}", file.display()),
        })?;
    let mut conn = open_for_writing(file).await?;
    establish(&mut conn, &sealing).await?;
    Ok(conn)
}

/// Ties the ledger to its key. Until this is committed nothing can have been sealed.
async fn establish(conn: &mut SqliteConnection, sealing: &SealingKey) -> Result<(), LedgerError> {
    let marks = KeyMarks::of(sealing)?;
    run(conn, "BEGIN IMMEDIATE")
        .await
        .map_err(|e| writing(&e))?;
    sqlx::query(
        "INSERT OR REPLACE INTO meta (name, value) VALUES ('key_id', $1), ('key_check', $2);
         COMMIT",
    )
    .bind(marks.id)
    .bind(marks.check)
    .execute(conn)
    .await
    .map_err(|e| writing(&e))?;
    Ok(())
}

/// The key that this ledger was sealed with, or words about why it is not there.
pub(crate) async fn matching_key(
    conn: &mut SqliteConnection,
    key_file: &Path,
) -> Result<SealingKey, LedgerError> {
    key_marks(conn).await?.matching(key_file)
}

/// The marks of the key that a ledger is sealed with.
pub(crate) async fn key_marks(conn: &mut SqliteConnection) -> Result<KeyMarks, LedgerError> {
    let id: Option<String> = sqlx::query_scalar("SELECT value FROM meta WHERE name = 'key_id'")
        .fetch_optional(&mut *conn)
        .await
        .map_err(|e| reading(&e))?;
    let check: Option<Vec<u8>> =
        sqlx::query_scalar("SELECT value FROM meta WHERE name = 'key_check'")
            .fetch_optional(conn)
            .await
            .map_err(|e| reading(&e))?;
    match (id, check) {
        (Some(id), Some(check)) => Ok(KeyMarks { id, check }),
        _ => Err(LedgerError::Corrupt(
            "the file is not a finished ledger: it names no key".into(),
        )),
    }
}

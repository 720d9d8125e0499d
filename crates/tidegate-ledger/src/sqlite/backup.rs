//! A consistent copy of a ledger in use.
//!
//! The copy holds the secrets as sealed; the key file is not inside and has to be kept apart.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use sqlx::Connection;

use super::connect;
use super::error::unavailable;
use crate::error::LedgerError;
use crate::keys::sync_parent;

/// Writes a copy of the ledger `file` to the new file `to`, mode 0600, synced.
pub(crate) async fn backup(file: &Path, to: &Path) -> Result<(), LedgerError> {
    let failed = |error: io::Error| LedgerError::Unavailable {
        doing: "backed up",
        why: match error.kind() {
            io::ErrorKind::AlreadyExists => format!(
                "{} exists already; a backup never overwrites a file",
                to.display()
            ),
            _ => format!("{}: {error}", to.display()),
        },
    };
    let to = std::path::absolute(to).map_err(failed)?;
    let Some(path) = to.to_str() else {
        return Err(LedgerError::Unavailable {
            doing: "backed up",
            why: format!("the path {} is not UTF-8", to.display()),
        });
    };
    // VACUUM INTO takes an empty file, so the mode can be set before anything is in it.
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&to)
        .map_err(failed)?;
    let written = async {
        copy(file, path).await?;
        File::open(&to)
            .and_then(|copy| copy.sync_all())
            .and_then(|()| sync_parent(&to))
            .map_err(failed)
    };
    let written = written.await;
    if written.is_err() {
        let _ = fs::remove_file(&to);
    }
    written
}

async fn copy(file: &Path, to: &str) -> Result<(), LedgerError> {
    let mut conn = connect::look(file).await?;
    let copied = sqlx::query("VACUUM INTO $1")
        .bind(to)
        .execute(&mut conn)
        .await
        .map_err(|e| unavailable("backed up", &e));
    let _ = conn.close().await;
    copied.map(|_| ())
}

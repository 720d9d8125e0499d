//! The data directory and its lock: one server, or one offline tool, at a time.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use tidegate_core::UnixMs;

use crate::error::LedgerError;

const LOCK_FILE: &str = "lock";

/// A data directory that this process holds. Dropping it lets the directory go.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory if it is absent (mode 0700) and takes its lock. `Locked`, naming the
    /// holder, if another process has it.
    pub fn lock(path: &Path) -> Result<Self, LedgerError> {
        let path = std::path::absolute(path).map_err(|e| cannot("use", path, &e))?;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(|e| cannot("create", &path, &e))?;
        let mut lock = open_lock(&path)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held(&path, &mut lock)),
            Err(TryLockError::Error(error)) => return Err(cannot("lock", &path, &error)),
        }
        // A full disk must not keep the server down: the lock holds without its text.
        if let Err(error) = write_holder(&mut lock) {
            tracing::warn!(%error, "the lock file could not be written");
        }
        Ok(Self { path, _lock: lock })
    }

    /// Where it is, as an absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Opens the lock file, or the directory itself where no file can be made: either can be locked.
fn open_lock(dir: &Path) -> Result<File, LedgerError> {
    let path = dir.join(LOCK_FILE);
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .or_else(|_| File::open(&path))
        .or_else(|_| File::open(dir))
        .map_err(|e| cannot("lock", dir, &e))
}

fn write_holder(lock: &mut File) -> io::Result<()> {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let now = UnixMs(0).plus(since_epoch);
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{} {now}", std::process::id())
}

fn held(dir: &Path, lock: &mut File) -> LedgerError {
    let mut text = String::new();
    let _ = lock.take(128).read_to_string(&mut text);
    let holder = match text.trim().split_once(' ') {
        Some((pid, since)) => format!(" (pid {pid}, since {since})"),
        None => String::new(),
    };
    LedgerError::Locked(format!(
        "another tidegate server{holder} uses {}; stop it, or choose another directory with \
         --data-dir",
        dir.display()
    ))
}

fn cannot(verb: &str, path: &Path, error: &io::Error) -> LedgerError {
    LedgerError::Unavailable {
        doing: "opened",
        why: format!(
            "cannot {verb} the data directory {}: {error}",
            path.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_second_holder_is_refused_with_the_first_ones_pid() {
        let parent = tempfile::tempdir().expect("temp dir");
        let path = parent.path().join("a/b");
        let held = DataDir::lock(&path).expect("free");
        let mode = path.metadata().expect("made").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let refused = DataDir::lock(&path).expect_err("held").to_string();
        assert!(
            refused.contains(&format!("(pid {}", std::process::id())),
            "{refused}"
        );
        drop(held);
        DataDir::lock(&path).expect("free again");
    }
}

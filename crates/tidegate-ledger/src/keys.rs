//! The key file, and sealing of secrets with its key.
//!
//! A sealed value is `version, key id (8), nonce (24), XChaCha20-Poly1305 ciphertext and tag`. The
//! associated data name the table, row and column, so a value copied elsewhere does not open.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use sha2::{Digest, Sha256};
use tidegate_core::Secret;
use zeroize::{Zeroize, Zeroizing};

use crate::encode::Encoder;
use crate::error::LedgerError;

const VERSION: u8 = 1;
const KEY_ID: usize = 8;
const NONCE: usize = 24;

/// Where a sealed value lives; part of what is authenticated.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// Table.
    pub table: &'static str,
    /// Numbers that identify the row.
    pub row: &'a [i64],
    /// Column.
    pub column: &'static str,
}

impl Place<'_> {
    fn associated_data(&self) -> Vec<u8> {
        let mut out = Encoder::new("tidegate/sealed/1");
        out.text(self.table);
        for id in self.row {
            out.int(*id);
        }
        out.text(self.column);
        out.into_bytes()
    }
}

/// Where a secret of an App is.
pub(crate) fn app_place<'a>(row: &'a [i64; 1], column: &'static str) -> Place<'a> {
    Place {
        table: "apps",
        row,
        column,
    }
}

/// Where a ServerSecret is: AppId and serial.
pub(crate) fn secret_place(row: &[i64; 2]) -> Place<'_> {
    Place {
        table: "server_secrets",
        row,
        column: "sealed",
    }
}

/// Where a secret of a vendor account is.
pub(crate) fn account_place<'a>(row: &'a [i64; 1], column: &'static str) -> Place<'a> {
    Place {
        table: "accounts",
        row,
        column,
    }
}

/// Where the key of a target's play URLs is.
pub(crate) fn play_key_place(row: &[i64; 1]) -> Place<'_> {
    Place {
        table: "targets",
        row,
        column: "play_key",
    }
}

const CHECK: &str = "tidegate key check";
const CHECK_PLACE: Place<'static> = Place {
    table: "meta",
    row: &[],
    column: "key_check",
};

/// Name of the key file in the data directory, unless configured.
pub(crate) const KEY_FILE: &str = "secrets.key";

/// Where the key file is.
pub(crate) fn key_path(data_dir: &Path, configured: Option<&Path>) -> PathBuf {
    configured.map_or_else(|| data_dir.join(KEY_FILE), Path::to_owned)
}

/// What ties a ledger to its key.
pub(crate) struct KeyMarks {
    /// Names the key.
    pub id: String,
    /// A known text, sealed with it.
    pub check: Vec<u8>,
}

impl KeyMarks {
    /// For a ledger that is sealed with this key.
    pub(crate) fn of(key: &SealingKey) -> Result<Self, LedgerError> {
        Ok(Self {
            id: key.id(),
            check: key.seal(CHECK_PLACE, CHECK)?,
        })
    }

    /// The key of the ledger that has these marks, or words about why it is not there.
    pub(crate) fn matching(&self, key_file: &Path) -> Result<SealingKey, LedgerError> {
        let id = &self.id;
        let Some(key) = SealingKey::load(key_file)? else {
            return Err(LedgerError::Key(format!(
                "the ledger is sealed with key {id}, and the key file {} is missing; put it back, \
                 or copy it from another server of this ledger (backups of the ledger do not \
                 contain it), or name it in secrets.key_file",
                key_file.display()
            )));
        };
        let opens = key
            .open(CHECK_PLACE, &self.check)
            .is_ok_and(|text| text.expose() == CHECK);
        if key.id() != *id || !opens {
            return Err(LedgerError::Key(format!(
                "the ledger is sealed with key {id}, and the key file {} holds another ({}); put \
                 the right one back, or name it in secrets.key_file",
                key_file.display(),
                key.id()
            )));
        }
        Ok(key)
    }
}

/// The key that seals a ledger's secrets.
pub(crate) struct SealingKey {
    cipher: XChaCha20Poly1305,
    id: [u8; KEY_ID],
}

impl SealingKey {
    /// Reads the key file. `None` if there is none; a file that holds no key is an error.
    pub(crate) fn load(path: &Path) -> Result<Option<Self>, LedgerError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(file_error("cannot read", path, &error)),
        };
        warn_if_open_to_others(path);
        let mut key = Zeroizing::new([0_u8; 32]);
        hex::decode_to_slice(text.trim_end().as_bytes(), key.as_mut()).map_err(|_| {
            LedgerError::Key(format!(
                "{} is not a key file: expected one line of 64 hex digits",
                path.display()
            ))
        })?;
        Ok(Some(Self::from_bytes(&key)))
    }

    /// Reads the key file, or makes it together with a key.
    pub(crate) fn load_or_create(path: &Path) -> Result<Self, LedgerError> {
        match Self::load(path)? {
            Some(key) => Ok(key),
            None => Self::create(path),
        }
    }

    /// Makes a key and its file, mode 0600, on disk before this returns.
    pub(crate) fn create(path: &Path) -> Result<Self, LedgerError> {
        let mut key = Zeroizing::new([0_u8; 32]);
        random(key.as_mut())?;
        let mut line = Zeroizing::new(hex::encode(key.as_ref()));
        line.push('\n');
        write_new_file(path, line.as_bytes())
            .map_err(|error| file_error("cannot create", path, &error))?;
        Ok(Self::from_bytes(&key))
    }

    fn from_bytes(key: &[u8; 32]) -> Self {
        let hash = Sha256::new()
            .chain_update(b"tidegate/key-id/1")
            .chain_update(key)
            .finalize();
        let mut id = [0; KEY_ID];
        for (to, from) in id.iter_mut().zip(hash.iter()) {
            *to = *from;
        }
        Self {
            cipher: XChaCha20Poly1305::new(key.into()),
            id,
        }
    }

    /// A short hash that names the key without giving it away, in hex.
    pub(crate) fn id(&self) -> String {
        hex::encode(self.id)
    }

    /// Seals a secret for one place.
    pub(crate) fn seal(&self, place: Place<'_>, plain: &str) -> Result<Vec<u8>, LedgerError> {
        let mut nonce = [0_u8; NONCE];
        random(&mut nonce)?;
        let payload = Payload {
            msg: plain.as_bytes(),
            aad: &place.associated_data(),
        };
        let sealed = self
            .cipher
            .encrypt(XNonce::from_slice(&nonce), payload)
            .map_err(|_| LedgerError::Key("a secret could not be sealed".into()))?;
        Ok([&[VERSION], &self.id[..], &nonce, &sealed].concat())
    }

    /// Opens what [`SealingKey::seal`] made for the same place.
    pub(crate) fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Secret, LedgerError> {
        let Some((version, rest)) = sealed.split_first() else {
            return Err(self.unreadable(place));
        };
        let parts = rest
            .split_at_checked(KEY_ID)
            .and_then(|(id, rest)| Some((id, rest.split_at_checked(NONCE)?)));
        let Some((id, (nonce, ciphertext))) = parts else {
            return Err(self.unreadable(place));
        };
        if *version != VERSION {
            return Err(self.unreadable(place));
        }
        if id != self.id {
            return Err(LedgerError::Key(format!(
                "a secret in {} was sealed with key {}, the key file holds {}",
                place.table,
                hex::encode(id),
                self.id()
            )));
        }
        let payload = Payload {
            msg: ciphertext,
            aad: &place.associated_data(),
        };
        let plain = self
            .cipher
            .decrypt(XNonce::from_slice(nonce), payload)
            .map_err(|_| self.unreadable(place))?;
        match String::from_utf8(plain) {
            Ok(text) => Ok(Secret::new(text)),
            Err(error) => {
                error.into_bytes().zeroize();
                Err(self.unreadable(place))
            }
        }
    }

    fn unreadable(&self, place: Place<'_>) -> LedgerError {
        LedgerError::Corrupt(format!(
            "the sealed value {}.{} of row {:?} does not open with key {}: it was changed, or \
             copied from another row",
            place.table,
            place.column,
            place.row,
            self.id()
        ))
    }
}

fn random(into: &mut [u8]) -> Result<(), LedgerError> {
    getrandom::fill(into).map_err(|error| LedgerError::Unavailable {
        doing: "written",
        why: format!("the system gives no random numbers: {error}"),
    })
}

/// Writes a file that must not exist, mode 0600, and syncs it and its directory.
pub(crate) fn write_new_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written?;
    sync_parent(path)
}

/// Syncs the directory that holds `path`, so that the file's name is on disk too.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => File::open(".")?.sync_all(),
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

fn warn_if_open_to_others(path: &Path) {
    let Ok(metadata) = path.metadata() else {
        return;
    };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        tracing::warn!(
            path = %path.display(),
            mode = format!("{mode:o}"),
            "the key file can be read by others; run chmod 600 on it"
        );
    }
}

fn file_error(what: &str, path: &Path, error: &io::Error) -> LedgerError {
    LedgerError::Key(format!("{what} the key file {}: {error}", path.display()))
}

#[cfg(test)]
mod tests;

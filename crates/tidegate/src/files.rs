//! The files of the data directory that this binary writes, and how: whole or not at all. Also the
//! other small things of the system: reachable addresses and the wall clock.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use tidegate_core::UnixMs;

/// The addresses in use, while a server runs.
pub(crate) const LISTEN: &str = "listen.json";
/// The admin token.
pub(crate) const ADMIN_TOKEN: &str = "admin-token";
/// The App that the first start made.
pub(crate) const FIRST_APP: &str = "first-app.json";

/// Who may read a file.
#[derive(Clone, Copy)]
pub(crate) enum Readers {
    /// The owner only.
    Owner,
    /// Everybody who gets as far as the directory.
    All,
}

/// Replaces a file: a reader sees the old content or the new one, also after a power cut.
pub(crate) fn replace(path: &Path, content: &[u8], readers: Readers) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = Path::new(&name);
    let mode = match readers {
        Readers::Owner => 0o600,
        Readers::All => 0o644,
    };
    // What a crash left behind may have another mode.
    let _ = fs::remove_file(temporary);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(temporary)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(temporary, path))
        .and_then(|()| match path.parent() {
            Some(parent) => File::open(parent)?.sync_all(),
            None => Ok(()),
        });
    if written.is_err() {
        let _ = fs::remove_file(temporary);
    }
    written
}

/// A wildcard is no address to connect to: the loopback of its family is.
pub(crate) fn make_reachable(address: &mut SocketAddr) {
    match address {
        SocketAddr::V4(a) if a.ip().is_unspecified() => a.set_ip(Ipv4Addr::LOCALHOST),
        SocketAddr::V6(a) if a.ip().is_unspecified() => a.set_ip(Ipv6Addr::LOCALHOST),
        _ => {}
    }
}

/// The wall clock.
pub(crate) fn wall_clock() -> UnixMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    UnixMs(0).plus(since.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_replaced_file_has_its_mode_and_leaves_no_other_behind() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("token");
        fs::write(&path, "old").expect("written");
        replace(&path, b"new", Readers::Owner).expect("replaced");
        assert_eq!(fs::read(&path).expect("read"), b"new");
        let mode = path.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(dir.path().read_dir().expect("listed").count(), 1);
        let absent = dir.path().join("no/token");
        assert!(replace(&absent, b"new", Readers::Owner).is_err());
    }
}

//! What is particular to the SQLite back end: files, keys, crashes, full disks, tampering.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking"
)]

mod audit;
mod batching;
mod crash;
mod disk;
#[path = "../contract/fixture.rs"]
#[allow(dead_code, reason = "the contract suite uses the rest of it")]
mod fixture;
mod keys;
mod restore;

use std::path::Path;

use tidegate_ledger::{OpenOptions, SqliteLedger};

/// Opens the ledger of a directory.
async fn open(dir: &Path) -> SqliteLedger {
    SqliteLedger::open(OpenOptions::new(dir))
        .await
        .expect("the ledger opens")
}

/// Runs a test of this binary again in a process of its own, with `$role` set.
fn child(test: &str, dir: &Path, shell_prefix: &str) -> std::process::Command {
    let exe = std::env::current_exe().expect("known");
    let mut command = std::process::Command::new("/bin/sh");
    command
        .arg("-c")
        .arg(format!("{shell_prefix} exec \"$0\" \"$@\""))
        .arg(exe)
        .args(["--exact", test, "--nocapture"])
        .env("LEDGER_TEST_DIR", dir);
    command
}

/// The directory, in a process that [`child`] started.
fn child_dir() -> Option<std::path::PathBuf> {
    std::env::var_os("LEDGER_TEST_DIR").map(Into::into)
}

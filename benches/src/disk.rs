//! What the disk costs by itself: a bare loop of write and fdatasync.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::stats::Samples;

/// Bytes of one write: a page of a write-ahead log with its frame header.
const WRITE: usize = 4096 + 24;

/// Writes until the file starts over, as a write-ahead log does after a checkpoint.
const WRITES_A_PASS: u64 = 1000;

/// Writes and syncs for so long in `directory`; each sample is one write and its fdatasync.
pub(crate) fn bare_sync(directory: &Path, time: Duration) -> anyhow::Result<Samples> {
    let path = directory.join("bare-sync");
    let file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .open(&path)?;
    let block = vec![0x5a; WRITE];
    let stride = u64::try_from(WRITE)?;
    let mut samples = Samples::default();
    let start = Instant::now();
    for at in 0u64.. {
        if start.elapsed() >= time {
            break;
        }
        let before = Instant::now();
        file.write_all_at(&block, at % WRITES_A_PASS * stride)?;
        file.sync_data()?;
        samples.push(before.elapsed());
    }
    std::fs::remove_file(&path)?;
    Ok(samples)
}

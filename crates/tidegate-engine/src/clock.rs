//! The two clocks, read and judged.

use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};
use tidegate_core::UnixMs;
use tidegate_core::backoff::Now;
use tidegate_core::clock::{Mark, Sample, Suspicion, TOLERANCE, Watch};

/// The wall clock now.
pub(crate) fn wall() -> UnixMs {
    let ms = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
    };
    UnixMs(ms)
}

/// Reads both clocks. Time since boot comes straight from the kernel, so a library that fakes the
/// wall clock does not move it too.
pub(crate) fn sample() -> Sample {
    let boot = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(boot.tv_sec).unwrap_or(0);
    let millis = u64::try_from(boot.tv_nsec).unwrap_or(0) / 1_000_000;
    Sample {
        wall: wall(),
        since_boot_ms: seconds * 1000 + millis,
    }
}

/// Watches the wall clock.
pub(crate) struct Clock {
    watch: Mutex<Watch>,
    boot: String,
    set_back: bool,
}

impl Clock {
    pub(crate) fn start(mark: Option<&Mark>, ledger_newest: Option<UnixMs>) -> Self {
        let boot = boot_id();
        let now = sample();
        let watch = Watch::start(now, &boot, mark, ledger_newest);
        let steady = watch.expected_wall(now);
        Self {
            set_back: mark.is_some_and(|mark| steady.plus(TOLERANCE) < mark.sample.wall),
            watch: Mutex::new(watch),
            boot,
        }
    }

    /// Whether the steady clock began well before where an earlier run had left it, so that what
    /// that run put off is put off for too long.
    pub(crate) fn was_set_back(&self) -> bool {
        self.set_back
    }

    /// The wall clock, if it can be believed.
    pub(crate) fn judge(&self) -> Result<UnixMs, Suspicion> {
        let now = sample();
        self.watch.lock().judge(now)?;
        Ok(now.wall)
    }

    /// Now by both clocks, for whatever waits.
    pub(crate) fn now(&self) -> Now {
        let sample = sample();
        let mut watch = self.watch.lock();
        Now {
            wall: sample.wall,
            steady: watch.expected_wall(sample),
            ends_held: watch.judge(sample).is_err(),
        }
    }

    /// A vendor's answer carried this time.
    pub(crate) fn heard(&self, account: &str, date: UnixMs) {
        self.watch.lock().on_vendor_date(account, date, sample());
    }

    pub(crate) fn accept(&self) {
        self.watch.lock().accept(sample());
    }

    /// What to keep for the next start: the reading that this run believes in.
    pub(crate) fn mark(&self) -> Mark {
        let now = sample();
        let wall = self.watch.lock().expected_wall(now);
        Mark {
            sample: Sample { wall, ..now },
            boot: self.boot.clone(),
        }
    }
}

fn boot_id() -> String {
    // Without it (not Linux, no /proc) marks of earlier runs simply do not count.
    match std::fs::read_to_string("/proc/sys/kernel/random/boot_id") {
        Ok(id) => id.trim().to_owned(),
        Err(_) => format!("unknown-{}", wall().0),
    }
}

//! A server under test: started pinned, watched through `/proc`, stopped when dropped.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::machine::server_cores;

/// A process that this one started, and its children.
pub(crate) struct Server {
    child: Child,
    name: String,
}

impl Server {
    /// Starts `command` on the server's core, its output in `log`.
    pub(crate) fn start(
        binary: &Path,
        log: &Path,
        set_up: impl FnOnce(&mut Command),
    ) -> anyhow::Result<Self> {
        let out = std::fs::File::create(log).with_context(|| format!("{}", log.display()))?;
        let mut command = Command::new("taskset");
        command.arg("-c").arg(server_cores()).arg(binary);
        command.stdin(Stdio::null());
        command.stdout(out.try_clone()?).stderr(out);
        set_up(&mut command);
        let child = command
            .spawn()
            .with_context(|| format!("starting {} through taskset", binary.display()))?;
        let name = binary.file_name().unwrap_or_default().to_string_lossy();
        Ok(Self {
            child,
            name: name.into_owned(),
        })
    }

    /// Waits until `ready` gives something; an early exit or 20 s of waiting is an error.
    pub(crate) fn wait_for<T>(
        &mut self,
        mut ready: impl FnMut() -> Option<T>,
    ) -> anyhow::Result<T> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(found) = ready() {
                return Ok(found);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status} before it was ready", self.name);
            }
            if Instant::now() > deadline {
                bail!("{} was not ready within 20 s", self.name);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn pids(&self) -> Vec<u32> {
        let own = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children"));
        let mut pids = vec![own];
        pids.extend(
            children
                .unwrap_or_default()
                .split_whitespace()
                .filter_map(|pid| pid.parse::<u32>().ok()),
        );
        pids
    }

    /// User and system time used so far, in seconds.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.pids().into_iter().map(cpu_seconds_of).sum()
    }

    /// Resident memory in KiB.
    pub(crate) fn rss_kib(&self) -> f64 {
        self.pids().into_iter().map(rss_kib_of).sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let deadline = Instant::now() + Duration::from_secs(8);
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// User and system time of this process so far, in seconds.
pub(crate) fn own_cpu_seconds() -> f64 {
    cpu_seconds_of(std::process::id())
}

/// The same, with what children that have been waited for used.
pub(crate) fn own_and_children_seconds() -> f64 {
    cpu_fields(std::process::id(), 4)
}

fn cpu_seconds_of(pid: u32) -> f64 {
    cpu_fields(pid, 2)
}

/// The first of user, system, children's user and children's system time.
fn cpu_fields(pid: u32, count: usize) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name may hold spaces and brackets; what follows its last bracket may not.
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks: f64 = after_name
        .split(' ')
        .skip(11)
        .take(count)
        .filter_map(|field| field.parse::<f64>().ok())
        .sum();
    ticks / crate::stats::float64(rustix::param::clock_ticks_per_second())
}

/// Resident memory of a process in KiB.
pub(crate) fn rss_kib_of(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next())
        .and_then(|kib| kib.parse().ok())
        .unwrap_or(0.0)
}

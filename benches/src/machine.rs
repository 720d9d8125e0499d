//! The machine: cores, limits, and what the scratch directory really is.

use std::path::Path;

use anyhow::{Context as _, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

/// Where servers run.
pub(crate) const SERVER_CORE: usize = 0;

/// Where this process runs.
pub(crate) const LOAD_CORE: usize = 1;

/// Pins the calling thread, and all it starts later.
pub(crate) fn pin_to(core: usize) -> anyhow::Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if cores < 2 {
        bail!("two cores are needed, one for the server and one for the load; there is {cores}");
    }
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("pinning to core {core}"))
}

/// Raises the limit on open files, which servers started from here inherit.
pub(crate) fn raise_file_limit(wanted: u64) -> anyhow::Result<()> {
    let limits = getrlimit(Resource::Nofile);
    let maximum = limits.maximum.unwrap_or(u64::MAX).max(wanted);
    let raised = Rlimit {
        current: Some(wanted),
        maximum: Some(maximum),
    };
    if setrlimit(Resource::Nofile, raised).is_ok() {
        return Ok(());
    }
    // Without the right to raise the hard limit, what it allows has to do.
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limits.maximum,
            maximum: limits.maximum,
        },
    )
    .context("raising the limit on open files")
}

/// One line on kernel, processor and the file system of the scratch directory.
pub(crate) fn describe(scratch: &Path) -> anyhow::Result<String> {
    let kernel = read("/proc/sys/kernel/osrelease");
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown processor", |(_, model)| model.trim());
    let (device, kind) = file_system(scratch)?;
    if kind == "tmpfs" || kind == "ramfs" {
        bail!(
            "{} is {kind}, where fsync costs nothing: give --scratch a directory on a disk",
            scratch.display()
        );
    }
    Ok(format!(
        "{model}, Linux {}, server on core {SERVER_CORE}, load on core {LOAD_CORE}, data on {device} ({kind})",
        kernel.trim()
    ))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Device and type of the mount that holds `path`.
fn file_system(path: &Path) -> anyhow::Result<(String, String)> {
    let path = path
        .canonicalize()
        .with_context(|| format!("no such directory: {}", path.display()))?;
    let mounts = read("/proc/self/mounts");
    let holder = mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ');
            let (device, point, kind) = (fields.next()?, fields.next()?, fields.next()?);
            path.starts_with(point).then_some((device, point, kind))
        })
        .max_by_key(|(_, point, _)| point.len());
    let (device, _, kind) = holder.context("the scratch directory is on no known mount")?;
    Ok((device.to_owned(), kind.to_owned()))
}

//! The machine: cores, limits, and what the scratch directory really is.

use std::path::Path;
use std::sync::OnceLock;
use std::time::Instant;

use anyhow::{Context as _, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::stats::float;

/// Where servers run, as a list for `taskset`.
static SERVER_CORES: OnceLock<String> = OnceLock::new();

/// Where this process runs.
pub(crate) const LOAD_CORE: usize = 1;

/// Chooses where servers run; the first choice stands.
pub(crate) fn run_servers_on(cores: &str) {
    SERVER_CORES.get_or_init(|| cores.to_owned());
}

/// Where servers run.
pub(crate) fn server_cores() -> &'static str {
    SERVER_CORES.get().map_or("0", String::as_str)
}

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
        "{model}, Linux {}, server on cores {}, load on core {LOAD_CORE}, data on {device} ({kind})",
        kernel.trim(),
        server_cores()
    ))
}

/// What the machine and this process with its children had spent at some moment, in seconds.
pub(crate) struct Spent {
    all: f64,
    own: f64,
    at: Instant,
}

impl Spent {
    pub(crate) fn so_far() -> Self {
        Self {
            all: machine_seconds(),
            own: crate::process::own_and_children_seconds(),
            at: Instant::now(),
        }
    }

    /// The part of the machine, 0 to 1, that others have used since. Children count once they
    /// have been waited for.
    pub(crate) fn by_others_since(&self) -> f64 {
        let now = Self::so_far();
        let others = (now.all - self.all) - (now.own - self.own);
        let cores = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cores = cores.lines().filter(|l| l.starts_with("processor")).count();
        let seconds = (now.at - self.at).as_secs_f64() * float(cores.max(1));
        (others / seconds).clamp(0.0, 1.0)
    }
}

/// User, nice and system time of all processors. Interrupts belong to nobody and are left out.
fn machine_seconds() -> f64 {
    let stat = read("/proc/stat");
    let all = stat.lines().next().unwrap_or_default();
    let ticks = all.split_whitespace().skip(1).take(3);
    let ticks: f64 = ticks.filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / crate::stats::float64(rustix::param::clock_ticks_per_second())
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

//! Durable decisions: how many a second and how many an fsync, beside a bare write and fdatasync.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};

use crate::Bench;
use crate::api::{Caller, is_success};
use crate::disk::bare_sync;
use crate::http_load::{Outcome, closed_loop};
use crate::report::{Better, Table, line, progress};
use crate::stats::float;
use crate::tidegate::Tidegate;

/// One decision an fsync, less what checkpoints sync of the log by themselves.
const ONE_EACH: f64 = 0.98;

const CALLERS: [usize; 2] = [1, 64];

pub(crate) fn run(bench: &Bench) -> anyhow::Result<()> {
    let tidegate = Tidegate::start(&bench.server, &bench.scratch)?;
    let time = Duration::from_secs(if bench.quick { 1 } else { 10 });
    let sync = bare_sync(&tidegate.directory(), time / 2)?;
    let bare = 1000.0 / (sync.mean());
    let mut table = Table::new("decisions");
    table.plain("bare write + fdatasync", bare, "/s");
    table.plain("bare write + fdatasync, p50", sync.p50(), "ms");
    table.plain("bare write + fdatasync, p99", sync.p99(), "ms");
    let mut streams = 0u64;
    for callers in CALLERS {
        progress(&format!("decisions: {callers} callers"));
        let outcome = forbid(&tidegate, callers, time, &mut streams)?;
        let who = if callers == 1 {
            "1 caller".to_owned()
        } else {
            format!("{callers} callers")
        };
        table.plain(&format!("{who}: decisions"), outcome.per_second(), "/s");
        table.plain(
            &format!("{who}: over a bare fdatasync loop"),
            outcome.per_second() / bare,
            "times",
        );
        table.plain(
            &format!("{who}: answered, p50"),
            outcome.latency.p50(),
            "ms",
        );
        table.plain(
            &format!("{who}: answered, p99"),
            outcome.latency.p99(),
            "ms",
        );
        // Counted apart, since tracing slows what it counts.
        let traced = time.min(Duration::from_secs(4));
        let Some(syncs) = fsyncs(&tidegate, callers, traced, &mut streams)? else {
            table.words(&format!("{who}: decisions an fsync"), "strace is missing");
            continue;
        };
        table.held(
            &format!("{who}: decisions an fsync of the log"),
            syncs.calls / syncs.of_log,
            "",
            if callers == 1 { ONE_EACH } else { 32.0 },
            Better::Higher,
        );
        table.words(
            &format!("{who}: traced"),
            &format!(
                "{} decisions, {} fsyncs of the log, {} of the database",
                syncs.calls, syncs.of_log, syncs.others
            ),
        );
    }
    line(&table.to_string());
    Ok(())
}

/// Forbids a stream of its own with every call.
fn forbid(
    tidegate: &Tidegate,
    callers: usize,
    time: Duration,
    streams: &mut u64,
) -> anyhow::Result<Outcome> {
    let mut caller: Caller = tidegate.caller()?;
    let mut next = |request: &mut Vec<u8>| {
        *streams += 1;
        let stream = format!("decision-{streams}");
        caller.put(request, "ForbidCDNLiveStream", "StreamId", &stream);
    };
    closed_loop(tidegate.listen.api, callers, time, &mut next, &is_success)
}

/// What strace counted while so many decisions were made.
struct Syncs {
    calls: f64,
    of_log: f64,
    /// Of the database itself, by checkpoints.
    others: f64,
}

/// Counts fsyncs under load.
fn fsyncs(
    tidegate: &Tidegate,
    callers: usize,
    time: Duration,
    streams: &mut u64,
) -> anyhow::Result<Option<Syncs>> {
    let log = tidegate.directory().join("strace");
    let spawned = Command::new("strace")
        .args(["-f", "-q", "-y", "-e", "trace=fsync,fdatasync", "-o"])
        .arg(&log)
        .args(["-p", &tidegate.server.pid().to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut strace) = spawned else {
        return Ok(None);
    };
    std::thread::sleep(Duration::from_millis(300));
    let outcome = forbid(tidegate, callers, time, streams);
    if let Some(pid) = i32::try_from(strace.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::INT);
    }
    let _ = strace.wait();
    let calls = outcome?.calls;
    let mut text = String::new();
    std::fs::File::open(&log)
        .and_then(|mut file| file.read_to_string(&mut text))
        .context("reading what strace wrote")?;
    let syncs = |of_log: bool| {
        let lines = text.lines().filter(|line| {
            line.contains("sync(") && !line.contains("resumed") && line.contains("-wal>") == of_log
        });
        float(lines.count())
    };
    Ok((syncs(true) > 0.0).then(|| Syncs {
        calls: float(calls),
        of_log: syncs(true),
        others: syncs(false),
    }))
}

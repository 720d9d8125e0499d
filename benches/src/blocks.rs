//! A start with a million standing blocks, each banned at a vendor, and what they cost from then
//! on.

mod fill;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tempfile::TempDir;
use tidegate_core::{AppId, UnixMs};
use tidegate_ledger::{CdnLedger as _, OpenOptions, SqliteLedger};
use tidegate_media::rtmp::client::Purpose;

use crate::Bench;
use crate::report::{Better, Table, line, progress};
use crate::rtmp;
use crate::stats::{Samples, float64, millis};
use crate::tidegate::Tidegate;
use fill::Filled;

/// Keys of one page of a scan, as the server asks for them.
const PAGE: u32 = 1024;
/// Objects read at once, as the server reads them.
const BATCH: usize = 256;
/// Within this a server with a million blocks is to serve.
const START: f64 = 2.0;

pub(crate) fn run(bench: &Bench) -> anyhow::Result<()> {
    let blocks: u32 = if bench.quick { 20_000 } else { 1_000_000 };
    let rest = Duration::from_secs(if bench.quick { 2 } else { 20 });
    progress("blocks: an empty server");
    let (dir, app, empty_kib) = empty(bench)?;
    let data = dir.path().join("data");
    progress(&format!("blocks: writing {blocks} of them"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let filled = runtime.block_on(fill::fill(&data, app, blocks))?;
    let mut table = Table::new(&format!("{blocks} standing blocks at one vendor"));
    let bytes = data.join("ledger.db").metadata()?.len();
    table.plain(
        "ledger",
        float64(bytes) / f64::from(blocks),
        "bytes a block",
    );

    progress("blocks: start");
    let began = Instant::now();
    let tidegate = Tidegate::start_in(&bench.server, dir)?;
    let started = began.elapsed().as_secs_f64();
    let start_cpu = tidegate.server.cpu_seconds();
    table.held("start to serving", started, "s", START, Better::Lower);
    table.plain("CPU of the start", start_cpu, "s");
    refuses(&tidegate, blocks)?;
    std::thread::sleep(rest / 4);
    let before = tidegate.server.cpu_seconds();
    std::thread::sleep(rest);
    let used = (tidegate.server.cpu_seconds() - before) * 1000.0 / rest.as_secs_f64();
    let kib = tidegate.server.rss_kib() - empty_kib;
    let each = kib * 1024.0 / f64::from(blocks);
    table.held(
        "resident memory a block",
        each,
        "bytes",
        200.0,
        Better::Lower,
    );
    table.plain("CPU of the server at rest", used, "ms a second");
    let dir = tidegate.stop();

    progress("blocks: ticks");
    let reps = if bench.quick { 5 } else { 30 };
    runtime.block_on(ticks(&dir.path().join("data"), filled, reps, &mut table))?;
    line(&table.to_string());
    Ok(())
}

/// What a server without blocks takes; its directory is used further.
fn empty(bench: &Bench) -> anyhow::Result<(TempDir, AppId, f64)> {
    let tidegate = Tidegate::start(&bench.server, &bench.scratch)?;
    std::thread::sleep(Duration::from_secs(1));
    let kib = tidegate.server.rss_kib();
    let app = tidegate.app();
    Ok((tidegate.stop(), app, kib))
}

/// The blocks are in force: first, middle and last.
fn refuses(tidegate: &Tidegate, blocks: u32) -> anyhow::Result<()> {
    for n in [0, blocks / 2, blocks - 1] {
        let target = tidegate.publish_target(&fill::stream(n));
        let attempt = rtmp::ask(&target, Purpose::Publish)?;
        let refused = matches!(attempt, rtmp::Attempt::Refused { .. });
        ensure!(refused, "{} may be published", fill::stream(n));
    }
    Ok(())
}

/// What the reconciler asks the ledger once a minute, and for what it finds.
async fn ticks(data: &Path, filled: Filled, reps: u32, table: &mut Table) -> anyhow::Result<()> {
    let ledger = SqliteLedger::open(OpenOptions::new(data)).await?;
    let due_by = |count: u32| UnixMs(filled.first_due.0 + i64::from(count) - 1);
    let page = usize::try_from(PAGE)?;
    let all = UnixMs(i64::MAX);
    let middle = filled.key(filled.blocks / 2)?;
    for (what, before, after) in [
        ("tick, none due", due_by(0), None),
        ("tick, one page due", due_by(PAGE), None),
        ("tick, all due, first page", all, None),
        ("tick, all due, a page from the middle", all, Some(&middle)),
    ] {
        let mut took = Samples::default();
        let mut keys = Vec::new();
        for _ in 0..reps {
            let began = Instant::now();
            keys = ledger
                .due_objects(filled.account, before, after, page)
                .await?;
            took.push(began.elapsed());
        }
        let wanted = if before < filled.first_due { 0 } else { page };
        ensure!(keys.len() == wanted, "{what}: {} keys", keys.len());
        table.plain(&format!("{what}, p50"), took.p50(), "ms");
        table.plain(&format!("{what}, p99"), took.p99(), "ms");
        if let Some(batch) = keys.get(..BATCH) {
            let began = Instant::now();
            let rows = ledger.objects(batch).await?;
            let time = millis(began.elapsed());
            let row = rows.first().context("an object")?;
            ensure!(row.owners.len() == 1 && row.version == 1, "{row:?}");
            table.plain(&format!("{what}: reading {BATCH} objects"), time, "ms");
        }
    }
    ledger.close().await;
    Ok(())
}

//! What the Server API costs: signed queries beside a handler that does nothing, on the same
//! HTTP stack and runtime, under the same load.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;

use crate::Bench;
use crate::api::is_success;
use crate::http_load::{Outcome, closed_loop};
use crate::process::Server;
use crate::report::{Better, Table, line, progress};
use crate::tidegate::Tidegate;

const CONNECTIONS: usize = 64;

pub(crate) fn run(bench: &Bench) -> anyhow::Result<()> {
    let time = Duration::from_secs(if bench.quick { 1 } else { 5 });
    let rounds = if bench.quick { 1 } else { 3 };
    let (mut empty, mut signed) = (Vec::new(), Vec::new());
    // Taken in turns, so that a machine that slows down slows both.
    for round in 1..=rounds {
        progress(&format!("api: round {round} of {rounds}"));
        empty.push(run_empty(bench, time)?);
        signed.push(run_signed(bench, time)?);
    }
    let (empty, signed) = (median(empty)?, median(signed)?);
    let mut table = Table::new("API, 64 connections, one core");
    table.plain("empty handler", empty.per_second(), "/s");
    table.plain("empty handler, p99", empty.latency.p99(), "ms");
    table.plain("load tool busy, empty handler", empty.busy * 100.0, "%");
    table.plain("signed query", signed.per_second(), "/s");
    table.plain("signed query, p99", signed.latency.p99(), "ms");
    table.plain("load tool busy, signed query", signed.busy * 100.0, "%");
    table.held(
        "signed query over empty handler",
        signed.per_second() / empty.per_second(),
        "",
        0.6,
        Better::Higher,
    );
    table.held(
        "beside ZLMediaKit's API",
        signed.per_second(),
        "/s",
        17_600.0,
        Better::Higher,
    );
    line(&table.to_string());
    Ok(())
}

fn run_empty(bench: &Bench, time: Duration) -> anyhow::Result<Outcome> {
    let dir = tempfile::tempdir_in(&bench.scratch)?;
    let log = dir.path().join("log");
    let binary = bench
        .empty_handler
        .canonicalize()
        .with_context(|| format!("no empty handler at {}", bench.empty_handler.display()))?;
    let mut server = Server::start(&binary, &log, |_| {})?;
    let addr: SocketAddr = server.wait_for(|| {
        let text = std::fs::read_to_string(&log).ok()?;
        text.lines().next()?.parse().ok()
    })?;
    // The same request, so that both parse the same head.
    let mut caller = crate::api::Caller::new(1, "0123456789abcdef0123456789abcdef")?;
    let mut next = |request: &mut Vec<u8>| {
        caller.put(request, "QueryForbidCDNLiveStream", "Vendor", "origin");
    };
    warm_and_run(addr, time, &mut next)
}

fn run_signed(bench: &Bench, time: Duration) -> anyhow::Result<Outcome> {
    let tidegate = Tidegate::start(&bench.server, &bench.scratch)?;
    let mut caller = tidegate.caller()?;
    let mut next = |request: &mut Vec<u8>| {
        caller.put(request, "QueryForbidCDNLiveStream", "Vendor", "origin");
    };
    warm_and_run(tidegate.listen.api, time, &mut next)
}

fn warm_and_run(
    addr: SocketAddr,
    time: Duration,
    next: &mut dyn FnMut(&mut Vec<u8>),
) -> anyhow::Result<Outcome> {
    closed_loop(addr, CONNECTIONS, time / 5, next, &is_success)?;
    closed_loop(addr, CONNECTIONS, time, next, &is_success)
}

fn median(mut outcomes: Vec<Outcome>) -> anyhow::Result<Outcome> {
    outcomes.sort_by(|a, b| a.per_second().total_cmp(&b.per_second()));
    let middle = outcomes.len() / 2;
    outcomes
        .into_iter()
        .nth(middle)
        .context("nothing was measured")
}

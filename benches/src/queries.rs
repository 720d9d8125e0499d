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
use crate::stats::float;
use crate::tidegate::Tidegate;

/// A run, and what each call cost the server in microseconds.
type Measured = (Outcome, f64);

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
    let ((empty, empty_us), (signed, signed_us)) = (median(empty)?, median(signed)?);
    let mut table = Table::new("API, 64 connections, one core");
    table.plain("empty handler", empty.per_second(), "/s");
    table.plain("empty handler, CPU a call", empty_us, "us");
    table.plain("empty handler, p99", empty.latency.p99(), "ms");
    table.plain("load tool busy, empty handler", empty.busy * 100.0, "%");
    table.plain("signed query", signed.per_second(), "/s");
    table.plain("signed query, CPU a call", signed_us, "us");
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
        "the same by CPU a call",
        empty_us / signed_us,
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

fn run_empty(bench: &Bench, time: Duration) -> anyhow::Result<Measured> {
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
    warm_and_run(&server, addr, time, &mut next)
}

fn run_signed(bench: &Bench, time: Duration) -> anyhow::Result<Measured> {
    let tidegate = Tidegate::start(&bench.server, &bench.scratch)?;
    let mut caller = tidegate.caller()?;
    let mut next = |request: &mut Vec<u8>| {
        caller.put(request, "QueryForbidCDNLiveStream", "Vendor", "origin");
    };
    warm_and_run(&tidegate.server, tidegate.listen.api, time, &mut next)
}

fn warm_and_run(
    server: &Server,
    addr: SocketAddr,
    time: Duration,
    next: &mut dyn FnMut(&mut Vec<u8>),
) -> anyhow::Result<Measured> {
    closed_loop(addr, CONNECTIONS, time / 5, next, &is_success)?;
    let before = server.cpu_seconds();
    let outcome = closed_loop(addr, CONNECTIONS, time, next, &is_success)?;
    let spent = server.cpu_seconds() - before;
    let us_a_call = spent * 1e6 / float(outcome.calls);
    Ok((outcome, us_a_call))
}

fn median(mut outcomes: Vec<Measured>) -> anyhow::Result<Measured> {
    outcomes.sort_by(|(a, _), (b, _)| a.per_second().total_cmp(&b.per_second()));
    let middle = outcomes.len() / 2;
    let middle = outcomes.into_iter().nth(middle);
    middle.context("nothing was measured")
}

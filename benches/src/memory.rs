//! Resident memory of what stands idle: publishers, players, blocks. Socket buffers are the
//! kernel's and do not show here.

use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use tidegate_core::{AppId, Block, BlockSet, Generation, StreamId, StreamKey, UnixMs, Until};

use crate::Bench;
use crate::media::headers;
use crate::nginx::{self, Nginx};
use crate::process::{Server, rss_kib_of};
use crate::report::{Better, Table, line, progress};
use crate::rtmp::{self, Target};
use crate::stats::float;
use crate::tidegate::Tidegate;

const BLOCKS: u64 = 1_000_000;

pub(crate) fn run(bench: &Bench) -> anyhow::Result<()> {
    let publishers = if bench.quick { 100 } else { 1000 };
    let mut table = Table::new("memory");
    if bench.own {
        let tidegate = Tidegate::start(&bench.server, &bench.scratch)?;
        progress(&format!("memory: {publishers} idle publishers"));
        let target = |name: &str| tidegate.publish_target(name);
        let kib = idle_publishers(&tidegate.server, publishers, target)?;
        table.held("an idle publisher", kib, "KiB", 25.0, Better::Lower);
    }
    if bench.peers && nginx::is_installed() {
        let nginx = Nginx::start(&bench.scratch)?;
        let target = |name: &str| nginx.target(name);
        let kib = idle_publishers(&nginx.server, publishers, target)?;
        table.plain("an idle publisher of nginx-rtmp", kib, "KiB");
    }
    progress("memory: one million blocks");
    table.held(
        "a standing block",
        bytes_a_block()?,
        "bytes",
        200.0,
        Better::Lower,
    );
    line(&table.to_string());
    Ok(())
}

/// KiB that each of `count` publishers adds, once it has sent its headers and fallen silent.
fn idle_publishers(
    server: &Server,
    count: usize,
    target: impl Fn(&str) -> Target,
) -> anyhow::Result<f64> {
    // The first connections make the server set up what later ones share.
    let mut warm = open_publishers(0, 20, &target)?;
    std::thread::sleep(Duration::from_millis(500));
    let before = server.rss_kib();
    warm.extend(open_publishers(20, count, &target)?);
    std::thread::sleep(Duration::from_millis(500));
    Ok((server.rss_kib() - before) / float(count))
}

fn open_publishers(
    from: usize,
    count: usize,
    target: impl Fn(&str) -> Target,
) -> anyhow::Result<Vec<TcpStream>> {
    let mut open = Vec::with_capacity(count);
    for at in from..from + count {
        let mut publisher = rtmp::publish(&target(&format!("idle-{at}")))?;
        for (kind, payload) in headers() {
            publisher.session.send_media(kind, 0, &payload);
        }
        let output = publisher.session.take_output();
        std::io::Write::write_all(&mut publisher.stream, &output)?;
        open.push(publisher.stream);
    }
    Ok(open)
}

/// Measured in a process of its own, whose heap holds nothing else.
fn bytes_a_block() -> anyhow::Result<f64> {
    let own = std::env::current_exe()?;
    let output = Command::new(own).arg("block-set").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().context("measuring the block set")
}

/// Loads a million blocks and prints what each costs.
pub(crate) fn block_set_child() -> anyhow::Result<()> {
    let blocks = BlockSet::default();
    let before = rss_kib_of(std::process::id());
    for at in 0..BLOCKS {
        let stream = StreamId::parse(&format!("room-{at:012}-camera"))?;
        let block = Block {
            generation: Generation(at + 1),
            since: UnixMs(1_700_000_000_000),
            until: Until::At(UnixMs(1_800_000_000_000)),
            held_resume: None,
        };
        blocks.load(&StreamKey::new(AppId(1), stream), &block);
    }
    let kib = rss_kib_of(std::process::id()) - before;
    line(&format!("{:.1}", kib * 1024.0 / float(blocks.len())));
    Ok(())
}

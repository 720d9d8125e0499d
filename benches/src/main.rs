//! Measures Tidegate on one machine: the cut, decisions, the API, vendors' quotas, fan-out,
//! memory and a million blocks, each beside its budget and, where there is one, a peer from Debian.
//!
//! Everything runs on loopback with private ports and a temporary directory. The server is pinned
//! to core 0 and this process, which is the publisher and all players, to core 1; so a figure is
//! what one core gives, and neither side can borrow from the other.

mod api;
mod blocks;
mod cdns;
mod curve;
mod cut;
mod decisions;
mod disk;
mod fanout;
mod http_load;
mod machine;
mod media;
mod memory;
mod nginx;
mod player;
mod poll;
mod process;
mod publisher;
mod queries;
mod quotas;
mod report;
mod rig;
mod rtmp;
mod stats;
mod tidegate;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What to measure.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Part {
    /// From a call to a dark stream.
    Cut,
    /// Decisions a second and an fsync.
    Decisions,
    /// Signed queries beside an empty handler.
    Api,
    /// Decisions against the limits of simulated vendors, on a simulated clock.
    Quotas,
    /// A forbid that four simulated CDNs have to accept, beside the slowest of them alone.
    Cdns,
    /// Players, lag and CPU.
    Fanout,
    /// Resident memory of whatever stands idle.
    Memory,
    /// A start with a million standing blocks, and what they cost from then on.
    Blocks,
    /// One million blocks in a process of their own; run by `memory`.
    #[value(hide = true)]
    BlockSet,
}

/// Benchmarks of Tidegate.
#[derive(Parser, Debug)]
#[command(name = "bench")]
struct Arguments {
    /// Parts to run; all of them when none is named.
    parts: Vec<Part>,
    /// Fewer rounds, shorter windows, fewer players: shows that everything runs, no more.
    #[arg(long)]
    quick: bool,
    /// Leaves nginx out.
    #[arg(long)]
    no_peers: bool,
    /// Leaves Tidegate out of `fanout` and `memory`.
    #[arg(long, conflicts_with = "no_peers")]
    peers_only: bool,
    /// The server's binary.
    #[arg(long, default_value = "target/release/tidegate")]
    server: PathBuf,
    /// The empty handler that `api` compares with.
    #[arg(long, default_value = "target/release/empty-handler")]
    empty_handler: PathBuf,
    /// Where servers run, as a list of cores; the load has core 1.
    #[arg(long, default_value = "0")]
    server_cores: String,
    /// Where temporary directories are made: a disk, not memory.
    #[arg(long, default_value = "/var/tmp")]
    scratch: PathBuf,
    /// Highest player count that `fanout` tries.
    #[arg(long, default_value_t = 12_000)]
    max_players: usize,
}

/// What every part gets to know.
struct Bench {
    quick: bool,
    own: bool,
    peers: bool,
    server: PathBuf,
    empty_handler: PathBuf,
    scratch: PathBuf,
    max_players: usize,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::progress(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    if arguments.parts == [Part::BlockSet] {
        return memory::block_set_child();
    }
    machine::raise_file_limit(200_000)?;
    machine::run_servers_on(&arguments.server_cores);
    machine::pin_to(machine::LOAD_CORE)?;
    let bench = Bench {
        quick: arguments.quick,
        own: !arguments.peers_only,
        peers: !arguments.no_peers,
        server: arguments.server,
        empty_handler: arguments.empty_handler,
        scratch: arguments.scratch,
        max_players: arguments.max_players,
    };
    report::line(&machine::describe(&bench.scratch)?);
    if bench.quick {
        report::line("quick run: shows that everything works; its figures mean nothing");
    }
    let all = [
        Part::Cut,
        Part::Decisions,
        Part::Api,
        Part::Quotas,
        Part::Cdns,
        Part::Memory,
        Part::Blocks,
        Part::Fanout,
    ];
    let parts = if arguments.parts.is_empty() {
        all.to_vec()
    } else {
        arguments.parts
    };
    for part in parts {
        let before = machine::Spent::so_far();
        match part {
            Part::Cut => cut::run(&bench)?,
            Part::Decisions => decisions::run(&bench)?,
            Part::Api => queries::run(&bench)?,
            Part::Quotas => quotas::run(&bench)?,
            Part::Cdns => cdns::run(&bench)?,
            Part::Fanout => fanout::run(&bench)?,
            Part::Memory => memory::run(&bench)?,
            Part::Blocks => blocks::run(&bench)?,
            Part::BlockSet => {}
        }
        let others = before.by_others_since() * 100.0;
        report::line(&format!(
            "other processes took {others:.0}% of the machine meanwhile; above a few, measure again"
        ));
    }
    Ok(())
}

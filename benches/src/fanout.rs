//! Fan-out: one publisher of 2.5 Mb/s and more and more players, the server on one core.
//!
//! A player's lag is the time since the first byte that it has not received was handed to the
//! publisher's socket. All players are looked at every 50 ms; reported are quantiles over all of
//! these. A level holds when the 99th percentile is within bounds, no player was dropped and
//! everybody received the whole stream. The worst delay of any byte is shown beside it.

use std::time::Duration;

use crate::Bench;
use crate::nginx::{self, Nginx};
use crate::player::Source;
use crate::process::Server;
use crate::report::{Better, Grid, Table, line, progress};
use crate::rig::{Rig, Window};
use crate::rtmp::Target;
use crate::stats::float;
use crate::tidegate::Tidegate;

const STREAM: &str = "fanout";

/// Players that compare every byte.
const CHECKERS: usize = 4;

/// Rate of the stream in Mb/s; a level whose players got less than nearly that does not hold.
const RATE: f64 = 2.5;

const SECOND: f64 = 1000.0;
const TENTH: f64 = 100.0;

/// What is loaded.
struct Subject<'a> {
    name: &'a str,
    server: &'a Server,
    target: Target,
    source: Source,
}

/// What a number of players showed; without figures when they could not even be brought to play.
struct Level {
    players: usize,
    seen: Option<Seen>,
}

struct Seen {
    lag_p50: f64,
    lag_p99: f64,
    worst_p99: f64,
    cpu_per_gb: f64,
    kib_a_player: f64,
    megabits: f64,
    lost: usize,
    busy: f64,
}

/// What a peer reached, and what it spent there.
#[derive(Clone, Copy)]
struct Peer {
    within_second: usize,
    within_tenth: Option<usize>,
    cpu_per_gb: f64,
    kib_a_player: f64,
}

/// nginx-rtmp as measured on a machine of this kind, for runs without it.
const NGINX_ELSEWHERE: Peer = Peer {
    within_second: 2469,
    within_tenth: None,
    cpu_per_gb: 1.07,
    kib_a_player: 16.5,
};

struct Run<'a> {
    bench: &'a Bench,
    subject: Subject<'a>,
    rig: Rig,
    idle_kib: f64,
    levels: Vec<Level>,
}

pub(crate) fn run(bench: &Bench) -> anyhow::Result<()> {
    let peer = if bench.peers && nginx::is_installed() {
        Some(measure_nginx(bench)?)
    } else {
        progress("fanout: nginx with its rtmp module is left out");
        None
    };
    if bench.own {
        measure_http(bench)?;
        measure_rtmp(bench, peer.unwrap_or(NGINX_ELSEWHERE))?;
    }
    Ok(())
}

fn measure_nginx(bench: &Bench) -> anyhow::Result<Peer> {
    let nginx = Nginx::start(&bench.scratch)?;
    let subject = Subject {
        name: "nginx-rtmp, RTMP players",
        server: &nginx.server,
        target: nginx.target(STREAM),
        source: Source::Rtmp(nginx.target(STREAM)),
    };
    let mut run = Run::new(bench, subject)?;
    run.climb()?;
    run.print_levels();
    let (within_second, within_tenth) = (run.highest(SECOND), run.highest(TENTH));
    let mut table = Table::new("nginx-rtmp");
    table.plain("players within 1 s", float(within_second), "");
    table.plain("players within 100 ms", float(within_tenth), "");
    table.words("compared byte by byte", &run.compared());
    line(&table.to_string());
    static_file(bench, &nginx)?;
    let there = run.seen().find(|(players, _)| *players == within_second);
    Ok(Peer {
        within_second,
        within_tenth: Some(within_tenth),
        cpu_per_gb: there.map_or(f64::NAN, |(_, seen)| seen.cpu_per_gb),
        kib_a_player: there.map_or(f64::NAN, |(_, seen)| seen.kib_a_player),
    })
}

fn measure_http(bench: &Bench) -> anyhow::Result<()> {
    let tidegate = Tidegate::start(&bench.server, &bench.scratch)?;
    let subject = Subject {
        name: "Tidegate, HTTP-FLV players",
        server: &tidegate.server,
        target: tidegate.publish_target(STREAM),
        source: tidegate.flv(STREAM),
    };
    let mut run = Run::new(bench, subject)?;
    run.climb()?;
    run.print_levels();
    let mut table = Table::new("fan-out over HTTP-FLV against its budgets");
    let within = |bound| float(run.highest(bound));
    table.held(
        "players within 1 s",
        within(SECOND),
        "",
        6000.0,
        Better::Higher,
    );
    table.held(
        "players within 100 ms",
        within(TENTH),
        "",
        3000.0,
        Better::Higher,
    );
    let many = run
        .seen()
        .filter(|(players, seen)| *players >= 3000 && seen.holds(SECOND));
    let cpu = many
        .map(|(_, seen)| seen.cpu_per_gb)
        .fold(f64::NAN, f64::max);
    table.held(
        "CPU a GB, most from 3,000 players on",
        cpu,
        "s",
        0.6,
        Better::Lower,
    );
    let at_3000 = run.seen().find(|(players, _)| *players == 3000);
    let kib = at_3000.map_or(f64::NAN, |(_, seen)| seen.kib_a_player);
    table.held("memory a player, at 3,000", kib, "KiB", 10.0, Better::Lower);
    table.words("compared byte by byte", &run.compared());
    line(&table.to_string());
    Ok(())
}

fn measure_rtmp(bench: &Bench, peer: Peer) -> anyhow::Result<()> {
    let tidegate = Tidegate::start(&bench.server, &bench.scratch)?;
    let subject = Subject {
        name: "Tidegate, RTMP players",
        server: &tidegate.server,
        target: tidegate.publish_target(STREAM),
        source: tidegate.rtmp(STREAM),
    };
    let mut run = Run::new(bench, subject)?;
    run.climb()?;
    run.print_levels();
    let mut table = Table::new("fan-out over RTMP beside nginx-rtmp");
    let within = |bound| float(run.highest(bound));
    let second = float(peer.within_second);
    table.held(
        "players within 1 s",
        within(SECOND),
        "",
        second,
        Better::Higher,
    );
    match peer.within_tenth {
        Some(tenth) => {
            let tenth = float(tenth);
            table.held(
                "players within 100 ms",
                within(TENTH),
                "",
                tenth,
                Better::Higher,
            );
        }
        None => table.plain("players within 100 ms", within(TENTH), ""),
    }
    let highest = run.highest(SECOND);
    if let Some((_, seen)) = run.seen().find(|(players, _)| *players == highest) {
        table.held(
            "CPU a GB there",
            seen.cpu_per_gb,
            "s",
            peer.cpu_per_gb,
            Better::Lower,
        );
        table.held(
            "memory a player there",
            seen.kib_a_player,
            "KiB",
            peer.kib_a_player,
            Better::Lower,
        );
    }
    table.words("compared byte by byte", &run.compared());
    line(&table.to_string());
    Ok(())
}

impl<'a> Run<'a> {
    fn new(bench: &'a Bench, subject: Subject<'a>) -> anyhow::Result<Self> {
        let mut rig = Rig::new()?;
        rig.publish(&subject.target)?;
        // A GOP cache is full after one GOP; it belongs to the stream, not to its players.
        rig.run_for(Duration::from_secs(3))?;
        let idle_kib = subject.server.rss_kib();
        Ok(Self {
            bench,
            subject,
            rig,
            idle_kib,
            levels: Vec::new(),
        })
    }

    /// Rises until a level fails, then looks more closely at where each bound was crossed.
    fn climb(&mut self) -> anyhow::Result<()> {
        let (step, fine) = if self.bench.quick {
            (200, 200)
        } else {
            (1000, 250)
        };
        let top = if self.bench.quick {
            400
        } else {
            self.bench.max_players
        };
        let mut players = 0;
        while players < top {
            players += step;
            self.level(players)?;
            if self.highest(SECOND) < players {
                break;
            }
        }
        for bound in [SECOND, TENTH] {
            let mut good = self.highest(bound);
            let mut bad = self.lowest_above(bound, good);
            while let Some(failed) = bad.filter(|failed| failed - good > fine) {
                self.rig.set_players(0, &self.subject.source, 0)?;
                self.rig.run_for(Duration::from_secs(2))?;
                self.level(good.midpoint(failed) / fine * fine)?;
                good = self.highest(bound);
                bad = self.lowest_above(bound, good);
            }
        }
        self.levels.sort_by_key(|level| level.players);
        Ok(())
    }

    fn level(&mut self, players: usize) -> anyhow::Result<()> {
        let (settle, measure) = if self.bench.quick { (1, 2) } else { (3, 10) };
        progress(&format!("fanout: {}, {players} players", self.subject.name));
        self.rig
            .set_players(players, &self.subject.source, CHECKERS)?;
        let seen = if let Err(error) = self.rig.wait_until_playing() {
            progress(&format!("  {error}"));
            None
        } else {
            self.rig.run_for(Duration::from_secs(settle))?;
            let cpu = self.subject.server.cpu_seconds();
            let window = self.rig.window(Duration::from_secs(measure))?;
            let cpu = self.subject.server.cpu_seconds() - cpu;
            let kib = self.subject.server.rss_kib() - self.idle_kib;
            let seen = Seen::new(&window, cpu, kib / float(players));
            progress(&format!("  {}", seen.cells().join(" | ")));
            Some(seen)
        };
        self.levels.push(Level { players, seen });
        Ok(())
    }

    fn seen(&self) -> impl Iterator<Item = (usize, &Seen)> {
        self.levels
            .iter()
            .filter_map(|level| Some((level.players, level.seen.as_ref()?)))
    }

    fn highest(&self, bound: f64) -> usize {
        let held = self.seen().filter(|(_, seen)| seen.holds(bound));
        held.map(|(players, _)| players).max().unwrap_or(0)
    }

    /// The lowest level above `good` that did not hold.
    fn lowest_above(&self, bound: f64, good: usize) -> Option<usize> {
        self.levels
            .iter()
            .filter(|level| level.players > good)
            .filter(|level| !level.seen.as_ref().is_some_and(|seen| seen.holds(bound)))
            .map(|level| level.players)
            .min()
    }

    fn print_levels(&self) {
        let title = format!("fan-out at 2.5 Mb/s: {}", self.subject.name);
        let mut grid = Grid::new(
            &title,
            [
                "players",
                "lag p50 / p99, ms",
                "worst p99, ms",
                "CPU s/GB",
                "KiB a player",
                "Mb/s each",
                "lost",
                "load tool busy",
            ],
        );
        for level in &self.levels {
            let missing = || std::array::from_fn(|_| "not all got media".to_owned());
            let cells = level.seen.as_ref().map_or_else(missing, Seen::cells);
            let [lag, worst, cpu, kib, rate, lost, busy] = cells;
            let players = level.players.to_string();
            grid.row([players, lag, worst, cpu, kib, rate, lost, busy]);
        }
        line(&grid.to_string());
    }

    fn compared(&self) -> String {
        let found = self.rig.findings();
        format!(
            "{} frames right, {} wrong, {} skipped",
            found.right, found.wrong, found.missing
        )
    }
}

impl Seen {
    fn new(window: &Window, cpu: f64, kib_a_player: f64) -> Self {
        Self {
            lag_p50: window.lag.quantile(0.50),
            lag_p99: window.lag.quantile(0.99),
            worst_p99: window.worst.p99(),
            cpu_per_gb: cpu / window.gigabytes(),
            kib_a_player,
            megabits: window.megabits_each(),
            lost: window.lost,
            busy: window.busy,
        }
    }

    fn holds(&self, bound: f64) -> bool {
        self.lag_p99 <= bound && self.lost == 0 && self.megabits >= RATE * 0.97
    }

    fn cells(&self) -> [String; 7] {
        [
            format!("{:.0} / {:.0}", self.lag_p50, self.lag_p99),
            format!("{:.0}", self.worst_p99),
            format!("{:.2}", self.cpu_per_gb),
            format!("{:.1}", self.kib_a_player),
            format!("{:.2}", self.megabits),
            self.lost.to_string(),
            format!("{:.0}%", self.busy * 100.0),
        ]
    }
}

/// What nginx spends on bytes that are simply there.
fn static_file(bench: &Bench, nginx: &Nginx) -> anyhow::Result<()> {
    let mut table = Table::new("nginx, static file");
    let paced = if bench.quick { 200 } else { 3000 };
    for (what, players, is_paced) in [
        ("at 2.5 Mb/s each", paced, true),
        ("as fast as it goes", 50, false),
    ] {
        progress(&format!("fanout: nginx, static file {what}"));
        let mut rig = Rig::new()?;
        rig.set_players(players, &nginx.file(is_paced), 0)?;
        rig.wait_until_playing()?;
        rig.run_for(Duration::from_millis(if is_paced { 3000 } else { 100 }))?;
        let cpu = nginx.server.cpu_seconds();
        let window = rig.window(Duration::from_secs(if is_paced { 5 } else { 2 }))?;
        let cpu = nginx.server.cpu_seconds() - cpu;
        table.words(
            &format!("{players} downloads {what}"),
            &format!(
                "{:.2} CPU s/GB, {:.2} GB/s, load tool {:.0}% busy",
                cpu / window.gigabytes(),
                window.gigabytes() / window.seconds,
                window.busy * 100.0
            ),
        );
    }
    line(&table.to_string());
    Ok(())
}

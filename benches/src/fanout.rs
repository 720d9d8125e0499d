//! Fan-out: one publisher of 2.5 Mb/s and more and more players, the server on one core.
//!
//! A player's lag is the longest time that any byte took from being handed to the publisher's
//! socket to being read by the player, within a window of some seconds; what is reported is the
//! 99th percentile over all players. A level holds when that is within bounds, no player was
//! dropped and everybody received the whole stream.

use std::time::Duration;

use crate::Bench;
use crate::nginx::{self, Nginx};
use crate::player::Source;
use crate::process::Server;
use crate::report::{Better, Table, progress};
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
    cpu_per_gb: f64,
    kib_a_player: f64,
    megabits: f64,
    lost: usize,
    busy: f64,
}

struct Run<'a> {
    bench: &'a Bench,
    subject: Subject<'a>,
    rig: Rig,
    idle_kib: f64,
    levels: Vec<Level>,
}

pub(crate) fn run(bench: &Bench) -> anyhow::Result<Vec<Table>> {
    let mut tables = Vec::new();
    if bench.own {
        let tidegate = Tidegate::start(&bench.server, &bench.scratch)?;
        let http = Subject {
            name: "Tidegate, HTTP-FLV",
            server: &tidegate.server,
            target: tidegate.publish_target(STREAM),
            source: tidegate.flv(STREAM),
        };
        tables.push(with_budgets(Run::new(bench, http)?)?);
    }
    if bench.own {
        let tidegate = Tidegate::start(&bench.server, &bench.scratch)?;
        let rtmp = Subject {
            name: "Tidegate, RTMP",
            server: &tidegate.server,
            target: tidegate.publish_target(STREAM),
            source: tidegate.rtmp(STREAM),
        };
        tables.push(beside_nginx(Run::new(bench, rtmp)?)?);
    }
    if bench.peers && nginx::is_installed() {
        let nginx = Nginx::start(&bench.scratch)?;
        let peer = Subject {
            name: "nginx-rtmp, RTMP",
            server: &nginx.server,
            target: nginx.target(STREAM),
            source: Source::Rtmp(nginx.target(STREAM)),
        };
        tables.push(plain(Run::new(bench, peer)?)?);
        tables.push(static_file(bench, &nginx)?);
    } else {
        progress("fanout: nginx with its rtmp module is left out");
    }
    Ok(tables)
}

fn with_budgets(mut run: Run<'_>) -> anyhow::Result<Table> {
    run.climb()?;
    let mut table = run.table();
    table.held(
        "players within 1 s",
        float(run.highest(SECOND)),
        "",
        6000.0,
        Better::Higher,
    );
    table.held(
        "players within 100 ms",
        float(run.highest(TENTH)),
        "",
        3000.0,
        Better::Higher,
    );
    let from_3000 = run
        .seen()
        .filter(|(players, seen)| *players >= 3000 && seen.lag_p99 <= SECOND);
    let worst = from_3000
        .map(|(_, seen)| seen.cpu_per_gb)
        .fold(f64::NAN, f64::max);
    table.held(
        "CPU a GB, most from 3,000 players on",
        worst,
        "s",
        0.6,
        Better::Lower,
    );
    let at_3000 = run.seen().find(|(players, _)| *players == 3000);
    let kib = at_3000.map_or(f64::NAN, |(_, seen)| seen.kib_a_player);
    table.held("memory a player, at 3,000", kib, "KiB", 10.0, Better::Lower);
    table.words("streams compared byte by byte", &run.compared());
    Ok(table)
}

fn beside_nginx(mut run: Run<'_>) -> anyhow::Result<Table> {
    run.climb()?;
    let mut table = run.table();
    let bar = "players within 1 s, beside nginx-rtmp's 2,469";
    table.held(bar, float(run.highest(SECOND)), "", 2469.0, Better::Higher);
    table.plain("players within 100 ms", float(run.highest(TENTH)), "");
    table.words("streams compared byte by byte", &run.compared());
    Ok(table)
}

fn plain(mut run: Run<'_>) -> anyhow::Result<Table> {
    run.climb()?;
    let mut table = run.table();
    table.plain("players within 1 s", float(run.highest(SECOND)), "");
    table.plain("players within 100 ms", float(run.highest(TENTH)), "");
    table.words("streams compared byte by byte", &run.compared());
    Ok(table)
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
            progress(&format!("  {seen}"));
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

    fn table(&self) -> Table {
        let mut table = Table::new(&format!("fan-out at 2.5 Mb/s: {}", self.subject.name));
        for level in &self.levels {
            let what = format!("{} players", level.players);
            match &level.seen {
                Some(seen) => table.words(&what, &seen.to_string()),
                None => table.words(&what, "not all of them got media within 20 s"),
            }
        }
        table
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
            lag_p50: window.worst.p50(),
            lag_p99: window.worst.p99(),
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
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "lag p50 {:.0} p99 {:.0} ms, {:.2} CPU s/GB, {:.1} KiB a player, {:.2} Mb/s each, {} lost, load tool {:.0}% busy",
            self.lag_p50,
            self.lag_p99,
            self.cpu_per_gb,
            self.kib_a_player,
            self.megabits,
            self.lost,
            self.busy * 100.0
        )
    }
}

/// What nginx spends on bytes that are simply there.
fn static_file(bench: &Bench, nginx: &Nginx) -> anyhow::Result<Table> {
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
    Ok(table)
}

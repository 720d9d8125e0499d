//! From a signed call to a dark stream: publisher closed, players ended, caller answered, and the
//! next publish refused in words.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tidegate_media::rtmp::client::Purpose;

use crate::Bench;
use crate::api::{self, Caller};
use crate::disk::bare_sync;
use crate::player::Source;
use crate::report::{Better, Table, line, progress};
use crate::rig::Rig;
use crate::rtmp::{Attempt, ask};
use crate::stats::Samples;
use crate::tidegate::Tidegate;

const STREAM: &str = "cut";

/// Publishes that are tried in vain after every cut.
const REFUSALS_A_ROUND: usize = 3;

/// What one setting is measured with.
struct Setting {
    title: &'static str,
    players: usize,
    source: Source,
    rounds: usize,
}

#[derive(Default)]
struct Times {
    publisher: Samples,
    players: Samples,
    answer: Samples,
    refusal: Samples,
}

pub(crate) fn run(bench: &Bench) -> anyhow::Result<()> {
    let tidegate = Tidegate::start(&bench.server, &bench.scratch)?;
    let disk_time = Duration::from_secs(if bench.quick { 1 } else { 5 });
    let sync = bare_sync(&tidegate.directory(), disk_time)?;
    let (few, many) = if bench.quick { (5, 3) } else { (200, 30) };
    let settings = [
        Setting {
            title: "5 HTTP-FLV players",
            players: 5,
            source: tidegate.flv(STREAM),
            rounds: few,
        },
        Setting {
            title: "1,000 HTTP-FLV players",
            players: 1000,
            source: tidegate.flv(STREAM),
            rounds: many,
        },
        Setting {
            title: "300 RTMP players",
            players: 300,
            source: tidegate.rtmp(STREAM),
            rounds: many,
        },
    ];
    for setting in settings {
        progress(&format!("cut: {}", setting.title));
        let times = measure(&tidegate, &setting)?;
        line(&tabulate(&setting, &times, &sync).to_string());
    }
    Ok(())
}

fn measure(tidegate: &Tidegate, setting: &Setting) -> anyhow::Result<Times> {
    let mut rig = Rig::new()?;
    let mut caller = tidegate.caller()?;
    let mut connection = api::connect(tidegate.listen.api)?;
    let mut times = Times::default();
    for round in 0..setting.rounds {
        rig.clear();
        rig.publish(&tidegate.publish_target(STREAM))?;
        rig.set_players(setting.players, &setting.source, 0)?;
        rig.wait_until_playing()?;
        // The cut falls anywhere between two frames.
        let phase = u64::try_from(round * 37 % 80)?;
        rig.run_for(Duration::from_millis(200 + phase))?;
        connection = cut(&mut rig, &mut caller, connection, &mut times)?;
        refuse(tidegate, &mut times)?;
        api::call(&mut connection, &caller.resume(STREAM))?;
    }
    Ok(times)
}

/// One call, watched until everything has ended.
fn cut(
    rig: &mut Rig,
    caller: &mut Caller,
    connection: std::net::TcpStream,
    times: &mut Times,
) -> anyhow::Result<std::net::TcpStream> {
    let called = rig.call(connection, &caller.forbid(STREAM))?;
    let (publisher, players, answered) = loop {
        // Waiting without sleep: waking this core costs the server's, which is not the server's.
        rig.turn(Duration::ZERO)?;
        let answer = rig.answer().map(|(at, _)| at);
        match (rig.publisher_closed(), rig.all_players_ended(), answer) {
            (Some(publisher), Some(players), Some(answered)) => {
                break (publisher, players, answered);
            }
            state if called.elapsed() > Duration::from_secs(10) => {
                let seen = (state.0.is_some(), state.1.is_some(), state.2.is_some());
                bail!("10 s after the call, publisher, players and answer were {seen:?}");
            }
            _ => {}
        }
    };
    if let Some((_, answer)) = rig.answer() {
        api::must_succeed(answer)?;
    }
    let since = |at: Instant| at.saturating_duration_since(called);
    times.publisher.push(since(publisher));
    times.players.push(since(players));
    times.answer.push(since(answered));
    rig.take_call().context("the API connection is gone")
}

fn refuse(tidegate: &Tidegate, times: &mut Times) -> anyhow::Result<()> {
    for _ in 0..REFUSALS_A_ROUND {
        match ask(&tidegate.publish_target(STREAM), Purpose::Publish)? {
            Attempt::Open(_) => bail!("a forbidden stream was let on the air"),
            Attempt::Refused {
                description, after, ..
            } => {
                if !description.contains("forbidden") {
                    bail!("refused, but for another reason: {description}");
                }
                times.refusal.push(after);
            }
        }
    }
    Ok(())
}

fn tabulate(setting: &Setting, times: &Times, sync: &Samples) -> Table {
    let rounds = times.publisher.len();
    let title = format!("cut with {}, {rounds} rounds", setting.title);
    let mut table = Table::new(&title);
    let mut pair = |what: &str, samples: &Samples, budget: f64| {
        table.plain(&format!("{what}, p50"), samples.p50(), "ms");
        table.held(
            &format!("{what}, p99"),
            samples.p99(),
            "ms",
            budget,
            Better::Lower,
        );
    };
    pair("call to publisher closed", &times.publisher, 3.0);
    pair("call to last player ended", &times.players, 10.0);
    pair("call to answer", &times.answer, sync.p99() + 3.0);
    pair("publish command to refusal", &times.refusal, 1.0);
    table.plain("bare write + fdatasync, p50", sync.p50(), "ms");
    table.plain("bare write + fdatasync, p99", sync.p99(), "ms");
    table
}

//! Weeks of bad luck in a minute: four vendors that fail in every way, a server that is killed ten
//! times, and callers who never stop deciding. Then the weather clears, and every CDN has to be
//! where the newest decision wants it, without anybody's help but a rotated key.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests fail loudly, and this one has figures to show"
)]

#[path = "../common/caller.rs"]
mod caller;
mod callers;
mod dice;
#[path = "../common/fleet.rs"]
mod fleet;
#[path = "../common/harness.rs"]
mod harness;
mod verdict;
mod weather;

use std::time::Instant;

use callers::{Callers, Door};
use fleet::Fleet;
use harness::{Place, Server, wait_for};
use rustix::process::Signal;
use weather::Weather;

const KILLS: usize = 10;
/// Decisions that are acknowledged between two kills.
const BETWEEN_KILLS: usize = 90;
const NO_LIMITS: &[(&str, &str)] = &[
    ("TIDEGATE__SERVER_API__RATES__FORBID_CDN_LIVE_STREAM", "0"),
    ("TIDEGATE__SERVER_API__RATES__RESUME_CDN_LIVE_STREAM", "0"),
];
/// Whoever wants another run: `TIDEGATE_CAMPAIGN_SEED`.
const SEED: u64 = 20_260_501;

#[test]
fn every_cdn_converges_to_the_newest_decisions_through_faults_and_ten_kills() {
    let began = Instant::now();
    let named = std::env::var("TIDEGATE_CAMPAIGN_SEED").ok();
    let seed = named.map_or(SEED, |seed| seed.parse().expect("a number"));
    println!("seed {seed}");
    let place = Place::new();
    let fleet = Fleet::start(seed);
    let mut server = Server::start_in(&place, NO_LIMITS);
    let apps = fleet.connect(&server);

    let door = Door::open(&server.api);
    let weather = Weather::begin(&fleet, &door, &place, seed);
    let callers = Callers::begin(&apps, &door, seed);
    let mut kills = Vec::new();
    for kill in 0..KILLS {
        let enough = callers.answers() + BETWEEN_KILLS + kill * 7 % 40;
        wait_for("enough answers", || {
            (callers.answers() >= enough).then_some(())
        });
        kills.push(fleet.now());
        door.close();
        server.signal(Signal::KILL);
        server.wait();
        server = Server::start_in(&place, NO_LIMITS);
        door.reopen(&server.api);
    }
    let mut book = callers.stop();
    let faults = weather.clear();
    println!(
        "the weather clears after {:?}: {} decisions, {faults}",
        began.elapsed(),
        book.decisions(),
    );
    callers::close(&mut book, &apps, &server);

    let mut verdict = verdict::Verdict::new(&fleet, &book, &apps, &kills);
    verdict.wait_until_converged(&server);
    println!("converged after {:?}", began.elapsed());
    verdict.nothing_out_of_order();
    verdict.no_budget_exceeded();
    verdict.every_fault_was_met();
    verdict.shown_to_people(&server);
    assert!(!server.log().contains("panicked"), "no task panicked");
    assert_eq!(server.run(&["audit", "verify"]).code, 0, "server up");
    assert!(server.stop().success());
    let verified = harness::run(&place.data(), ["audit", "verify"]);
    assert_eq!(verified.code, 0, "server down: {verified:?}");
    println!("{verdict}, {:?} in all", began.elapsed());
}

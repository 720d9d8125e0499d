//! A moved wall clock lifts nothing. The clock is faked for the server alone, by libfaketime.
#![allow(clippy::expect_used, clippy::panic, reason = "tests fail loudly")]

#[path = "common/harness.rs"]
mod harness;

use std::path::PathBuf;

use harness::{Place, Server, get, wait_for};

/// Debian's libfaketime, for programs with threads.
fn libfaketime() -> PathBuf {
    let found = std::fs::read_dir("/usr/lib")
        .expect("/usr/lib")
        .flatten()
        .find_map(|entry| {
            let path = entry.path().join("faketime/libfaketimeMT.so.1");
            path.exists().then_some(path)
        });
    found.expect("libfaketime is installed (scripts/test does it)")
}

struct Clock {
    file: PathBuf,
    library: String,
}

impl Clock {
    fn new(place: &Place) -> Self {
        let clock = Self {
            file: place.beside("clock"),
            library: libfaketime().display().to_string(),
        };
        clock.set("+0");
        clock
    }

    /// As libfaketime reads it: `+2h` is two hours ahead of the real clock.
    fn set(&self, offset: &str) {
        std::fs::write(&self.file, format!("{offset}\n")).expect("written");
    }

    fn env(&self) -> [(&str, &str); 4] {
        [
            ("LD_PRELOAD", &self.library),
            (
                "FAKETIME_TIMESTAMP_FILE",
                self.file.to_str().expect("a path"),
            ),
            ("FAKETIME_NO_CACHE", "1"),
            ("DONT_FAKE_MONOTONIC", "1"),
        ]
    }
}

fn suspect(server: &Server) -> bool {
    get(&server.api, "/readyz").1.contains("clock_suspect")
}

fn wait_suspect(server: &Server, want: bool) {
    wait_for("the alarm about the clock", || {
        (suspect(server) == want).then_some(())
    });
}

fn is_blocked(server: &Server) -> bool {
    get(&server.media, "/live/cam.flv").0 == 403
}

#[test]
fn a_jump_of_the_clock_holds_scheduled_ends_until_a_person_vouches_for_it() {
    let place = Place::new();
    let clock = Clock::new(&place);
    let server = Server::start_in(&place, &clock.env());
    assert_eq!(server.run(&["forbid", "cam", "--for", "1h"]).code, 0);
    assert!(!suspect(&server));

    clock.set("+2h");
    wait_suspect(&server, true);
    assert!(
        is_blocked(&server),
        "the jump went past the end of the block"
    );
    clock.set("+0");
    wait_suspect(&server, false);
    assert!(is_blocked(&server));
    assert!(server.stop().success());

    clock.set("+2h");
    let server = Server::start_in(&place, &clock.env());
    wait_suspect(&server, true);
    assert!(
        is_blocked(&server),
        "a jump while the server was down lifts nothing either"
    );

    assert_eq!(server.run(&["clock", "accept"]).code, 0);
    wait_suspect(&server, false);
    wait_for("the end of the block, by the accepted clock", || {
        (!is_blocked(&server)).then_some(())
    });
}

#[test]
fn a_clock_behind_the_ledger_is_suspect_too() {
    let place = Place::new();
    let clock = Clock::new(&place);
    clock.set("+3h");
    let server = Server::start_in(&place, &clock.env());
    assert_eq!(server.run(&["forbid", "cam", "--for", "1h"]).code, 0);
    assert!(server.stop().success());
    clock.set("+0");
    let server = Server::start_in(&place, &clock.env());
    wait_suspect(&server, true);
    assert!(is_blocked(&server));
}

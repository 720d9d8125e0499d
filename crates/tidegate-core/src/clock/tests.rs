use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn at(wall_s: i64, boot_s: u64) -> Sample {
    Sample {
        wall: UnixMs::from_seconds(wall_s),
        since_boot_ms: boot_s * 1000,
    }
}

#[test]
fn a_jump_of_more_than_five_minutes_is_suspect_until_it_is_undone() {
    let mut watch = Watch::start(at(10_000, 50), "a", None, None);
    assert_eq!(watch.judge(at(10_100, 150)), Ok(()));
    assert_eq!(watch.judge(at(10_400, 150)), Ok(()));
    assert_eq!(watch.judge(at(10_401, 150)), Err(Suspicion::Jumped(301)));
    assert_eq!(watch.judge(at(9_000, 150)), Err(Suspicion::Jumped(-1100)));
    assert_eq!(watch.judge(at(10_101, 151)), Ok(()));
}

#[test]
fn a_jump_while_the_server_was_down_is_seen_within_one_boot() {
    let mark = Mark {
        sample: at(10_000, 50),
        boot: "a".into(),
    };
    let mut same = Watch::start(at(99_999, 60), "a", Some(&mark), None);
    assert_eq!(same.judge(at(99_999, 60)), Err(Suspicion::Jumped(89_989)));
    let mut rebooted = Watch::start(at(99_999, 60), "b", Some(&mark), None);
    assert_eq!(rebooted.judge(at(99_999, 60)), Ok(()));
}

#[test]
fn a_clock_behind_the_ledger_is_suspect_until_it_catches_up_or_is_accepted() {
    let newest = Some(UnixMs::from_seconds(20_000));
    let mut watch = Watch::start(at(10_000, 0), "a", None, newest);
    assert_eq!(
        watch.judge(at(10_000, 0)),
        Err(Suspicion::BehindLedger(10_000))
    );
    let mut accepted = watch.clone();
    accepted.accept(at(10_000, 0));
    assert_eq!(accepted.judge(at(10_001, 1)), Ok(()));
    assert_eq!(watch.judge(at(19_800, 9_800)), Ok(()));
}

/// A watch at wall clock 0 that has heard from sources whose clocks are ahead by so many seconds.
fn heard(ahead: &[i64]) -> Watch {
    let mut watch = Watch::start(at(0, 0), "a", None, None);
    for (n, ahead) in ahead.iter().enumerate() {
        watch.on_vendor_date(&format!("v{n}"), UnixMs::from_seconds(*ahead), at(0, 0));
    }
    watch
}

#[test]
fn the_clock_is_suspect_while_more_vendors_contradict_it_than_confirm_it() {
    let disagree = |s| Err(Suspicion::VendorsDisagree(s));
    for (ahead, want) in [
        (&[][..], Ok(())),
        (&[300], Ok(())),
        (&[301], disagree(-301)),
        (&[-3600], disagree(3600)),
        (&[0, 3600, 0], Ok(())),
        (&[0, 3600], Ok(())),
        (&[3600, 0, 3000], disagree(-3000)),
        (&[3600, -3600, 3000, 0, 5], disagree(-3000)),
    ] {
        assert_eq!(heard(ahead).judge(at(0, 0)), want, "{ahead:?}");
        assert_eq!(heard(ahead).judge(at(500, 500)), want, "{ahead:?} later");
    }
}

#[test]
fn only_the_last_date_of_a_vendor_counts_and_silence_is_forgotten() {
    let mut watch = heard(&[3600]);
    watch.on_vendor_date("v0", UnixMs::from_seconds(20), at(10, 10));
    assert_eq!(watch.judge(at(10, 10)), Ok(()));
    let mut watch = heard(&[3600]);
    assert!(watch.judge(at(86_400, 86_400)).is_err());
    assert_eq!(watch.judge(at(86_401, 86_401)), Ok(()));
}

#[test]
fn an_accepted_clock_stays_accepted_until_a_vendor_changes_its_mind() {
    let mut watch = heard(&[3600, 4000]);
    watch.accept(at(7, 7));
    assert_eq!(watch.judge(at(8, 8)), Ok(()));
    let hear = |watch: &mut Watch, name: &str, ahead: i64| {
        watch.on_vendor_date(name, UnixMs::from_seconds(100 + ahead), at(100, 100));
        watch.judge(at(100, 100))
    };
    for name in ["v0", "v1"] {
        assert_eq!(hear(&mut watch, name, 3800), Ok(()));
    }
    assert_eq!(hear(&mut watch, "new", 3600), Ok(()), "one of three");
    assert_eq!(hear(&mut watch, "v0", 0), Ok(()), "right by itself");
    assert_eq!(
        hear(&mut watch, "v0", 3600),
        Err(Suspicion::VendorsDisagree(-3600)),
        "it has left what was vouched for"
    );
}

#[test]
fn a_clock_set_right_by_the_vendors_account_did_not_jump() {
    let mut watch = heard(&[3600, 3605]);
    let corrected = at(3700, 100);
    assert_eq!(watch.judge(corrected), Ok(()));
    assert_eq!(watch.expected_wall(corrected), corrected.wall);
    assert_eq!(watch.judge(at(3800, 200)), Ok(()));
    assert_eq!(watch.judge(at(200, 200)), Err(Suspicion::Jumped(-3600)));
    let mut told_first = heard(&[3600]);
    told_first.on_vendor_date("v0", corrected.wall, corrected);
    assert_eq!(told_first.judge(corrected), Ok(()));
}

#[test]
fn no_date_heard_after_a_jump_excuses_it() {
    let jumped = at(86_400, 100);
    for before in [&[][..], &[0], &[0, 0, 3600], &[7200]] {
        let mut watch = heard(before);
        for _ in 0..3 {
            assert_eq!(watch.judge(jumped), Err(Suspicion::Jumped(86_300)));
            for name in ["v0", "v1", "v2", "new"] {
                watch.on_vendor_date(name, jumped.wall, jumped);
            }
        }
        let undone = watch.judge(at(100, 100));
        assert_eq!(
            undone,
            Ok(()),
            "what was heard during it does not outlive it"
        );
    }
}

#[test]
fn a_crowd_of_sources_is_bounded() {
    let mut watch = heard(&[3600; 5]);
    for n in 0..1000 {
        watch.on_vendor_date(&format!("other{n}"), UnixMs::from_seconds(1), at(1, 1));
    }
    assert!(watch.dates.len() <= 64);
    assert_eq!(watch.judge(at(1, 1)), Ok(()));
}

proptest! {
    /// Whatever was heard and however the clock was moved: accepting it ends all suspicion, and it
    /// does not come back by itself while all clocks run on.
    #[test]
    fn an_accepted_clock_is_believed_while_nothing_changes(
        events in prop::collection::vec((0_u8..6, -10_000_i64..10_000, 0_u64..5_000), 0..40),
        quiet in prop::collection::vec((0_u8..6, 0_u64..5_000), 0..20),
    ) {
        let mut now = at(1_000_000, 10);
        let mut ahead = BTreeMap::new();
        let mut watch = Watch::start(now, "a", None, None);
        let pass = |now: Sample, s: u64| Sample {
            wall: now.wall.plus(Duration::from_secs(s)),
            since_boot_ms: now.since_boot_ms + s * 1000,
        };
        for (source, change, s) in events {
            now = pass(now, s);
            if source == 0 {
                now.wall = UnixMs(now.wall.0 + change * 1000);
                // Sources have their own clocks, and do not move with this one.
                ahead.values_mut().for_each(|ahead| *ahead -= change);
            } else {
                ahead.insert(source, change);
                let date = UnixMs(now.wall.0 + change * 1000);
                watch.on_vendor_date(&source.to_string(), date, now);
            }
            let _ = watch.judge(now);
        }
        watch.accept(now);
        prop_assert_eq!(watch.judge(now), Ok(()));
        for (source, s) in quiet {
            now = pass(now, s);
            if let Some(ahead) = ahead.get(&source) {
                let date = UnixMs(now.wall.0 + ahead * 1000);
                watch.on_vendor_date(&source.to_string(), date, now);
            }
            prop_assert_eq!(watch.judge(now), Ok(()));
        }
    }
}

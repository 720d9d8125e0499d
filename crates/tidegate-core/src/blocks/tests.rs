use proptest::prelude::*;

use super::*;

fn key(name: &str) -> StreamKey {
    StreamKey::new(AppId(1), StreamId::parse(name).expect("valid"))
}

fn block(generation: u64) -> Block {
    Block {
        generation: Generation(generation),
        since: UnixMs(1),
        until: Until::Lifted,
        held_resume: None,
    }
}

fn blocked(set: &BlockSet) -> bool {
    set.get(AppId(1), "cam").is_some()
}

#[test]
fn a_forbid_blocks_before_it_is_recorded() {
    let (set, cam) = (BlockSet::default(), key("cam"));
    set.begin_forbid(&cam, Until::At(UnixMs(9)));
    assert_eq!(set.get(AppId(1), "cam"), Some(Until::At(UnixMs(9))));
    assert_eq!(set.get(AppId(2), "cam"), None);
    assert_eq!(
        set.list(AppId(1), 9).1,
        0,
        "only recorded blocks are listed"
    );
    set.forbid_recorded(&cam, &block(1));
    assert!(blocked(&set));
    assert!(set.opened(&cam, Generation(2), Some(set.begin_resume())));
    assert!(!blocked(&set));
}

#[test]
fn a_resume_between_two_forbids_under_way_opens_nothing() {
    let (set, cam) = (BlockSet::default(), key("cam"));
    set.begin_forbid(&cam, Until::Lifted);
    set.begin_forbid(&cam, Until::Lifted);
    set.forbid_recorded(&cam, &block(1));
    assert!(!set.opened(&cam, Generation(2), Some(set.begin_resume())));
    assert!(blocked(&set), "the second forbid is still under way");
    set.forbid_recorded(&cam, &block(3));
    assert!(blocked(&set));
}

#[test]
fn settlements_out_of_order_leave_the_newest_decision() {
    let (set, cam) = (BlockSet::default(), key("cam"));
    set.begin_forbid(&cam, Until::Lifted);
    set.opened(&cam, Generation(2), Some(set.begin_resume()));
    set.forbid_recorded(&cam, &block(1));
    assert!(!blocked(&set), "resume 2 is newer than forbid 1");

    set.begin_forbid(&cam, Until::Lifted);
    set.forbid_recorded(&cam, &block(4));
    set.opened(&cam, Generation(3), Some(set.begin_resume()));
    assert!(blocked(&set), "forbid 4 is newer than resume 3");
}

#[test]
fn an_unrecorded_forbid_stays_until_its_end_or_a_recorded_decision() {
    let (set, cam) = (BlockSet::default(), key("cam"));
    set.begin_forbid(&cam, Until::At(UnixMs(100)));
    set.forbid_unrecorded(&cam, Until::At(UnixMs(100)));
    assert!(blocked(&set));
    assert_eq!(set.unrecorded(), 1);
    assert!(set.lapse_unrecorded(UnixMs(99)).is_empty());
    assert_eq!(set.lapse_unrecorded(UnixMs(100)), vec![cam.clone()]);
    assert!(!blocked(&set));

    set.begin_forbid(&cam, Until::Lifted);
    set.forbid_unrecorded(&cam, Until::Lifted);
    assert!(set.opened(&cam, Generation(1), Some(set.begin_resume())));
    assert!(!blocked(&set));
}

#[test]
fn a_resume_that_settles_late_leaves_a_newer_forbid_that_could_not_be_recorded() {
    let (set, cam) = (BlockSet::default(), key("cam"));
    let asked = set.begin_resume();
    set.begin_forbid(&cam, Until::Lifted);
    set.forbid_unrecorded(&cam, Until::Lifted);
    assert!(!set.opened(&cam, Generation(5), Some(asked)));
    assert!(blocked(&set));
}

#[test]
fn a_lapse_leaves_a_forbid_that_could_not_be_recorded() {
    let (set, cam) = (BlockSet::default(), key("cam"));
    set.load(&cam, &block(1));
    set.begin_forbid(&cam, Until::Lifted);
    set.forbid_unrecorded(&cam, Until::Lifted);
    assert!(!set.opened(&cam, Generation(2), None));
    assert!(blocked(&set));
}

#[test]
fn a_withdrawn_forbid_leaves_what_was_there() {
    let (set, cam) = (BlockSet::default(), key("cam"));
    set.begin_forbid(&cam, Until::Lifted);
    set.forbid_withdrawn(&cam);
    assert!(!blocked(&set));
}

#[test]
fn lists_oldest_first_and_says_how_many_there_are() {
    let set = BlockSet::default();
    for (at, name) in [(3, "c"), (1, "a"), (2, "b")] {
        set.load(
            &key(name),
            &Block {
                since: UnixMs(at),
                ..block(1)
            },
        );
    }
    let (listed, total) = set.list(AppId(1), 2);
    let names: Vec<_> = listed.iter().map(|l| l.stream.as_str()).collect();
    assert_eq!((names, total), (vec!["a", "b"], 3));
}

#[test]
fn a_replaced_ledger_lifts_nothing() {
    let (set, cam, other) = (BlockSet::default(), key("cam"), key("other"));
    set.load(&cam, &block(7));
    set.reload(vec![(other.clone(), block(2))]);
    assert!(blocked(&set));
    assert_eq!((set.len(), set.unrecorded()), (1, 1));
    assert!(
        set.opened(&cam, Generation(1), Some(set.begin_resume())),
        "generations may repeat after a restore"
    );
    assert!(set.get(AppId(1), "other").is_some());
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Forbid,
    Resume,
}

proptest! {
    /// Decisions commit in order of generation; their settlements arrive in any order. However
    /// they interleave, the end state is the newest decision's, and a forbid under way is blocked.
    #[test]
    fn any_order_of_settlement_ends_at_the_newest_decision(
        steps in prop::collection::vec(prop_oneof![Just(Step::Forbid), Just(Step::Resume)], 1..8),
        order in prop::collection::vec(any::<prop::sample::Index>(), 8),
    ) {
        let (set, cam) = (BlockSet::default(), key("cam"));
        for step in &steps {
            if let Step::Forbid = step { set.begin_forbid(&cam, Until::Lifted); }
        }
        let mut left: Vec<(usize, Step)> = steps.iter().copied().enumerate().collect();
        for index in order {
            if left.is_empty() { break; }
            let (at, step) = left.remove(index.index(left.len()));
            let generation = at as u64 + 1;
            match step {
                Step::Forbid => set.forbid_recorded(&cam, &block(generation)),
                Step::Resume => { set.opened(&cam, Generation(generation), Some(set.begin_resume())); }
            }
            if left.iter().any(|(_, s)| matches!(s, Step::Forbid)) {
                prop_assert!(blocked(&set));
            }
        }
        prop_assert_eq!(blocked(&set), matches!(steps.last(), Some(Step::Forbid)));
    }
}

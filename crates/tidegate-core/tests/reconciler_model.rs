//! Random decisions, faults, crashes and clock jumps against a simulated vendor.
//!
//! The world asserts at every event that no object has two calls out, that no owner's ban is
//! lifted while it stands, and that accepted generations never fall.

#![expect(
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "objects are numbered by the test itself"
)]

#[path = "model/vendor.rs"]
mod vendor;
#[path = "model/world.rs"]
mod world;

use proptest::prelude::*;
use tidegate_core::placement::{Epoch, Opening, Want};
use tidegate_core::{UnixMs, Until};

use crate::vendor::Vendor;
use crate::world::{HOUR, OBJECTS, PER_HOUR, PER_MINUTE, RESERVE, World};

#[derive(Clone, Debug)]
enum Event {
    Forbid {
        object: usize,
        app: u32,
        seconds: i64,
    },
    ForbidUntilLifted {
        object: usize,
        app: u32,
    },
    Resume {
        object: usize,
        app: u32,
    },
    Crash {
        known: bool,
    },
    /// The vendor forgets a ban.
    LapseEarly {
        object: usize,
    },
    Jump {
        minutes: i64,
    },
    AccountChanged,
}

fn event() -> impl Strategy<Value = Event> {
    let object = 0..OBJECTS;
    let app = 1_u32..3;
    prop_oneof![
        6 => (object.clone(), app.clone(), prop_oneof![5_i64..120, 600_i64..20_000])
            .prop_map(|(object, app, seconds)| Event::Forbid { object, app, seconds }),
        2 => (object.clone(), app.clone())
            .prop_map(|(object, app)| Event::ForbidUntilLifted { object, app }),
        5 => (object.clone(), app).prop_map(|(object, app)| Event::Resume { object, app }),
        2 => any::<bool>().prop_map(|known| Event::Crash { known }),
        1 => object.prop_map(|object| Event::LapseEarly { object }),
        1 => (-3_000_i64..3_000).prop_map(|minutes| Event::Jump { minutes }),
        1 => Just(Event::AccountChanged),
    ]
}

fn pause() -> impl Strategy<Value = i64> {
    prop_oneof![6 => 0_i64..3_000, 3 => 3_000_i64..60_000, 1 => 60_000_i64..10_000_000]
}

fn happen(world: &mut World, event: &Event) {
    match *event {
        Event::Forbid {
            object,
            app,
            seconds,
        } => {
            let end = UnixMs(world.t + world.jump + seconds * 1000);
            world.decide(object, app, Want::Banned(Until::At(end)));
        }
        Event::ForbidUntilLifted { object, app } => {
            world.decide(object, app, Want::Banned(Until::Lifted));
        }
        Event::Resume { object, app } => {
            world.decide(object, app, Want::Open(Opening::Resumed));
        }
        Event::Crash { known } => world.crash(known),
        Event::LapseEarly { object } => world.vendor.bans[object] = None,
        Event::Jump { minutes } => {
            world.jump = if world.jump == 0 { minutes * 60_000 } else { 0 };
        }
        Event::AccountChanged => world.epoch = Epoch(world.epoch.0 + 1),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn converges_to_the_newest_decisions_within_the_budgets(
        seed in any::<u64>(),
        events in prop::collection::vec((event(), pause()), 1..40),
    ) {
        let mut world = World::new(seed);
        for (event, pause) in &events {
            happen(&mut world, event);
            world.run(*pause);
        }
        world.faults = false;
        world.jump = 0;
        world.run(2 * HOUR);
        for _ in 0..40 {
            world.run(HOUR / 10);
            if (0..OBJECTS).any(|object| world.difference(object).is_some()) {
                // A block may just have ended.
                world.run(HOUR / 100);
            }
            for object in 0..OBJECTS {
                let difference = world.difference(object).unwrap_or_default();
                prop_assert!(difference.is_empty(), "object {}: {}", object, difference);
            }
        }
        let calls = &world.vendor.calls;
        prop_assert!(Vendor::most_within(calls, 60_000) <= PER_MINUTE);
        prop_assert!(Vendor::most_within(calls, HOUR) <= PER_HOUR);
        prop_assert!(Vendor::most_within(&world.vendor.unreserved, HOUR) <= PER_HOUR - RESERVE);
    }
}

//! Streams whose newest forbid is not in the ledger: under way, or refused by it.

use std::collections::HashMap;

use crate::decision::Until;
use crate::ids::{AppId, Generation, StreamId, StreamKey};

/// When something was asked, by count: later ones are greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Asked(u64);

/// What is not settled of one stream.
pub(super) struct Unsettled {
    /// Forbids between their begin and their settlement.
    pub(super) under_way: u32,
    /// The latest end that any of them asks for.
    pub(super) until: Until,
    /// When the newest of them was asked.
    pub(super) asked: Asked,
    /// The newest decision settled meanwhile; older ones that settle late are ignored.
    pub(super) newest: Generation,
    /// End of a forbid whose commit failed.
    pub(super) unrecorded: Option<Until>,
}

impl Unsettled {
    pub(super) fn new(until: Until, newest: Generation) -> Self {
        Self {
            under_way: 0,
            until,
            asked: Asked::default(),
            newest,
            unrecorded: None,
        }
    }

    /// The end of the block that it is.
    pub(super) fn in_force(&self) -> Option<Until> {
        let under_way = (self.under_way > 0).then_some(self.until);
        match (under_way, self.unrecorded) {
            (Some(a), Some(b)) => Some(a.later(b)),
            (a, b) => a.or(b),
        }
    }

    /// A forbid stands in memory only, until `until` at least.
    pub(super) fn stand(&mut self, until: Until) {
        self.unrecorded = Some(self.unrecorded.map_or(until, |other| other.later(until)));
    }

    fn is_over(&self) -> bool {
        self.under_way == 0 && self.unrecorded.is_none()
    }
}

/// All of them, by App so that admission looks one up without making a key.
#[derive(Default)]
pub(super) struct UnsettledMap {
    apps: HashMap<AppId, HashMap<StreamId, Unsettled>>,
    asked: Asked,
}

impl UnsettledMap {
    /// The next place in the order of asking.
    pub(super) fn ask(&mut self) -> Asked {
        self.asked.0 += 1;
        self.asked
    }

    pub(super) fn is_empty(&self) -> bool {
        self.apps.is_empty()
    }

    pub(super) fn get(&self, app: AppId, stream: &str) -> Option<&Unsettled> {
        self.apps.get(&app)?.get(stream)
    }

    pub(super) fn entry(
        &mut self,
        key: &StreamKey,
        new: impl FnOnce() -> Unsettled,
    ) -> &mut Unsettled {
        let app = self.apps.entry(key.app).or_default();
        app.entry(key.stream.clone()).or_insert_with(new)
    }

    /// Changes an entry, if there is one, and drops it if nothing is left of it.
    pub(super) fn change(&mut self, key: &StreamKey, change: impl FnOnce(&mut Unsettled)) {
        let Some(app) = self.apps.get_mut(&key.app) else {
            return;
        };
        let Some(entry) = app.get_mut(key.stream.as_str()) else {
            return;
        };
        change(entry);
        if entry.is_over() {
            app.remove(key.stream.as_str());
        }
        if app.is_empty() {
            self.apps.remove(&key.app);
        }
    }

    /// Changes every entry, and drops those of which nothing is left.
    pub(super) fn change_all(&mut self, mut change: impl FnMut(AppId, &StreamId, &mut Unsettled)) {
        self.apps.retain(|app, entries| {
            entries.retain(|stream, entry| {
                change(*app, stream, entry);
                !entry.is_over()
            });
            !entries.is_empty()
        });
    }

    pub(super) fn of_app(&self, app: AppId) -> impl Iterator<Item = (&StreamId, &Unsettled)> {
        self.apps.get(&app).into_iter().flatten()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Unsettled> {
        self.apps.values().flat_map(HashMap::values)
    }
}

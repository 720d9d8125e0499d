//! What the vendors' `Date` headers say of the wall clock.
//!
//! All lengths are milliseconds. What is kept of a source is how far it is ahead of where the wall
//! clock would stand had nobody moved it, so that it can be compared with any later reading.

use std::collections::BTreeMap;

use super::is_beyond;

/// Most sources that are remembered; past that the one longest unheard goes.
const MOST_SOURCES: usize = 64;
/// A source that was not heard of for so long is forgotten: 24 hours.
const SILENT_MS: u64 = 86_400_000;

/// The sources, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Dates(BTreeMap<String, Source>);

#[derive(Clone, Debug)]
struct Source {
    /// Its date against the unmoved wall clock.
    ahead: i64,
    /// How far the wall clock had been moved when it was heard.
    moved: i64,
    /// When that was, in time since boot.
    heard: u64,
    /// How far ahead it was when an operator vouched for the clock in spite of it.
    vouched: Option<i64>,
}

impl Dates {
    pub(super) fn hear(&mut self, name: &str, ahead: i64, moved: i64, heard: u64) {
        if let Some(source) = self.0.get_mut(name) {
            source.vouched = source
                .vouched
                .filter(|vouched| !is_beyond(ahead.saturating_sub(*vouched)));
            (source.ahead, source.moved, source.heard) = (ahead, moved, heard);
            return;
        }
        while self.0.len() >= MOST_SOURCES {
            let oldest = self.0.iter().min_by_key(|(_, source)| source.heard);
            let Some(oldest) = oldest.map(|(name, _)| name.clone()) else {
                break;
            };
            self.0.remove(&oldest);
        }
        let source = Source {
            ahead,
            moved,
            heard,
            vouched: None,
        };
        self.0.insert(name.to_owned(), source);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn forget_silent(&mut self, since_boot: u64) {
        self.0
            .retain(|_, source| since_boot.saturating_sub(source.heard) <= SILENT_MS);
    }

    /// How far a wall clock that has been moved by `moved` is ahead of the vendors, if more of them
    /// contradict it than confirm it: the middle one of those that do.
    pub(super) fn disagreement(&self, moved: i64) -> Option<i64> {
        let confirming = self.0.values().filter(|source| source.confirms(moved));
        let contradicting = self.0.values().filter(|source| source.contradicts(moved));
        let mut offsets: Vec<i64> = contradicting.map(|source| source.offset(moved)).collect();
        offsets.sort_unstable();
        let middle = offsets.get(offsets.len() / 2).copied();
        middle.filter(|_| offsets.len() > confirming.count())
    }

    /// Whether a clock that has been moved by `moved` was wrong before and is right by it. Only
    /// what was heard before the move is evidence: a vendor in a test may share the machine's
    /// clock, and jump with it.
    pub(super) fn call_it_corrected(&self, moved: i64) -> bool {
        let before = || self.0.values().filter(|source| !is_beyond(source.moved));
        let balance = |at: i64| {
            let confirming = before().filter(|source| source.confirms(at)).count();
            confirming.cmp(&before().filter(|source| !source.confirms(at)).count())
        };
        balance(0).is_lt() && balance(moved).is_gt()
    }

    /// The reference reading is replaced by one whose wall clock had been moved by `moved`.
    pub(super) fn on_rebase(&mut self, moved: i64) {
        for source in self.0.values_mut() {
            source.ahead = source.ahead.saturating_sub(moved);
            source.moved = source.moved.saturating_sub(moved);
            source.vouched = source.vouched.map(|ahead| ahead.saturating_sub(moved));
        }
    }

    /// The clock as it is counts as right, whatever the sources say of it.
    pub(super) fn vouch(&mut self) {
        for source in self.0.values_mut() {
            source.vouched = Some(source.ahead);
        }
    }
}

impl Source {
    /// How far the wall clock is ahead of this source.
    fn offset(&self, moved: i64) -> i64 {
        moved.saturating_sub(self.ahead)
    }

    fn confirms(&self, moved: i64) -> bool {
        let offset = self.offset(moved);
        let as_vouched = |ahead: i64| !is_beyond(offset.saturating_add(ahead));
        !is_beyond(offset) || self.vouched.is_some_and(as_vouched)
    }

    /// Where the wall clock has been moved since the source was heard, only its next date tells.
    fn contradicts(&self, moved: i64) -> bool {
        !is_beyond(moved.saturating_sub(self.moved)) && !self.confirms(moved)
    }
}

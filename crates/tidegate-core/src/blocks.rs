//! The in-memory set of blocks that admission looks at.
//!
//! It mirrors the ledger and runs ahead of it in one way only: a forbid enters before its commit
//! and stays if the commit fails. A resume takes effect after its commit, and never undoes a
//! forbid that is newer or still under way. Entries are not compared with the clock: a block ends
//! when the engine says so, so a clock that jumps lifts nothing.

mod unsettled;

use std::collections::HashMap;

use parking_lot::RwLock;

use crate::decision::{Block, Until};
use crate::ids::{AppId, Generation, StreamId, StreamKey};
use crate::time::UnixMs;

pub use unsettled::Asked;
use unsettled::{Unsettled, UnsettledMap};

/// One recorded block, as listed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// The stream.
    pub stream: StreamId,
    /// Since when.
    pub since: UnixMs,
    /// Until when.
    pub until: Until,
}

/// All blocks of all Apps. Lookup takes a read lock and allocates nothing.
#[derive(Default)]
pub struct BlockSet {
    inner: RwLock<Inner>,
}

#[derive(Default)]
struct Inner {
    /// What the ledger holds. One small entry a block: a million of them must stay cheap.
    recorded: HashMap<AppId, HashMap<Box<str>, Recorded>>,
    /// Streams with a forbid under way or one that could not be recorded.
    unsettled: UnsettledMap,
}

#[derive(Clone, Copy)]
struct Recorded {
    generation: Generation,
    since: UnixMs,
    until: Until,
}

impl BlockSet {
    /// The end of the block on a stream, if it is blocked.
    pub fn get(&self, app: AppId, stream: &str) -> Option<Until> {
        let inner = self.inner.read();
        let recorded = inner
            .recorded
            .get(&app)
            .and_then(|blocks| blocks.get(stream))
            .map(|b| b.until);
        if inner.unsettled.is_empty() {
            return recorded;
        }
        let unsettled = inner
            .unsettled
            .get(app, stream)
            .and_then(Unsettled::in_force);
        match (recorded, unsettled) {
            (Some(a), Some(b)) => Some(a.later(b)),
            (a, b) => a.or(b),
        }
    }

    /// Puts a recorded block in, as at start. Ignored if a newer one is there.
    pub fn load(&self, key: &StreamKey, block: &Block) {
        self.inner.write().record(key, block);
    }

    /// A forbid is under way: the stream counts as blocked from here on.
    pub fn begin_forbid(&self, key: &StreamKey, until: Until) {
        let mut inner = self.inner.write();
        let newest = inner.newest(key);
        let asked = inner.unsettled.ask();
        let entry = inner.unsettled.entry(key, || Unsettled::new(until, newest));
        entry.under_way += 1;
        entry.asked = asked;
        entry.until = entry.until.later(until);
    }

    /// A resume is under way. It changes nothing yet; what is returned tells [`BlockSet::opened`]
    /// which forbids came before it.
    pub fn begin_resume(&self) -> Asked {
        self.inner.write().unsettled.ask()
    }

    /// The forbid was recorded as `block`.
    pub fn forbid_recorded(&self, key: &StreamKey, block: &Block) {
        let mut inner = self.inner.write();
        inner.record(key, block);
        inner.settle_one(key, |entry| {
            // A recorded forbid supersedes an earlier one that could not be recorded.
            entry.unrecorded = None;
        });
    }

    /// The forbid could not be recorded: it stays in force until `until`, a recorded decision on
    /// the stream that was asked later, or [`BlockSet::lapse_unrecorded`].
    pub fn forbid_unrecorded(&self, key: &StreamKey, until: Until) {
        self.inner
            .write()
            .settle_one(key, |entry| entry.stand(until));
    }

    /// The forbid turned out to be none (a repeat of a request that was decided before).
    pub fn forbid_withdrawn(&self, key: &StreamKey) {
        self.inner.write().settle_one(key, |_| ());
    }

    /// A resume that was asked at `asked` (a lapse: `None`) was recorded as decision `generation`.
    /// Forbids that were asked later stay, recorded or not, and a lapse lifts no forbid but its
    /// own. Returns whether the stream is open.
    pub fn opened(&self, key: &StreamKey, generation: Generation, asked: Option<Asked>) -> bool {
        let mut inner = self.inner.write();
        inner.open(key, generation);
        inner.unsettled.change(key, |entry| {
            entry.newest = entry.newest.max(generation);
            if asked.is_some_and(|asked| entry.asked < asked) {
                entry.unrecorded = None;
            }
        });
        !inner.has(key) && inner.unsettled.get(key.app, key.stream.as_str()).is_none()
    }

    /// Ends of unrecorded forbids that have passed are dropped. Returns the streams that opened.
    pub fn lapse_unrecorded(&self, now: UnixMs) -> Vec<StreamKey> {
        let mut inner = self.inner.write();
        let mut lapsed = Vec::new();
        inner.unsettled.change_all(|app, stream, entry| {
            if matches!(entry.unrecorded, Some(Until::At(at)) if at <= now) {
                entry.unrecorded = None;
                lapsed.push(StreamKey::new(app, stream.clone()));
            }
        });
        lapsed.retain(|key| {
            !inner.has(key) && inner.unsettled.get(key.app, key.stream.as_str()).is_none()
        });
        lapsed
    }

    /// The ledger was replaced: `restored` is what it holds from here on. Blocks that stood and
    /// are not in it become unrecorded ones, since replacing a ledger is no resume.
    pub fn reload(&self, restored: Vec<(StreamKey, Block)>) {
        let mut inner = self.inner.write();
        let before = std::mem::take(&mut inner.recorded);
        inner
            .unsettled
            .change_all(|_, _, entry| entry.newest = Generation(0));
        for (key, block) in &restored {
            inner.record(key, block);
        }
        for (app, blocks) in before {
            for (stream, block) in blocks {
                let Ok(stream) = StreamId::parse(&stream) else {
                    continue;
                };
                let key = StreamKey::new(app, stream);
                if inner.has(&key) {
                    continue;
                }
                inner
                    .unsettled
                    .entry(&key, || Unsettled::new(block.until, Generation(0)))
                    .stand(block.until);
            }
        }
    }

    /// The streams of an App whose forbid stands in memory only, with its end.
    pub fn list_unrecorded(&self, app: AppId) -> Vec<(StreamId, Until)> {
        let inner = self.inner.read();
        let mut listed: Vec<_> = inner
            .unsettled
            .of_app(app)
            .filter_map(|(stream, entry)| Some((stream.clone(), entry.unrecorded?)))
            .collect();
        listed.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        listed
    }

    /// How many forbids stand in memory only.
    pub fn unrecorded(&self) -> usize {
        self.inner
            .read()
            .unsettled
            .iter()
            .filter(|entry| entry.unrecorded.is_some())
            .count()
    }

    /// How many recorded blocks stand.
    pub fn len(&self) -> usize {
        self.inner.read().recorded.values().map(HashMap::len).sum()
    }

    /// Whether no recorded block stands.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The recorded blocks of an App, oldest first, at most `limit`, and how many there are.
    pub fn list(&self, app: AppId, limit: usize) -> (Vec<Listed>, usize) {
        let inner = self.inner.read();
        let Some(blocks) = inner.recorded.get(&app) else {
            return (Vec::new(), 0);
        };
        let total = blocks.len();
        let mut order: Vec<_> = blocks
            .iter()
            .map(|(stream, block)| (block.since, stream, block))
            .collect();
        // A huge App must not hold the lock for a full sort to show its first rows.
        if limit > 0 && limit < order.len() {
            order.select_nth_unstable_by_key(limit, |(since, stream, _)| (*since, *stream));
            order.truncate(limit);
        }
        order.sort_unstable_by_key(|(since, stream, _)| (*since, *stream));
        let listed = order
            .into_iter()
            .take(limit)
            .filter_map(|(since, stream, block)| {
                let stream = StreamId::parse(stream).ok()?;
                Some(Listed {
                    stream,
                    since,
                    until: block.until,
                })
            })
            .collect();
        (listed, total)
    }
}

impl Inner {
    fn has(&self, key: &StreamKey) -> bool {
        self.recorded
            .get(&key.app)
            .is_some_and(|blocks| blocks.contains_key(key.stream.as_str()))
    }

    fn newest(&self, key: &StreamKey) -> Generation {
        let recorded = self
            .recorded
            .get(&key.app)
            .and_then(|blocks| blocks.get(key.stream.as_str()));
        recorded.map_or(Generation(0), |block| block.generation)
    }

    fn record(&mut self, key: &StreamKey, block: &Block) {
        let unsettled = self.unsettled.get(key.app, key.stream.as_str());
        let overtaken = unsettled.is_some_and(|entry| entry.newest > block.generation);
        if overtaken || self.newest(key) > block.generation {
            return;
        }
        let entry = Recorded {
            generation: block.generation,
            since: block.since,
            until: block.until,
        };
        self.recorded
            .entry(key.app)
            .or_default()
            .insert(key.stream.as_str().into(), entry);
        self.unsettled
            .change(key, |entry| entry.newest = block.generation);
    }

    fn open(&mut self, key: &StreamKey, generation: Generation) {
        if self.newest(key) > generation {
            return;
        }
        if let Some(blocks) = self.recorded.get_mut(&key.app) {
            blocks.remove(key.stream.as_str());
            if blocks.is_empty() {
                self.recorded.remove(&key.app);
            }
        }
    }

    fn settle_one(&mut self, key: &StreamKey, change: impl FnOnce(&mut Unsettled)) {
        self.unsettled.change(key, |entry| {
            entry.under_way = entry.under_way.saturating_sub(1);
            change(entry);
        });
    }
}

#[cfg(test)]
mod tests;

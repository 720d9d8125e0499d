//! Keeping what changed, before calls that depend on it go out.

use tidegate_core::backoff::Now;
use tidegate_core::placement::Want;
use tidegate_core::probe::{Goal, Watch};
use tidegate_ledger::LedgerError;
use tidegate_ledger::cdns::{AcceptedBy, CdnSave, ObjectKey, ObjectSave, OwnerRow, WatchSave};

use super::super::prober::Kept;
use super::entry::Entry;
use super::work::{BATCH, Work};

impl Work {
    /// Keeps everything that changed. Where another process was faster, the object is read again
    /// and its call does not go out.
    pub(super) async fn keep(&mut self) -> Result<(), LedgerError> {
        loop {
            let now = self.now();
            let keys = self.dirty();
            if keys.is_empty() && !self.budget_dirty {
                return Ok(());
            }
            let more = keys.len() == BATCH;
            let save = self.save_of(&keys, now);
            let accepted: Vec<_> = save.objects.iter().map(|o| o.accepted.clone()).collect();
            match self.engine.ledger().save(save).await {
                Ok(versions) => {
                    self.budget_dirty = false;
                    self.engine.ledger_works();
                    let kept = keys.into_iter().zip(versions).zip(accepted);
                    for ((key, version), accepted) in kept {
                        self.kept(key, version, &accepted);
                    }
                }
                Err(error) => {
                    self.take_back();
                    return Err(error);
                }
            }
            if !more {
                return Ok(());
            }
        }
    }

    fn save_of(&self, keys: &[ObjectKey], now: Now) -> CdnSave {
        let budgets = match self.budget_dirty {
            true => {
                let state = serde_json::to_string(self.desk.budget.lock().state());
                vec![(self.account.account.id, state.unwrap_or_default())]
            }
            false => Vec::new(),
        };
        let objects = keys.iter().filter_map(|key| {
            let entry = self.entries.get(key)?;
            Some(ObjectSave {
                key: key.clone(),
                version: entry.version,
                state: serde_json::to_string(&entry.object).unwrap_or_default(),
                due: entry.timer.or(entry.plan.is_none().then_some(now.steady)),
                accepted: self.accepted(entry, now),
            })
        });
        CdnSave {
            budgets,
            objects: objects.collect(),
        }
    }

    /// Placements that reached a newer generation.
    fn accepted(&self, entry: &Entry, now: Now) -> Vec<AcceptedBy> {
        let newer = entry.owners.iter().filter_map(|row| {
            let generation = entry.object.accepted_generation(row.owner.id)?;
            let at = entry.object.accepted.as_ref()?.at;
            (row.accepted < Some(generation)).then(|| AcceptedBy {
                app: row.owner.app,
                target: row.owner.id.0,
                generation,
                at,
                watch: self.watch(entry, row, now),
            })
        });
        newer.collect()
    }

    /// The looks that follow an acceptance. None at a target where nothing can be seen, and none
    /// for an owner whose stream somebody else keeps off the air.
    fn watch(&self, entry: &Entry, row: &OwnerRow, now: Now) -> Option<WatchSave> {
        let target = self.directory.target(row.owner.id.0)?;
        let has_state = self.account.signer.vendor() != tidegate_cdn::Vendor::Ws;
        let goal = match (row.owner.want, entry.want()?) {
            (Want::Banned(_), _) => Goal::Dark,
            (Want::Open(_), Want::Open(_)) => Goal::Live,
            (Want::Open(_), Want::Banned(_)) => return None,
        };
        let visible = has_state || !target.target.play_urls.is_empty();
        if row.leaving || !visible {
            return Some(WatchSave {
                state: None,
                next: None,
            });
        }
        let watch = Watch::start(goal, self.engine.cdns().options().alarm_after, now);
        Some(Kept::new(watch).save())
    }

    fn kept(&mut self, key: ObjectKey, version: Option<i64>, accepted: &[AcceptedBy]) {
        let Some(version) = version else {
            let dropped = self.begun.extract_if(.., |begun| begun.call.key == key);
            let dropped: Vec<_> = dropped.collect();
            for begun in dropped {
                self.answered(begun.call.action, begun.call.app);
            }
            self.read_again(&key);
            return;
        };
        self.unmark(&key);
        let Some(entry) = self.entries.get_mut(&key) else {
            return;
        };
        entry.version = version;
        for by in accepted {
            let row = entry.owners.iter_mut().find(|o| o.owner.id.0 == by.target);
            if let Some(row) = row {
                row.accepted = Some(by.generation);
            }
            if let Some(next) = by.watch.as_ref().and_then(|watch| watch.next) {
                self.desk.look_due(next);
            }
        }
        let gone = |row: &OwnerRow| row.leaving && row.accepted >= Some(row.owner.generation);
        if entry.owners.iter().any(gone) {
            entry.owners.retain(|row| !gone(row));
            entry.wants = entry.owners.iter().map(|row| row.owner).collect();
            self.engine.targets_left();
        }
        self.touched.insert(key);
    }

    /// Nothing was written: calls that were begun are not, and nothing goes out.
    fn take_back(&mut self) {
        for begun in std::mem::take(&mut self.begun) {
            self.answered(begun.call.action, begun.call.app);
            if let Some(entry) = self.entries.get_mut(&begun.call.key) {
                entry.object = begun.before;
                entry.plan = None;
            }
            self.touched.insert(begun.call.key);
        }
    }
}

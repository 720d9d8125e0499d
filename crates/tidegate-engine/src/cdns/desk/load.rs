//! Reading objects: when they are due, when something was decided, when another process wrote them.

use std::collections::HashSet;

use tidegate_core::backoff::Now;
use tidegate_ledger::LedgerError;
use tidegate_ledger::cdns::ObjectKey;

use super::super::gather::Slot;
use super::Event;
use super::entry::Entry;
use super::work::{BATCH, SCAN_EVERY, Work};

/// Keys of one page of a scan.
const PAGE: usize = 1024;

impl Work {
    /// Asks the ledger what is due.
    pub(super) async fn scan(&mut self, now: Now) -> Result<(), LedgerError> {
        let before = now.steady.plus(SCAN_EVERY);
        let id = self.account.account.id;
        let mut after: Option<ObjectKey> = None;
        loop {
            let ledger = self.engine.ledger();
            let keys = ledger.due_objects(id, before, after.as_ref(), PAGE).await?;
            let last = keys.len() < PAGE;
            after = keys.last().cloned();
            for key in keys {
                if !self.entries.contains_key(&key) {
                    self.read_soon(key, None);
                }
            }
            if last {
                return Ok(());
            }
        }
    }

    /// The object is read in this turn or one of the next; before others if somebody waits.
    pub(super) fn read_soon(&mut self, key: ObjectKey, slot: Option<Slot>) {
        let waited_for = slot.is_some();
        let known = self.to_load.contains_key(&key);
        self.to_load.entry(key.clone()).or_default().extend(slot);
        match (waited_for, known) {
            (true, _) => self.load_order.push_front(key),
            (false, false) => self.load_order.push_back(key),
            (false, true) => {}
        }
    }

    /// What is read next. A key may be in the order twice: it was moved to the front.
    fn next_to_load(&mut self) -> Vec<ObjectKey> {
        let mut keys = Vec::new();
        let mut taken = HashSet::new();
        while keys.len() < BATCH {
            let Some(key) = self.load_order.pop_front() else {
                break;
            };
            if self.to_load.contains_key(&key) && taken.insert(key.clone()) {
                keys.push(key);
            }
        }
        keys
    }

    /// Reads what was woken, a bounded number at a time.
    pub(super) async fn load(&mut self) -> Result<(), LedgerError> {
        let keys = self.next_to_load();
        if keys.is_empty() {
            return Ok(());
        }
        let rows = match self.engine.ledger().objects(&keys).await {
            Ok(rows) => rows,
            Err(error) => {
                self.load_order.extend(keys);
                return Err(error);
            }
        };
        for row in rows {
            let key = row.key.clone();
            let slots = self.to_load.remove(&key).unwrap_or_default();
            let timeout = self.engine.cdns().options().client.total_timeout;
            match self.entries.get_mut(&key) {
                Some(entry) if entry.version >= row.version => {
                    entry.set_owners(row.owners, &self.account, &self.directory);
                    entry.slots.extend(slots);
                }
                _ => {
                    let mut entry = Entry::load(row, &self.account, &self.directory, timeout);
                    if self.take_over(&mut entry) {
                        self.dirty.insert(key.clone());
                    }
                    let before = self.entries.remove(&key);
                    entry
                        .slots
                        .extend(before.into_iter().flat_map(|entry| entry.slots));
                    entry.slots.extend(slots);
                    self.entries.insert(key.clone(), entry);
                }
            }
            self.touched.insert(key);
        }
        for key in keys {
            self.to_load.remove(&key);
        }
        if self.to_load.is_empty() {
            for event in std::mem::take(&mut self.after_load) {
                self.on_event(event);
            }
        }
        Ok(())
    }

    /// The object is at rest: it is read, and then told.
    pub(super) fn load_for(&mut self, key: ObjectKey, event: Event) {
        self.read_soon(key, None);
        self.after_load.push(event);
    }

    /// Where no other process can be at work, a lease is one of an earlier run of this one.
    fn take_over(&self, entry: &mut Entry) -> bool {
        let holder = &self.engine.cdns().holder;
        let lease = entry.object.lease.as_ref();
        let foreign = lease.is_some_and(|lease| lease.holder != *holder);
        let lost = foreign && self.engine.ledger().is_exclusive();
        if lost {
            entry.object.take_over(self.now());
        }
        lost
    }

    /// The object has to be read again: another process wrote it.
    pub(super) fn read_again(&mut self, key: &ObjectKey) {
        if let Some(entry) = self.entries.remove(key) {
            if let Some(timer) = entry.timer {
                self.timers.remove(&(timer, key.clone()));
            }
            self.queue.remove(key);
            self.dirty.remove(key);
            self.read_soon(key.clone(), None);
            let waiting = self.to_load.entry(key.clone()).or_default();
            waiting.extend(entry.slots);
        }
    }
}

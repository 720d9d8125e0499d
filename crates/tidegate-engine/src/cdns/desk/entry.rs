//! One object in memory: what is known of it, who owns it, and what is planned.

use std::sync::Arc;

use tidegate_cdn::VendorObject;
use tidegate_core::UnixMs;
use tidegate_core::backoff::Now;
use tidegate_core::placement::{Limits, Owner, Want, merge};
use tidegate_core::reconcile::{self, Action, Object, Plan};
use tidegate_core::{StreamId, StreamKey, placement::Epoch};
use tidegate_ledger::cdns::{ObjectRow, OwnerRow};

use super::super::directory::{AccountEntry, CdnDirectory, TargetEntry};
use super::super::gather::Slot;
use super::super::limits::object_limits;
use super::Desk;

pub(super) struct Entry {
    pub(super) object: Object,
    pub(super) version: i64,
    pub(super) owners: Vec<OwnerRow>,
    /// The same, as the pure step takes them.
    pub(super) wants: Vec<Owner>,
    /// The target whose names go into calls.
    pub(super) target: Option<Arc<TargetEntry>>,
    pub(super) limits: Limits,
    /// What was last planned; the queue holds its work.
    pub(super) plan: Option<Plan>,
    /// When to step again, on the steady clock.
    pub(super) timer: Option<UnixMs>,
    pub(super) slots: Vec<Slot>,
    /// What the vendor said last, and its id of that call.
    pub(super) said: Option<(String, Option<String>)>,
}

impl Entry {
    /// From the ledger. A state that cannot be read is as good as none.
    pub(super) fn load(
        row: ObjectRow,
        account: &AccountEntry,
        directory: &CdnDirectory,
        call_timeout: std::time::Duration,
    ) -> Self {
        let object = row.state.as_deref().map(serde_json::from_str);
        let object = match object {
            Some(Ok(object)) => object,
            Some(Err(error)) => {
                tracing::error!(object = %row.key.stream, %error,
                    "what was kept of an object cannot be read; it is taken for unknown");
                Object::default()
            }
            None => Object::default(),
        };
        let mut entry = Self {
            object,
            version: row.version,
            owners: Vec::new(),
            wants: Vec::new(),
            target: None,
            limits: object_limits(account.signer.vendor(), false, call_timeout),
            plan: None,
            timer: None,
            slots: Vec::new(),
            said: None,
        };
        entry.set_owners(row.owners, account, directory);
        entry
    }

    pub(super) fn set_owners(
        &mut self,
        owners: Vec<OwnerRow>,
        account: &AccountEntry,
        directory: &CdnDirectory,
    ) {
        self.wants = owners.iter().map(|row| row.owner).collect();
        let mut known: Vec<_> = owners
            .iter()
            .filter_map(|row| Some((row.owner.decided, directory.target(row.owner.id.0)?)))
            .collect();
        known.sort_by_key(|(decided, _)| *decided);
        self.target = known.last().map(|(_, target)| Arc::clone(target));
        let has_play_domain = self
            .target
            .as_ref()
            .is_some_and(|target| target.site.play_domain().is_some());
        self.limits = object_limits(
            account.signer.vendor(),
            has_play_domain,
            self.limits.call_timeout,
        );
        self.owners = owners;
    }

    /// Plans anew. Settles what needs no call, and says whether it did.
    pub(super) fn step(&mut self, epoch: Epoch, now: Now) -> (Plan, bool) {
        let mut plan = reconcile::step(&self.object, &self.wants, &self.limits, epoch, now);
        let settles = plan.action == Action::Settle;
        if settles {
            self.object.settle(&self.wants, now);
            plan = reconcile::step(&self.object, &self.wants, &self.limits, epoch, now);
        }
        (plan, settles)
    }

    /// The stream as a call names it; `None` while its target is not known here.
    pub(super) fn vendor_object(
        &self,
        account: &AccountEntry,
        stream: &StreamId,
    ) -> Option<VendorObject> {
        let target = self.target.as_ref()?;
        Some(account.object(&target.site, stream))
    }

    /// Its play URLs are looked at before the cut, as far as they were never seen live.
    pub(super) fn look_first(&self, desk: &Desk, stream: &StreamId) {
        let Some(target) = self.target.as_ref() else {
            return;
        };
        if !target.target.play_urls.is_empty() {
            let target = &target.target.target;
            desk.look_first(StreamKey::new(target.app, stream.clone()), target.id);
        }
    }

    /// What is wanted.
    pub(super) fn want(&self) -> Option<Want> {
        merge(&self.wants)
    }

    /// Whether some owner's decision has not reached the vendor.
    pub(super) fn is_pending(&self) -> bool {
        self.wants.iter().any(|owner| {
            self.object
                .accepted_generation(owner.id)
                .is_none_or(|accepted| accepted < owner.generation)
        })
    }

    /// Where it should be, with nothing to do and nobody waiting until a distant instant.
    pub(super) fn rests(&self, until: UnixMs) -> bool {
        let waits = self
            .plan
            .is_none_or(|plan| matches!(plan.action, Action::Wait));
        waits
            && !self.is_pending()
            && self.slots.is_empty()
            && self.object.in_flight.is_none()
            && self.timer.is_none_or(|timer| timer > until)
    }
}

//! Which play URL templates were ever seen live at their target, and bytes spent on looking.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_core::UnixMs;
use tidegate_core::backoff::{Now, Wait};
use tidegate_core::placement::Evidence;
use tidegate_core::probe::{Look, Source, judge};
use tidegate_ledger::LedgerError;

use super::super::directory::TargetEntry;
use super::Sight;
use crate::engine::Engine;

const DAY: Duration = Duration::from_secs(86_400);
/// So many bytes may be lost to a crash.
const KEEP_EVERY: u64 = 4 << 20;

/// By target.
#[derive(Default)]
pub(super) struct Seen {
    targets: HashMap<i64, State>,
    dirty: BTreeSet<i64>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct State {
    /// Template text and when it was first seen live.
    live: BTreeMap<String, UnixMs>,
    day: Option<Wait>,
    bytes: u64,
    #[serde(skip)]
    unkept: u64,
}

impl Seen {
    fn state(&mut self, target: &TargetEntry) -> &mut State {
        let id = target.target.target.id;
        self.targets.entry(id).or_insert_with(|| {
            let kept = target.target.probe.as_deref();
            // A state that cannot be read only means that URLs have to prove themselves again.
            kept.and_then(|text| serde_json::from_str(text).ok())
                .unwrap_or_default()
        })
    }

    /// What may still be read today.
    pub(super) fn bytes_left(&mut self, target: &TargetEntry, daily: u64, now: Now) -> u64 {
        let state = self.state(target);
        if state.day.is_none_or(|day| day.is_over(now)) {
            state.day = Some(Wait::lasting(now, DAY));
            state.bytes = 0;
        }
        daily.saturating_sub(state.bytes)
    }

    /// Whether a template still has to prove itself.
    pub(super) fn has_unproven(&mut self, target: &TargetEntry) -> bool {
        let live = &self.state(target).live;
        let mut templates = target.target.play_urls.iter();
        templates.any(|template| !live.contains_key(template))
    }

    /// Writes down what a look showed and cost.
    pub(super) fn note(&mut self, target: &TargetEntry, sight: &Sight, now: Now) {
        let id = target.target.target.id;
        let state = self.state(target);
        state.bytes = state.bytes.saturating_add(sight.bytes);
        state.unkept = state.unkept.saturating_add(sight.bytes);
        let mut keep = state.unkept >= KEEP_EVERY;
        for (template, look) in &sight.looks {
            if *look == Look::Media && !state.live.contains_key(template) {
                state.live.insert(template.clone(), now.wall);
                keep = true;
            }
        }
        if keep {
            self.dirty.insert(id);
        }
    }

    /// What a look proves.
    pub(super) fn judge(&mut self, target: &TargetEntry, sight: &Sight) -> Evidence {
        let live = &self.state(target).live;
        let play = sight.looks.iter().map(|(template, look)| Source::Play {
            look: *look,
            seen_live: live.contains_key(template),
        });
        judge(play.chain([Source::Vendor(sight.vendor)]))
    }

    /// Keeps what changed.
    pub(super) async fn keep(&mut self, engine: &Engine) -> Result<(), LedgerError> {
        while let Some(id) = self.dirty.first().copied() {
            if let Some(state) = self.targets.get_mut(&id) {
                let text = serde_json::to_string(state).unwrap_or_default();
                engine.ledger().save_probe(id, &text).await?;
                state.unkept = 0;
            }
            self.dirty.remove(&id);
        }
        Ok(())
    }
}

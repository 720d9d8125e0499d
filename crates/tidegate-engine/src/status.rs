//! Everything there is to say about one stream, for people.

use tidegate_core::placement::Evidence;
use tidegate_core::{StreamKey, UnixMs, Until};
use tidegate_ledger::{
    Attempt, AttemptResult, LedgerError, Placement, StreamStatus, Target, Vendor,
};
use tidegate_origin::StreamInfo;

use crate::cdns::CdnReport;
use crate::engine::Engine;

/// What was last seen of a stream on a target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ObservedState {
    /// On the air.
    Live,
    /// Off the air.
    Dark,
    /// Nobody has looked, or could.
    Unknown,
}

impl ObservedState {
    /// `live`, `dark` or `unknown`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Dark => "dark",
            Self::Unknown => "unknown",
        }
    }
}

/// What was last seen of a stream on a target, and when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Observation {
    /// What was seen.
    pub state: ObservedState,
    /// When the look began; `None`: nobody ever looked.
    pub at: Option<UnixMs>,
    /// While it is dark: the look that first showed it since the CDN accepted the newest decision,
    /// as far as that is still in the history.
    pub dark_since: Option<UnixMs>,
}

/// A stream's state on one target.
#[derive(Debug)]
pub struct TargetReport {
    /// The target.
    pub target: Target,
    /// From the ledger; `None` before the first decision.
    pub placement: Option<Placement>,
    /// What was last seen there.
    pub observed: Observation,
    /// What there is to say of the CDN; `None` for the origin.
    pub cdn: Option<CdnReport>,
}

/// A stream's state: what the ledger knows, and what is seen right now.
#[derive(Debug)]
pub struct StreamReport {
    /// When this was put together.
    pub at: UnixMs,
    /// The end of the block that admission enforces, recorded or not.
    pub enforced: Option<Until>,
    /// From the ledger.
    pub ledger: StreamStatus,
    /// The live stream at this server's origin, if there is one.
    pub live: Option<StreamInfo>,
    /// One entry a target, the origin first.
    pub targets: Vec<TargetReport>,
}

impl Engine {
    /// Puts the report together.
    pub async fn report(&self, key: &StreamKey) -> Result<StreamReport, LedgerError> {
        let ledger = self.ledger().status(key).await?;
        let mut cdns = self.cdn_reports(key).await?;
        let (at, live) = (self.now(), self.hub().stream(key));
        let apps = self.apps();
        let entry = apps.get(key.app);
        let mut known: Vec<Target> = entry.map_or(Vec::new(), |entry| entry.targets.clone());
        let placed = ledger.placements.iter().map(|placed| &placed.target);
        let unknown: Vec<_> = placed
            .filter(|target| known.iter().all(|known| known.id != target.id))
            .cloned()
            .collect();
        known.extend(unknown);
        let mut targets = Vec::new();
        for target in known {
            let placement = ledger.placements.iter().find(|p| p.target.id == target.id);
            let cdn = cdns.remove(&target.id);
            let is_origin = target.vendor == Vendor::Origin;
            // A target that was removed and never had this stream, or is gone by now.
            let is_gone = match &cdn {
                Some(cdn) => cdn.leaving && placement.is_none(),
                None => !is_origin,
            };
            if is_gone {
                continue;
            }
            targets.push(TargetReport {
                observed: match is_origin {
                    true => seen_here(live.is_some(), at),
                    false => seen(placement, &ledger.attempts),
                },
                placement: placement.cloned(),
                target,
                cdn,
            });
        }
        Ok(StreamReport {
            at,
            enforced: self.blocks().get(key.app, key.stream.as_str()),
            ledger,
            live,
            targets,
        })
    }
}

/// The origin is looked at directly.
fn seen_here(live: bool, at: UnixMs) -> Observation {
    Observation {
        state: match live {
            true => ObservedState::Live,
            false => ObservedState::Dark,
        },
        at: Some(at),
        dark_since: None,
    }
}

/// `attempts`: newest first; looks are among them only where they showed something else than the
/// one before.
fn seen(placement: Option<&Placement>, attempts: &[Attempt]) -> Observation {
    let observed = placement.and_then(|placement| placement.observed);
    let state = match observed.map(|observed| observed.evidence) {
        Some(Evidence::Live) => ObservedState::Live,
        Some(Evidence::Dark) => ObservedState::Dark,
        Some(Evidence::Unknown) | None => ObservedState::Unknown,
    };
    let dark_since = placement.filter(|_| state == ObservedState::Dark);
    let dark_since = dark_since.and_then(|placement| {
        let looks = attempts
            .iter()
            .filter(|attempt| attempt.target == placement.target.id);
        looks
            .filter(|attempt| Some(attempt.at) >= placement.accepted_at)
            .take_while(|attempt| attempt.result != AttemptResult::Live)
            .filter(|attempt| attempt.result == AttemptResult::Dark)
            .last()
    });
    Observation {
        state,
        at: observed.map(|observed| observed.at),
        dark_since: dark_since.map(|look| look.at),
    }
}

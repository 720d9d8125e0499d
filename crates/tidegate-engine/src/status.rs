//! Everything there is to say about one stream, for people.

use tidegate_core::{StreamKey, UnixMs, Until};
use tidegate_ledger::{LedgerError, StreamStatus, Vendor};
use tidegate_origin::StreamInfo;

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
}

impl StreamReport {
    /// What is observed on a target of this kind. The origin is looked at directly.
    pub fn observed(&self, vendor: Vendor) -> ObservedState {
        match (vendor, &self.live) {
            (Vendor::Origin, Some(_)) => ObservedState::Live,
            (Vendor::Origin, None) => ObservedState::Dark,
            _ => ObservedState::Unknown,
        }
    }
}

impl Engine {
    /// Puts the report together.
    pub async fn report(&self, key: &StreamKey) -> Result<StreamReport, LedgerError> {
        Ok(StreamReport {
            at: self.now(),
            enforced: self.blocks().get(key.app, key.stream.as_str()),
            ledger: self.ledger().status(key).await?,
            live: self.hub().stream(key),
        })
    }
}

//! The headers sent ahead of a player's first frame, made once for all who join at one place.

use bytes::Bytes;
use smallvec::SmallVec;

use crate::container::{Container, FlvFlags};
use crate::queue::Batch;

/// The newest prelude of each container, with and without the FLV header.
#[derive(Default)]
pub(crate) struct Preludes {
    made: SmallVec<[Made; 2]>,
}

struct Made {
    container: Container,
    fresh: Option<FlvFlags>,
    version: u64,
    timestamp: u32,
    bytes: Bytes,
}

impl Preludes {
    /// What goes ahead of `batch`.
    pub(crate) fn get(
        &mut self,
        container: Container,
        batch: &Batch,
        fresh: Option<FlvFlags>,
    ) -> Bytes {
        let same_kind = |m: &Made| m.container == container && m.fresh.is_some() == fresh.is_some();
        let is_good = |m: &Made| {
            m.fresh == fresh && m.version == batch.before.version && m.timestamp == batch.timestamp
        };
        let known = self.made.iter().position(same_kind);
        if let Some(made) = known.and_then(|at| self.made.get(at))
            && is_good(made)
        {
            return made.bytes.clone();
        }
        let made = Made {
            container,
            fresh,
            version: batch.before.version,
            timestamp: batch.timestamp,
            bytes: container.prelude(&batch.before, batch.timestamp, fresh),
        };
        let bytes = made.bytes.clone();
        match known.and_then(|at| self.made.get_mut(at)) {
            Some(old) => *old = made,
            None => self.made.push(made),
        }
        bytes
    }
}

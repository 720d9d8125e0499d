//! Calls per second of each App and action.
//!
//! Only authenticated calls get here, so there are never more entries than Apps times actions.

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tidegate_core::AppId;
use tidegate_core::bucket::Bucket;

const SHARDS: usize = 16;

/// Token buckets in memory.
#[derive(Default)]
pub(crate) struct Rates {
    shards: [Mutex<FxHashMap<(AppId, usize), Bucket>>; SHARDS],
}

impl Rates {
    /// Takes one token; false when there is none. `per_second` 0 means no limit. `now_ms` comes
    /// from a clock that never goes back.
    pub(crate) fn take(&self, app: AppId, action: usize, per_second: u32, now_ms: u64) -> bool {
        if per_second == 0 {
            return true;
        }
        let at = app.0 as usize % SHARDS;
        let Some(shard) = self.shards.get(at) else {
            return true;
        };
        let mut buckets = shard.lock();
        buckets
            .entry((app, action))
            .or_insert_with(|| Bucket::full(per_second, now_ms))
            .take(per_second, now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(rates: &Rates, app: u32, action: usize, now_ms: u64) -> usize {
        (0..50)
            .filter(|_| rates.take(AppId(app), action, 20, now_ms))
            .count()
    }

    #[test]
    fn each_app_and_action_has_its_own_documented_rate() {
        let rates = Rates::default();
        assert_eq!(granted(&rates, 1, 0, 0), 20);
        assert_eq!(granted(&rates, 1, 1, 0), 20, "another action");
        assert_eq!(
            granted(&rates, 17, 0, 0),
            20,
            "another App of the same shard"
        );
        assert_eq!(
            granted(&rates, 1, 0, 500),
            10,
            "the refill of half a second"
        );
    }

    #[test]
    fn zero_is_no_limit() {
        let rates = Rates::default();
        assert!((0..1000).all(|_| rates.take(AppId(1), 0, 0, 0)));
    }
}

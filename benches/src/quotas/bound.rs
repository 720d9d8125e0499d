//! The least time that a vendor's limits leave for a plan, if every window is used to its last call.

use std::time::Duration;

use tidegate_cdn::{Bucket, Kind, Limits, Vendor};
use tidegate_engine::cdns;

use super::desk::Plan;

/// The least times.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    /// By the published limits, where resumes leave alone what is kept for takedowns and
    /// takedowns go first.
    pub(super) with_reserve: Duration,
    /// By the published limits alone.
    pub(super) published: Duration,
}

impl Bound {
    pub(super) fn of(vendor: Vendor, plan: Plan) -> Self {
        let buckets = Limits::of(vendor).buckets;
        let rules = cdns::rules(vendor);
        let reserves = rules.iter().map(|rule| rule.reserve);
        let times = buckets.iter().zip(reserves).map(|(bucket, reserve)| {
            let plan = share(bucket, plan);
            let with_reserve = least(buckets, bucket, plan, reserve);
            (with_reserve, least(buckets, bucket, plan, 0))
        });
        let (with_reserve, published): (Vec<_>, Vec<_>) = times.unzip();
        Self {
            with_reserve: with_reserve.into_iter().max().unwrap_or_default(),
            published: published.into_iter().max().unwrap_or_default(),
        }
    }
}

/// The part of the plan that draws on this bucket.
fn share(bucket: &Bucket, plan: Plan) -> Plan {
    let part = |kind, calls| match bucket.kinds.contains(&kind) {
        true => calls,
        false => 0,
    };
    Plan {
        forbids: part(Kind::Forbid, plan.forbids),
        resumes: part(Kind::Resume, plan.resumes),
    }
}

/// All windows but the last in full length, and in the last what shorter ones of the same calls ask
/// for.
fn least(buckets: &[Bucket], bucket: &Bucket, plan: Plan, reserve: u32) -> Duration {
    let mut left = plan;
    let mut time = Duration::ZERO;
    loop {
        let forbids = left.forbids.min(bucket.calls);
        let room = (bucket.calls - reserve).saturating_sub(forbids);
        let window = Plan {
            forbids,
            resumes: left.resumes.min(room),
        };
        left.forbids -= window.forbids;
        left.resumes -= window.resumes;
        if left.forbids == 0 && left.resumes == 0 {
            let shorter = buckets.iter().filter(|other| other.per < bucket.per);
            let rest = shorter.map(|other| least(buckets, other, share(other, window), 0));
            return time + rest.max().unwrap_or_default();
        }
        time += bucket.per;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(vendor: Vendor, forbids: u32, resumes: u32) -> (u64, u64) {
        let bound = Bound::of(vendor, Plan { forbids, resumes });
        (bound.with_reserve.as_secs(), bound.published.as_secs())
    }

    #[test]
    fn bounds_are_those_worked_out_by_hand() {
        const DAY: u64 = 86_400;
        for (vendor, forbids, resumes, want) in [
            (Vendor::Ws, 500, 0, (499, 499)),
            (Vendor::Ws, 501, 0, (DAY, DAY)),
            (Vendor::Ws, 300, 200, (DAY + 99, 499)),
            (Vendor::Ws, 500, 500, (2 * DAY + 99, DAY + 499)),
            (Vendor::Aliyun, 41, 1, (2, 2)),
            (Vendor::Tencent, 400, 400, (3, 3)),
            (Vendor::Huawei, 4200, 0, (60, 60)),
            (Vendor::Huawei, 4400, 0, (61, 61)),
            (Vendor::Huawei, 0, 6000, (74, 74)),
        ] {
            let found = seconds(vendor, forbids, resumes);
            assert_eq!(found, want, "{vendor} {forbids} {resumes}");
        }
    }
}

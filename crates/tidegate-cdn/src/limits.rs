//! What each vendor allows, as data.
//!
//! Figures are the vendors' published ones; where a page gives two, the smaller. Keeping to them
//! is the reconciler's job.

use std::time::Duration;

use tidegate_core::UnixMs;

use crate::operation::Kind;
use crate::vendor::Vendor;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// One published limit: so many calls of these kinds together in each window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bucket {
    /// The kinds of call that share it.
    pub kinds: &'static [Kind],
    /// How many.
    pub calls: u32,
    /// In how long.
    pub per: Duration,
}

/// A vendor's limits, per account unless said otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// A call must fit every bucket that names its kind.
    pub buckets: &'static [Bucket],
    /// How many bans may stand at once; `None`: not published.
    pub list_capacity: Option<u32>,
    /// Longest ban in one call. Longer ones are cut, refused or not defined.
    pub longest_ban: Duration,
    /// What a ban without an end gets. Tidegate always sends one.
    pub default_ban: Duration,
    /// How far the signer's clock may be off.
    pub clock_skew: Duration,
    /// Largest page of a list of bans; `None`: the list is not paged.
    pub list_page: Option<u32>,
    /// Largest page of a list of live streams; `None`: there is no such list.
    pub online_page: Option<u32>,
}

impl Limits {
    /// The limits of a vendor.
    pub fn of(vendor: Vendor) -> &'static Self {
        match vendor {
            Vendor::Ws => &WANGSU,
            Vendor::Aliyun => &ALIYUN,
            Vendor::Tencent => &TENCENT,
            Vendor::Huawei => &HUAWEI,
        }
    }

    /// The buckets that a call of this kind draws from.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &'static Bucket> {
        let buckets = self.buckets;
        buckets.iter().filter(move |b| b.kinds.contains(&kind))
    }

    /// The end to send for a ban that should last until `until` (`None`: until lifted): whole
    /// seconds, rounded up, and short of the longest ban by the allowed clock skew, so that a
    /// vendor whose clock is behind does not find it too long.
    pub fn end_to_send(&self, now: UnixMs, until: Option<UnixMs>) -> UnixMs {
        let cap = now.plus(self.longest_ban.saturating_sub(self.clock_skew));
        let end = until.map_or(cap, |until| until.min(cap));
        UnixMs::from_seconds(end.0.saturating_add(999).div_euclid(1000))
    }
}

/// The 500 a day are one counter for ban, resume and stop. One signature a second, since a
/// timestamp may not be used twice within 5 minutes.
const WANGSU: Limits = Limits {
    buckets: &[
        Bucket {
            kinds: &[Kind::Forbid, Kind::Resume, Kind::Kick],
            calls: 500,
            per: DAY,
        },
        Bucket {
            kinds: &[Kind::ListForbidden, Kind::FindForbidden],
            calls: 10,
            per: Duration::from_secs(300),
        },
        Bucket {
            kinds: &[
                Kind::Forbid,
                Kind::Resume,
                Kind::Kick,
                Kind::ListForbidden,
                Kind::FindForbidden,
            ],
            calls: 1,
            per: Duration::from_secs(1),
        },
    ],
    list_capacity: None,
    longest_ban: Duration::from_secs(30 * 86_400),
    default_ban: DAY,
    clock_skew: Duration::from_secs(300),
    list_page: None,
    online_page: None,
};

/// The longest ban is not published; the default of six months is taken as the most that is safe
/// to ask for. The figures count the main account and all its RAM users together.
const ALIYUN: Limits = Limits {
    buckets: &[
        Bucket {
            kinds: &[Kind::Forbid, Kind::Kick],
            calls: 20,
            per: Duration::from_secs(1),
        },
        Bucket {
            kinds: &[Kind::Resume],
            calls: 30,
            per: Duration::from_secs(1),
        },
        Bucket {
            kinds: &[Kind::ListForbidden],
            calls: 50,
            per: Duration::from_secs(1),
        },
        Bucket {
            kinds: &[Kind::StreamState],
            calls: 100,
            per: Duration::from_secs(1),
        },
        Bucket {
            kinds: &[Kind::Online],
            calls: 10_000,
            per: MINUTE,
        },
    ],
    list_capacity: Some(10_000),
    longest_ban: Duration::from_secs(180 * 86_400),
    default_ban: Duration::from_secs(180 * 86_400),
    clock_skew: Duration::from_secs(900),
    list_page: Some(3000),
    online_page: Some(3000),
};

/// Looking for one ban is a state call here. The online list is meant for once a minute.
const TENCENT: Limits = Limits {
    buckets: &[
        Bucket {
            kinds: &[Kind::Forbid],
            calls: 200,
            per: Duration::from_secs(1),
        },
        Bucket {
            kinds: &[Kind::Resume],
            calls: 100,
            per: Duration::from_secs(1),
        },
        Bucket {
            kinds: &[Kind::Kick],
            calls: 100,
            per: Duration::from_secs(1),
        },
        Bucket {
            kinds: &[Kind::StreamState, Kind::FindForbidden],
            calls: 300,
            per: Duration::from_secs(1),
        },
        Bucket {
            kinds: &[Kind::ListForbidden],
            calls: 2,
            per: Duration::from_secs(1),
        },
        Bucket {
            kinds: &[Kind::Online],
            calls: 1,
            per: MINUTE,
        },
    ],
    list_capacity: None,
    longest_ban: Duration::from_secs(90 * 86_400),
    default_ban: Duration::from_secs(7 * 86_400),
    clock_skew: Duration::from_secs(300),
    list_page: Some(100),
    online_page: Some(300_000),
};

/// The published pairs are taken as shared by the calls they name. For block-once none is
/// published beyond the gateway's 200 a second.
const HUAWEI: Limits = Limits {
    buckets: &[
        Bucket {
            kinds: &[Kind::Forbid, Kind::ChangeEnd],
            calls: 4000,
            per: MINUTE,
        },
        Bucket {
            kinds: &[Kind::Resume, Kind::ListForbidden, Kind::FindForbidden],
            calls: 3000,
            per: MINUTE,
        },
        Bucket {
            kinds: &[Kind::Online, Kind::StreamState],
            calls: 1000,
            per: MINUTE,
        },
        Bucket {
            kinds: &[Kind::Forbid, Kind::ChangeEnd, Kind::Resume, Kind::Kick],
            calls: 200,
            per: Duration::from_secs(1),
        },
    ],
    list_capacity: None,
    longest_ban: Duration::from_secs(90 * 86_400),
    default_ban: Duration::from_secs(7 * 86_400),
    clock_skew: Duration::from_secs(900),
    list_page: Some(100),
    online_page: Some(100),
};

/// Longest wait that a vendor may ask for; anything beyond is taken as this.
pub(crate) const LONGEST_WAIT: Duration = HOUR;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wangsu_shares_one_daily_budget_between_ban_resume_and_stop() {
        let limits = Limits::of(Vendor::Ws);
        for kind in [Kind::Forbid, Kind::Resume, Kind::Kick] {
            assert!(limits.of_kind(kind).any(|b| b.calls == 500 && b.per == DAY));
        }
        assert!(limits.of_kind(Kind::ListForbidden).all(|b| b.per < DAY));
    }

    #[test]
    fn ends_are_whole_seconds_and_short_of_the_longest_ban() {
        let now = UnixMs(1_000_500);
        for vendor in Vendor::ALL {
            let limits = Limits::of(vendor);
            let soon = limits.end_to_send(now, Some(UnixMs(1_060_001)));
            assert_eq!(soon, UnixMs(1_061_000), "{vendor}");
            for far in [None, Some(UnixMs::LAST), Some(UnixMs(i64::MAX))] {
                let end = limits.end_to_send(now, far);
                let length = now.until(end);
                assert!(length < limits.longest_ban, "{vendor}");
                assert!(
                    length + 2 * limits.clock_skew > limits.longest_ban,
                    "{vendor}"
                );
                assert_eq!(end.0 % 1000, 0);
            }
        }
    }
}

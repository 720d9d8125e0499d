//! Vendors' published limits, as the reconciler's rules.

use std::time::Duration;

use tidegate_cdn::{Bucket, Kind, Vendor};
use tidegate_core::budget::{Budget, BudgetState, CallKind, Rule, Span};
use tidegate_core::placement::{Change, Limits, Lookup};

/// Bans counted in windows from this length on are scarce: a fifth is kept for new takedowns.
const DAILY_FROM: Duration = Duration::from_secs(3600);

/// What a vendor allows an account. Wangsu does not say where its day begins, so any 24 hours are
/// taken for one.
pub fn rules(vendor: Vendor) -> Vec<Rule> {
    let buckets = tidegate_cdn::Limits::of(vendor).buckets;
    buckets.iter().map(rule).collect()
}

fn rule(bucket: &Bucket) -> Rule {
    // A resume and the forbid that follows it at once are spent together, so a window has room
    // for two.
    let widened = if bucket.calls < 2 { 2 } else { 1 };
    let calls = bucket.calls * widened;
    Rule {
        kinds: bucket.kinds.iter().map(|kind| call_kind(*kind)).collect(),
        calls,
        span: Span::Sliding(bucket.per * widened),
        reserve: if is_daily(bucket) { calls / 5 } else { 0 },
    }
}

fn is_daily(bucket: &Bucket) -> bool {
    bucket.per >= DAILY_FROM && bucket.kinds.contains(&Kind::Forbid)
}

/// The budget of an account of this vendor, going on where `kept` stood.
pub fn budget(vendor: Vendor, kept: BudgetState) -> Budget {
    let capacity = tidegate_cdn::Limits::of(vendor).list_capacity;
    Budget::restore(rules(vendor), capacity, kept)
}

/// What a vendor allows one object. `has_play_domain`: Alibaba Cloud lists bans by it.
pub fn object_limits(vendor: Vendor, has_play_domain: bool, call_timeout: Duration) -> Limits {
    let limits = tidegate_cdn::Limits::of(vendor);
    Limits {
        longest_ban: limits.longest_ban,
        default_ban: limits.default_ban,
        clock_skew: limits.clock_skew,
        change: match vendor {
            Vendor::Huawei => Change::Call,
            Vendor::Ws | Vendor::Aliyun | Vendor::Tencent => Change::ResumeFirst,
        },
        lookup: match vendor {
            Vendor::Aliyun if has_play_domain => Lookup::List,
            Vendor::Aliyun => Lookup::Nothing,
            Vendor::Ws | Vendor::Tencent | Vendor::Huawei => Lookup::Object,
        },
        call_timeout,
        scarce: limits.buckets.iter().any(is_daily),
    }
}

/// The kind of call as budgets count it.
pub fn call_kind(kind: Kind) -> CallKind {
    match kind {
        Kind::Forbid => CallKind::Forbid,
        Kind::ChangeEnd => CallKind::ChangeEnd,
        Kind::Resume => CallKind::Resume,
        Kind::Kick => CallKind::Kick,
        Kind::ListForbidden => CallKind::List,
        Kind::FindForbidden => CallKind::Find,
        Kind::StreamState => CallKind::State,
        Kind::Online => CallKind::Online,
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::AppId;
    use tidegate_core::backoff::Now;
    use tidegate_core::budget::{Spending, Verdict};
    use tidegate_core::{UnixMs, reconcile::Action};

    use super::*;

    #[test]
    fn every_vendor_has_room_for_every_action() {
        let until = UnixMs(0);
        for vendor in Vendor::ALL {
            for action in [
                Action::Forbid { until },
                Action::ChangeEnd { until },
                Action::ResumeThenForbid { until },
                Action::Resume,
                Action::CheckState,
                Action::CheckList,
            ] {
                let mut budget = budget(vendor, BudgetState::default());
                let spending = Spending {
                    kinds: action.calls(),
                    app: AppId(1),
                    reserve: false,
                    adds_ban: false,
                };
                let verdict = budget.ask(spending, Now::agreed(UnixMs(1_000_000)));
                assert_eq!(verdict, Verdict::Fits, "{vendor} {action:?}");
            }
        }
    }

    #[test]
    fn a_daily_budget_keeps_a_fifth_for_new_takedowns() {
        let daily: Vec<_> = rules(Vendor::Ws)
            .into_iter()
            .filter(|rule| rule.span == Span::Sliding(Duration::from_secs(86_400)))
            .map(|rule| (rule.calls, rule.reserve))
            .collect();
        assert_eq!(daily, [(500, 100)]);
    }
}

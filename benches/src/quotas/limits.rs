//! Vendors' published limits, as the reconciler's rules.

use std::time::Duration;

use tidegate_cdn::{Bucket, Kind, Vendor};
use tidegate_core::budget::{Budget, BudgetState, CallKind, Rule, Span};
use tidegate_core::placement::{Change, Limits, Lookup};

/// Windows from this length on keep a fifth for new takedowns.
const RESERVED_FROM: Duration = Duration::from_secs(3600);

pub(super) fn rules(vendor: Vendor) -> Vec<Rule> {
    let buckets = tidegate_cdn::Limits::of(vendor).buckets;
    buckets.iter().map(rule).collect()
}

fn rule(bucket: &Bucket) -> Rule {
    // A resume and the forbid that follows it at once are spent together.
    let widened = if bucket.calls < 2 { 2 } else { 1 };
    let calls = bucket.calls * widened;
    let keeps = bucket.per >= RESERVED_FROM && bucket.kinds.contains(&Kind::Forbid);
    Rule {
        kinds: bucket.kinds.iter().map(|kind| call_kind(*kind)).collect(),
        calls,
        span: Span::Sliding(bucket.per * widened),
        reserve: if keeps { calls / 5 } else { 0 },
    }
}

pub(super) fn budget(vendor: Vendor, kept: BudgetState) -> Budget {
    let capacity = tidegate_cdn::Limits::of(vendor).list_capacity;
    Budget::restore(rules(vendor), capacity, kept)
}

pub(super) fn object_limits(
    vendor: Vendor,
    has_play_domain: bool,
    call_timeout: Duration,
) -> Limits {
    let limits = tidegate_cdn::Limits::of(vendor);
    Limits {
        longest_ban: limits.longest_ban,
        default_ban: limits.default_ban,
        clock_skew: limits.clock_skew,
        change: match vendor {
            Vendor::Huawei => Change::Call,
            _ => Change::ResumeFirst,
        },
        lookup: match vendor {
            Vendor::Aliyun if has_play_domain => Lookup::List,
            Vendor::Aliyun => Lookup::Nothing,
            _ => Lookup::Object,
        },
        call_timeout,
    }
}

fn call_kind(kind: Kind) -> CallKind {
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

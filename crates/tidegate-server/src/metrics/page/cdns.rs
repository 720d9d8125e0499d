//! Figures of accounts at vendors, from the desks that are at work here: of several servers, each
//! shows the accounts that it drives.

use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::EncodeMetric;
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use tidegate_core::UnixMs;
use tidegate_engine::Cdns;
use tidegate_engine::cdns::{AccountEntry, DeskView};

use super::Out;

type Desk = (Arc<AccountEntry>, DeskView);
/// A name, a help text, and what is shown; nothing where there is no such thing.
type Figure = (
    &'static str,
    &'static str,
    fn(&DeskView, UnixMs) -> Option<f64>,
);

/// Figures of one value each.
const FIGURES: [Figure; 8] = [
    (
        "tidegate_cdn_pending",
        "Placements that are not at their block",
        |view, _| count(view.pending),
    ),
    (
        "tidegate_cdn_refused",
        "Placements that are refused until somebody acts",
        |view, _| count(view.refused),
    ),
    (
        "tidegate_cdn_list_full",
        "Placements without room in the vendor's list of bans",
        |view, _| count(view.list_full),
    ),
    (
        "tidegate_cdn_oldest_pending_seconds",
        "Age of the oldest decision that is not carried out; 0: none",
        |view, now| {
            let age = view.oldest.map(|oldest| oldest.until(now));
            Some(age.map_or(0.0, |age| age.as_secs_f64()))
        },
    ),
    ("tidegate_cdn_in_flight", "Calls that are out", |view, _| {
        count(view.in_flight)
    }),
    (
        "tidegate_cdn_breaker_open",
        "1 while the account fails call after call and only takedowns are tried",
        |view, _| Some(f64::from(u8::from(view.breaker_open))),
    ),
    (
        "tidegate_cdn_bans",
        "Bans believed to stand at the vendor",
        |view, _| Some(f64::from(view.standing.0)),
    ),
    (
        "tidegate_cdn_bans_allowed",
        "Bans that the vendor's list holds, where that is published",
        |view, _| view.standing.1.map(f64::from),
    ),
];

pub(super) fn encode(cdns: &Cdns, now: UnixMs, out: &mut Out<'_>) -> fmt::Result {
    let accounts = cdns.directory().accounts();
    let desks: Vec<Desk> = accounts
        .into_iter()
        .filter_map(|account| {
            let view = cdns.view(account.account.id)?;
            Some((account, view))
        })
        .collect();
    for (name, help, value) in FIGURES {
        let gauge = MetricType::Gauge;
        let mut encoder = out.0.encode_descriptor(name, help, None, gauge)?;
        for (account, view) in &desks {
            if let Some(value) = value(view, now) {
                let labels = labels(account);
                ConstGauge::new(value).encode(encoder.encode_family(&labels)?)?;
            }
        }
    }
    calls(&desks, out)?;
    limits(&desks, out)?;
    drift(&desks, out)
}

/// Accounts whose lists were never compared have none.
fn drift(desks: &[Desk], out: &mut Out<'_>) -> fmt::Result {
    let mut encoder = out.0.encode_descriptor(
        "tidegate_cdn_drift",
        "What differed when the vendor's lists were last compared with the ledger",
        None,
        MetricType::Gauge,
    )?;
    for (account, view) in desks {
        let Some(drift) = &view.drift else {
            continue;
        };
        for (what, found) in [
            ("foreign", drift.foreign),
            ("vanished", drift.vanished),
            ("live", drift.live),
        ] {
            let [name, vendor] = labels(account);
            let labels = [name, vendor, ("what", what)];
            let found = i64::try_from(found).unwrap_or(i64::MAX);
            ConstGauge::new(found).encode(encoder.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn calls(desks: &[Desk], out: &mut Out<'_>) -> fmt::Result {
    let mut encoder = out.0.encode_descriptor(
        "tidegate_cdn_calls",
        "Calls to the vendor by kind and by the class of the answer",
        None,
        MetricType::Counter,
    )?;
    for (account, view) in desks {
        for ((kind, class), count) in &view.calls {
            let [name, vendor] = labels(account);
            let labels = [name, vendor, ("kind", *kind), ("class", *class)];
            ConstCounter::new(*count).encode(encoder.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn limits(desks: &[Desk], out: &mut Out<'_>) -> fmt::Result {
    for (name, help, used) in [
        (
            "tidegate_cdn_limit_used",
            "Calls that count against a published limit",
            true,
        ),
        (
            "tidegate_cdn_limit_allowed",
            "Calls that a published limit allows",
            false,
        ),
    ] {
        let gauge = MetricType::Gauge;
        let mut encoder = out.0.encode_descriptor(name, help, None, gauge)?;
        for (account, view) in desks {
            for (limit, spent, allowed) in &view.limits {
                let [name, vendor] = labels(account);
                let labels = [name, vendor, ("limit", limit.as_str())];
                let value = if used { *spent } else { *allowed };
                let gauge = ConstGauge::new(i64::from(value));
                gauge.encode(encoder.encode_family(&labels)?)?;
            }
        }
    }
    Ok(())
}

/// The encoder escapes what labels hold.
fn labels(account: &AccountEntry) -> [(&'static str, &str); 2] {
    [
        ("account", account.account.name.as_str()),
        ("vendor", account.account.vendor.word()),
    ]
}

fn count(n: usize) -> Option<f64> {
    Some(f64::from(u32::try_from(n).unwrap_or(u32::MAX)))
}

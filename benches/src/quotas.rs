//! A hundred thousand decisions against simulated vendors that keep to their published limits, on a
//! simulated clock: how close the reconciler comes to the time that the limits allow.
//!
//! All forbids are decided at one instant, and one stream in ten is resumed as soon as its ban was
//! accepted. Every vendor gets as many as keep its limits, not this machine, the bound; Wangsu no
//! more than it takes in the 27 days before its first ban needs to be renewed.

mod bound;
mod desk;
mod line;

use std::time::{Duration, Instant};

use tidegate_cdn::Vendor;

use crate::Bench;
use crate::report::{Better, Grid, Table, line, progress};
use bound::Bound;
use desk::{Plan, Run};

/// Over the bound by no more than this.
const BUDGET: f64 = 1.05;
/// One decision in so many resumes.
const RESUMES: u32 = 10;

/// Decisions by vendor, 100,000 together.
const SHARES: [(Vendor, u32); 4] = [
    (Vendor::Ws, 10_800),
    (Vendor::Aliyun, 12_000),
    (Vendor::Tencent, 40_000),
    (Vendor::Huawei, 37_200),
];

pub(crate) fn run(bench: &Bench) -> anyhow::Result<()> {
    let head = [
        "",
        "decisions",
        "calls",
        "simulated time",
        "bound",
        "ratio",
        "to published limits alone",
        "refused",
        "",
    ];
    let mut grid = Grid::new("quotas", head);
    let mut decisions = 0;
    let mut worst: f64 = 0.0;
    let mut refused = 0;
    let began = Instant::now();
    for (vendor, share) in SHARES {
        let share = if bench.quick { share / 10 } else { share };
        progress(&format!("quotas: {share} decisions at {}", vendor.name()));
        let plan = Plan {
            forbids: share - share / RESUMES,
            resumes: share / RESUMES,
        };
        let run = desk::run(vendor, plan)?;
        let bound = Bound::of(vendor, plan);
        let ratio = over(&run, bound.with_reserve);
        decisions += share;
        refused += run.refused;
        worst = worst.max(ratio);
        // Sooner than the limits allow is as bad: some vendor would have refused.
        let kept = (1.0..=BUDGET).contains(&ratio) && run.refused == 0;
        grid.row([
            vendor.name().to_owned(),
            share.to_string(),
            run.calls.to_string(),
            length(run.took),
            length(bound.with_reserve),
            format!("{ratio:.3}"),
            format!("{:.3}", over(&run, bound.published)),
            run.refused.to_string(),
            if kept { "kept" } else { "MISSED" }.to_owned(),
        ]);
    }
    line(&grid.to_string());
    let mut table = Table::new("quotas, all vendors");
    table.plain("decisions", f64::from(decisions), "");
    table.held("most over its bound", worst, "times", BUDGET, Better::Lower);
    table.words("calls refused for rate or quota", &refused.to_string());
    table.plain("real time", began.elapsed().as_secs_f64(), "s");
    line(&table.to_string());
    Ok(())
}

fn over(run: &Run, bound: Duration) -> f64 {
    run.took.as_secs_f64() / bound.as_secs_f64()
}

fn length(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        s if s >= 86_400.0 => format!("{:.2} days", s / 86_400.0),
        s => format!("{s:.1} s"),
    }
}

//! Rates and quotas: enforced, and counted so that a test can ask whether any was exceeded.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;
use serde::Serialize;
use tidegate_core::UnixMs;

use crate::config::{Config, Day, Vendor};
use crate::operation::Operation;
use crate::refusal::Refusal;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const DAY: i64 = 86_400 * SECOND;
const BEIJING: i64 = 8 * 3_600 * SECOND;

/// A published limit. Calls are counted in any stretch of time as long as the window, the
/// strictest reading.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    name: &'static str,
    limit: u32,
    window_ms: i64,
    operations: &'static [Operation],
}

const fn budget(
    name: &'static str,
    limit: u32,
    window_ms: i64,
    operations: &'static [Operation],
) -> Budget {
    Budget {
        name,
        limit,
        window_ms,
        operations,
    }
}

use Operation::{Change, Forbid, Kick, List, Online, Resume, State};

const WANGSU: &[Budget] = &[
    budget("commands", 500, DAY, &[Forbid, Resume, Kick]),
    budget("list", 10, 5 * MINUTE, &[List]),
];
const ALIYUN: &[Budget] = &[
    budget("forbid", 20, SECOND, &[Forbid, Kick]),
    budget("resume", 30, SECOND, &[Resume]),
    budget("list", 50, SECOND, &[List]),
    budget("state", 100, SECOND, &[State]),
    budget("online", 10_000, MINUTE, &[Online]),
];
const TENCENT: &[Budget] = &[
    budget("forbid", 200, SECOND, &[Forbid]),
    budget("resume", 100, SECOND, &[Resume]),
    budget("kick", 100, SECOND, &[Kick]),
    budget("state", 300, SECOND, &[State]),
    budget("list", 2, SECOND, &[List]),
];
const HUAWEI: &[Budget] = &[
    budget("forbid", 4_000, MINUTE, &[Forbid, Change]),
    budget("resume", 3_000, MINUTE, &[Resume]),
    budget("list", 3_000, MINUTE, &[List]),
    budget("online", 1_000, MINUTE, &[Online]),
];

/// How one budget of one account was used.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Usage {
    /// Whose.
    pub account: String,
    /// Name: `commands`, `forbid`, `resume`, `kick`, `list`, `state`, `online`.
    pub budget: &'static str,
    /// Calls allowed within the window.
    pub limit: u32,
    /// Window in milliseconds.
    pub window_ms: i64,
    /// Calls that were within the limit.
    pub accepted: u64,
    /// Calls beyond it: a client that keeps to the budget has none.
    pub exceeded: u64,
    /// Most accepted calls in one window.
    pub peak: u32,
}

#[derive(Debug, Default)]
struct Counter {
    times: VecDeque<i64>,
    accepted: u64,
    exceeded: u64,
    peak: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Budgets(FxHashMap<(String, &'static str), Counter>);

impl Budgets {
    /// Spends one call of every budget that the operation falls under.
    pub(crate) fn spend(
        &mut self,
        config: &Config,
        account: &str,
        operation: Operation,
        now: UnixMs,
    ) -> Result<(), Refusal> {
        let all = of(config.vendor).iter();
        for budget in all.filter(|budget| budget.operations.contains(&operation)) {
            let key = (account.to_owned(), budget.name);
            let counter = self.0.entry(key).or_default();
            let since = opens(budget, config.day, now);
            while counter.times.front().is_some_and(|at| *at <= since) {
                counter.times.pop_front();
            }
            let used = u32::try_from(counter.times.len()).unwrap_or(u32::MAX);
            if used >= limit(config, budget) {
                counter.exceeded += 1;
                return Err(match budget.window_ms {
                    DAY => Refusal::QuotaSpent,
                    _ => Refusal::Throttled(None),
                });
            }
            counter.times.push_back(now.0);
            counter.accepted += 1;
            counter.peak = counter.peak.max(used + 1);
        }
        Ok(())
    }

    /// What was used, by account and budget.
    pub(crate) fn usage(&self, config: &Config) -> Vec<Usage> {
        let mut rows: Vec<Usage> = self
            .0
            .iter()
            .filter_map(|((account, name), counter)| {
                let budget = of(config.vendor).iter().find(|b| b.name == *name)?;
                Some(Usage {
                    account: account.clone(),
                    budget: budget.name,
                    limit: limit(config, budget),
                    window_ms: budget.window_ms,
                    accepted: counter.accepted,
                    exceeded: counter.exceeded,
                    peak: counter.peak,
                })
            })
            .collect();
        rows.sort_by(|a, b| (&a.account, a.budget).cmp(&(&b.account, b.budget)));
        rows
    }
}

fn of(vendor: Vendor) -> &'static [Budget] {
    match vendor {
        Vendor::Wangsu => WANGSU,
        Vendor::Aliyun => ALIYUN,
        Vendor::Tencent => TENCENT,
        Vendor::Huawei => HUAWEI,
    }
}

fn limit(config: &Config, budget: &Budget) -> u32 {
    config
        .limits
        .get(budget.name)
        .copied()
        .unwrap_or(budget.limit)
}

/// The last instant that no longer counts.
fn opens(budget: &Budget, day: Day, now: UnixMs) -> i64 {
    if budget.window_ms == DAY && day == Day::Beijing {
        let local = now.0.saturating_add(BEIJING);
        return local
            .div_euclid(DAY)
            .saturating_mul(DAY)
            .saturating_sub(BEIJING + 1);
    }
    now.0.saturating_sub(budget.window_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(budgets: &mut Budgets, config: &Config, at: i64) -> bool {
        budgets
            .spend(config, "a", Forbid, UnixMs::from_seconds(at))
            .is_ok()
    }

    #[test]
    fn a_rolling_day_frees_one_call_as_the_oldest_turns_24_hours() {
        let mut config = Config::new(Vendor::Wangsu);
        config.limits.insert("commands".into(), 2);
        let mut budgets = Budgets::default();
        assert!(spent(&mut budgets, &config, 0));
        assert!(spent(&mut budgets, &config, 10));
        assert!(!spent(&mut budgets, &config, 86_399));
        assert!(spent(&mut budgets, &config, 86_400));
        assert!(!spent(&mut budgets, &config, 86_401));
        let usage = budgets.usage(&config);
        assert_eq!(
            (usage[0].accepted, usage[0].exceeded, usage[0].peak),
            (3, 2, 2)
        );
    }

    #[test]
    fn a_day_in_beijing_starts_over_at_16_utc() {
        let mut config = Config::new(Vendor::Wangsu);
        config.day = Day::Beijing;
        config.limits.insert("commands".into(), 1);
        let mut budgets = Budgets::default();
        let midnight = 16 * 3600;
        assert!(spent(&mut budgets, &config, midnight - 1));
        assert!(spent(&mut budgets, &config, midnight));
        assert!(!spent(&mut budgets, &config, midnight + 86_399));
        assert!(spent(&mut budgets, &config, midnight + 86_400));
    }
}

//! Now and then: what the vendor lists, against what the ledger holds.
//!
//! A ban of ours that is gone is set again; a ban that is not ours is reported and left alone; a
//! stream that is live though its ban was accepted is told to the desk. Lists cost calls, so this
//! draws on the account's budget like everything else, and gives way to it.

mod compare;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidegate_cdn::{ErrorClass, Failure, ForbiddenEntry, OnlineEntry, Page, Site, Vendor};
use tidegate_core::UnixMs;
use tidegate_core::budget::{CallKind, Verdict};
use tidegate_core::{AppId, text::printable};
use tidegate_ledger::LedgerError;
use tokio_util::sync::CancellationToken;

use self::compare::Found;
use super::desk::{Desk, Drawn};
use super::directory::{AccountEntry, CdnDirectory};
use crate::alarms::AlarmKind;
use crate::engine::Engine;

/// The first comparison comes this soon after a desk opens.
const FIRST: Duration = Duration::from_secs(60);
/// Entries of one list that are kept in memory.
const MOST_ENTRIES: usize = 100_000;
/// Names in the text of an alarm.
const NAMED: usize = 5;
/// A list whose turn does not come within this is left for the next time.
const PATIENCE: Duration = Duration::from_secs(600);

/// What the last comparison of an account showed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DriftView {
    /// When it was made.
    pub at: UnixMs,
    /// Bans that nobody here asked for.
    pub foreign: usize,
    /// Bans of ours that were gone, and are set again.
    pub vanished: usize,
    /// Streams that were live although their ban was accepted.
    pub live: usize,
}

pub(super) struct Drift {
    engine: Arc<Engine>,
    account: Arc<AccountEntry>,
    desk: Arc<Desk>,
    stop: CancellationToken,
}

/// Why a comparison was given up.
enum Stop {
    Ledger(LedgerError),
    Vendor(Failure),
    /// The account has better things to spend its calls on.
    Budget,
}

impl From<LedgerError> for Stop {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

/// Compares for the desk, until `stop`.
pub(super) async fn run(
    engine: Arc<Engine>,
    account: Arc<AccountEntry>,
    desk: Arc<Desk>,
    stop: CancellationToken,
) {
    let every = engine.cdns().options().drift_check;
    if every.is_zero() {
        return;
    }
    let mut drift = Drift {
        engine,
        account,
        desk,
        stop,
    };
    let mut pause = every.min(FIRST);
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = drift.stop.cancelled() => return,
        }
        pause = every;
        let stop = drift.stop.clone();
        tokio::select! {
            () = drift.check() => {}
            () = stop.cancelled() => return,
        }
    }
}

impl Drift {
    async fn check(&mut self) {
        let directory = self.engine.cdns().directory();
        let Some(account) = directory.account(self.account.account.id) else {
            return;
        };
        self.account = Arc::clone(account);
        let name = self.account.account.name.clone();
        match self.compare_all(&directory).await {
            Ok(found) => self.report(&name, &found),
            Err(Stop::Ledger(error)) => self.engine.ledger_failed(&error),
            Err(Stop::Vendor(failure)) => {
                tracing::warn!(account = name, %failure, "bans could not be compared");
            }
            Err(Stop::Budget) => {
                tracing::info!(
                    account = name,
                    "bans were not compared: the account's limits have no room for lists"
                );
            }
        }
    }

    async fn compare_all(&self, directory: &CdnDirectory) -> Result<Found, Stop> {
        let mut found = Found::default();
        let mut listed = Some(0_usize);
        for site in self.sites(directory) {
            let looked = self.engine.clock.now().wall;
            let bans = self.bans(&site).await?;
            listed = listed.zip(bans.as_ref()).map(|(n, bans)| n + bans.len());
            if let Some(bans) = bans {
                self.compare_bans(directory, &site, &bans, looked, &mut found)
                    .await?;
            }
            let online = self.online(&site).await?;
            self.compare_online(directory, &site, &online, looked, &mut found)
                .await?;
        }
        let counted = listed.filter(|_| self.account.cdn.limits().list_capacity.is_some());
        if let Some(listed) = counted {
            let bans = u32::try_from(listed).unwrap_or(u32::MAX);
            self.desk.budget.lock().set_standing(bans);
        }
        Ok(found)
    }

    /// One site for each list that there is: one a publish domain, one in all at Tencent.
    fn sites(&self, directory: &CdnDirectory) -> Vec<Site> {
        let mut sites = BTreeMap::new();
        for target in directory.targets() {
            if target.target.account == self.account.account.id && !target.target.leaving {
                let list = match self.account.signer.vendor() {
                    Vendor::Tencent => String::new(),
                    _ => target.site.publish_domain().to_owned(),
                };
                sites.entry(list).or_insert_with(|| target.site.clone());
            }
        }
        sites.into_values().collect()
    }

    /// The vendor's list of bans; `None` where it cannot be asked for.
    async fn bans(&self, site: &Site) -> Result<Option<Vec<ForbiddenEntry>>, Stop> {
        let mut entries = Vec::new();
        let mut page = Page::FIRST;
        loop {
            let drawn = self.draw(CallKind::List).await?;
            let answer = match self.account.cdn.list_forbidden(site, page).await {
                Ok(answer) => answer.value,
                Err(failure) if failure.class == ErrorClass::Unsupported => return Ok(None),
                Err(failure) => return Err(Stop::Vendor(failure)),
            };
            drop(drawn);
            entries.extend(answer.entries);
            if !answer.more || entries.len() >= MOST_ENTRIES {
                return Ok(Some(entries));
            }
            page.number += 1;
        }
    }

    async fn online(&self, site: &Site) -> Result<Vec<OnlineEntry>, Stop> {
        let mut entries = Vec::new();
        let mut page = Page::FIRST;
        loop {
            if self.account.signer.vendor() == Vendor::Ws {
                return Ok(entries);
            }
            let drawn = self.draw(CallKind::Online).await?;
            let answer = match self.account.cdn.online(site, page).await {
                Ok(answer) => answer.value,
                Err(failure) if failure.class == ErrorClass::Unsupported => return Ok(entries),
                Err(failure) => return Err(Stop::Vendor(failure)),
            };
            drop(drawn);
            entries.extend(answer.entries);
            if !answer.more || entries.len() >= MOST_ENTRIES {
                return Ok(entries);
            }
            page.number += 1;
        }
    }

    /// Waits for room among the account's limits.
    async fn draw(&self, kind: CallKind) -> Result<Drawn, Stop> {
        let began = tokio::time::Instant::now();
        loop {
            let wait = match Drawn::draw(&self.engine, &self.desk, kind, AppId(0)) {
                Ok(mut drawn) => {
                    let kept = drawn.is_kept().await;
                    return kept.then_some(drawn).ok_or(Stop::Budget);
                }
                Err(Verdict::Later(at)) => self.engine.clock.now().steady.until(at),
                Err(Verdict::Fits | Verdict::ListFull) => return Err(Stop::Budget),
            };
            if began.elapsed() + wait > PATIENCE {
                return Err(Stop::Budget);
            }
            tokio::select! {
                () = tokio::time::sleep(wait.max(Duration::from_millis(5))) => {}
                () = self.stop.cancelled() => return Err(Stop::Budget),
            }
        }
    }

    fn report(&self, account: &str, found: &Found) {
        let now = self.engine.clock.now().wall;
        self.desk.compared(DriftView {
            at: now,
            foreign: found.foreign.len(),
            vanished: found.vanished.len(),
            live: found.live.len(),
        });
        let alarms = self.engine.alarms();
        if found.is_empty() {
            alarms.clear_for(AlarmKind::CdnDrift, account);
            return;
        }
        let text = format!(
            "account {account}: the vendor's lists differ from the ledger{}{}{}",
            named(
                "; bans that nobody here asked for, left alone",
                &found.foreign
            ),
            named("; bans of ours that were gone, set again", &found.vanished),
            named("; live although their ban was accepted", &found.live),
        );
        tracing::warn!(
            account,
            foreign = found.foreign.len(),
            vanished = found.vanished.len(),
            live = found.live.len(),
            "{text}"
        );
        alarms.raise_for(AlarmKind::CdnDrift, account, now, text);
    }
}

fn named(what: &str, names: &[String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let shown: Vec<String> = names
        .iter()
        .take(NAMED)
        .map(|n| printable(n, 120))
        .collect();
    let more = match names.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{what}: {}{more}", shown.join(", "))
}

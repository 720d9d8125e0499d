//! Trying accounts and targets with signed queries that change nothing.
//!
//! Which queries are made is decided here, what their answers mean in [`words`]; [`looks`] goes
//! through a target's play URLs. Queries count against the account's limits where its desk is in
//! this process, and none of them against a vendor's calls a day.

mod looks;
mod words;

use std::sync::Arc;
use std::time::Duration;

use tidegate_cdn::{Answer, ErrorClass, Failure, Page, Refusal, Site, StreamState};
use tidegate_core::budget::{CallKind, Shortage, Spending};
use tidegate_core::{AppId, StreamId, UnixMs};
use tidegate_ledger::Vendor;
use tokio::time::Instant;

use self::words::Asked;
use super::{CdnError, target};
use crate::cdns::{AccountEntry, TargetEntry};
use crate::clock::wall;
use crate::engine::Engine;

/// Longest wait for an account's limits.
const PATIENCE: Duration = Duration::from_secs(3);
/// The stream and the domain of queries about nothing in particular; `.invalid` is nobody's.
const MADE_UP_STREAM: &str = "tidegate-test";
const MADE_UP_DOMAIN: &str = "push.tidegate-test.invalid";
/// Enough of a list to see that it is one.
const FEW: Page = Page {
    number: 0,
    size: 10,
};

/// How an account or a target was found to be.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The vendor.
    pub vendor: Vendor,
    /// Name of the account.
    pub account: String,
    /// The queries and looks, in the order they were made.
    pub checks: Vec<Check>,
    /// What will not work there, and what else its bans hit.
    pub warnings: Vec<String>,
}

impl Trial {
    /// Whether nothing is wrong.
    pub fn is_fine(&self) -> bool {
        self.checks.iter().all(|check| check.problem.is_none())
    }
}

/// One query or look, and what it showed.
#[derive(Clone, Debug)]
pub struct Check {
    /// What was asked.
    pub what: String,
    /// What is wrong; `None`: nothing.
    pub problem: Option<Problem>,
    /// The same for people, with the vendor's own words.
    pub words: String,
    /// The vendor's id of the call.
    pub request_id: Option<String>,
    /// How long it took.
    pub took: Duration,
    /// The vendor's clock.
    pub vendor_date: Option<UnixMs>,
}

/// What is wrong with an account or a target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Problem {
    /// This machine's time is too far from the vendor's.
    Clock,
    /// The key is not known, disabled or expired.
    Key,
    /// The secret is not the key's.
    Signature,
    /// The key may not do it.
    Permission,
    /// The domain is not the account's.
    Domain,
    /// The account or its service is not enabled.
    Account,
    /// No connection.
    NotReached,
    /// Connected, and no answer.
    NoAnswer,
    /// Something else answers there.
    NotTheApi,
    /// Too many calls, or none left today.
    Busy,
    /// The vendor has trouble of its own.
    Trouble,
    /// Refused for another reason.
    Refused,
    /// A play URL that does not show what it should.
    Play,
}

impl Problem {
    /// A word for scripts.
    pub fn word(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Key => "key",
            Self::Signature => "signature",
            Self::Permission => "permission",
            Self::Domain => "domain",
            Self::Account => "account",
            Self::NotReached => "not_reached",
            Self::NoAnswer => "no_answer",
            Self::NotTheApi => "not_the_api",
            Self::Busy => "busy",
            Self::Trouble => "trouble",
            Self::Refused => "refused",
            Self::Play => "play_url",
        }
    }
}

impl Engine {
    /// Tries an account with one signed query: about a target of its own where it has one, about
    /// nothing in particular otherwise.
    pub async fn test_account(&self, name: &str) -> Result<Trial, CdnError> {
        let account = self.account_entry(name)?;
        let targets = self.cdns().directory().targets();
        let of_it = |target: &&Arc<TargetEntry>| target.target.account == account.account.id;
        let mut own: Vec<&Arc<TargetEntry>> = targets.iter().filter(of_it).collect();
        own.sort_by_key(|target| target.target.leaving);
        let made_up = own.is_empty();
        let site = match own.first() {
            Some(target) => target.site.clone(),
            None => Site::new(MADE_UP_DOMAIN, None, "live")?,
        };
        // Wangsu tells no state, and its list is not counted by the day.
        let check = match account.account.vendor {
            Vendor::Ws => self.ask_list(&account, &site, made_up).await,
            _ => self.ask_state(&account, &site, None, made_up).await.0,
        };
        Ok(trial(&account, vec![check], Vec::new()))
    }

    /// Tries a target: its list of bans, the state of a stream (a made-up one unless named), and
    /// each of its play URLs for the stream that is named.
    pub async fn test_target(&self, id: i64, stream: Option<&StreamId>) -> Result<Trial, CdnError> {
        let directory = self.cdns().directory();
        let target = directory.target(id).ok_or(CdnError::UnknownTarget(id))?;
        let account = directory.account(target.target.account);
        let account = account.ok_or(CdnError::UnknownTarget(id))?;
        let vendor = account.account.vendor;
        let mut checks = Vec::new();
        if vendor != Vendor::Aliyun || target.site.play_domain().is_some() {
            checks.push(self.ask_list(account, &target.site, false).await);
        }
        let mut seen = None;
        if vendor != Vendor::Ws {
            let (check, state) = self.ask_state(account, &target.site, stream, false).await;
            checks.push(check);
            seen = state;
        }
        if let Some(stream) = stream {
            let looks = looks::all(target, stream, seen, self.cdns().options()).await?;
            checks.extend(looks);
        }
        Ok(trial(account, checks, target::warnings(account, target)))
    }
}

fn trial(account: &AccountEntry, checks: Vec<Check>, warnings: Vec<String>) -> Trial {
    Trial {
        vendor: account.account.vendor,
        account: account.account.name.clone(),
        checks,
        warnings,
    }
}

impl Engine {
    /// Asks for the first of the bans at a site.
    async fn ask_list(&self, account: &AccountEntry, site: &Site, made_up: bool) -> Check {
        let what = format!("list of bans of {}", site.publish_domain());
        if let Err(busy) = self.room(account, CallKind::List).await {
            return Asked::new(account, "", made_up).unasked(what, busy);
        }
        let asked = Asked::new(account, site.publish_domain(), made_up);
        let result = account.cdn.list_forbidden(site, FEW).await;
        let tencent = account.account.vendor == Vendor::Tencent;
        let optional = tencent && result.as_ref().is_err_and(is_gone);
        let mut check = asked.check(what, result, |page| match page.total {
            Some(1) => "1 ban stands there".to_owned(),
            Some(total) => format!("{total} bans stand there"),
            None if page.entries.is_empty() => "no ban stands there".to_owned(),
            None => "bans stand there".to_owned(),
        });
        if optional {
            check.problem = None;
            check.words = format!(
                "Tencent no longer lists bans for this account, which does no harm: each stream's \
                 own state shows its ban ({})",
                check.words
            );
        }
        check
    }

    /// Asks for the state of a stream, a made-up one unless named.
    async fn ask_state(
        &self,
        account: &AccountEntry,
        site: &Site,
        named: Option<&StreamId>,
        made_up: bool,
    ) -> (Check, Option<StreamState>) {
        let name = named.map_or(MADE_UP_STREAM, StreamId::as_str);
        let what = format!("state of stream {name} at {}", site.publish_domain());
        let stream = match StreamId::parse(name) {
            Ok(stream) => stream,
            Err(why) => {
                let unasked = Asked::new(account, "", made_up).unasked(what, why.to_string());
                return (unasked, None);
            }
        };
        if let Err(busy) = self.room(account, CallKind::State).await {
            return (Asked::new(account, "", made_up).unasked(what, busy), None);
        }
        let asked = Asked::new(account, site.publish_domain(), made_up);
        let object = account.object(site, &stream);
        let result = account.cdn.stream_state(&object).await;
        let seen = result.as_ref().ok().map(|answer| answer.value);
        let check = asked.check(what, result, |state| match (named, state) {
            (None, _) => "it tells streams' states".to_owned(),
            (_, StreamState::Live) => "the stream is live there".to_owned(),
            (_, StreamState::Idle) => "the stream is not live there".to_owned(),
            (_, StreamState::Forbidden) => "the stream is banned there".to_owned(),
        });
        (check, seen)
    }

    /// Draws a query from the account's limits, after a short wait where that is enough. What the
    /// vendor itself said of its limits is not heeded: whether it still holds may be the question.
    ///
    /// # Errors
    /// In words, why the query is not made.
    async fn room(&self, account: &AccountEntry, kind: CallKind) -> Result<(), String> {
        let Some(desk) = self.cdns().desk(account.account.id) else {
            return Ok(());
        };
        let query = Spending {
            kinds: &[kind],
            app: AppId(0),
            reserve: false,
            adds_ban: false,
        };
        let begun = Instant::now();
        loop {
            let now = self.clock.now();
            let shortage = {
                let mut budget = desk.budget.lock();
                let shortage = budget.shortage(query, now);
                if !matches!(shortage, Some(Shortage::Rule { .. })) {
                    budget.spend(query, now);
                }
                shortage
            };
            let Some(Shortage::Rule { until, words }) = shortage else {
                return Ok(());
            };
            let wait = now.steady.until(until).max(Duration::from_millis(20));
            if begun.elapsed() + wait > PATIENCE {
                let seconds = wait.as_secs() + 1;
                return Err(format!(
                    "busy: not asked, since the vendor allows {words} of this kind and they are \
                     spent; try again in {seconds} s"
                ));
            }
            tokio::time::sleep(wait).await;
        }
    }
}

/// Whether a list is refused in a way that tells of the call and not of the account.
fn is_gone(failure: &Failure) -> bool {
    let refused = ErrorClass::Permanent(Refusal::Other);
    failure.class == refused || failure.class == ErrorClass::Unsupported
}

impl Asked<'_> {
    fn check<T>(
        &self,
        what: String,
        result: Result<Answer<T>, Failure>,
        tell: impl FnOnce(&T) -> String,
    ) -> Check {
        let now = wall();
        let (problem, words, request_id, vendor_date) = match result {
            Ok(answer) => {
                let words = self.accepted(answer.date, now, &tell(&answer.value));
                (None, words, answer.request_id, answer.date)
            }
            Err(failure) => {
                let (problem, words) = self.failed(&failure, now);
                (problem, words, failure.request_id, failure.date)
            }
        };
        Check {
            what,
            problem,
            words,
            request_id,
            took: self.begun.elapsed(),
            vendor_date,
        }
    }

    fn unasked(&self, what: String, why: String) -> Check {
        Check {
            what,
            problem: Some(Problem::Busy),
            words: why,
            request_id: None,
            took: self.begun.elapsed(),
            vendor_date: None,
        }
    }
}

//! Trying accounts and targets with signed queries that change nothing.
//!
//! Which queries are made is decided here, what their answers mean in [`words`]. They are few and
//! an operator's own, so they pass by the desks and their budgets, and none of them counts against
//! a vendor's calls a day.

mod words;

use std::sync::Arc;
use std::time::Duration;

use tidegate_cdn::{Answer, ErrorClass, Failure, Page, Refusal, Site, StreamState};
use tidegate_core::{StreamId, UnixMs};
use tidegate_ledger::Vendor;

use self::words::Asked;
use super::{CdnError, target};
use crate::cdns::{AccountEntry, TargetEntry};
use crate::clock::wall;
use crate::engine::Engine;

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
            Vendor::Ws => list(&account, &site, made_up).await,
            _ => state(&account, &site, None, made_up).await.0,
        };
        Ok(trial(&account, vec![check], Vec::new()))
    }

    /// Tries a target: its list of bans, the state of a stream (a made-up one unless named), and
    /// each of its play URLs for the stream that is named.
    pub async fn test_target(
        &self,
        id: i64,
        stream: Option<&StreamId>,
    ) -> Result<Trial, CdnError> {
        let directory = self.cdns().directory();
        let target = directory.target(id).ok_or(CdnError::UnknownTarget(id))?;
        let account = directory.account(target.target.account);
        let account = account.ok_or(CdnError::UnknownTarget(id))?;
        let vendor = account.account.vendor;
        let mut checks = Vec::new();
        if vendor != Vendor::Aliyun || target.site.play_domain().is_some() {
            checks.push(list(account, &target.site, false).await);
        }
        if vendor != Vendor::Ws {
            checks.push(state(account, &target.site, stream, false).await.0);
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

/// Asks for the first of the bans at a site.
async fn list(account: &AccountEntry, site: &Site, made_up: bool) -> Check {
    let asked = Asked::new(account, site.publish_domain(), made_up);
    let result = account.cdn.list_forbidden(site, FEW).await;
    let optional = account.account.vendor == Vendor::Tencent && result.as_ref().is_err_and(is_gone);
    let mut check = asked.check(
        format!("list of bans of {}", site.publish_domain()),
        result,
        |page| match page.total {
            Some(1) => "1 ban stands there".to_owned(),
            Some(total) => format!("{total} bans stand there"),
            None if page.entries.is_empty() => "no ban stands there".to_owned(),
            None => "bans stand there".to_owned(),
        },
    );
    if optional {
        check.problem = None;
        check.words = format!(
            "Tencent no longer lists bans for this account, which does no harm: each stream's own \
             state shows its ban ({})",
            check.words
        );
    }
    check
}

/// Whether a list is refused in a way that tells of the call and not of the account.
fn is_gone(failure: &Failure) -> bool {
    let refused = ErrorClass::Permanent(Refusal::Other);
    failure.class == refused || failure.class == ErrorClass::Unsupported
}

/// Asks for the state of a stream.
async fn state(
    account: &AccountEntry,
    site: &Site,
    stream: Option<&StreamId>,
    made_up: bool,
) -> (Check, Option<StreamState>) {
    let asked = Asked::new(account, site.publish_domain(), made_up);
    let nobody;
    let name = match stream {
        Some(stream) => stream,
        None => match StreamId::parse(MADE_UP_STREAM) {
            Ok(parsed) => {
                nobody = parsed;
                &nobody
            }
            Err(why) => return (asked.unasked(&why.to_string()), None),
        },
    };
    let result = account.cdn.stream_state(&account.object(site, name)).await;
    let seen = result.as_ref().ok().map(|answer| answer.value);
    let what = format!("state of stream {name} at {}", site.publish_domain());
    let check = asked.check(what, result, |state| match (stream, state) {
        (None, _) => "it tells streams' states".to_owned(),
        (_, StreamState::Live) => "the stream is live there".to_owned(),
        (_, StreamState::Idle) => "the stream is not live there".to_owned(),
        (_, StreamState::Forbidden) => "the stream is banned there".to_owned(),
    });
    (check, seen)
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

    fn unasked(&self, why: &str) -> Check {
        Check {
            what: "signed query".to_owned(),
            problem: Some(Problem::Refused),
            words: why.to_owned(),
            request_id: None,
            took: self.begun.elapsed(),
            vendor_date: None,
        }
    }
}

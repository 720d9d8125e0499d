//! One call to a vendor: an action of the reconciler in, an outcome for it out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_cdn::{
    Answer, Cdn, Done, ErrorClass, Failure, ForbiddenPage, Page, Quota, Standing, VendorObject,
};
use tidegate_core::budget::CallKind;
use tidegate_core::placement::Refusal;
use tidegate_core::reconcile::{self, Action, Outcome, Report};
use tidegate_core::{AppId, UnixMs};
use tidegate_ledger::cdns::ObjectKey;

/// The longest wait that a vendor may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(300);
/// How long an account rests that has used up its day.
const QUOTA_WAIT: Duration = Duration::from_secs(1800);
/// Most pages read in the search for one ban.
const MOST_PAGES: u32 = 200;

/// A call to make.
pub(crate) struct Call {
    pub(crate) key: ObjectKey,
    pub(crate) serial: u64,
    pub(crate) action: Action,
    pub(crate) object: VendorObject,
    /// Whose budget it was drawn from.
    pub(crate) app: AppId,
}

/// How a call went.
pub(crate) struct Called {
    pub(crate) key: ObjectKey,
    pub(crate) serial: u64,
    pub(crate) action: Action,
    pub(crate) app: AppId,
    /// What it was, in a word or two.
    pub(crate) what: String,
    pub(crate) kind: CallKind,
    pub(crate) report: Report,
    /// Word of the class, for logs and metrics.
    pub(crate) class: &'static str,
    pub(crate) health: Health,
    /// The vendor wants no calls of this kind for so long.
    pub(crate) stop: Option<Duration>,
    /// List pages beyond the first, which is paid for.
    pub(crate) more_pages: u32,
    /// The vendor's clock.
    pub(crate) date: Option<UnixMs>,
    pub(crate) took: Duration,
}

/// What a call tells of the account as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Health {
    /// It answers.
    Works,
    /// It does not, or would refuse any call.
    Fails,
    /// Nothing.
    Silent,
}

/// Makes the first call that the action takes.
pub(crate) async fn make(cdn: Arc<dyn Cdn>, call: Call) -> Called {
    let began = Instant::now();
    let object = &call.object;
    let (what, kind, result) = match call.action {
        Action::Forbid { until } => (
            format!("forbid until {until}"),
            CallKind::Forbid,
            cdn.forbid(object, Some(until)).await.map(done),
        ),
        Action::ChangeEnd { until } => (
            format!("move the end to {until}"),
            CallKind::ChangeEnd,
            cdn.change_end(object, Some(until)).await.map(done),
        ),
        Action::ResumeThenForbid { until } => (
            format!("resume, to forbid at once until {until}"),
            CallKind::Resume,
            cdn.resume(object).await.map(done),
        ),
        Action::Resume => (
            "resume".to_owned(),
            CallKind::Resume,
            cdn.resume(object).await.map(done),
        ),
        Action::CheckState => (
            "look the ban up".to_owned(),
            CallKind::Find,
            cdn.find_forbidden(object).await.map(standing),
        ),
        Action::CheckList | Action::Wait | Action::Settle => {
            return search(&*cdn, &call, began).await;
        }
    };
    called(&call, what, kind, result, 0, began)
}

/// Looks for the object in the vendor's list of bans.
async fn search(cdn: &dyn Cdn, call: &Call, began: Instant) -> Called {
    let mut page = Page::FIRST;
    let result = loop {
        let answer = cdn.list_forbidden(call.object.site(), page).await;
        match answer {
            Ok(answer) => {
                let found = found(&answer.value, &call.object);
                let last = !answer.value.more || page.number + 1 >= MOST_PAGES;
                match found {
                    Some(until) => {
                        break Ok(standing(answer.map(|_| Standing::Forbidden { until })));
                    }
                    None if last => break Ok(standing(answer.map(|_| Standing::Free))),
                    None => page.number += 1,
                }
            }
            Err(failure) => break Err(failure),
        }
    };
    let what = "look the ban up in the list".to_owned();
    called(call, what, CallKind::List, result, page.number, began)
}

fn found(page: &ForbiddenPage, object: &VendorObject) -> Option<Option<UnixMs>> {
    let entry = page.entries.iter().find(|entry| entry.fits(object))?;
    Some(entry.until)
}

fn called(
    call: &Call,
    what: String,
    kind: CallKind,
    result: Result<Answer<Outcome>, Failure>,
    more_pages: u32,
    began: Instant,
) -> Called {
    let took = began.elapsed();
    let (report, class, health, stop, date) = match result {
        Ok(answer) => {
            let report = Report {
                outcome: answer.value,
                request_id: answer.request_id,
                words: answer.words,
            };
            (report, "accepted", Health::Works, None, answer.date)
        }
        Err(failure) => {
            let report = Report {
                outcome: outcome(&failure),
                request_id: failure.request_id.clone(),
                words: failure.to_string(),
            };
            let class = failure.class.word();
            (
                report,
                class,
                health(&failure),
                stop(&failure),
                failure.date,
            )
        }
    };
    Called {
        key: call.key.clone(),
        serial: call.serial,
        action: call.action,
        app: call.app,
        what,
        kind,
        report,
        class,
        health,
        stop,
        more_pages,
        date,
        took,
    }
}

/// A call of which nothing more will be heard.
pub(crate) fn lost(key: ObjectKey, serial: u64, action: Action, app: AppId) -> Called {
    Called {
        key,
        serial,
        action,
        app,
        what: "call".to_owned(),
        kind: CallKind::Find,
        report: Report {
            outcome: Outcome::Unknown,
            request_id: None,
            words: "the call broke down here; it may have been done".to_owned(),
        },
        class: "unknown",
        health: Health::Silent,
        stop: None,
        more_pages: 0,
        date: None,
        took: Duration::ZERO,
    }
}

fn done(answer: Answer<Done>) -> Answer<Outcome> {
    answer.map(|done| match done {
        Done::Accepted { until } => Outcome::Accepted { until },
        Done::AlreadySo => Outcome::AlreadySo,
    })
}

fn standing(answer: Answer<Standing>) -> Answer<Outcome> {
    answer.map(|standing| {
        Outcome::Standing(match standing {
            Standing::Forbidden { until } => reconcile::Standing::Banned(until),
            Standing::Free => reconcile::Standing::Free,
        })
    })
}

/// What a failure means for the object. Whether it may have had its effect counts for more than
/// its class.
fn outcome(failure: &Failure) -> Outcome {
    if failure.may_be_done() {
        return Outcome::Unknown;
    }
    let asked = |after: Option<Duration>| after.map(|after| after.min(LONGEST_ASKED));
    match failure.class {
        ErrorClass::Retry { after } => Outcome::Retry {
            after: asked(after),
        },
        ErrorClass::Throttled { after } => Outcome::Throttled {
            after: asked(after),
        },
        ErrorClass::QuotaSpent(Quota::Calls) => Outcome::QuotaSpent { wait: QUOTA_WAIT },
        ErrorClass::QuotaSpent(Quota::Capacity) => Outcome::ListFull,
        ErrorClass::Permanent(refusal) => Outcome::Refused(refused(refusal)),
        ErrorClass::Unsupported => Outcome::Refused(Refusal::Other),
        ErrorClass::Unknown => Outcome::Unknown,
    }
}

fn refused(refusal: tidegate_cdn::Refusal) -> Refusal {
    match refusal {
        tidegate_cdn::Refusal::Credentials => Refusal::Credentials,
        tidegate_cdn::Refusal::Clock => Refusal::Clock,
        tidegate_cdn::Refusal::Permission => Refusal::Permission,
        tidegate_cdn::Refusal::Domain => Refusal::Domain,
        tidegate_cdn::Refusal::Parameter => Refusal::Parameter,
        tidegate_cdn::Refusal::Account => Refusal::Account,
        tidegate_cdn::Refusal::Endpoint => Refusal::Endpoint,
        tidegate_cdn::Refusal::Other => Refusal::Other,
    }
}

fn health(failure: &Failure) -> Health {
    match failure.class {
        ErrorClass::Retry { .. } | ErrorClass::Unknown => Health::Fails,
        ErrorClass::Permanent(refusal) if refused(refusal).is_of_account() => Health::Fails,
        ErrorClass::Throttled { .. } | ErrorClass::Unsupported => Health::Silent,
        ErrorClass::QuotaSpent(_) | ErrorClass::Permanent(_) => Health::Works,
    }
}

fn stop(failure: &Failure) -> Option<Duration> {
    match failure.class {
        ErrorClass::QuotaSpent(Quota::Calls) => Some(QUOTA_WAIT),
        class => class.after().map(|after| after.min(LONGEST_ASKED)),
    }
}

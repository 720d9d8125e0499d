//! Sentences about plans and failures.

use tidegate_core::placement::{Class, Refusal, Trouble, Want};
use tidegate_core::reconcile::Action;
use tidegate_core::{UnixMs, Until};

/// What is wanted, in words.
pub(in crate::cdns) fn want(want: Want) -> String {
    match want {
        Want::Banned(Until::Lifted) => "banned until lifted".to_owned(),
        Want::Banned(Until::At(at)) => format!("banned until {at}"),
        Want::Open(_) => "open".to_owned(),
    }
}

/// What is called, in words.
pub(super) fn action(action: Action) -> String {
    match action {
        Action::Wait | Action::Settle => "no call".to_owned(),
        Action::Forbid { until } => format!("forbid until {until}"),
        Action::ChangeEnd { until } => format!("move the ban's end to {until}"),
        Action::ResumeThenForbid { until } => {
            format!("resume, and at once forbid until {until}")
        }
        Action::Resume => "resume".to_owned(),
        Action::CheckState => "ask whether the ban stands".to_owned(),
        Action::CheckList => "look the ban up in the vendor's list".to_owned(),
    }
}

/// The account's calls are used up; `rule`: by our count, which limit.
pub(super) fn used_up(rule: Option<&str>, until: UnixMs) -> String {
    match rule {
        Some(rule) if rule.contains(',') => {
            format!("the account's {rule}, are used up until {until}")
        }
        Some(rule) => format!("the account's {rule} are used up until {until}"),
        None => format!("the vendor says that such calls are used up; asked again at {until}"),
    }
}

/// Tried again after failures.
pub(super) fn again(trouble: &Trouble, at: UnixMs) -> String {
    let failures = match trouble.failures {
        1 => "1 failure".to_owned(),
        n => format!("{n} failures in a row"),
    };
    match trouble.class {
        Class::QuotaSpent => {
            format!("the vendor says that the day's calls are used up; tried again at {at}")
        }
        _ if trouble.needs_a_person() => format!(
            "after {failures}, tried again at {at}, and at once when the account or the target \
             changes"
        ),
        _ => format!("after {failures}, tried again at {at}"),
    }
}

/// The word of a class in logs and metrics.
pub(super) fn class(class: Class) -> &'static str {
    match class {
        Class::Retry => "retry",
        Class::Throttled => "throttled",
        Class::QuotaSpent => "quota_calls",
        Class::ListFull => "quota_capacity",
        Class::Unknown => "unknown",
        Class::Refused(Refusal::Credentials) => "credentials",
        Class::Refused(Refusal::Clock) => "clock",
        Class::Refused(Refusal::Permission) => "permission",
        Class::Refused(Refusal::Domain) => "domain",
        Class::Refused(Refusal::Parameter) => "parameter",
        Class::Refused(Refusal::Account) => "account",
        Class::Refused(Refusal::Endpoint) => "endpoint",
        Class::Refused(Refusal::Other) => "refused",
    }
}

/// What a person has to do about a failure that goes on until somebody does.
pub(super) fn to_do(class: Class, account: &str, target: i64) -> String {
    let test = format!("`tidegate account test {account}` tells more");
    match class {
        Class::ListFull => "lift bans that are no longer needed, or have the vendor raise the \
                            limit; nobody's ban is lifted to make room"
            .to_owned(),
        Class::Refused(Refusal::Credentials) => {
            format!("put the key right with `tidegate account rotate {account}`; {test}")
        }
        Class::Refused(Refusal::Clock) => format!("set this machine's clock right; {test}"),
        Class::Refused(Refusal::Permission) => {
            format!("permit the key to do this in the vendor's console; {test}")
        }
        Class::Refused(Refusal::Domain | Refusal::Parameter) => format!(
            "check publish domain and RTMP app of the target: `tidegate target test {target}` \
             tells more"
        ),
        Class::Refused(Refusal::Account) => {
            format!("have the vendor enable the service for the account; {test}")
        }
        Class::Refused(Refusal::Endpoint) => {
            format!("check the account's endpoint and region; {test}")
        }
        _ => test,
    }
}

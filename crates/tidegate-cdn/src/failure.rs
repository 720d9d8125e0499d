//! What went wrong with a call, sorted by what can be done about it.

use std::fmt;
use std::time::Duration;

use tidegate_core::UnixMs;
use tidegate_core::text::printable;
use zeroize::Zeroizing;

use crate::account::Account;
use crate::encode;
use crate::operation::Kind;
use crate::vendor::Vendor;

/// Most characters kept of a vendor's words.
const MAX_WORDS: usize = 300;
/// Most characters kept of a code or a request id.
const MAX_CODE: usize = 100;

/// A call that did not do what it was for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Whose API.
    pub vendor: Vendor,
    /// What can be done about it.
    pub class: ErrorClass,
    /// The vendor's own code, escaped; empty where there is none.
    pub code: String,
    /// The vendor's own words, or ours where it said nothing; escaped and bounded.
    pub words: String,
    /// The vendor's id of the call, escaped.
    pub request_id: Option<String>,
    /// HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// The answer's `Date` header: the vendor's clock. With [`Refusal::Clock`] it tells how far
    /// off ours is.
    pub date: Option<UnixMs>,
}

/// What can be done about a failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorClass {
    /// The vendor could not, or was not reached; the same call may succeed later. What it has done
    /// all the same is [`Failure::may_be_done`]'s to say.
    Retry {
        /// How long the vendor asked to wait, at most an hour.
        after: Option<Duration>,
    },
    /// Too many calls; nothing happened.
    Throttled {
        /// How long the vendor asked to wait, at most an hour.
        after: Option<Duration>,
    },
    /// A budget is used up; nothing happened.
    QuotaSpent(Quota),
    /// Needs a person, or another request.
    Permanent(Refusal),
    /// It may have happened: sent, and no answer that says how it went.
    Unknown,
    /// The vendor has no such call. Nothing was sent.
    Unsupported,
}

/// Which budget is used up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Quota {
    /// Calls a day.
    Calls,
    /// Bans that may stand at once.
    Capacity,
}

/// Why a vendor will not do it, however often it is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The key is unknown, disabled, or the signature wrong.
    Credentials,
    /// The request's time is too far from the vendor's.
    Clock,
    /// The key may not do this.
    Permission,
    /// The domain is not known, or not this account's.
    Domain,
    /// A parameter is missing or wrong.
    Parameter,
    /// The account or its service is not enabled, frozen or unverified.
    Account,
    /// What answers is not the vendor's API, or not over TLS.
    Endpoint,
    /// None of these.
    Other,
}

impl ErrorClass {
    /// A word for logs and metric labels.
    pub fn word(self) -> &'static str {
        match self {
            Self::Retry { .. } => "retry",
            Self::Throttled { .. } => "throttled",
            Self::QuotaSpent(Quota::Calls) => "quota_calls",
            Self::QuotaSpent(Quota::Capacity) => "quota_capacity",
            Self::Permanent(Refusal::Credentials) => "credentials",
            Self::Permanent(Refusal::Clock) => "clock",
            Self::Permanent(Refusal::Permission) => "permission",
            Self::Permanent(Refusal::Domain) => "domain",
            Self::Permanent(Refusal::Parameter) => "parameter",
            Self::Permanent(Refusal::Account) => "account",
            Self::Permanent(Refusal::Endpoint) => "endpoint",
            Self::Permanent(Refusal::Other) => "refused",
            Self::Unknown => "unknown",
            Self::Unsupported => "unsupported",
        }
    }

    /// How long the vendor asked to wait.
    pub fn after(self) -> Option<Duration> {
        match self {
            Self::Retry { after } | Self::Throttled { after } => after,
            _ => None,
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Retry { .. } => "could not do it this time",
            Self::Throttled { .. } => "takes no more calls for the moment",
            Self::QuotaSpent(Quota::Calls) => "takes no more calls today",
            Self::QuotaSpent(Quota::Capacity) => "has no room for another ban",
            Self::Permanent(Refusal::Credentials) => "refused the key or its signature",
            Self::Permanent(Refusal::Clock) => "found the time of the request too far from its own",
            Self::Permanent(Refusal::Permission) => "does not permit this key to do it",
            Self::Permanent(Refusal::Domain) => "does not know the domain as one of this account",
            Self::Permanent(Refusal::Parameter) => "refused a parameter",
            Self::Permanent(Refusal::Account) => "has not enabled the service for this account",
            Self::Permanent(Refusal::Endpoint) => "was not reached as it should be",
            Self::Permanent(Refusal::Other) => "refused",
            Self::Unknown => "gave no usable answer, it may have been done",
            Self::Unsupported => "has no such call",
        }
    }
}

impl Failure {
    /// Whether the call may have had its effect in spite of the failure: no answer came, or the
    /// vendor broke down over it. Throttling, spent quotas and refusals come before any effect.
    pub fn may_be_done(&self) -> bool {
        match self.class {
            ErrorClass::Unknown => true,
            ErrorClass::Retry { .. } => self.status.is_some(),
            _ => false,
        }
    }

    /// Whether the vendor refused in its own words, and not for the key, the account, the domain or
    /// the rate: what was asked may have been senseless as things stand.
    pub(crate) fn is_unclear(&self) -> bool {
        let unclear = matches!(
            self.class,
            ErrorClass::Permanent(Refusal::Other | Refusal::Parameter)
        );
        unclear && !self.code.is_empty()
    }

    /// A failure without an answer, in our own words.
    pub(crate) fn ours(vendor: Vendor, class: ErrorClass, words: impl Into<String>) -> Self {
        Self {
            vendor,
            class,
            code: String::new(),
            words: printable(&words.into(), MAX_WORDS),
            request_id: None,
            status: None,
            date: None,
        }
    }

    pub(crate) fn unsupported(vendor: Vendor, kind: Kind) -> Self {
        let words = match kind {
            Kind::ChangeEnd => "the end of a ban is changed by resume and forbid",
            Kind::FindForbidden | Kind::ListForbidden => "it does not show bans this way",
            _ => "it does not show which streams are live",
        };
        Self::ours(vendor, ErrorClass::Unsupported, words)
    }
}

impl fmt::Display for Failure {
    /// One sentence: who, what class, the vendor's own code and words, and the request id.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.vendor.name(), self.class.sentence())?;
        for part in [&self.code, &self.words] {
            if !part.is_empty() {
                write!(f, ": {part}")?;
            }
        }
        match &self.request_id {
            Some(id) => write!(f, " (request {id})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

/// What a vendor's code means, before Retry-After and the like are added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    Retry,
    Throttled,
    Quota(Quota),
    Refused(Refusal),
    Unknown,
    /// Done already; an error only by its form.
    AlreadySo,
}

impl Verdict {
    pub(crate) fn class(self, after: Option<Duration>) -> ErrorClass {
        match self {
            Self::Retry => ErrorClass::Retry { after },
            Self::Throttled => ErrorClass::Throttled { after },
            Self::Quota(quota) => ErrorClass::QuotaSpent(quota),
            Self::Refused(refusal) => ErrorClass::Permanent(refusal),
            Self::Unknown => ErrorClass::Unknown,
            Self::AlreadySo => ErrorClass::Permanent(Refusal::Other),
        }
    }

    /// What the status alone tells. 502 and 504 come from a gateway that passed the call on, so
    /// it may have been done.
    pub(crate) fn of_status(status: u16) -> Self {
        match status {
            200..=299 | 502 | 504 => Self::Unknown,
            300..=399 => Self::Refused(Refusal::Endpoint),
            401 => Self::Refused(Refusal::Credentials),
            403 => Self::Refused(Refusal::Permission),
            408 | 425 => Self::Retry,
            429 => Self::Throttled,
            404 | 405 | 426 => Self::Refused(Refusal::Endpoint),
            400..=499 => Self::Refused(Refusal::Parameter),
            500..=599 => Self::Retry,
            _ => Self::Unknown,
        }
    }
}

/// The verdict on `code` in a vendor's table: the exact code, or the longest entry ending in `*`
/// that it begins with. `Name*` also fits `Name` itself.
pub(crate) fn look_up(table: &[(&str, Verdict)], code: &str) -> Option<Verdict> {
    let exact = table.iter().find(|(entry, _)| *entry == code);
    let prefix = || {
        table
            .iter()
            .filter(|(entry, _)| entry.strip_suffix('*').is_some_and(|p| code.starts_with(p)))
            .max_by_key(|(entry, _)| entry.len())
    };
    exact.or_else(prefix).map(|(_, verdict)| *verdict)
}

/// A vendor's text made fit to keep: the account's secrets cut out (some vendors echo what was
/// signed, and a token is part of that), escaped, bounded.
pub(crate) fn words(text: &str, account: &Account) -> String {
    bounded(text, account, MAX_WORDS)
}

/// As [`words`], for a code or a request id.
pub(crate) fn code(text: &str, account: &Account) -> String {
    bounded(text, account, MAX_CODE)
}

fn bounded(text: &str, account: &Account, max: usize) -> String {
    let mut text = text.to_owned();
    for secret in account.secrets() {
        let plain = secret.expose();
        let once = Zeroizing::new(encode::component(plain));
        let twice = Zeroizing::new(encode::component(&once));
        for form in [twice.as_str(), once.as_str(), plain] {
            if text.contains(form) {
                text = text.replace(form, "[redacted]");
            }
        }
    }
    printable(text.trim(), max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found_exactly_or_by_their_longest_prefix() {
        let table = [
            ("Throttling*", Verdict::Throttled),
            ("Auth*", Verdict::Refused(Refusal::Credentials)),
            ("AuthFailure.Expire", Verdict::Refused(Refusal::Clock)),
            ("AuthFailure.Un*", Verdict::Refused(Refusal::Permission)),
        ];
        for (code, want) in [
            ("Throttling", Some(Verdict::Throttled)),
            ("Throttling.User", Some(Verdict::Throttled)),
            ("AuthFailure.Expire", Some(Verdict::Refused(Refusal::Clock))),
            (
                "AuthFailure.Unx",
                Some(Verdict::Refused(Refusal::Permission)),
            ),
            ("AuthFailure", Some(Verdict::Refused(Refusal::Credentials))),
            ("throttling", None),
            ("", None),
        ] {
            assert_eq!(look_up(&table, code), want, "{code}");
        }
    }

    #[test]
    fn a_failure_reads_as_a_sentence() {
        let mut failure = Failure::ours(
            Vendor::Aliyun,
            ErrorClass::Permanent(Refusal::Credentials),
            "Specified access key is not found.",
        );
        failure.code = "InvalidAccessKeyId.NotFound".into();
        failure.request_id = Some("A-1".into());
        assert_eq!(
            failure.to_string(),
            "Alibaba Cloud refused the key or its signature: InvalidAccessKeyId.NotFound: \
             Specified access key is not found. (request A-1)"
        );
    }
}

//! What the answer to a harmless query tells of clock, key, permission, domain and endpoint.

use std::time::Duration;

use tidegate_cdn::{AuthScheme, ErrorClass, Failure, Limits, Quota, Refusal, Vendor};
use tidegate_core::UnixMs;
use tokio::time::Instant;

use super::Problem;
use crate::cdns::AccountEntry;

/// Clocks that differ by less are not worth a word; a `Date` header has whole seconds.
const SAME: Duration = Duration::from_secs(3);

/// Codes by which another product of the same vendor answers.
const FOREIGN: &[&str] = &[
    "InvalidAction",
    "InvalidVersion",
    "NoSuchVersion",
    "NoSuchProduct",
];

/// A query that is out, and what it was about.
pub(super) struct Asked<'a> {
    account: &'a AccountEntry,
    domain: &'a str,
    /// Nobody has that domain, so that its refusal says that all else is right.
    made_up: bool,
    pub(super) begun: Instant,
}

impl<'a> Asked<'a> {
    pub(super) fn new(account: &'a AccountEntry, domain: &'a str, made_up: bool) -> Self {
        Self {
            account,
            domain,
            made_up,
            begun: Instant::now(),
        }
    }

    /// The words for an answer. `told` is what it says.
    pub(super) fn accepted(&self, date: Option<UnixMs>, now: UnixMs, told: &str) -> String {
        let name = self.account.signer.vendor().name();
        let mut words = format!("{name} takes the key; {told}");
        if self.made_up {
            words.push_str(self.only_the_key());
        }
        words.push_str(&self.clocks(date, now));
        words
    }

    /// What is wrong, and the words for it.
    pub(super) fn failed(&self, failure: &Failure, now: UnixMs) -> (Option<Problem>, String) {
        let vendor = failure.vendor.name();
        if self.made_up && is_about_the_question(failure) {
            let clocks = self.clocks(failure.date, now);
            let only = self.only_the_key();
            let words = format!("{vendor} takes the key{only}{clocks}");
            return (None, words);
        }
        let (problem, words) = self.diagnosed(failure, now);
        (Some(problem), format!("{words}{}", said(failure)))
    }

    fn diagnosed(&self, failure: &Failure, now: UnixMs) -> (Problem, String) {
        let vendor = failure.vendor.name();
        let endpoint = self.account.signer.endpoint();
        if is_not_the_api(failure) {
            let region = match self.account.account.region {
                Some(_) => " and --region",
                None => "",
            };
            let words = format!(
                "endpoint: what answers at {endpoint} is not {vendor}'s live API; check \
                 --endpoint{region}"
            );
            return (Problem::NotTheApi, words);
        }
        match failure.class {
            ErrorClass::Permanent(Refusal::Clock) => (Problem::Clock, self.clock(failure, now)),
            ErrorClass::Permanent(Refusal::Credentials) => self.key(failure),
            ErrorClass::Permanent(Refusal::Permission) => (
                Problem::Permission,
                format!(
                    "permission: the key is right, but may not do this; at {vendor}, grant it the \
                     live service's rights to ban, to resume, to list bans and to read stream \
                     states"
                ),
            ),
            ErrorClass::Permanent(Refusal::Domain) => (Problem::Domain, self.no_domain(vendor)),
            ErrorClass::Permanent(Refusal::Account) => (
                Problem::Account,
                format!(
                    "account: the key is right, but {vendor} has not enabled the live service for \
                     its account, or has frozen it; see the vendor's console"
                ),
            ),
            ErrorClass::Permanent(Refusal::Parameter | Refusal::Other | Refusal::Endpoint)
            | ErrorClass::Unsupported => (
                Problem::Refused,
                format!("refused: {vendor} refused the query"),
            ),
            ErrorClass::Throttled { .. } => (
                Problem::Busy,
                format!("busy: {vendor} takes no more calls for the moment; try again in a minute"),
            ),
            ErrorClass::QuotaSpent(Quota::Calls) => (
                Problem::Busy,
                format!("quota: the account's calls at {vendor} are used up"),
            ),
            ErrorClass::QuotaSpent(Quota::Capacity) => (
                Problem::Busy,
                format!("quota: {vendor} says that the account has reached a limit of its plan"),
            ),
            ErrorClass::Retry { .. } if failure.status.is_none() => (
                Problem::NotReached,
                format!(
                    "endpoint: {endpoint} was not reached; check the network, the name service \
                     and --endpoint"
                ),
            ),
            ErrorClass::Unknown if failure.status.is_none() => (
                Problem::NoAnswer,
                format!("endpoint: {endpoint} was reached and did not answer properly"),
            ),
            ErrorClass::Retry { .. } | ErrorClass::Unknown => (
                Problem::Trouble,
                format!("vendor: {vendor} could not answer this time; try again"),
            ),
        }
    }

    fn clock(&self, failure: &Failure, now: UnixMs) -> String {
        let vendor = failure.vendor.name();
        let allowed = span(Limits::of(failure.vendor).clock_skew);
        let Some(date) = failure.date else {
            return format!(
                "clock: {vendor} found the time of the request too far from its own and allows \
                 {allowed}; this machine's clock says {now}: set it, by NTP"
            );
        };
        let apart = now.until(date).max(date.until(now));
        let way = if date > now { "behind" } else { "ahead of" };
        if apart < SAME {
            return format!(
                "clock: {vendor} found the time of the request too far from its own, and yet its \
                 clock and this machine's both say {now}; try again"
            );
        }
        format!(
            "clock: this machine's says {now}, {vendor}'s says {date}: this one is {} {way} it, \
             and {allowed} are allowed; set it, by NTP",
            span(apart)
        )
    }

    fn key(&self, failure: &Failure) -> (Problem, String) {
        let vendor = failure.vendor.name();
        let id = &self.account.account.key.access_key_id;
        let again = "give it the right one with `tidegate account rotate`";
        let told = format!("{} {}", failure.code, failure.words).to_lowercase();
        if told.contains("token") {
            let words =
                format!("key: {vendor} does not take the security token of key {id}; {again}");
            return (Problem::Key, words);
        }
        if !told.contains("signature") && !told.contains("签名") {
            let words = format!(
                "key: {vendor} does not know the key id {id}, or has disabled it or let it \
                 expire; {again}"
            );
            return (Problem::Key, words);
        }
        let scheme = self.account.signer.scheme();
        let other = match scheme {
            AuthScheme::Cnc | AuthScheme::ApiKey => "; an apiKey goes with --auth api-key only",
            _ => "",
        };
        let words = format!(
            "signature: {vendor} does not take the signature ({scheme}) of key {id}: the secret \
             is not that key's; {again}{other}"
        );
        (Problem::Signature, words)
    }

    fn no_domain(&self, vendor: &str) -> String {
        let region = match (
            &self.account.account.region,
            &self.account.account.project_id,
        ) {
            (Some(region), Some(_)) => format!(", or it is kept in another region than {region}"),
            _ => String::new(),
        };
        format!(
            "domain: the key is right, but {vendor} does not know {} as a domain of this \
             account{region}",
            self.domain
        )
    }

    fn only_the_key(&self) -> &'static str {
        match self.account.account.project_id.is_some() {
            true => {
                " (asked about a made-up domain, since the account has no target; region and \
                 project are proven by `tidegate target test` only)"
            }
            false => " (asked about a made-up domain, since the account has no target)",
        }
    }

    /// How far the clocks are apart, where that is worth a word.
    fn clocks(&self, date: Option<UnixMs>, now: UnixMs) -> String {
        let Some(date) = date else {
            return String::new();
        };
        let apart = now.until(date).max(date.until(now));
        if apart < SAME {
            return String::new();
        }
        let way = if date > now { "behind" } else { "ahead of" };
        let allowed = Limits::of(self.account.signer.vendor()).clock_skew;
        format!(
            "; this machine's clock is {} {way} the vendor's, which allows {}",
            span(apart),
            span(allowed)
        )
    }
}

/// A refusal that comes after key, signature and clock were found right, and that a question
/// about nothing is bound to meet. Wangsu checks those in a gateway with answers of its own.
fn is_about_the_question(failure: &Failure) -> bool {
    let behind_the_gateway = failure.vendor == Vendor::Ws && failure.status == Some(200);
    match failure.class {
        _ if failure.code.is_empty() => false,
        ErrorClass::Permanent(Refusal::Domain | Refusal::Parameter) => true,
        ErrorClass::Permanent(Refusal::Other) => behind_the_gateway,
        _ => false,
    }
}

/// Whether something else answers there: vendors say no with a code of theirs, and know their own
/// calls.
fn is_not_the_api(failure: &Failure) -> bool {
    let foreign = |start: &&str| failure.code.starts_with(*start);
    let answered = failure.status.is_some();
    match failure.class {
        ErrorClass::Permanent(Refusal::Endpoint) => true,
        ErrorClass::Permanent(Refusal::Other) if FOREIGN.iter().any(foreign) => true,
        ErrorClass::Permanent(_) => answered && failure.code.is_empty(),
        ErrorClass::Unknown => failure.status.is_some_and(|status| status < 300),
        _ => false,
    }
}

/// The vendor's own code and words, or those of the network.
fn said(failure: &Failure) -> String {
    let parts: Vec<&str> = [&failure.code, &failure.words]
        .into_iter()
        .map(String::as_str)
        .filter(|part| !part.is_empty())
        .collect();
    match parts.as_slice() {
        [] => String::new(),
        parts => format!(" ({})", parts.join(": ")),
    }
}

/// A length of time in its two largest units.
fn span(length: Duration) -> String {
    let seconds = length.as_secs();
    let (large, small) = match seconds {
        0..60 => return format!("{seconds} s"),
        60..3600 => ((seconds / 60, "min"), (seconds % 60, "s")),
        3600..86_400 => ((seconds / 3600, "h"), (seconds % 3600 / 60, "min")),
        _ => ((seconds / 86_400, "days"), (seconds % 86_400 / 3600, "h")),
    };
    match small.0 {
        0 => format!("{} {}", large.0, large.1),
        rest => format!("{} {} {rest} {}", large.0, large.1, small.1),
    }
}

#[cfg(test)]
mod tests;

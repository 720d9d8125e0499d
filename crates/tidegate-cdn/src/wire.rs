//! Requests and responses as values: [`build`] and [`read`], without I/O.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::{DateTimeParser, DateTimePrinter};
use tidegate_core::UnixMs;

use crate::account::Account;
use crate::endpoint::Scheme;
use crate::failure::{self, ErrorClass, Failure, Refusal, Verdict};
use crate::limits::LONGEST_WAIT;
use crate::operation::{Answer, Done, Operation, Reply};
use crate::sign::Parts;
use crate::vendor::Vendor;
use crate::{aliyun, huawei, tencent, wangsu};

/// A signed request. Prints without header values, query and body, which hold credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// Upper case.
    pub method: &'static str,
    /// `http` or `https`.
    pub scheme: Scheme,
    /// Host, and port unless it is the scheme's own.
    pub host: String,
    /// Percent-encoded, beginning with a slash.
    pub path: String,
    /// Percent-encoded, without the question mark; may be empty.
    pub raw_query: String,
    /// All headers, `host` among them.
    pub headers: Vec<(String, String)>,
    /// May be empty.
    pub body: Vec<u8>,
}

impl HttpRequest {
    pub(crate) fn new(method: &'static str, account: &Account, path: &str) -> Self {
        let host = account.endpoint.authority().to_owned();
        Self {
            method,
            scheme: account.endpoint.scheme(),
            headers: vec![("host".into(), host.clone())],
            host,
            path: path.to_owned(),
            raw_query: String::new(),
            body: Vec::new(),
        }
    }

    pub(crate) fn header(&mut self, name: &str, value: impl Into<String>) {
        self.headers.push((name.to_owned(), value.into()));
    }

    /// What a signer looks at.
    pub fn parts(&self) -> Parts<'_> {
        Parts {
            method: self.method,
            path: &self.path,
            raw_query: &self.raw_query,
            headers: &self.headers,
            body: &self.body,
        }
    }

    /// The address to call.
    pub fn url(&self) -> String {
        let mark = if self.raw_query.is_empty() { "" } else { "?" };
        let scheme = self.scheme.word();
        format!(
            "{scheme}://{}{}{mark}{}",
            self.host, self.path, self.raw_query
        )
    }
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest")
            .field("method", &self.method)
            .field("host", &self.host)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// A response, read to its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpResponse {
    /// Three digits.
    pub status: u16,
    /// In the order they came; what is not text is lossy.
    pub headers: Vec<(String, String)>,
    /// Bounded by the client.
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// The first header of that name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    }

    /// The sender's clock.
    pub fn date(&self) -> Option<UnixMs> {
        self.header("date").and_then(parse_http_date)
    }

    /// How long `Retry-After` (seconds, or an HTTP date seen from the answer's own `Date`, else
    /// from `now`) asks to wait; at most an hour.
    pub fn retry_after(&self, now: UnixMs) -> Option<Duration> {
        let text = self.header("retry-after")?;
        let wait = match text.parse::<u64>() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => LONGEST_WAIT,
            Err(_) => self.date().unwrap_or(now).until(parse_http_date(text)?),
        };
        Some(wait.min(LONGEST_WAIT))
    }
}

/// Reads the date of an HTTP header, as in `Sun, 06 Nov 1994 08:49:37 GMT`.
pub fn parse_http_date(text: &str) -> Option<UnixMs> {
    let at = DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
    Some(UnixMs(at.as_millisecond()))
}

/// Prints the date of an HTTP header; `None` outside the years 0 to 9999.
pub fn http_date(at: UnixMs) -> Option<String> {
    let at = Timestamp::from_second(at.seconds()).ok()?;
    DateTimePrinter::new().timestamp_to_rfc9110_string(&at).ok()
}

/// The signed request for an operation. `nonce` must not have been used before; 32 hex digits
/// suit every scheme.
///
/// # Errors
/// [`ErrorClass::Unsupported`] for what the vendor does not have, and a permanent failure for
/// what it is known to refuse or to misread (an end that has passed, a list without its domain).
pub fn build(
    operation: &Operation<'_>,
    account: &Account,
    now: UnixMs,
    nonce: &str,
) -> Result<HttpRequest, Failure> {
    let vendor = account.vendor;
    if let Operation::Forbid { until, .. } | Operation::ChangeEnd { until, .. } = operation
        && *until <= now
    {
        let words = format!("the end {until} has passed; vendors read such an end each in its way");
        let class = ErrorClass::Permanent(Refusal::Parameter);
        return Err(Failure::ours(vendor, class, words));
    }
    match vendor {
        Vendor::Ws => wangsu::build(operation, account, now),
        Vendor::Aliyun => aliyun::build(operation, account, now, nonce),
        Vendor::Tencent => tencent::build(operation, account, now),
        Vendor::Huawei => huawei::build(operation, account, now),
    }
}

/// What a response to [`build`]'s request means.
pub fn read(
    operation: &Operation<'_>,
    account: &Account,
    response: &HttpResponse,
    now: UnixMs,
) -> Result<Answer<Reply>, Failure> {
    let reading = Reading {
        operation,
        account,
        response,
        now,
    };
    match account.vendor {
        Vendor::Ws => wangsu::read(&reading),
        Vendor::Aliyun => aliyun::read(&reading),
        Vendor::Tencent => tencent::read(&reading),
        Vendor::Huawei => huawei::read(&reading),
    }
}

/// A response being read, with what is common to all vendors.
pub(crate) struct Reading<'a> {
    pub(crate) operation: &'a Operation<'a>,
    pub(crate) account: &'a Account,
    pub(crate) response: &'a HttpResponse,
    pub(crate) now: UnixMs,
}

/// A vendor's code, words and request id, unescaped.
#[derive(Default)]
pub(crate) struct Said {
    pub(crate) code: String,
    pub(crate) words: String,
    pub(crate) request_id: Option<String>,
}

impl Reading<'_> {
    pub(crate) fn answer(&self, said: Said, value: Reply) -> Answer<Reply> {
        Answer {
            value,
            request_id: self.request_id(said.request_id),
            words: failure::words(&said.words, self.account),
            date: self.response.date(),
        }
    }

    /// The change was taken; a ban stands until the end that was sent.
    pub(crate) fn accepted(&self, said: Said) -> Answer<Reply> {
        let until = match self.operation {
            Operation::Forbid { until, .. } | Operation::ChangeEnd { until, .. } => Some(*until),
            _ => None,
        };
        self.answer(said, Reply::Done(Done::Accepted { until }))
    }

    pub(crate) fn verdict(&self, said: Said, verdict: Verdict) -> Result<Answer<Reply>, Failure> {
        match verdict {
            Verdict::AlreadySo => Ok(self.answer(said, Reply::Done(Done::AlreadySo))),
            other => Err(self.fail(said, other, None)),
        }
    }

    /// As [`Reading::verdict`], for what cannot be a success. `after` counts where there is no
    /// `Retry-After`.
    pub(crate) fn fail(&self, said: Said, verdict: Verdict, after: Option<Duration>) -> Failure {
        let after = self.response.retry_after(self.now).or(after);
        Failure {
            vendor: self.account.vendor,
            class: verdict.class(after),
            code: failure::code(&said.code, self.account),
            words: failure::words(&said.words, self.account),
            request_id: self.request_id(said.request_id),
            status: Some(self.response.status),
            date: self.response.date(),
        }
    }

    /// The answer has no form that the vendor is known to use: the status is all there is.
    pub(crate) fn unreadable(&self, request_id: Option<&str>) -> Failure {
        let status = self.response.status;
        let start: String = String::from_utf8_lossy(&self.response.body)
            .chars()
            .take(120)
            .collect();
        let words = match status {
            300..=399 => format!(
                "the answer is a redirect (HTTP {status}) to {}, which is never followed; check \
                 the endpoint",
                self.response.header("location").unwrap_or("nowhere")
            ),
            _ => format!("HTTP {status} with an answer that is not the vendor's: {start:?}"),
        };
        let said = Said {
            code: String::new(),
            words,
            request_id: request_id.map(str::to_owned),
        };
        self.fail(said, Verdict::of_status(status), None)
    }

    fn request_id(&self, id: Option<String>) -> Option<String> {
        id.filter(|id| !id.is_empty())
            .map(|id| failure::code(&id, self.account))
    }
}

#[cfg(test)]
mod tests;

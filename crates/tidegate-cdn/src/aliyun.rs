//! Alibaba Cloud Live, API version 2016-11-01.
//!
//! Traps:
//! * One host for all regions; `RegionId` is an ordinary parameter that names the domain's region.
//! * A ban without an end lasts six months by the current pages and for ever by older ones, so an
//!   end is always sent.
//! * At most 10,000 bans stand at once. A kick (`Oneshot=yes`) does not count.
//! * The list of bans is keyed by the main *streaming* domain, not the publish domain, tells no
//!   ends, and the state of a stream does not show a ban.
//! * An `AppName` of `*` means every app when resuming; [`crate::Site`] refuses it.

use std::time::Duration;

use serde_json::Value;
use tidegate_core::UnixMs;

use crate::account::Account;
use crate::encode;
use crate::failure::{ErrorClass, Failure, Quota, Refusal, Verdict, look_up};
use crate::json;
use crate::object::{Site, VendorObject};
use crate::operation::{
    Answer, ForbiddenEntry, ForbiddenPage, Kind, OnlineEntry, OnlinePage, Operation, Page, Reply,
    StreamState,
};
use crate::sign::{Key, acs3, rpc_v1, sha256_hex};
use crate::vendor::AuthScheme;
use crate::wire::{HttpRequest, Reading, Said};

const VERSION: &str = "2016-11-01";
/// The wait an answer may ask for. Its unit is not published; the vendor's client sleeps that
/// many milliseconds.
const RETRY_AFTER_MS: &str = "x-acs-retry-after";

const CODES: &[(&str, Verdict)] = &[
    ("Forbidden*", Verdict::Refused(Refusal::Permission)),
    ("NoPermission*", Verdict::Refused(Refusal::Permission)),
    ("IllegalOperation*", Verdict::Refused(Refusal::Domain)),
    ("InvalidDomain*", Verdict::Refused(Refusal::Domain)),
    ("InvalidIdentity*", Verdict::Refused(Refusal::Account)),
    ("InvalidParam*", Verdict::Refused(Refusal::Parameter)),
    ("InvalidResumeTime*", Verdict::Refused(Refusal::Parameter)),
    ("Missing*", Verdict::Refused(Refusal::Parameter)),
    ("InternalError*", Verdict::Retry),
    ("ServiceUnavailable*", Verdict::Retry),
    ("InvalidTimeStamp.Expired", Verdict::Refused(Refusal::Clock)),
    ("InvalidTimeStamp*", Verdict::Refused(Refusal::Parameter)),
    ("SignatureNonceUsed", Verdict::Retry),
    (
        "SignatureDoesNotMatch*",
        Verdict::Refused(Refusal::Credentials),
    ),
    (
        "IncompleteSignature*",
        Verdict::Refused(Refusal::Credentials),
    ),
    (
        "InvalidAccessKeyId*",
        Verdict::Refused(Refusal::Credentials),
    ),
    (
        "InvalidSecurityToken*",
        Verdict::Refused(Refusal::Credentials),
    ),
    ("Throttling*", Verdict::Throttled),
    ("QuotaExceeded*", Verdict::Quota(Quota::Capacity)),
];

pub(crate) fn build(
    operation: &Operation<'_>,
    account: &Account,
    now: UnixMs,
    nonce: &str,
) -> Result<HttpRequest, Failure> {
    let (action, mut parameters) = match operation {
        Operation::Forbid { object, until } => {
            let mut parameters = publisher(object);
            push(&mut parameters, "ResumeTime", until.to_string());
            ("ForbidLiveStream", parameters)
        }
        Operation::Kick(object) => {
            let mut parameters = publisher(object);
            push(&mut parameters, "Oneshot", "yes");
            ("ForbidLiveStream", parameters)
        }
        Operation::Resume(object) => ("ResumeLiveStream", publisher(object)),
        Operation::StreamState(object) => ("DescribeLiveStreamState", named(object)),
        Operation::ListForbidden { site, page } => {
            let page = page.within(1, 3000);
            let mut parameters = Vec::new();
            push(&mut parameters, "DomainName", play_domain(site, account)?);
            push(
                &mut parameters,
                "PageNum",
                (u64::from(page.number) + 1).to_string(),
            );
            push(&mut parameters, "PageSize", page.size.to_string());
            ("DescribeLiveStreamsBlockList", parameters)
        }
        Operation::Online { site, page } => {
            let page = page.within(1, 3000);
            let mut parameters = Vec::new();
            push(&mut parameters, "DomainName", play_domain(site, account)?);
            push(&mut parameters, "AppName", site.rtmp_app());
            push(&mut parameters, "QueryType", "strict");
            push(
                &mut parameters,
                "PageNum",
                (u64::from(page.number) + 1).to_string(),
            );
            push(&mut parameters, "PageSize", page.size.to_string());
            ("DescribeLiveStreamsOnlineList", parameters)
        }
        Operation::ChangeEnd { .. } | Operation::FindForbidden(_) => {
            return Err(Failure::unsupported(account.vendor, operation.kind()));
        }
    };
    if let Some(region) = &account.region {
        push(&mut parameters, "RegionId", region.as_str());
    }
    Ok(match account.scheme {
        AuthScheme::RpcV1 => sign_rpc_v1(action, parameters, account, now, nonce),
        _ => sign_acs3(action, parameters, account, now, nonce),
    })
}

type Parameters = Vec<(String, String)>;

fn push(parameters: &mut Parameters, name: &str, value: impl Into<String>) {
    parameters.push((name.to_owned(), value.into()));
}

fn named(object: &VendorObject) -> Parameters {
    let mut parameters = Vec::new();
    push(
        &mut parameters,
        "DomainName",
        object.site().publish_domain(),
    );
    push(&mut parameters, "AppName", object.site().rtmp_app());
    push(&mut parameters, "StreamName", object.stream().as_str());
    parameters
}

fn publisher(object: &VendorObject) -> Parameters {
    let mut parameters = named(object);
    push(&mut parameters, "LiveStreamType", "publisher");
    parameters
}

fn play_domain<'a>(site: &'a Site, account: &Account) -> Result<&'a str, Failure> {
    site.play_domain().ok_or_else(|| {
        let class = ErrorClass::Permanent(Refusal::Parameter);
        let words = "its lists are keyed by the play domain, and this target has none";
        Failure::ours(account.vendor, class, words)
    })
}

fn sign_acs3(
    action: &str,
    parameters: Parameters,
    account: &Account,
    now: UnixMs,
    nonce: &str,
) -> HttpRequest {
    let mut request = HttpRequest::new("POST", account, "/");
    request.raw_query = encode::sorted_query(&parameters);
    request.header("x-acs-action", action);
    request.header("x-acs-version", VERSION);
    request.header("x-acs-date", now.to_string());
    request.header("x-acs-signature-nonce", nonce);
    request.header("x-acs-content-sha256", sha256_hex(b""));
    if let Some(token) = &account.security_token {
        request.header("x-acs-accesskey-id", account.access_key_id.as_str());
        request.header("x-acs-security-token", token.expose());
    }
    let key = Key {
        id: &account.access_key_id,
        secret: account.secret.expose(),
    };
    let signed: Vec<&str> = request.headers.iter().map(|(n, _)| n.as_str()).collect();
    let signed = acs3::sign(request.parts(), &parameters, &signed, key);
    request.header("accept", "application/json");
    request.header("authorization", signed.authorization);
    request
}

fn sign_rpc_v1(
    action: &str,
    mut parameters: Parameters,
    account: &Account,
    now: UnixMs,
    nonce: &str,
) -> HttpRequest {
    push(&mut parameters, "Action", action);
    push(&mut parameters, "Version", VERSION);
    push(&mut parameters, "Format", "JSON");
    push(&mut parameters, "Timestamp", now.to_string());
    push(&mut parameters, "SignatureMethod", "HMAC-SHA1");
    push(&mut parameters, "SignatureVersion", "1.0");
    push(&mut parameters, "SignatureNonce", nonce);
    push(
        &mut parameters,
        "AccessKeyId",
        account.access_key_id.as_str(),
    );
    if let Some(token) = &account.security_token {
        push(&mut parameters, "SecurityToken", token.expose());
    }
    let signed = rpc_v1::sign("POST", &parameters, account.secret.expose());
    push(&mut parameters, "Signature", signed.signature);
    let mut request = HttpRequest::new("POST", account, "/");
    request.raw_query = encode::sorted_query(&parameters);
    request.header("accept", "application/json");
    request
}

pub(crate) fn read(reading: &Reading<'_>) -> Result<Answer<Reply>, Failure> {
    let response = reading.response;
    let Some(body) = json::object(&response.body) else {
        return Err(reading.unreadable(None));
    };
    // The vendor's client reads the names of errors in either case, so they come in either.
    let either = |name: &str, lower: &str| json::text(&body, name).or(json::text(&body, lower));
    let request_id = either("RequestId", "requestId");
    if let Some(code) = either("Code", "code") {
        let words = either("Message", "message").unwrap_or_default();
        let said = Said {
            code,
            words,
            request_id,
        };
        return refused(reading, said);
    }
    if response.status != 200 || request_id.is_none() {
        return Err(reading.unreadable(request_id.as_deref()));
    }
    let said = Said {
        request_id,
        ..Said::default()
    };
    let value = match reading.operation {
        Operation::ListForbidden { page, .. } => forbidden(&body, *page).map(Reply::Forbidden),
        Operation::Online { page, .. } => online(&body, *page).map(Reply::Online),
        Operation::StreamState(_) => state(&body).map(Reply::State),
        _ => return Ok(reading.accepted(said)),
    };
    match value {
        Some(value) => Ok(reading.answer(said, value)),
        None => Err(reading.unreadable(said.request_id.as_deref())),
    }
}

fn refused(reading: &Reading<'_>, said: Said) -> Result<Answer<Reply>, Failure> {
    let status = reading.response.status;
    if said.code.starts_with("ConfigAlreadyExists") && reading.operation.kind() == Kind::Forbid {
        return reading.verdict(said, Verdict::AlreadySo);
    }
    let by_status = || match status {
        429 | 500..=599 => Verdict::of_status(status),
        401 => Verdict::Refused(Refusal::Credentials),
        403 => Verdict::Refused(Refusal::Permission),
        _ => Verdict::Refused(Refusal::Other),
    };
    let verdict = look_up(CODES, &said.code).unwrap_or_else(by_status);
    let after = reading.response.header(RETRY_AFTER_MS);
    let after = after
        .and_then(|ms| ms.parse().ok().filter(|ms| *ms > 0))
        .map(Duration::from_millis);
    let after = after.map(|wait| wait.min(crate::limits::LONGEST_WAIT));
    Err(reading.fail(said, verdict, after))
}

fn more(body: &Value, asked: Page, entries: usize) -> bool {
    json::more_pages(
        asked.within(1, 3000),
        entries,
        json::count(body, "TotalPage"),
        json::count(body, "TotalNum"),
    )
}

fn forbidden(body: &Value, asked: Page) -> Option<ForbiddenPage> {
    let rows = json::list(body, "StreamUrls")?;
    let entries: Vec<ForbiddenEntry> = rows
        .iter()
        .filter_map(|row| {
            let mut parts = row.as_str()?.splitn(3, '/');
            let (domain, app, stream) = (parts.next()?, parts.next()?, parts.next()?);
            Some(ForbiddenEntry {
                domain: Some(domain.to_owned()),
                app: Some(app.to_owned()),
                stream: stream.to_owned(),
                until: None,
            })
        })
        .collect();
    Some(ForbiddenPage {
        more: more(body, asked, rows.len()),
        total: json::count(body, "TotalNum"),
        entries,
    })
}

fn online(body: &Value, asked: Page) -> Option<OnlinePage> {
    let rows = json::list(body, "OnlineInfo")?;
    let entries: Vec<OnlineEntry> = rows
        .iter()
        .filter_map(|row| {
            Some(OnlineEntry {
                domain: json::text(row, "PublishDomain").or(json::text(row, "DomainName")),
                app: json::text(row, "AppName")?,
                stream: json::text(row, "StreamName")?,
                since: json::text(row, "PublishTime").and_then(|t| UnixMs::parse_utc(&t).ok()),
            })
        })
        .collect();
    Some(OnlinePage {
        more: more(body, asked, rows.len()),
        total: json::count(body, "TotalNum"),
        entries,
    })
}

fn state(body: &Value) -> Option<StreamState> {
    match json::text(body, "StreamState")?.as_str() {
        "online" => Some(StreamState::Live),
        "offline" => Some(StreamState::Idle),
        _ => None,
    }
}

#[cfg(test)]
mod tests;

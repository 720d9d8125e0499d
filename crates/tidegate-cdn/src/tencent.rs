//! Tencent Cloud CSS (Live), API version 2018-08-01.
//!
//! Accounts of the international site answer at `--endpoint https://live.intl.tencentcloudapi.com`.
//!
//! Traps:
//! * Errors come with HTTP 200 inside `Response.Error`; another status is a transport fault.
//! * A ban hits a stream name under every domain and app of the account unless Tencent's support
//!   has switched on strict matching: see [`crate::VendorObject::blast_radius`].
//! * The list of bans tells neither domain nor app and prefixes names with a number of the
//!   account; it is gone from newer clients and may vanish. The state of one stream does show a
//!   ban and is the check to use.
//! * The consoles show UTC+8, the API takes UTC; the signature's date is UTC too.

use serde_json::{Value, json};
use tidegate_core::UnixMs;

use crate::account::Account;
use crate::failure::{Failure, Quota, Refusal, Verdict, look_up};
use crate::json;
use crate::object::VendorObject;
use crate::operation::{
    Answer, ForbiddenEntry, ForbiddenPage, OnlineEntry, OnlinePage, Operation, Page, Reply,
    Standing, StreamState,
};
use crate::sign::{Key, tc3};
use crate::wire::{HttpRequest, Reading, Said};

const VERSION: &str = "2018-08-01";

/// Whether the refusal of a resume may mean that there is no ban, although its code reads as a
/// fault; what it is really answered with is not established.
pub(crate) fn may_be_free(failure: &Failure) -> bool {
    matches!(
        failure.code.as_str(),
        "InternalError.StreamStatusError" | "FailedOperation"
    )
}

const CODES: &[(&str, Verdict)] = &[
    (
        "AuthFailure.SignatureExpire",
        Verdict::Refused(Refusal::Clock),
    ),
    (
        "AuthFailure.UnauthorizedOperation*",
        Verdict::Refused(Refusal::Permission),
    ),
    ("AuthFailure*", Verdict::Refused(Refusal::Credentials)),
    (
        "UnauthorizedOperation*",
        Verdict::Refused(Refusal::Permission),
    ),
    ("FailedOperation*", Verdict::Retry),
    (
        "InternalError.ConfigNotExist",
        Verdict::Refused(Refusal::Domain),
    ),
    (
        "InternalError.NotPermmitOperat",
        Verdict::Refused(Refusal::Permission),
    ),
    ("InternalError*", Verdict::Retry),
    ("InvalidParameter*", Verdict::Refused(Refusal::Parameter)),
    ("MissingParameter*", Verdict::Refused(Refusal::Parameter)),
    ("UnknownParameter*", Verdict::Refused(Refusal::Parameter)),
    ("ResourceNotFound*", Verdict::Refused(Refusal::Account)),
    ("RequestLimitExceeded*", Verdict::Throttled),
    ("LimitExceeded*", Verdict::Quota(Quota::Capacity)),
    ("ResourceInsufficient*", Verdict::Retry),
    ("ResourceUnavailable*", Verdict::Retry),
    ("ResourceInUse*", Verdict::Retry),
];

pub(crate) fn build(
    operation: &Operation<'_>,
    account: &Account,
    now: UnixMs,
) -> Result<HttpRequest, Failure> {
    let (action, body) = match operation {
        Operation::Forbid { object, until } => {
            let mut body = named(object);
            if let Some(fields) = body.as_object_mut() {
                fields.insert("ResumeTime".into(), until.to_string().into());
            }
            ("ForbidLiveStream", body)
        }
        Operation::Resume(object) => ("ResumeLiveStream", named(object)),
        Operation::Kick(object) => ("DropLiveStream", named(object)),
        Operation::StreamState(object) | Operation::FindForbidden(object) => {
            ("DescribeLiveStreamState", named(object))
        }
        Operation::ListForbidden { page, .. } => {
            let page = page.within(1, 100);
            let body = json!({ "PageNum": u64::from(page.number) + 1, "PageSize": page.size });
            ("DescribeLiveForbidStreamList", body)
        }
        Operation::Online { site, page } => {
            let page = page.within(10, 300_000);
            let body = json!({
                "DomainName": site.publish_domain(),
                "AppName": site.rtmp_app(),
                "PageNum": u64::from(page.number) + 1,
                "PageSize": page.size,
            });
            ("DescribeLiveStreamOnlineList", body)
        }
        Operation::ChangeEnd { .. } => {
            return Err(Failure::unsupported(account.vendor, operation.kind()));
        }
    };
    let mut request = HttpRequest::new("POST", account, "/");
    request.body = body.to_string().into_bytes();
    sign(&mut request, action, account, now);
    Ok(request)
}

fn named(object: &VendorObject) -> Value {
    json!({
        "AppName": object.site().rtmp_app(),
        "DomainName": object.site().publish_domain(),
        "StreamName": object.stream().as_str(),
    })
}

fn sign(request: &mut HttpRequest, action: &str, account: &Account, now: UnixMs) {
    request.header("content-type", "application/json");
    request.header("x-tc-action", action);
    request.header("x-tc-version", VERSION);
    request.header("x-tc-timestamp", now.seconds().to_string());
    if let Some(region) = &account.region {
        request.header("x-tc-region", region.as_str());
    }
    if let Some(token) = &account.security_token {
        request.header("x-tc-token", token.expose());
    }
    let key = Key {
        id: &account.access_key_id,
        secret: account.secret.expose(),
    };
    let signed = tc3::sign(request.parts(), &tc3::SIGNED, key, now.seconds(), "live");
    request.header("authorization", signed.authorization);
}

pub(crate) fn read(reading: &Reading<'_>) -> Result<Answer<Reply>, Failure> {
    let body = json::object(&reading.response.body);
    let Some(inner) = body.as_ref().and_then(|body| body.get("Response")) else {
        return Err(reading.unreadable(None));
    };
    let request_id = json::text(inner, "RequestId");
    if let Some(error) = inner.get("Error").filter(|error| !error.is_null()) {
        let said = Said {
            code: json::text(error, "Code").unwrap_or_default(),
            words: json::text(error, "Message").unwrap_or_default(),
            request_id,
        };
        let verdict = look_up(CODES, &said.code).unwrap_or(match reading.response.status {
            200 => Verdict::Refused(Refusal::Other),
            status => Verdict::of_status(status),
        });
        return Err(reading.fail(said, verdict, None));
    }
    if reading.response.status != 200 || request_id.is_none() {
        return Err(reading.unreadable(request_id.as_deref()));
    }
    let said = Said {
        request_id,
        ..Said::default()
    };
    let value = match reading.operation {
        Operation::ListForbidden { page, .. } => {
            forbidden(inner, page.within(1, 100)).map(Reply::Forbidden)
        }
        Operation::Online { page, .. } => {
            online(inner, page.within(10, 300_000)).map(Reply::Online)
        }
        Operation::StreamState(_) => state(inner).map(Reply::State),
        Operation::FindForbidden(_) => state(inner).map(|state| {
            Reply::Standing(match state {
                StreamState::Forbidden => Standing::Forbidden { until: None },
                StreamState::Live | StreamState::Idle => Standing::Free,
            })
        }),
        _ => return Ok(reading.accepted(said)),
    };
    match value {
        Some(value) => Ok(reading.answer(said, value)),
        None => Err(reading.unreadable(said.request_id.as_deref())),
    }
}

fn more(inner: &Value, asked: Page, entries: usize) -> bool {
    let (pages, total) = (
        json::count(inner, "TotalPage"),
        json::count(inner, "TotalNum"),
    );
    json::more_pages(asked, entries, pages, total)
}

fn forbidden(inner: &Value, asked: Page) -> Option<ForbiddenPage> {
    let rows = json::list(inner, "ForbidStreamList")?;
    let entries: Vec<ForbiddenEntry> = rows
        .iter()
        .filter_map(|row| {
            Some(ForbiddenEntry {
                domain: None,
                app: None,
                stream: json::text(row, "StreamName")?,
                until: instant(row, "ExpireTime"),
            })
        })
        .collect();
    Some(ForbiddenPage {
        more: more(inner, asked, rows.len()),
        total: json::count(inner, "TotalNum"),
        entries,
    })
}

fn online(inner: &Value, asked: Page) -> Option<OnlinePage> {
    let rows = json::list(inner, "OnlineInfo")?;
    let entries: Vec<OnlineEntry> = rows
        .iter()
        .filter_map(|row| {
            let times = json::list(row, "PublishTimeList").unwrap_or_default();
            Some(OnlineEntry {
                domain: json::text(row, "DomainName"),
                app: json::text(row, "AppName")?,
                stream: json::text(row, "StreamName")?,
                since: times.iter().filter_map(|t| instant(t, "PublishTime")).max(),
            })
        })
        .collect();
    Some(OnlinePage {
        more: more(inner, asked, rows.len()),
        total: json::count(inner, "TotalNum"),
        entries,
    })
}

fn instant(row: &Value, key: &str) -> Option<UnixMs> {
    UnixMs::parse_utc(&json::text(row, key)?).ok()
}

fn state(inner: &Value) -> Option<StreamState> {
    match json::text(inner, "StreamState")?.as_str() {
        "active" => Some(StreamState::Live),
        "inactive" => Some(StreamState::Idle),
        "forbid" => Some(StreamState::Forbidden),
        _ => None,
    }
}

#[cfg(test)]
mod tests;

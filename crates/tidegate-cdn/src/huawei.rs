//! Huawei Cloud Live, API v1.
//!
//! Traps:
//! * The call must go to the region where the publish domain is kept, with that region's project
//!   id; a wrong pair answers as if the domain did not exist.
//! * A second ban of the same stream is expected to be refused as existing
//!   (`LIVE.103011018`); its end is then changed with PUT. [`crate::Adapter`] does so.
//! * The signed path ends with a slash, the sent one does not.
//! * The list of bans counts its pages from 0, the list of live streams counts entries.
//! * Success is 204 without a body, so the only request id is the gateway's header.

use serde_json::{Value, json};
use tidegate_core::UnixMs;

use crate::account::Account;
use crate::encode;
use crate::failure::{Failure, Refusal, Verdict, look_up};
use crate::json;
use crate::object::VendorObject;
use crate::operation::{
    Answer, ForbiddenEntry, ForbiddenPage, Kind, OnlineEntry, OnlinePage, Operation, Page, Reply,
    Standing, StreamState,
};
use crate::sign::{Key, sdk_hmac};
use crate::wire::{HttpRequest, Reading, Said};

/// The ban stands already.
const EXISTS: &str = "LIVE.103011018";
/// The domain is not known.
const NO_DOMAIN: &str = "LIVE.103011019";
/// The call does not go with the state of the stream or its ban.
const STATE: &str = "LIVE.103011022";

const CODES: &[(&str, Verdict)] = &[
    ("LIVE.100011001", Verdict::Refused(Refusal::Parameter)),
    ("LIVE.100011003", Verdict::Refused(Refusal::Permission)),
    ("LIVE.100011004", Verdict::Refused(Refusal::Endpoint)),
    ("LIVE.100011006", Verdict::Retry),
    ("LIVE.100011008", Verdict::Retry),
    ("LIVE.100011009", Verdict::Refused(Refusal::Account)),
    ("LIVE.100011011", Verdict::Refused(Refusal::Endpoint)),
    ("LIVE.100011012", Verdict::Refused(Refusal::Parameter)),
    ("LIVE.100011013", Verdict::Refused(Refusal::Account)),
    (EXISTS, Verdict::Refused(Refusal::Other)),
    (NO_DOMAIN, Verdict::Refused(Refusal::Domain)),
    ("LIVE.103011021", Verdict::Retry),
    (STATE, Verdict::Refused(Refusal::Other)),
    ("APIGW.0301", Verdict::Refused(Refusal::Credentials)),
    ("APIGW.0303", Verdict::Refused(Refusal::Clock)),
    ("APIGW.0308", Verdict::Throttled),
];

pub(crate) fn build(
    operation: &Operation<'_>,
    account: &Account,
    now: UnixMs,
) -> Result<HttpRequest, Failure> {
    let mut query = Vec::new();
    let mut body = None;
    let (method, path) = match operation {
        Operation::Forbid { object, until } => {
            body = Some(named(object, Some(*until)));
            ("POST", "stream/blocks")
        }
        Operation::ChangeEnd { object, until } => {
            body = Some(named(object, Some(*until)));
            ("PUT", "stream/blocks")
        }
        Operation::Resume(object) => {
            query = triple(object);
            ("DELETE", "stream/blocks")
        }
        Operation::Kick(object) => {
            body = Some(named(object, None));
            ("POST", "stream/block-once")
        }
        Operation::FindForbidden(object) => {
            query = triple(object);
            query.extend(pairs([("page", "0".into()), ("size", "100".into())]));
            ("GET", "stream/blocks")
        }
        Operation::ListForbidden { site, page } => {
            let page = page.within(1, 100);
            query = pairs([
                ("domain", site.publish_domain().into()),
                ("page", page.number.to_string()),
                ("size", page.size.to_string()),
            ]);
            ("GET", "stream/blocks")
        }
        Operation::StreamState(object) => {
            query = pairs([
                ("publish_domain", object.site().publish_domain().into()),
                ("app", object.site().rtmp_app().into()),
                ("stream", object.stream().as_str().into()),
                ("offset", "0".into()),
                ("limit", "100".into()),
            ]);
            ("GET", "realtime/streams")
        }
        Operation::Online { site, page } => {
            let page = page.within(1, 100);
            let offset = u64::from(page.number) * u64::from(page.size);
            query = pairs([
                ("publish_domain", site.publish_domain().into()),
                ("app", site.rtmp_app().into()),
                ("offset", offset.to_string()),
                ("limit", page.size.to_string()),
            ]);
            ("GET", "realtime/streams")
        }
    };
    let project = account.project_id.as_deref().unwrap_or_default();
    let mut request = HttpRequest::new(method, account, &format!("/v1/{project}/{path}"));
    request.body = body.map(|b| b.to_string().into_bytes()).unwrap_or_default();
    sign(&mut request, &query, account, now);
    Ok(request)
}

fn pairs<const N: usize>(pairs: [(&str, String); N]) -> Vec<(String, String)> {
    pairs.map(|(name, value)| (name.to_owned(), value)).into()
}

fn triple(object: &VendorObject) -> Vec<(String, String)> {
    pairs([
        ("domain", object.site().publish_domain().into()),
        ("app_name", object.site().rtmp_app().into()),
        ("stream_name", object.stream().as_str().into()),
    ])
}

fn named(object: &VendorObject, until: Option<UnixMs>) -> Value {
    let mut body = json!({
        "domain": object.site().publish_domain(),
        "app_name": object.site().rtmp_app(),
        "stream_name": object.stream().as_str(),
    });
    if let (Some(until), Some(fields)) = (until, body.as_object_mut()) {
        fields.insert("resume_time".into(), until.to_string().into());
    }
    body
}

fn sign(request: &mut HttpRequest, query: &[(String, String)], account: &Account, now: UnixMs) {
    let date: String = now
        .to_string()
        .chars()
        .filter(|c| !"-:".contains(*c))
        .collect();
    request.raw_query = encode::sorted_query(query);
    request.header("content-type", "application/json");
    request.header("x-sdk-date", date.as_str());
    if let Some(project) = &account.project_id {
        request.header("x-project-id", project.as_str());
    }
    if let Some(token) = &account.security_token {
        request.header("x-security-token", token.expose());
    }
    let key = Key {
        id: &account.access_key_id,
        secret: account.secret.expose(),
    };
    let signed: Vec<&str> = request.headers.iter().map(|(n, _)| n.as_str()).collect();
    let signed = sdk_hmac::sign(request.parts(), query, &signed, key, &date);
    request.header("authorization", signed.authorization);
}

pub(crate) fn read(reading: &Reading<'_>) -> Result<Answer<Reply>, Failure> {
    let response = reading.response;
    let header = response.header("x-request-id").map(str::to_owned);
    let body = json::object(&response.body);
    let own = body
        .as_ref()
        .and_then(|body| json::text(body, "request_id"));
    let request_id = own.or(header);
    if let Some(code) = body
        .as_ref()
        .and_then(|body| json::text(body, "error_code"))
    {
        let words = body.as_ref().and_then(|body| json::text(body, "error_msg"));
        let said = Said {
            code,
            words: words.unwrap_or_default(),
            request_id,
        };
        let verdict = verdict(&said.code, response.status);
        return Err(reading.fail(said, verdict, None));
    }
    if !(200..300).contains(&response.status) {
        return Err(reading.unreadable(request_id.as_deref()));
    }
    let said = Said {
        request_id,
        ..Said::default()
    };
    let value = match (reading.operation, &body) {
        (Operation::ListForbidden { page, .. }, Some(body)) => {
            forbidden(body, page.within(1, 100)).map(Reply::Forbidden)
        }
        (Operation::FindForbidden(object), Some(body)) => standing(body, object),
        (Operation::StreamState(object), Some(body)) => state(body, object),
        (Operation::Online { page, .. }, Some(body)) => {
            online(body, page.within(1, 100)).map(Reply::Online)
        }
        (operation, body) if is_change(operation.kind()) => {
            let empty = response.body.iter().all(u8::is_ascii_whitespace);
            if empty || body.is_some() {
                return Ok(reading.accepted(said));
            }
            None
        }
        _ => None,
    };
    match value {
        Some(value) => Ok(reading.answer(said, value)),
        None => Err(reading.unreadable(said.request_id.as_deref())),
    }
}

fn is_change(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Forbid | Kind::ChangeEnd | Kind::Resume | Kind::Kick
    )
}

/// The gateway writes its codes as `APIGW.` or `APIG.`, by region and age.
fn verdict(code: &str, status: u16) -> Verdict {
    let gateway = code
        .strip_prefix("APIG.")
        .map(|rest| format!("APIGW.{rest}"));
    let code = gateway.as_deref().unwrap_or(code);
    look_up(CODES, code).unwrap_or(match status {
        401 | 403 | 429 | 500..=599 => Verdict::of_status(status),
        _ => Verdict::Refused(Refusal::Other),
    })
}

/// Whether a ban is to be changed with PUT, since it stands already.
pub(crate) fn stands_already(failure: &Failure) -> bool {
    failure.code == EXISTS
}

/// Whether the refusal of a resume may mean that there is no ban; what it is really answered with
/// is not established, and the vendor's pages show `LIVE.100011001` for every failed call. The
/// gateway knows nothing of bans.
pub(crate) fn may_be_free(failure: &Failure) -> bool {
    failure.code.starts_with("LIVE.") && failure.is_unclear()
}

fn entries(body: &Value) -> Option<Vec<ForbiddenEntry>> {
    let rows = json::list(body, "blocks")?;
    let entry = |row: &Value| {
        let until = json::text(row, "resume_time");
        Some(ForbiddenEntry {
            domain: None,
            app: Some(json::text(row, "app_name")?),
            stream: json::text(row, "stream_name")?,
            until: until.and_then(|text| UnixMs::parse_utc(&text).ok()),
        })
    };
    Some(rows.iter().filter_map(entry).collect())
}

fn forbidden(body: &Value, page: Page) -> Option<ForbiddenPage> {
    let rows = json::list(body, "blocks")?.len();
    let total = json::count(body, "total");
    Some(ForbiddenPage {
        more: json::more_pages(page, rows, None, total),
        total,
        entries: entries(body)?,
    })
}

fn standing(body: &Value, object: &VendorObject) -> Option<Reply> {
    let found = entries(body)?.into_iter().find(|entry| entry.fits(object));
    Some(Reply::Standing(found.map_or(Standing::Free, |entry| {
        Standing::Forbidden { until: entry.until }
    })))
}

fn online(body: &Value, page: Page) -> Option<OnlinePage> {
    let rows = live(body)?;
    let entry = |row: &Value| {
        let since = json::text(row, "start_time");
        Some(OnlineEntry {
            domain: json::text(row, "publish_domain"),
            app: json::text(row, "app")?,
            stream: json::text(row, "stream")?,
            since: since.and_then(|text| UnixMs::parse_utc(&text).ok()),
        })
    };
    let entries: Vec<OnlineEntry> = rows.iter().filter_map(entry).collect();
    let total = json::count(body, "total_num");
    Some(OnlinePage {
        more: json::more_pages(page, rows.len(), None, total),
        total,
        entries,
    })
}

fn live(body: &Value) -> Option<&[Value]> {
    json::list(body, "streams")
}

fn state(body: &Value, object: &VendorObject) -> Option<Reply> {
    let live = live(body)?.iter().any(|row| {
        json::text(row, "app").as_deref() == Some(object.site().rtmp_app())
            && json::text(row, "stream").as_deref() == Some(object.stream().as_str())
    });
    Some(Reply::State(match live {
        true => StreamState::Live,
        false => StreamState::Idle,
    }))
}

#[cfg(test)]
mod tests;

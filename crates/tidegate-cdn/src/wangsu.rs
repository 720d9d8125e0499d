//! Wangsu, also sold as CDNetworks (`--endpoint https://api.cdnetworks.com`).
//!
//! Traps:
//! * Errors come with HTTP 200; only the code in the body tells. Which code means success is not
//!   documented for the commands, so `0`, `00` and `200` do, and the words are passed on.
//! * Success means queued, not done.
//! * 500 calls a day for ban, resume and stop together; 10 list calls in 5 minutes.
//! * A ban is cut to 30 days without a word; the end is sent as unix seconds because the 14-digit
//!   form is in a zone that no page names.
//! * The list of bans is one of records: it also has bans that have run out, bans of one viewer
//!   address, and several of the same stream.
//! * How a resume of what is not banned is answered is not documented, and each costs one of the 500;
//!   a refusal that may mean it is checked against the list ([`may_be_free`]).
//! * A timestamp may be signed once: see [`SecondGuard`].
//! * No stream state and no list of live streams.

use std::cmp::Reverse;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};
use tidegate_core::UnixMs;

use crate::account::Account;
use crate::failure::{ErrorClass, Failure, Quota, Refusal, Verdict, look_up};
use crate::json;
use crate::object::VendorObject;
use crate::operation::{Answer, ForbiddenEntry, ForbiddenPage, Operation, Reply, Standing};
use crate::sign::{Key, api_key, cnc};
use crate::vendor::AuthScheme;
use crate::wire::{HttpRequest, Reading, Said, http_date};

/// "Query failed"; the only code that may also stand for a command that found nothing to do.
const FAILED: &str = "417";
/// The last second that a time can name; larger numbers are no unix seconds.
const LAST_SECOND: i64 = 253_402_300_799;
const REQUEST_ID: &str = "x-cnc-request-id";

/// Codes of the list of bans. The commands' own are not published; the same are assumed.
const CODES: &[(&str, Verdict)] = &[
    ("1", Verdict::Refused(Refusal::Account)),
    ("6", Verdict::Refused(Refusal::Permission)),
    ("28", Verdict::Refused(Refusal::Domain)),
    ("403", Verdict::Refused(Refusal::Parameter)),
    ("411", Verdict::Refused(Refusal::Parameter)),
    (FAILED, Verdict::Retry),
];

/// What the words tell where the code is not known: a line fits when each of its groups has a
/// mark in them, and the first line that fits counts. A key may expire as well as a timestamp, and
/// a signature that was used before wants no more than another second.
const WORDS: &[(&[&[&str]], Verdict)] = &[
    (
        &[
            &[
                "signature",
                "timestamp",
                "request",
                "签名",
                "时间戳",
                "请求",
            ],
            &[
                "been used",
                "already used",
                "replay",
                "repeated",
                "重复",
                "已使用",
                "已被使用",
            ],
        ],
        Verdict::Retry,
    ),
    (
        &[&["timestamp", "时间戳"]],
        Verdict::Refused(Refusal::Clock),
    ),
    (
        &[
            &[
                "access key",
                "accesskey",
                "api key",
                "apikey",
                "password",
                "密钥",
                "密码",
            ],
            &["expired", "过期"],
        ],
        Verdict::Refused(Refusal::Credentials),
    ),
    (&[&["expired", "过期"]], Verdict::Refused(Refusal::Clock)),
    (
        &[&["too many", "frequen", "rate limit", "throttl", "频繁"]],
        Verdict::Throttled,
    ),
    (
        &[&["quota", "limit", "exceed", "上限", "次数", "超过", "超出"]],
        Verdict::Quota(Quota::Calls),
    ),
    (
        &[&[
            "signature",
            "access key",
            "accesskey",
            "authenticat",
            "签名",
            "认证",
            "鉴权",
        ]],
        Verdict::Refused(Refusal::Credentials),
    ),
    (
        &[&["permission", "denied", "not authorized", "权限"]],
        Verdict::Refused(Refusal::Permission),
    ),
    (
        &[&["domain", "channel", "域名", "频道"]],
        Verdict::Refused(Refusal::Domain),
    ),
    (
        &[&["busy", "try again", "internal", "timeout", "繁忙", "稍后"]],
        Verdict::Retry,
    ),
    (
        &[&["param", "invalid", "参数"]],
        Verdict::Refused(Refusal::Parameter),
    ),
];

pub(crate) fn build(
    operation: &Operation<'_>,
    account: &Account,
    now: UnixMs,
) -> Result<HttpRequest, Failure> {
    let (path, body) = match operation {
        Operation::Forbid { object, until } => {
            let body = json!({
                "liveUrl": live_url(object),
                "abstimeEnd": until.seconds().to_string(),
                "type": "publish",
            });
            ("/api/live/forbid", body)
        }
        Operation::Resume(object) => ("/api/live/resume", command(object)),
        Operation::Kick(object) => ("/api/live/stop", command(object)),
        Operation::ListForbidden { site, .. } => {
            let body = json!({ "channel": site.publish_domain() });
            ("/cm/stream/forbidQuery", body)
        }
        Operation::FindForbidden(object) => {
            let body = json!({
                "channel": object.site().publish_domain(),
                "url": live_url(object),
            });
            ("/cm/stream/forbidQuery", body)
        }
        Operation::ChangeEnd { .. } | Operation::StreamState(_) | Operation::Online { .. } => {
            return Err(Failure::unsupported(account.vendor, operation.kind()));
        }
    };
    let mut request = HttpRequest::new("POST", account, path);
    request.header("content-type", "application/json");
    request.header("accept", "application/json");
    request.body = body.to_string().into_bytes();
    sign(&mut request, account, now)?;
    Ok(request)
}

fn sign(request: &mut HttpRequest, account: &Account, now: UnixMs) -> Result<(), Failure> {
    let key = Key {
        id: &account.access_key_id,
        secret: account.secret.expose(),
    };
    if account.scheme == AuthScheme::ApiKey {
        let class = ErrorClass::Permanent(Refusal::Clock);
        let no_date = || Failure::ours(account.vendor, class, "this clock's year has no HTTP date");
        let date = http_date(now).ok_or_else(no_date)?;
        let signed = api_key::sign(key, &date);
        request.header("date", date);
        request.header("authorization", signed.authorization);
        return Ok(());
    }
    request.header("x-cnc-auth-method", "AKSK");
    request.header("x-cnc-accessKey", key.id);
    request.header("x-cnc-timestamp", now.seconds().to_string());
    let signed = cnc::sign(request.parts(), &cnc::SIGNED, key, now.seconds());
    request.header("authorization", signed.authorization);
    Ok(())
}

fn command(object: &VendorObject) -> Value {
    json!({ "liveUrl": live_url(object), "type": "publish" })
}

fn live_url(object: &VendorObject) -> String {
    let site = object.site();
    format!(
        "rtmp://{}/{}/{}",
        site.publish_domain(),
        site.rtmp_app(),
        object.stream()
    )
}

pub(crate) fn read(reading: &Reading<'_>) -> Result<Answer<Reply>, Failure> {
    let response = reading.response;
    let request_id = response.header(REQUEST_ID);
    let body = json::object(&response.body);
    let coded = body.and_then(|body| Some((json::text(&body, "code")?, body)));
    let Some((code, body)) = coded else {
        return Err(reading.unreadable(request_id));
    };
    let said = Said {
        words: json::text(&body, "message").unwrap_or_default(),
        request_id: request_id.map(str::to_owned),
        code,
    };
    let success = matches!(said.code.as_str(), "0" | "00" | "200");
    if !success || !(200..300).contains(&response.status) {
        let verdict = verdict(&said, response.status);
        return reading.verdict(said, verdict);
    }
    let value = match reading.operation {
        Operation::ListForbidden { .. } => entries(&body, reading.now).map(|entries| {
            let total = u64::try_from(entries.len()).ok();
            Reply::Forbidden(ForbiddenPage {
                entries,
                total,
                more: false,
            })
        }),
        Operation::FindForbidden(object) => entries(&body, reading.now).map(|entries| {
            let found = entries.into_iter().find(|entry| entry.fits(object));
            Reply::Standing(found.map_or(Standing::Free, |entry| Standing::Forbidden {
                until: entry.until,
            }))
        }),
        _ => return Ok(reading.accepted(said)),
    };
    match value {
        Some(value) => Ok(reading.answer(said, value)),
        None => Err(reading.unreadable(request_id)),
    }
}

fn verdict(said: &Said, status: u16) -> Verdict {
    if status >= 500 || status == 429 {
        return Verdict::of_status(status);
    }
    let words = said.words.to_lowercase();
    let code = said.code.to_lowercase();
    let by_words = || {
        let fits = |mark: &&str| words.contains(*mark) || code.contains(*mark);
        WORDS
            .iter()
            .find(|(groups, _)| groups.iter().all(|marks| marks.iter().any(fits)))
            .map(|(_, v)| *v)
    };
    let fallback = match status {
        200..=299 => Verdict::Refused(Refusal::Other),
        _ => Verdict::of_status(status),
    };
    look_up(CODES, &said.code)
        .or_else(by_words)
        .unwrap_or(fallback)
}

/// Whether the refusal of a resume may mean that there is no ban.
pub(crate) fn may_be_free(failure: &Failure) -> bool {
    failure.code == FAILED
}

/// The bans that stand at `now`, the longest first; none where the detail is missing or null, and
/// `None` where it is of a form that could hide a ban. The vendor's own sample spells `channel` as
/// `chanel` and writes times as numbers where its table says text.
fn entries(body: &Value, now: UnixMs) -> Option<Vec<ForbiddenEntry>> {
    let rows = match body.get("resultDetail") {
        None | Some(Value::Null) => &[],
        Some(Value::Array(rows)) => rows.as_slice(),
        Some(row @ Value::Object(_)) => std::slice::from_ref(row),
        Some(_) => return None,
    };
    let of_all = rows.iter().filter(|row| !bans_one_viewer(row));
    let mut entries: Vec<ForbiddenEntry> = of_all
        .filter_map(entry)
        .filter(|entry| entry.until.is_none_or(|until| until > now))
        .collect();
    entries.sort_by_key(|entry| Reverse(entry.until.unwrap_or(UnixMs(i64::MAX))));
    Some(entries)
}

fn bans_one_viewer(row: &Value) -> bool {
    match row.get("ip") {
        Some(Value::String(ip)) => !ip.trim().is_empty(),
        Some(Value::Array(ips)) => !ips.is_empty(),
        _ => false,
    }
}

fn entry(row: &Value) -> Option<ForbiddenEntry> {
    let url = json::text(row, "url")?;
    let bare = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
    let bare = bare.split('?').next().unwrap_or_default();
    let mut parts = bare.splitn(3, '/');
    let (domain, app, stream) = (parts.next()?, parts.next()?, parts.next()?);
    let channel = json::text(row, "channel").or_else(|| json::text(row, "chanel"));
    let domain = Some(domain.to_owned())
        .filter(|d| !d.is_empty())
        .or(channel);
    let until = json::number(row, "endTime").filter(|end| (1..=LAST_SECOND).contains(end));
    Some(ForbiddenEntry {
        domain,
        app: Some(app.to_owned()),
        stream: stream.to_owned(),
        until: until.map(UnixMs::from_seconds),
    })
}

/// Hands out each second once, because a timestamp that was signed before is refused for 5
/// minutes (and with account + apiKey nothing but the time is signed).
#[derive(Debug, Default)]
pub struct SecondGuard(AtomicI64);

impl SecondGuard {
    /// How far ahead of the clock a second may be handed out: far less than the 5 minutes that the
    /// vendor allows.
    const AHEAD: i64 = 30;

    /// No second is taken yet.
    pub const fn new() -> Self {
        Self(AtomicI64::new(i64::MIN))
    }

    /// When a call can be signed with the clock's own second.
    pub fn earliest_next(&self, now: UnixMs) -> UnixMs {
        let next = self.0.load(Ordering::Acquire).saturating_add(1);
        now.max(UnixMs::from_seconds(next))
    }

    /// Takes a second: the clock's own, or the next free one if that is at most 30 s ahead.
    ///
    /// # Errors
    /// The instant to come back at.
    pub fn take(&self, now: UnixMs) -> Result<UnixMs, UnixMs> {
        let clock = now.seconds();
        let next = |last: i64| {
            let free = clock.max(last.saturating_add(1));
            // A last second that lies far ahead is from before the clock was set back.
            let stale = last > clock.saturating_add(300);
            match stale {
                true => Some(clock),
                false => (free <= clock.saturating_add(Self::AHEAD)).then_some(free),
            }
        };
        match self.0.try_update(Ordering::AcqRel, Ordering::Acquire, next) {
            Ok(last) => Ok(UnixMs::from_seconds(next(last).unwrap_or(clock))),
            Err(last) => Err(UnixMs::from_seconds(last.saturating_sub(Self::AHEAD - 1))),
        }
    }
}

#[cfg(test)]
mod tests;

//! Wangsu: JSON commands, seconds, and errors with status 200.
//!
//! The vendor documents codes for `forbidQuery` only (0, 1, 6, 28, 403, 411, 417). Chosen here: the
//! three commands use the same numbers where they fit and `400` for a bad parameter; what the
//! gateway refuses (signature, key, clock, replay) is status 401; too many queries are status 429;
//! a spent day is status 200 with code `quotaExceeded`. Success is `00`.

use serde_json::json;
use tidegate_core::UnixMs;

use super::{Route, Scene};
use crate::bans::Side;
use crate::media::StreamName;
use crate::operation::Operation;
use crate::params::Params;
use crate::refusal::Refusal;
use crate::simulator::desk::Desk;
use crate::wire::{Reply, Request};

const DAY_S: i64 = 86_400;
const LONGEST_S: i64 = 30 * DAY_S;

pub(super) fn route(request: &Request, params: &Params) -> Route {
    let operation = match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/api/live/forbid") => Operation::Forbid,
        ("POST", "/api/live/resume") => Operation::Resume,
        ("POST", "/api/live/stop") => Operation::Kick,
        ("POST", "/cm/stream/forbidQuery") => Operation::List,
        _ => Operation::Unknown,
    };
    Route {
        operation,
        action: request.path.clone(),
        name: params.get("liveUrl").and_then(|url| split(url).ok()),
    }
}

/// Takes `rtmp://domain/app/stream` apart.
fn split(url: &str) -> Result<StreamName, Refusal> {
    let bad = Refusal::Bad("liveUrl");
    let known = ["http://", "https://", "rtmp"];
    let rest = url.split_once("://").map(|(_, rest)| rest);
    let (Some(rest), true) = (rest, known.iter().any(|start| url.starts_with(start))) else {
        return Err(bad);
    };
    let rest = rest.split('?').next().unwrap_or_default();
    let (host, path) = rest.split_once('/').ok_or(bad.clone())?;
    let (app, stream) = path.rsplit_once('/').ok_or(bad.clone())?;
    let host = host.split(':').next().unwrap_or_default();
    if url.chars().count() > 1000 || host.is_empty() || app.is_empty() || stream.is_empty() {
        return Err(bad);
    }
    Ok(StreamName::new(host, app, stream))
}

pub(super) fn perform(
    desk: &mut Desk<'_>,
    route: &Route,
    params: &Params,
) -> Result<Reply, Refusal> {
    if route.operation == Operation::List {
        return list(desk, params);
    }
    let name = split(params.required("liveUrl")?)?;
    let side = match params.get("type") {
        None | Some("publish") => Side::Publish,
        Some("play") => Side::Play,
        Some(_) => return Err(Refusal::Bad("type")),
    };
    desk.owns(&name.domain)?;
    match route.operation {
        Operation::Forbid => {
            let until = end(desk.now, params)?;
            desk.forbid(&name, side, until)?;
        }
        Operation::Resume => desk.resume(&name, side)?,
        _ => desk.kick(&name),
    }
    let body = json!({"code": "00", "message": "success append purge tasks"});
    Ok(Reply::json(200, &body).with_header("x-cnc-request-id", desk.request_id.to_owned()))
}

/// The end of a ban by the vendor's rules: `reltime` first, then `abstimeEnd`, then a day from
/// `abstimeStart`; cut to 30 days.
fn end(now: UnixMs, params: &Params) -> Result<UnixMs, Refusal> {
    let longest = now.seconds().saturating_add(LONGEST_S);
    let start = match params.get("abstimeStart") {
        Some(text) => instant(text)
            .ok_or(Refusal::BadEnd("abstimeStart"))?
            .max(now.seconds()),
        None => now.seconds(),
    };
    if start > longest {
        return Err(Refusal::BadEnd("abstimeStart"));
    }
    let seconds = if let Some(text) = params.get("reltime") {
        let length: i64 = text.parse().map_err(|_| Refusal::Bad("reltime"))?;
        let length = if length <= 0 { DAY_S } else { length };
        now.seconds().saturating_add(length)
    } else if let Some(text) = params.get("abstimeEnd") {
        instant(text)
            .filter(|end| *end > now.seconds())
            .ok_or(Refusal::BadEnd("abstimeEnd"))?
    } else {
        start.saturating_add(DAY_S)
    };
    Ok(UnixMs::from_seconds(seconds.min(longest)))
}

/// Ten digits are unix seconds; fourteen are a local time, taken as UTC+8.
fn instant(text: &str) -> Option<i64> {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    match text.len() {
        10 => text.parse().ok(),
        14 => {
            let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
            let utc = format!(
                "{}-{}-{}T{}:{}:{}Z",
                part(0..4),
                part(4..6),
                part(6..8),
                part(8..10),
                part(10..12),
                part(12..14)
            );
            let at = UnixMs::parse_utc(&utc).ok()?;
            Some(at.seconds() - 8 * 3600)
        }
        _ => None,
    }
}

fn list(desk: &mut Desk<'_>, params: &Params) -> Result<Reply, Refusal> {
    let channel = params.required("channel")?;
    desk.owns(channel)?;
    let only = params.get("url").map(split).transpose()?;
    let rows: Vec<_> = desk
        .list()
        .into_iter()
        .filter(|ban| ban.name.domain == channel)
        .filter(|ban| only.as_ref().is_none_or(|only| ban.name == *only))
        .map(|ban| {
            let StreamName {
                domain,
                app,
                stream,
            } = &ban.name;
            json!({
                "channel": channel,
                "url": format!("rtmp://{domain}/{app}/{stream}"),
                "startTime": ban.made_at.seconds(),
                "endTime": ban.until.seconds(),
                "ip": "",
            })
        })
        .collect();
    let body = json!({"code": "00", "message": "success", "resultDetail": rows});
    Ok(Reply::json(200, &body).with_header("x-cnc-request-id", desk.request_id.to_owned()))
}

pub(super) fn refuse(refusal: &Refusal, scene: &Scene<'_>) -> Reply {
    let said = |status: u16, code: &str, message: String| (status, code.to_owned(), message);
    let (status, code, message) = match refusal {
        Refusal::AuthMissing(what) => said(401, "401", format!("{what} is missing")),
        Refusal::AuthMalformed(what) => said(401, "401", format!("{what} is invalid")),
        Refusal::UnknownKey => said(401, "401", "the account or accessKey does not exist".into()),
        Refusal::WrongSignature(_) => said(401, "401", "the signature is incorrect".into()),
        Refusal::ExpiredKey | Refusal::WrongToken => {
            said(401, "401", "the accessKey has expired".into())
        }
        Refusal::ClockSkew => said(
            401,
            "401",
            "the timestamp differs from the server's by more than five minutes".into(),
        ),
        Refusal::Replay => said(401, "401", "the signature has been used".into()),
        Refusal::NoPermission => said(200, "6", "the account has no right to ban".into()),
        Refusal::UnknownOperation(path) => said(404, "404", format!("no such API: {path}")),
        Refusal::Unreadable => said(200, "403", "the request body cannot be parsed".into()),
        Refusal::Missing("channel") => said(200, "411", "channel is required".into()),
        Refusal::Missing(what) => said(200, "400", format!("{what} is required")),
        Refusal::Bad(what) | Refusal::BadEnd(what) => {
            said(200, "400", format!("{what} is invalid"))
        }
        Refusal::UnknownDomain(domain) => said(
            200,
            "28",
            format!("{domain} does not belong to the account"),
        ),
        Refusal::Throttled(_) => said(429, "429", "too many requests".into()),
        Refusal::QuotaSpent => said(
            200,
            "quotaExceeded",
            "the number of calls exceeds the daily limit".into(),
        ),
        Refusal::ListFull => said(200, "417", "too many banned streams".into()),
        Refusal::AlreadyForbidden => said(200, "417", "the stream is already banned".into()),
        Refusal::NotForbidden => said(200, "417", "the stream is not banned".into()),
        Refusal::Broken(status) => said(*status, "417", "operation failed".into()),
    };
    let mut reply = Reply::json(status, &json!({"code": code, "message": message}))
        .with_code(&code)
        .with_header("x-cnc-request-id", scene.request_id.to_owned());
    if let Refusal::Throttled(Some(seconds)) = refusal {
        reply = reply.with_header("retry-after", seconds.to_string());
    }
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs(1_772_698_150_000);

    fn ends(pairs: &str) -> Option<i64> {
        let at = end(NOW, &Params::from_pairs(pairs)).ok()?;
        Some(at.seconds() - NOW.seconds())
    }

    #[test]
    fn ends_follow_the_vendors_rules() {
        assert_eq!(ends(""), Some(DAY_S));
        assert_eq!(ends("reltime=60"), Some(60));
        assert_eq!(ends("reltime=0"), Some(DAY_S));
        assert_eq!(ends("reltime=-5"), Some(DAY_S));
        assert_eq!(ends("reltime=9999999"), Some(LONGEST_S));
        assert_eq!(ends("reltime=60&abstimeEnd=1772784550"), Some(60));
        assert_eq!(ends("abstimeEnd=1772784550"), Some(DAY_S));
        assert_eq!(ends("abstimeEnd=20260306160910"), Some(DAY_S));
        assert_eq!(ends("abstimeEnd=1999999999"), Some(LONGEST_S));
        assert_eq!(ends("abstimeEnd=1772698149"), None);
        assert_eq!(ends("abstimeStart=1772698250"), Some(DAY_S + 100));
        assert_eq!(ends("abstimeStart=1999999999"), None);
        assert_eq!(ends("abstimeEnd=soon"), None);
    }

    #[test]
    fn urls_are_taken_apart_without_their_query() {
        let name = split("rtmp://push.example.com:1935/live/a/b?k=v").expect("a URL");
        assert_eq!(name, StreamName::new("push.example.com", "live/a", "b"));
        for bad in ["", "push.example.com/live/a", "ftp://x/y/z", "rtmp://x/y"] {
            assert!(split(bad).is_err(), "{bad}");
        }
    }
}

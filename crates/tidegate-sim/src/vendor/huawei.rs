//! Huawei Cloud Live: REST paths with a project, 204 on success, `error_code` on failure.
//!
//! Chosen where the vendor is silent: a second POST is refused with `LIVE.103011018` (or moves the
//! end, by configuration); a PUT of nothing and, if configured, a DELETE of nothing are
//! `LIVE.103011022`; an end beyond 90 days is a bad parameter.

use serde_json::{Value, json};
use tidegate_core::UnixMs;

use super::{Route, Scene, page};
use crate::bans::Side;
use crate::media::StreamName;
use crate::operation::Operation;
use crate::params::Params;
use crate::refusal::Refusal;
use crate::simulator::desk::Desk;
use crate::wire::{Reply, Request};

const DEFAULT_S: i64 = 7 * 86_400;
const LONGEST_S: i64 = 90 * 86_400;

pub(super) fn route(request: &Request, params: &Params) -> Route {
    let rest = request
        .path
        .strip_prefix("/v1/")
        .and_then(|rest| rest.split_once('/'))
        .map(|(_, rest)| rest)
        .unwrap_or_default();
    let operation = match (request.method.as_str(), rest) {
        ("POST", "stream/blocks") => Operation::Forbid,
        ("PUT", "stream/blocks") => Operation::Change,
        ("DELETE", "stream/blocks") => Operation::Resume,
        ("GET", "stream/blocks") => Operation::List,
        ("POST", "stream/block-once") => Operation::Kick,
        ("GET", "realtime/streams") => Operation::Online,
        _ => Operation::Unknown,
    };
    Route {
        operation,
        action: format!("{} {rest}", request.method),
        name: name(params).ok(),
    }
}

fn name(params: &Params) -> Result<StreamName, Refusal> {
    let part = |name: &'static str, longest: usize| {
        let value = params.required(name)?;
        if value.chars().count() > longest || value == "*" {
            return Err(Refusal::Bad(name));
        }
        Ok(value)
    };
    Ok(StreamName::new(
        part("domain", 255)?,
        part("app_name", 128)?,
        part("stream_name", 512)?,
    ))
}

pub(super) fn perform(
    desk: &mut Desk<'_>,
    route: &Route,
    request: &Request,
    params: &Params,
) -> Result<Reply, Refusal> {
    let project = request.path.split('/').nth(2);
    let own = desk.account.project_id.as_deref();
    if own.is_some() && own != project {
        return Err(Refusal::NoPermission);
    }
    match route.operation {
        Operation::List => return list(desk, params),
        Operation::Online => return online(desk, params),
        _ => {}
    }
    let name = name(params)?;
    desk.owns(&name.domain)?;
    match route.operation {
        Operation::Forbid => {
            let until = end(desk.now, params)?;
            desk.forbid(&name, Side::Publish, until)?;
        }
        Operation::Change => {
            let until = end(desk.now, params)?;
            desk.change(&name, Side::Publish, until)?;
        }
        Operation::Resume => desk.resume(&name, Side::Publish)?,
        _ => desk.kick(&name),
    }
    Ok(Reply::empty(204).with_header("x-request-id", desk.request_id.to_owned()))
}

fn end(now: UnixMs, params: &Params) -> Result<UnixMs, Refusal> {
    let from_now = |s: i64| UnixMs::from_seconds(now.seconds().saturating_add(s));
    let until = params
        .future("resume_time", now)?
        .unwrap_or(from_now(DEFAULT_S));
    if until > from_now(LONGEST_S) {
        return Err(Refusal::BadEnd("resume_time"));
    }
    Ok(until)
}

fn list(desk: &mut Desk<'_>, params: &Params) -> Result<Reply, Refusal> {
    let domain = params.required("domain")?;
    desk.owns(domain)?;
    let number = params.number("page", 0, 0..=usize::MAX)?;
    let size = params.number("size", 10, 1..=100)?;
    let fits = |value: &str, name: &str| params.get(name).is_none_or(|wanted| value == wanted);
    let rows: Vec<Value> = desk
        .list()
        .into_iter()
        .filter(|ban| ban.name.domain == domain)
        .filter(|ban| fits(&ban.name.app, "app_name"))
        .filter(|ban| fits(&ban.name.stream, "stream_name"))
        .map(|ban| {
            json!({
                "app_name": ban.name.app,
                "stream_name": ban.name.stream,
                "resume_time": ban.until.to_string(),
            })
        })
        .collect();
    let total = rows.len();
    let (rows, _) = page(rows, number.saturating_add(1), size);
    let body = json!({"total": total, "blocks": rows});
    Ok(Reply::json(200, &body).with_header("x-request-id", desk.request_id.to_owned()))
}

fn online(desk: &Desk<'_>, params: &Params) -> Result<Reply, Refusal> {
    let offset = params.number("offset", 0, 0..=usize::MAX)?;
    let limit = params.number("limit", 10, 1..=100)?;
    if params.get("stream").is_some() {
        params.required("app")?;
    }
    if let Some(domain) = params.get("publish_domain") {
        desk.owns(domain)?;
    }
    let fits = |value: &str, name: &str| params.get(name).is_none_or(|wanted| value == wanted);
    let rows: Vec<Value> = desk
        .online
        .iter()
        .filter(|online| desk.owns(&online.name.domain).is_ok())
        .filter(|online| fits(&online.name.domain, "publish_domain"))
        .filter(|online| fits(&online.name.app, "app"))
        .filter(|online| fits(&online.name.stream, "stream"))
        .map(|online| {
            json!({
                "publish_domain": online.name.domain,
                "app": online.name.app,
                "stream": online.name.stream,
                "video_codec": "H264",
                "audio_codec": "AAC",
                "video_frame_rate": 25,
                "audio_frame_rate": 43,
                "video_bitrate": 2500,
                "audio_bitrate": 128,
                "resolution": "1280*720",
                "client_ip": online.client_ip,
                "start_time": online.since.to_string(),
            })
        })
        .collect();
    let body = json!({
        "total_num": rows.len(),
        "total_page": rows.len().div_ceil(limit),
        "offset": offset,
        "limit": limit,
        "request_id": desk.request_id,
        "streams": rows.into_iter().skip(offset).take(limit).collect::<Vec<_>>(),
    });
    Ok(Reply::json(200, &body).with_header("x-request-id", desk.request_id.to_owned()))
}

pub(super) fn refuse(refusal: &Refusal, scene: &Scene<'_>) -> Reply {
    let (status, code, message) = words(refusal);
    let mut body = json!({"error_code": code, "error_msg": message});
    if code.starts_with("APIGW.")
        && let Some(fields) = body.as_object_mut()
    {
        fields.insert("request_id".into(), json!(scene.request_id));
    }
    let reply = Reply::json(status, &body)
        .with_code(code)
        .with_header("x-request-id", scene.request_id.to_owned());
    match refusal {
        Refusal::Throttled(Some(seconds)) => reply.with_header("retry-after", seconds.to_string()),
        _ => reply,
    }
}

fn words(refusal: &Refusal) -> (u16, &'static str, String) {
    const IAM: &str = "Incorrect IAM authentication information";
    match refusal {
        Refusal::AuthMissing(name) => (401, "APIGW.0301", format!("{IAM}: {name} not found")),
        Refusal::AuthMalformed(name) => (401, "APIGW.0301", format!("{IAM}: {name} is invalid")),
        Refusal::UnknownKey => (
            401,
            "APIGW.0301",
            format!("{IAM}: AK access failed: not found"),
        ),
        Refusal::ExpiredKey => (
            401,
            "APIGW.0301",
            format!("{IAM}: AK access failed: expired"),
        ),
        Refusal::WrongToken => (
            401,
            "APIGW.0301",
            format!("{IAM}: security token not match"),
        ),
        Refusal::WrongSignature(_) => (
            401,
            "APIGW.0301",
            format!("{IAM}: verify aksk signature fail"),
        ),
        Refusal::ClockSkew | Refusal::Replay => (
            401,
            "APIGW.0303",
            "Incorrect app authentication information: signature expired".into(),
        ),
        Refusal::NoPermission => (401, "LIVE.100011003", "No permission".into()),
        Refusal::UnknownOperation(action) => (
            404,
            "LIVE.100011011",
            format!("Unsupported request: {action}"),
        ),
        Refusal::Unreadable => (400, "LIVE.100011001", "The body is no JSON object".into()),
        Refusal::Missing(name) => (400, "LIVE.100011001", format!("{name} is required")),
        Refusal::Bad(name) | Refusal::BadEnd(name) => {
            (400, "LIVE.100011001", format!("{name} is invalid"))
        }
        Refusal::UnknownDomain(domain) => (
            404,
            "LIVE.103011019",
            format!("Domain {domain} does not exist"),
        ),
        Refusal::Throttled(_) | Refusal::QuotaSpent => (
            429,
            "APIGW.0308",
            "The throttling threshold has been reached: policy user over ratelimit".into(),
        ),
        Refusal::ListFull => (400, "LIVE.103011022", "Too many blocked streams".into()),
        Refusal::AlreadyForbidden => (400, "LIVE.103011018", "Resource already exists".into()),
        Refusal::NotForbidden => (400, "LIVE.103011022", "The stream is not blocked".into()),
        Refusal::Broken(status) => (*status, "LIVE.103011021", "Database exception".into()),
    }
}

//! Tencent Cloud CSS: one path, actions, every answer with status 200.
//!
//! Chosen where the vendor is silent: an end beyond 90 days is cut to 90, as its older call did; a
//! domain that the account does not have is `InternalError.ConfigNotExist`; a resume of nothing, if
//! configured to be refused, is `InternalError.StreamStatusError`.

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
const VERSION: &str = "2018-08-01";

pub(super) fn route(request: &Request, params: &Params) -> Route {
    let action = request.header("x-tc-action").unwrap_or_default().to_owned();
    let known = request.path == "/"
        && matches!(request.method.as_str(), "GET" | "POST")
        && request.header("x-tc-version") == Some(VERSION);
    let operation = match action.as_str() {
        _ if !known => Operation::Unknown,
        "ForbidLiveStream" => Operation::Forbid,
        "ResumeLiveStream" => Operation::Resume,
        "DropLiveStream" => Operation::Kick,
        "DescribeLiveForbidStreamList" => Operation::List,
        "DescribeLiveStreamState" => Operation::State,
        "DescribeLiveStreamOnlineList" => Operation::Online,
        _ => Operation::Unknown,
    };
    Route {
        operation,
        action,
        name: name(params).ok(),
    }
}

fn name(params: &Params) -> Result<StreamName, Refusal> {
    let app = params.required("AppName")?;
    let domain = params.required("DomainName")?;
    Ok(StreamName::new(domain, app, params.required("StreamName")?))
}

pub(super) fn perform(
    desk: &mut Desk<'_>,
    route: &Route,
    params: &Params,
) -> Result<Reply, Refusal> {
    match route.operation {
        Operation::List => return list(desk, params),
        Operation::Online => return online(desk, params),
        _ => {}
    }
    let name = name(params)?;
    desk.owns(&name.domain)?;
    match route.operation {
        Operation::Forbid => {
            if params.get("Reason").is_some_and(|why| why.len() > 2048) {
                return Err(Refusal::Bad("Reason"));
            }
            let asked = params.future("ResumeTime", desk.now)?;
            let from_now = |s: i64| UnixMs::from_seconds(desk.now.seconds().saturating_add(s));
            let until = asked
                .unwrap_or(from_now(DEFAULT_S))
                .min(from_now(LONGEST_S));
            desk.forbid(&name, Side::Publish, until)?;
        }
        Operation::Resume => desk.resume(&name, Side::Publish)?,
        Operation::State => {
            let live = desk.online.iter().any(|online| online.name == name);
            let state = match (desk.is_forbidden(&name), live) {
                (true, _) => "forbid",
                (false, true) => "active",
                (false, false) => "inactive",
            };
            return Ok(response(desk, json!({"StreamState": state})));
        }
        _ => desk.kick(&name),
    }
    Ok(response(desk, json!({})))
}

fn response(desk: &Desk<'_>, mut fields: Value) -> Reply {
    if let Some(fields) = fields.as_object_mut() {
        fields.insert("RequestId".into(), json!(desk.request_id));
    }
    Reply::json(200, &json!({"Response": fields}))
}

fn list(desk: &mut Desk<'_>, params: &Params) -> Result<Reply, Refusal> {
    let number = params.number("PageNum", 1, 1..=usize::MAX)?;
    let size = params.number("PageSize", 10, 1..=100)?;
    let rows: Vec<Value> = desk
        .list()
        .into_iter()
        .filter(|ban| {
            params
                .get("StreamName")
                .is_none_or(|wanted| ban.name.stream == wanted)
        })
        .map(|ban| {
            json!({
                "StreamName": ban.name.stream,
                "CreateTime": ban.made_at.to_string(),
                "ExpireTime": ban.until.to_string(),
            })
        })
        .collect();
    let total = rows.len();
    let (rows, pages) = page(rows, number, size);
    let fields = json!({
        "TotalNum": total,
        "TotalPage": pages,
        "PageNum": number,
        "PageSize": size,
        "ForbidStreamList": rows,
    });
    Ok(response(desk, fields))
}

fn online(desk: &Desk<'_>, params: &Params) -> Result<Reply, Refusal> {
    let number = params.number("PageNum", 1, 1..=usize::MAX)?;
    let size = params.number("PageSize", 10, 10..=300_000)?;
    if let Some(domain) = params.get("DomainName") {
        desk.owns(domain)?;
    }
    let fits = |value: &str, name: &str| params.get(name).is_none_or(|wanted| value == wanted);
    let rows: Vec<Value> = desk
        .online
        .iter()
        .filter(|online| desk.owns(&online.name.domain).is_ok())
        .filter(|online| fits(&online.name.domain, "DomainName"))
        .filter(|online| fits(&online.name.app, "AppName"))
        .filter(|online| fits(&online.name.stream, "StreamName"))
        .map(|online| {
            json!({
                "StreamName": online.name.stream,
                "AppName": online.name.app,
                "DomainName": online.name.domain,
                "PublishTimeList": [{"PublishTime": online.since.to_string()}],
                "PushToDelay": 0,
            })
        })
        .collect();
    let total = rows.len();
    let (rows, pages) = page(rows, number, size);
    let fields = json!({
        "TotalNum": total,
        "TotalPage": pages,
        "PageNum": number,
        "PageSize": size,
        "OnlineInfo": rows,
    });
    Ok(response(desk, fields))
}

pub(super) fn refuse(refusal: &Refusal, scene: &Scene<'_>) -> Reply {
    let (code, message) = words(refusal);
    let body = json!({"Response": {
        "Error": {"Code": code, "Message": message},
        "RequestId": scene.request_id,
    }});
    let status = match refusal {
        Refusal::Broken(status) => *status,
        _ => 200,
    };
    Reply::json(status, &body).with_code(code)
}

fn words(refusal: &Refusal) -> (&'static str, String) {
    match refusal {
        Refusal::AuthMissing(name) => (
            "MissingParameter",
            format!("The request is missing a required parameter `{name}`."),
        ),
        Refusal::AuthMalformed(name) => (
            "AuthFailure.SignatureFailure",
            format!("The provided credentials could not be validated: `{name}` is invalid."),
        ),
        Refusal::UnknownKey | Refusal::ExpiredKey => (
            "AuthFailure.SecretIdNotFound",
            "The SecretId is not found, please ensure that your SecretId is correct.".into(),
        ),
        Refusal::WrongSignature(_) => (
            "AuthFailure.SignatureFailure",
            "The provided credentials could not be validated. Please check your signature is \
             correct."
                .into(),
        ),
        Refusal::WrongToken => (
            "AuthFailure.TokenFailure",
            "The provided token is invalid.".into(),
        ),
        Refusal::ClockSkew | Refusal::Replay => (
            "AuthFailure.SignatureExpire",
            "The provided credentials have expired: the timestamp is more than five minutes off."
                .into(),
        ),
        Refusal::NoPermission => (
            "AuthFailure.UnauthorizedOperation",
            "You are not authorized to perform this operation.".into(),
        ),
        Refusal::UnknownOperation(action) => (
            "InvalidAction",
            format!("The request action={action} is invalid or not found."),
        ),
        Refusal::Unreadable => ("InvalidParameter", "The body is no JSON object.".into()),
        Refusal::Missing(name) => (
            "MissingParameter",
            format!("The request is missing a required parameter `{name}`."),
        ),
        Refusal::Bad(name) | Refusal::BadEnd(name) => (
            "InvalidParameterValue",
            format!("The value of the parameter `{name}` is invalid."),
        ),
        Refusal::UnknownDomain(domain) => (
            "InternalError.ConfigNotExist",
            format!("The configuration of {domain} does not exist."),
        ),
        Refusal::Throttled(_) => (
            "RequestLimitExceeded",
            "Your current request times exceed the limit per second. Please retry later.".into(),
        ),
        Refusal::QuotaSpent | Refusal::ListFull => {
            ("LimitExceeded", "The quota limit has been exceeded.".into())
        }
        Refusal::AlreadyForbidden | Refusal::NotForbidden => (
            "InternalError.StreamStatusError",
            "The status of the stream is abnormal.".into(),
        ),
        Refusal::Broken(_) => ("InternalError", "An internal error has occurred.".into()),
    }
}

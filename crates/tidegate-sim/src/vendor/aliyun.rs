//! Alibaba Cloud Live: one path, actions, HTTP errors with `Code` and `Message`.
//!
//! Chosen where the vendor is silent: a ban of a banned stream is `ConfigAlreadyExists` (or moves
//! the end, by configuration); lists are asked by the playback domain and refuse an ingest domain
//! that has another one; `x-acs-retry-after` is in milliseconds, which is how long the vendor's own
//! client sleeps for it.

use serde_json::{Value, json};
use tidegate_core::UnixMs;

use super::{Route, Scene, page};
use crate::bans::Side;
use crate::config::Domain;
use crate::media::{Online, StreamName};
use crate::operation::Operation;
use crate::params::Params;
use crate::refusal::Refusal;
use crate::simulator::desk::Desk;
use crate::wire::{Reply, Request};

/// Six months of default ban; the vendor does not say how it counts them.
const DEFAULT_S: i64 = 180 * 86_400;
const VERSION: &str = "2016-11-01";

pub(super) fn read_params(request: &Request) -> Params {
    let mut params = Params::from_pairs(&request.raw_query);
    let form = request
        .header("content-type")
        .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    if form {
        let body = std::str::from_utf8(&request.body).unwrap_or_default();
        params.extend(Params::from_pairs(body));
    }
    params
}

pub(super) fn route(request: &Request, params: &Params) -> Route {
    let said = |header: &str, name: &str| {
        let value = request.header(header).or_else(|| params.get(name));
        value.unwrap_or_default().to_owned()
    };
    let action = said("x-acs-action", "Action");
    let known = request.path == "/" && said("x-acs-version", "Version") == VERSION;
    let once = params.get("Oneshot") == Some("yes");
    let operation = match action.as_str() {
        _ if !known => Operation::Unknown,
        "ForbidLiveStream" if once => Operation::Kick,
        "ForbidLiveStream" => Operation::Forbid,
        "ResumeLiveStream" => Operation::Resume,
        "DescribeLiveStreamsBlockList" => Operation::List,
        "DescribeLiveStreamState" => Operation::State,
        "DescribeLiveStreamsOnlineList" => Operation::Online,
        _ => Operation::Unknown,
    };
    Route {
        operation,
        action,
        name: name(params).ok(),
    }
}

fn name(params: &Params) -> Result<StreamName, Refusal> {
    let domain = params.required("DomainName")?;
    let app = params.required("AppName")?;
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
        Operation::State => return state(desk, params),
        _ => {}
    }
    let name = name(params)?;
    if params.required("LiveStreamType")? != "publisher" {
        return Err(Refusal::Bad("LiveStreamType"));
    }
    desk.owns(&name.domain)?;
    match route.operation {
        Operation::Forbid => {
            if !matches!(params.get("Oneshot"), None | Some("no")) {
                return Err(Refusal::Bad("Oneshot"));
            }
            let asked = params.future("ResumeTime", desk.now)?;
            let default = UnixMs::from_seconds(desk.now.seconds().saturating_add(DEFAULT_S));
            desk.forbid(&name, Side::Publish, asked.unwrap_or(default))?;
        }
        Operation::Resume if name.app == "*" => desk.resume_any_app(&name)?,
        Operation::Resume => desk.resume(&name, Side::Publish)?,
        _ => desk.kick(&name),
    }
    Ok(Reply::json(200, &json!({"RequestId": desk.request_id})))
}

fn list(desk: &mut Desk<'_>, params: &Params) -> Result<Reply, Refusal> {
    let played = params.required("DomainName")?.to_owned();
    let ingest = desk.ingest_of(&played)?;
    let number = params.number("PageNum", 1, 1..=usize::MAX)?;
    let size = params.number("PageSize", 2000, 1..=3000)?;
    let rows: Vec<String> = desk
        .list()
        .into_iter()
        .map(|ban| ban.name)
        .filter(|name| name.domain == ingest)
        .map(|name| format!("{}/{}/{}", name.domain, name.app, name.stream))
        .collect();
    let total = rows.len();
    let (rows, pages) = page(rows, number, size);
    let body = json!({
        "DomainName": played,
        "PageNum": number,
        "PageSize": size,
        "TotalNum": total,
        "TotalPage": pages,
        "RequestId": desk.request_id,
        "StreamUrls": {"StreamUrl": rows},
    });
    Ok(Reply::json(200, &body))
}

fn state(desk: &Desk<'_>, params: &Params) -> Result<Reply, Refusal> {
    let mut name = name(params)?;
    if desk.owns(&name.domain).is_err() {
        name.domain = desk.ingest_of(&name.domain)?;
    }
    let live = desk.online.iter().any(|online| online.name == name);
    let body = json!({
        "RequestId": desk.request_id,
        "StreamState": if live { "online" } else { "offline" },
        "Type": "push",
    });
    Ok(Reply::json(200, &body))
}

fn online(desk: &Desk<'_>, params: &Params) -> Result<Reply, Refusal> {
    let played = params.required("DomainName")?;
    let ingest = desk.ingest_of(played)?;
    let number = params.number("PageNum", 1, 1..=usize::MAX)?;
    let size = params.number("PageSize", 2000, 1..=3000)?;
    let strict = match params.get("QueryType") {
        Some("strict") => true,
        None | Some("fuzzy") => false,
        Some(_) => return Err(Refusal::Bad("QueryType")),
    };
    let fits = |value: &str, wanted: Option<&str>| {
        wanted.is_none_or(|w| {
            if strict {
                value == w
            } else {
                value.contains(w)
            }
        })
    };
    let rows: Vec<Value> = desk
        .online
        .iter()
        .filter(|online| online.name.domain == ingest)
        .filter(|online| fits(&online.name.app, params.get("AppName")))
        .filter(|online| fits(&online.name.stream, params.get("StreamName")))
        .map(|online| row(online, played))
        .collect();
    let total = rows.len();
    let (rows, pages) = page(rows, number, size);
    let body = json!({
        "PageNum": number,
        "PageSize": size,
        "TotalNum": total,
        "TotalPage": pages,
        "RequestId": desk.request_id,
        "OnlineInfo": {"LiveStreamOnlineInfo": rows},
    });
    Ok(Reply::json(200, &body))
}

fn row(online: &Online, played: &str) -> Value {
    let StreamName {
        domain,
        app,
        stream,
    } = &online.name;
    json!({
        "DomainName": played,
        "AppName": app,
        "StreamName": stream,
        "PublishTime": online.since.to_string(),
        "PublishUrl": format!("rtmp://{domain}/{app}/{stream}"),
        "PublishDomain": domain,
        "PublishType": "edge",
        "ClientIp": online.client_ip,
        "ServerIp": "192.0.2.1",
        "Transcoded": "no",
        "TranscodeId": "",
        "TranscodeDrm": "no",
        "FrameRate": 0,
        "VideoCodecId": 7,
        "AudioCodecId": 10,
        "Width": 0,
        "Height": 0,
    })
}

impl Desk<'_> {
    /// The ingest domain behind a playback domain.
    fn ingest_of(&self, played: &str) -> Result<String, Refusal> {
        let mut mine = self
            .config
            .domains
            .iter()
            .filter(|domain| domain.owned_by(&self.account.name));
        mine.find(|domain: &&Domain| domain.play_name() == played)
            .map(|domain| domain.publish.clone())
            .ok_or_else(|| Refusal::UnknownDomain(played.to_owned()))
    }
}

pub(super) fn refuse(refusal: &Refusal, scene: &Scene<'_>) -> Reply {
    let (status, code, message) = words(refusal);
    let body = json!({
        "RequestId": scene.request_id,
        "HostId": scene.host,
        "Code": code,
        "Message": message,
        "Recommend": format!("https://api.aliyun.com/troubleshoot?q={code}"),
    });
    let reply = Reply::json(status, &body).with_code(&code);
    match refusal {
        Refusal::Throttled(Some(seconds)) => {
            let ms = u64::from(*seconds) * 1000;
            reply.with_header("x-acs-retry-after", ms.to_string())
        }
        _ => reply,
    }
}

fn words(refusal: &Refusal) -> (u16, String, String) {
    let said =
        |status: u16, code: &str, message: &str| (status, code.to_owned(), message.to_owned());
    match refusal {
        Refusal::AuthMissing(name) | Refusal::Missing(name) => (
            400,
            format!("Missing{name}"),
            format!("{name} is mandatory for this action."),
        ),
        Refusal::AuthMalformed("Timestamp") => said(
            400,
            "InvalidTimeStamp.Format",
            "Specified time stamp or date value is not well formatted.",
        ),
        Refusal::AuthMalformed(name) => (
            400,
            "InvalidParameter".into(),
            format!("The specified {name} is not valid."),
        ),
        Refusal::UnknownKey => said(
            404,
            "InvalidAccessKeyId.NotFound",
            "Specified access key is not found.",
        ),
        Refusal::ExpiredKey => said(
            400,
            "InvalidAccessKeyId.Inactive",
            "Specified access key is disabled.",
        ),
        Refusal::WrongToken => said(
            400,
            "InvalidSecurityToken.MismatchWithAccessKey",
            "Specified SecurityToken mismatch with the AccessKey.",
        ),
        Refusal::WrongSignature(signed) => (
            400,
            "SignatureDoesNotMatch".into(),
            format!(
                "Specified signature is not matched with our calculation. \
                 server string to sign is:{signed}"
            ),
        ),
        Refusal::ClockSkew => said(
            400,
            "InvalidTimeStamp.Expired",
            "Specified time stamp or date value is expired.",
        ),
        Refusal::Replay => said(
            400,
            "SignatureNonceUsed",
            "Specified signature nonce was used already.",
        ),
        Refusal::NoPermission => said(401, "Forbidden", "User not authorized to operate."),
        Refusal::UnknownOperation(_) => said(
            404,
            "InvalidAction.NotFound",
            "Specified api is not found, please check your url and method.",
        ),
        Refusal::Unreadable => said(400, "InvalidParameter", "The request cannot be read."),
        Refusal::Bad(name) => (
            400,
            "InvalidParameter".into(),
            format!("The specified parameter {name} is not valid."),
        ),
        Refusal::BadEnd(_) => said(
            400,
            "InvalidResumeTime.Malformed",
            "The specified ResumeTime is malformed.",
        ),
        Refusal::UnknownDomain(_) => {
            said(404, "InvalidDomain.NotFound", "The domain is not found.")
        }
        Refusal::Throttled(_) => said(
            400,
            "Throttling.User",
            "Request was denied due to user flow control.",
        ),
        Refusal::QuotaSpent | Refusal::ListFull => said(
            400,
            "QuotaExceeded.Blacklist",
            "The number of banned streams exceeds the quota.",
        ),
        Refusal::AlreadyForbidden => said(400, "ConfigAlreadyExists", "Config has already exist."),
        Refusal::NotForbidden => said(400, "InvalidParam", "The stream is not in the blacklist."),
        Refusal::Broken(503) => said(
            503,
            "ServiceUnavailable",
            "The request has failed due to a temporary failure of the server.",
        ),
        Refusal::Broken(status) => said(
            *status,
            "InternalError",
            "The request processing has failed due to some unknown error.",
        ),
    }
}

//! Every recorded request of the vendors' own clients is signed again, byte for byte, and every
//! operation that an adapter has asks for the same as those clients do.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "common/recorded.rs"]
mod recorded;

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::percent_decode_str;
use recorded::Recorded;
use serde::Deserialize;
use serde_json::Value;
use tidegate_cdn::sign::{Key, Signed};
use tidegate_cdn::wire::{HttpRequest, build};
use tidegate_cdn::{
    Account, AccountSpec, AuthScheme, Matching, Operation, Page, Site, Vendor, VendorObject,
};
use tidegate_core::{Secret, StreamId, UnixMs};

#[derive(Deserialize)]
struct File {
    vendor: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    #[serde(default)]
    vendor: String,
    id: String,
    operation: String,
    algorithm: String,
    credentials: BTreeMap<String, String>,
    clock_unix: i64,
    nonce: Option<String>,
    #[serde(default)]
    input: BTreeMap<String, Value>,
    request: Recorded,
    derived: BTreeMap<String, Value>,
}

impl Case {
    fn credential(&self, names: [&str; 2]) -> &str {
        names
            .iter()
            .find_map(|name| self.credentials.get(*name))
            .unwrap()
    }

    fn key_id(&self) -> &str {
        self.credential(["access_key", "account"])
    }

    fn secret(&self) -> &str {
        self.credential(["secret_key", "api_key"])
    }

    /// An input by any of its vendors' names, with numbers as text.
    fn input(&self, names: &[&str]) -> Option<String> {
        let value = names.iter().find_map(|name| self.input.get(*name))?;
        Some(
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned),
        )
    }
}

fn cases() -> Vec<Case> {
    [
        include_str!("vectors/aliyun.json"),
        include_str!("vectors/huawei.json"),
        include_str!("vectors/tencent.json"),
        include_str!("vectors/wangsu.json"),
    ]
    .into_iter()
    .flat_map(|text| {
        let mut file: File = serde_json::from_str(text).unwrap();
        for case in &mut file.cases {
            case.vendor.clone_from(&file.vendor);
        }
        file.cases
    })
    .collect()
}

fn resign(case: &Case) -> Signed {
    let key = Key {
        id: case.key_id(),
        secret: case.secret(),
    };
    let (request, clock) = (&case.request, case.clock_unix);
    request.sign_again(&case.algorithm, key, clock).unwrap()
}

#[test]
fn every_recorded_request_is_signed_byte_for_byte() {
    let mut seen = BTreeMap::<String, usize>::new();
    for case in cases() {
        let got = resign(&case);
        let name = format!("{} {}", case.vendor, case.id);
        let want = |key: &str| case.derived.get(key).and_then(Value::as_str);
        let canonical = want("canonical_request").unwrap_or_default();
        assert_eq!(got.canonical_request, canonical, "{name}");
        assert_eq!(
            Some(got.string_to_sign.as_str()),
            want("string_to_sign"),
            "{name}"
        );
        assert_eq!(Some(got.signature.as_str()), want("signature"), "{name}");
        let header = case.request.header("authorization").unwrap_or_default();
        assert_eq!(got.authorization, header, "{name}");
        *seen.entry(case.algorithm).or_default() += 1;
    }
    let want = [
        ("ACS3-HMAC-SHA256", 9),
        ("Basic base64(HMAC-SHA1(Date))", 3),
        ("CNC-HMAC-SHA256", 10),
        ("RPC v1 HMAC-SHA1", 19),
        ("SDK-HMAC-SHA256", 11),
        ("TC3-HMAC-SHA256", 11),
    ];
    let seen: Vec<(&str, usize)> = seen.iter().map(|(k, v)| (k.as_str(), *v)).collect();
    assert_eq!(seen, want);
}

/// What a request asks for, without what differs from client to client.
#[derive(PartialEq, Debug)]
struct Asked {
    method: String,
    url: String,
    headers: BTreeMap<String, String>,
    parameters: BTreeMap<String, String>,
    body: Value,
}

/// Headers, parameters and fields that a client may add or leave out.
const OWN: [&str; 19] = [
    "accept",
    "accept-encoding",
    "authorization",
    "connection",
    "content-length",
    "user-agent",
    "x-acs-credentials-provider",
    "x-sdk-client",
    "x-sdk-invoke-type",
    "x-tc-language",
    "x-tc-requestclient",
    "x-tc-traceid",
    "Format",
    "OnlyStream",
    "Reason",
    "RegionId",
    "Signature",
    "SignatureType",
    "StreamType",
];

fn lean(pairs: impl IntoIterator<Item = (String, String)>) -> BTreeMap<String, String> {
    let own: BTreeSet<&str> = OWN.into();
    let kept = pairs
        .into_iter()
        .filter(|(name, _)| !own.contains(name.as_str()));
    kept.collect()
}

fn asked(
    method: &str,
    url: String,
    headers: &[(String, String)],
    query: Vec<(String, String)>,
    body: &[u8],
) -> Asked {
    let rpc = query.iter().any(|(name, _)| name == "SignatureMethod");
    let headers = headers
        .iter()
        .map(|(n, v)| (n.to_ascii_lowercase(), v.replace("; charset=utf-8", "")));
    let mut body = serde_json::from_slice(body).unwrap_or(Value::Null);
    if let Some(fields) = body.as_object_mut() {
        fields.remove("Reason");
    }
    Asked {
        method: method.to_owned(),
        url,
        headers: lean(headers.filter(|(name, _)| !(rpc && name.starts_with("x-acs-")))),
        parameters: lean(query),
        body,
    }
}

fn ours(request: &HttpRequest) -> Asked {
    let url = format!("{}{}", request.host, request.path);
    let pairs = request.raw_query.split('&').filter(|pair| !pair.is_empty());
    let decode = |text: &str| percent_decode_str(text).decode_utf8().unwrap().into_owned();
    let query = pairs.map(|pair| {
        pair.split_once('=')
            .map(|(n, v)| (decode(n), decode(v)))
            .unwrap()
    });
    let query = query.collect();
    asked(request.method, url, &request.headers, query, &request.body)
}

fn account(case: &Case) -> Account {
    let vendor = match case.vendor.as_str() {
        "wangsu" => Vendor::Ws,
        word => Vendor::parse(word).unwrap(),
    };
    let scheme = match case.algorithm.as_str() {
        "RPC v1 HMAC-SHA1" => Some(AuthScheme::RpcV1),
        "Basic base64(HMAC-SHA1(Date))" => Some(AuthScheme::ApiKey),
        _ => None,
    };
    Account::new(AccountSpec {
        name: "main".into(),
        vendor,
        access_key_id: case.key_id().into(),
        secret: Secret::new(case.secret().into()),
        security_token: case
            .credentials
            .get("security_token")
            .cloned()
            .map(Secret::new),
        scheme,
        region: None,
        project_id: case.credentials.get("project_id").cloned(),
        endpoint: Some(format!("https://{}", case.request.host)),
        matching: Matching::NameOnly,
    })
    .unwrap()
}

/// The operation that a recorded request carried out; `None` for what no adapter asks (no end, a
/// relative end, GET variants, names that are no stream ids).
fn build_as(case: &Case) -> Option<HttpRequest> {
    let account = account(case);
    let mut url = case.input(&["liveUrl", "url"])?;
    url = url.replace("rtmp://", "");
    let mut parts = url.split('/').map(str::to_owned);
    let domain = parts.next()?;
    let app = parts.next().unwrap_or("live".into());
    let stream = StreamId::parse(&parts.next().unwrap_or("none".into())).ok()?;
    let site = Site::new(&domain, Some(&domain), &app).unwrap();
    let object: VendorObject = account.object(&site, &stream);
    let object = &object;
    let number = |names: &[&str]| case.input(names).and_then(|text| text.parse::<u32>().ok());
    let from_one = number(&["PageNum"]).map(|page| page - 1);
    let size = number(&["PageSize", "size", "limit"]).unwrap_or(1);
    let page = Page {
        number: from_one.or(number(&["page"])).unwrap_or(0),
        size,
    };
    let until = case
        .input(&["ResumeTime", "resume_time", "abstimeEnd"])
        .map(|text| {
            UnixMs::parse_utc(&text).unwrap_or_else(|_| UnixMs::from_seconds(text.parse().unwrap()))
        });
    let operation = match case.operation.as_str() {
        "ForbidLiveStream" if case.input.contains_key("Oneshot") => Operation::Kick(object),
        "ForbidLiveStream" | "ForbidLivestreaming" | "CreateStreamForbidden" => {
            let until = until?;
            Operation::Forbid { object, until }
        }
        "UpdateStreamForbidden" => {
            let until = until?;
            Operation::ChangeEnd { object, until }
        }
        "ResumeLiveStream"
        | "ResumeLivestreaming"
        | "DeleteStreamForbidden"
        | "/api/live/resume" => Operation::Resume(object),
        "DropLiveStream" | "StopLivestreaming" | "CreateStreamForbiddenOnce" => {
            Operation::Kick(object)
        }
        "QueryForbidLivestreamRecord" if case.input.contains_key("url") => {
            Operation::FindForbidden(object)
        }
        "QueryForbidLivestreamRecord"
        | "/cm/stream/forbidQuery"
        | "DescribeLiveStreamsBlockList"
        | "DescribeLiveForbidStreamList" => Operation::ListForbidden { site: &site, page },
        "ListStreamForbidden" if !case.input.contains_key("stream_name") => {
            Operation::ListForbidden { site: &site, page }
        }
        "DescribeLiveStreamState" => Operation::StreamState(object),
        "DescribeLiveStreamsOnlineList"
        | "DescribeLiveStreamOnlineList"
        | "ListLiveStreamsOnline" => Operation::Online { site: &site, page },
        _ => return None,
    };
    let now = UnixMs::from_seconds(case.clock_unix);
    let nonce = case.nonce.as_deref().unwrap_or_default();
    let request = build(&operation, &account, now, nonce).unwrap();
    (request.method == case.request.method).then_some(request)
}

#[test]
fn adapters_ask_for_what_the_vendors_clients_ask_for() {
    let mut compared = Vec::new();
    for mut case in cases() {
        let given = |names: &[&str]| case.input(names);
        if let Some(domain) = given(&["DomainName", "domain", "publish_domain", "channel"]) {
            let app = given(&["AppName", "app_name", "app"]).unwrap_or("live".into());
            let stream = given(&["StreamName", "stream_name", "stream"]).unwrap_or("none".into());
            let url = format!("{domain}/{app}/{stream}");
            if !case.input.contains_key("url") {
                case.input.entry("liveUrl".into()).or_insert(url.into());
            }
        } else if case.operation == "DescribeLiveForbidStreamList" {
            case.input
                .insert("liveUrl".into(), "push.example.com/live/none".into());
        }
        let Some(request) = build_as(&case) else {
            continue;
        };
        let theirs = &case.request;
        let url = format!("{}{}", theirs.host, theirs.path);
        let body = theirs.body.as_bytes();
        let mut query = theirs.query.clone();
        if case.operation == "DescribeLiveStreamsOnlineList" {
            query.retain(|(name, _)| name != "StreamName");
        }
        let want = asked(&theirs.method, url, &theirs.headers, query, body);
        assert_eq!(ours(&request), want, "{} {}", case.vendor, case.id);
        compared.push(format!("{} {}", case.vendor, case.id));
    }
    assert_eq!(compared.len(), 42, "{compared:#?}");
}

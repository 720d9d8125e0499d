//! A simulated vendor on a clock that stands, and a client that signs by the published recipes.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tidegate_core::UnixMs;
use tidegate_sim::{
    Account, Clock, Config, Domain, ManualClock, Media, Online, Operation, Reply, Request,
    Simulator, StreamName, Vendor,
};

pub(crate) const START: UnixMs = UnixMs(1_772_698_150_000);
pub(crate) const PROJECT: &str = "0123456789abcdef0123456789abcdef";
const KEY: &str = "key-one";
const SECRET: &str = "secret-one";
const HOST: &str = "127.0.0.1";

/// Media that remembers what was cut and carries what it is told.
#[derive(Default)]
pub(crate) struct Reel {
    pub(crate) cuts: Mutex<Vec<StreamName>>,
    pub(crate) live: Mutex<Vec<StreamName>>,
}

impl Media for Reel {
    fn cut(&self, name: &StreamName, _until: Option<UnixMs>) {
        self.live.lock().retain(|live| live != name);
        self.cuts.lock().push(name.clone());
    }

    fn online(&self) -> Vec<Online> {
        let live = self.live.lock();
        live.iter()
            .map(|name| Online {
                name: name.clone(),
                since: START,
                client_ip: "192.0.2.7".into(),
            })
            .collect()
    }
}

pub(crate) struct Bench {
    pub(crate) vendor: Vendor,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) reel: Arc<Reel>,
    pub(crate) sim: Arc<Simulator>,
    pub(crate) key: String,
    nonce: Mutex<u64>,
}

pub(crate) fn bench(vendor: Vendor) -> Bench {
    bench_with(vendor, |_| {})
}

pub(crate) fn bench_with(vendor: Vendor, change: impl FnOnce(&mut Config)) -> Bench {
    let mut account = Account::new("one", KEY, SECRET);
    account.project_id = Some(PROJECT.into());
    let mut config = Config {
        accounts: vec![account],
        domains: vec![
            Domain::new("push.example.com", Some("play.example.com")),
            Domain::new("push2.example.com", None),
        ],
        ..Config::new(vendor)
    };
    change(&mut config);
    let clock = Arc::new(ManualClock::new(START));
    let reel = Arc::new(Reel::default());
    let sim = Simulator::new(
        config,
        Arc::clone(&clock) as Arc<dyn Clock>,
        Arc::clone(&reel) as Arc<dyn Media>,
    );
    Bench {
        vendor,
        clock,
        reel,
        sim,
        key: KEY.into(),
        nonce: Mutex::new(0),
    }
}

pub(crate) fn stream(name: &str) -> StreamName {
    StreamName::new("push.example.com", "live", name)
}

pub(crate) fn body(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap_or(Value::Null)
}

impl Bench {
    pub(crate) fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Calls in process. Panics when the connection would be dropped.
    pub(crate) fn call(&self, operation: Operation, fields: &[(&str, &str)]) -> Reply {
        let request = self.signed(operation, fields);
        self.sim.call(&request).reply.expect("an answer")
    }

    /// Bans by default terms and expects success.
    pub(crate) fn forbid(&self, name: &str) -> Reply {
        self.call(Operation::Forbid, &self.named(name))
    }

    pub(crate) fn resume(&self, name: &str) -> Reply {
        self.call(Operation::Resume, &self.named(name))
    }

    /// The vendor's own fields for a stream of the first domain.
    pub(crate) fn named<'a>(&self, name: &'a str) -> Vec<(&'static str, &'a str)> {
        match self.vendor {
            Vendor::Wangsu => vec![("stream", name)],
            Vendor::Aliyun => vec![
                ("DomainName", "push.example.com"),
                ("AppName", "live"),
                ("StreamName", name),
                ("LiveStreamType", "publisher"),
            ],
            Vendor::Tencent => vec![
                ("DomainName", "push.example.com"),
                ("AppName", "live"),
                ("StreamName", name),
            ],
            Vendor::Huawei => vec![
                ("domain", "push.example.com"),
                ("app_name", "live"),
                ("stream_name", name),
            ],
        }
    }

    pub(crate) fn signed(&self, operation: Operation, fields: &[(&str, &str)]) -> Request {
        match self.vendor {
            Vendor::Wangsu => self.wangsu(operation, fields),
            Vendor::Aliyun => self.aliyun(operation, fields),
            Vendor::Tencent => self.tencent(operation, fields),
            Vendor::Huawei => self.huawei(operation, fields),
        }
    }

    fn stamp(&self) -> (String, String) {
        let now = self.sim.now();
        (now.seconds().to_string(), now.to_string())
    }

    /// `stream` stands for the whole `liveUrl`. The clock moves by a second first, because a
    /// signature is good once.
    fn wangsu(&self, operation: Operation, fields: &[(&str, &str)]) -> Request {
        self.pass(1);
        let path = match operation {
            Operation::Forbid => "/api/live/forbid",
            Operation::Resume => "/api/live/resume",
            Operation::Kick => "/api/live/stop",
            _ => "/cm/stream/forbidQuery",
        };
        let body = object(fields.iter().map(|(name, value)| match *name {
            "stream" => (
                "liveUrl".to_owned(),
                format!("rtmp://push.example.com/live/{value}"),
            ),
            _ => ((*name).to_owned(), (*value).to_owned()),
        }));
        let (seconds, _) = self.stamp();
        let canonical = format!(
            "POST\n{path}\n\ncontent-type:application/json\nhost:{HOST}\n\ncontent-type;host\n{}",
            sha(&body)
        );
        let to_sign = format!("CNC-HMAC-SHA256\n{seconds}\n{}", sha(&canonical));
        let signature = hex::encode(mac256(SECRET.as_bytes(), &to_sign));
        let auth = format!(
            "CNC-HMAC-SHA256 Credential={}, SignedHeaders=content-type;host, Signature={signature}",
            self.key
        );
        request("POST", path, "", &body)
            .with("content-type", "application/json")
            .with("x-cnc-accesskey", &self.key)
            .with("x-cnc-timestamp", &seconds)
            .with("x-cnc-auth-method", "AKSK")
            .with("authorization", &auth)
            .0
    }

    fn aliyun(&self, operation: Operation, fields: &[(&str, &str)]) -> Request {
        let action = match operation {
            Operation::Forbid | Operation::Kick => "ForbidLiveStream",
            Operation::Resume => "ResumeLiveStream",
            Operation::List => "DescribeLiveStreamsBlockList",
            Operation::State => "DescribeLiveStreamState",
            _ => "DescribeLiveStreamsOnlineList",
        };
        let query = query(fields);
        let (_, date) = self.stamp();
        let mut nonce = self.nonce.lock();
        *nonce += 1;
        let headers = [
            ("host", HOST.to_owned()),
            ("x-acs-action", action.to_owned()),
            ("x-acs-content-sha256", sha("")),
            ("x-acs-date", date),
            ("x-acs-signature-nonce", nonce.to_string()),
            ("x-acs-version", "2016-11-01".to_owned()),
        ];
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let block: String = headers.iter().map(|(n, v)| format!("{n}:{v}\n")).collect();
        let signed = names.join(";");
        let canonical = format!("POST\n/\n{query}\n{block}\n{signed}\n{}", sha(""));
        let to_sign = format!("ACS3-HMAC-SHA256\n{}", sha(&canonical));
        let signature = hex::encode(mac256(SECRET.as_bytes(), &to_sign));
        let auth = format!(
            "ACS3-HMAC-SHA256 Credential={},SignedHeaders={signed},Signature={signature}",
            self.key
        );
        let mut built = request("POST", "/", &query, "").with("authorization", &auth);
        for (name, value) in headers.iter().skip(1) {
            built = built.with(name, value);
        }
        built.0
    }

    fn tencent(&self, operation: Operation, fields: &[(&str, &str)]) -> Request {
        let action = match operation {
            Operation::Forbid => "ForbidLiveStream",
            Operation::Resume => "ResumeLiveStream",
            Operation::Kick => "DropLiveStream",
            Operation::List => "DescribeLiveForbidStreamList",
            Operation::State => "DescribeLiveStreamState",
            _ => "DescribeLiveStreamOnlineList",
        };
        let body = object(
            fields
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned())),
        );
        let (seconds, date) = self.stamp();
        let scope = format!("{}/live/tc3_request", &date[..10]);
        let canonical = format!(
            "POST\n/\n\ncontent-type:application/json\nhost:{HOST}\n\ncontent-type;host\n{}",
            sha(&body)
        );
        let to_sign = format!("TC3-HMAC-SHA256\n{seconds}\n{scope}\n{}", sha(&canonical));
        let key = mac256(format!("TC3{SECRET}").as_bytes(), &date[..10]);
        let key = mac256(&mac256(&key, "live"), "tc3_request");
        let signature = hex::encode(mac256(&key, &to_sign));
        let auth = format!(
            "TC3-HMAC-SHA256 Credential={}/{scope}, SignedHeaders=content-type;host, \
             Signature={signature}",
            self.key
        );
        request("POST", "/", "", &body)
            .with("content-type", "application/json")
            .with("x-tc-action", action)
            .with("x-tc-version", "2018-08-01")
            .with("x-tc-timestamp", &seconds)
            .with("authorization", &auth)
            .0
    }

    fn huawei(&self, operation: Operation, fields: &[(&str, &str)]) -> Request {
        let (method, rest) = match operation {
            Operation::Forbid => ("POST", "stream/blocks"),
            Operation::Change => ("PUT", "stream/blocks"),
            Operation::Resume => ("DELETE", "stream/blocks"),
            Operation::List => ("GET", "stream/blocks"),
            Operation::Kick => ("POST", "stream/block-once"),
            _ => ("GET", "realtime/streams"),
        };
        let path = format!("/v1/{PROJECT}/{rest}");
        let (query, body) = match method {
            "POST" | "PUT" => (
                String::new(),
                object(
                    fields
                        .iter()
                        .map(|(n, v)| ((*n).to_owned(), (*v).to_owned())),
                ),
            ),
            _ => (query(fields), String::new()),
        };
        let stamp = self.stamp().1.replace(['-', ':'], "");
        let canonical = format!(
            "{method}\n{path}/\n{query}\ncontent-type:application/json\nhost:{HOST}\n\
             x-sdk-date:{stamp}\n\ncontent-type;host;x-sdk-date\n{}",
            sha(&body)
        );
        let to_sign = format!("SDK-HMAC-SHA256\n{stamp}\n{}", sha(&canonical));
        let signature = hex::encode(mac256(SECRET.as_bytes(), &to_sign));
        let auth = format!(
            "SDK-HMAC-SHA256 Access={}, SignedHeaders=content-type;host;x-sdk-date, \
             Signature={signature}",
            self.key
        );
        request(method, &path, &query, &body)
            .with("content-type", "application/json")
            .with("x-sdk-date", &stamp)
            .with("authorization", &auth)
            .0
    }
}

const UNRESERVED: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

struct Built(Request);

impl Built {
    fn with(mut self, name: &str, value: &str) -> Self {
        let field = (name.to_owned(), value.as_bytes().to_vec());
        self.0.headers.push(field);
        self
    }
}

fn request(method: &str, path: &str, query: &str, body: &str) -> Built {
    Built(Request {
        method: method.into(),
        path: path.into(),
        raw_query: query.into(),
        headers: vec![("host".into(), HOST.as_bytes().to_vec())],
        body: Bytes::from(body.to_owned()),
    })
}

fn object(fields: impl Iterator<Item = (String, String)>) -> String {
    let map: serde_json::Map<String, Value> =
        fields.map(|(name, value)| (name, value.into())).collect();
    Value::Object(map).to_string()
}

fn query(fields: &[(&str, &str)]) -> String {
    let mut fields = fields.to_vec();
    fields.sort_unstable();
    let part = |text: &str| percent_encoding::utf8_percent_encode(text, UNRESERVED).to_string();
    let parts: Vec<String> = fields
        .iter()
        .map(|(n, v)| format!("{}={}", part(n), part(v)))
        .collect();
    parts.join("&")
}

fn sha(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

fn mac256(key: &[u8], text: &str) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("any key");
    mac.chain_update(text.as_bytes())
        .finalize()
        .into_bytes()
        .to_vec()
}

/// The account and apiKey scheme of Wangsu, for one request.
pub(crate) fn basic(request: &mut Request, account: &str, api_key: &str, date: &str) {
    let mac = Hmac::<sha1::Sha1>::new_from_slice(api_key.as_bytes()).expect("any key");
    let password = STANDARD.encode(mac.chain_update(date.as_bytes()).finalize().into_bytes());
    let token = STANDARD.encode(format!("{account}:{password}"));
    request.headers.retain(|(name, _)| name == "host");
    let mut put = |name: &str, value: String| {
        request.headers.push((name.into(), value.into_bytes()));
    };
    put("date", date.to_owned());
    put("authorization", format!("Basic {token}"));
}

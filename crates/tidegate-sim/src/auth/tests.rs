//! Every captured request of the vendors' own clients verifies at its clock; every byte that the
//! scheme protects, changed, makes it fail.

use serde_json::Value;

use super::*;
use crate::config::Key;
use crate::vendor;
use bytes::Bytes;
use tidegate_core::Secret;

fn cases(vendor: Vendor) -> Vec<Value> {
    let file = match vendor {
        Vendor::Wangsu => "wangsu",
        other => other.name(),
    };
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tidegate-cdn/tests/vectors");
    let text = std::fs::read_to_string(format!("{folder}/{file}.json")).expect("vectors");
    let set: Value = serde_json::from_str(&text).expect("json");
    set["cases"].as_array().expect("cases").clone()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

fn request(case: &Value) -> Request {
    let sent = &case["request"];
    let headers = sent["headers"].as_array().expect("headers").iter();
    Request {
        method: text(&sent["method"]),
        path: text(&sent["path"]),
        raw_query: text(&sent["raw_query"]),
        headers: headers
            .map(|pair| (text(&pair[0]).to_lowercase(), text(&pair[1]).into_bytes()))
            .collect(),
        body: Bytes::from(text(&sent["body"])),
    }
}

fn config(vendor: Vendor, case: &Value) -> Config {
    let held = &case["credentials"];
    let field = |name: &str| held.get(name).map(text);
    let account = Account {
        name: field("account").unwrap_or_else(|| "one".into()),
        keys: field("access_key")
            .map(|id| Key {
                id,
                secret: Secret::new(field("secret_key").expect("secret")),
                token: field("security_token").map(Secret::new),
                expired: false,
            })
            .into_iter()
            .collect(),
        api_key: field("api_key").map(Secret::new),
        project_id: field("project_id"),
        permission: crate::Permission::Full,
    };
    Config {
        accounts: vec![account],
        ..Config::new(vendor)
    }
}

fn clock(case: &Value) -> UnixMs {
    UnixMs::from_seconds(case["clock_unix"].as_i64().expect("clock"))
}

fn check(config: &Config, request: &Request, now: UnixMs) -> Result<(), Refusal> {
    let params = vendor::read_params(config.vendor, request).unwrap_or_default();
    let check = Check {
        config,
        request,
        params: &params,
        now,
    };
    authenticate(&check, &mut Seen::default()).map(drop)
}

fn window(vendor: Vendor) -> Duration {
    match vendor {
        Vendor::Wangsu | Vendor::Tencent => Duration::from_secs(300),
        Vendor::Aliyun | Vendor::Huawei => Duration::from_secs(900),
    }
}

#[test]
fn every_captured_request_verifies_at_its_clock_and_to_the_edge_of_the_window() {
    let mut count = 0;
    for vendor in Vendor::ALL {
        for case in cases(vendor) {
            let id = format!("{} {}", vendor.name(), case["id"]);
            let (config, request, now) = (config(vendor, &case), request(&case), clock(&case));
            assert_eq!(check(&config, &request, now), Ok(()), "{id}");
            let width = window(vendor);
            let early = UnixMs(now.0 - i64::try_from(width.as_millis()).expect("small"));
            for edge in [now.plus(width), early] {
                assert_eq!(check(&config, &request, edge), Ok(()), "{id}");
            }
            for outside in [
                now.plus(width + Duration::from_secs(1)),
                UnixMs(early.0 - 1000),
            ] {
                let answer = check(&config, &request, outside);
                assert_eq!(answer, Err(Refusal::ClockSkew), "{id}");
            }
            count += 1;
        }
    }
    assert_eq!(count, 63);
}

#[test]
fn another_secret_or_an_unknown_key_is_told_apart() {
    for vendor in Vendor::ALL {
        for case in cases(vendor) {
            let (right, request, now) = (config(vendor, &case), request(&case), clock(&case));
            let mut wrong = right.clone();
            for account in &mut wrong.accounts {
                account.api_key = account.api_key.as_ref().map(|_| Secret::new("no".into()));
                for key in &mut account.keys {
                    key.secret = Secret::new("no".into());
                }
            }
            let answer = check(&wrong, &request, now);
            assert!(
                matches!(answer, Err(Refusal::WrongSignature(_))),
                "{} {answer:?}",
                case["id"]
            );
            let nobody = Config::new(vendor);
            assert_eq!(check(&nobody, &request, now), Err(Refusal::UnknownKey));
        }
    }
}

/// Every variant of a request with one bit of one protected byte changed.
fn mutations(vendor: Vendor, request: &Request) -> Vec<(String, Request)> {
    let auth = request.header("authorization").unwrap_or_default();
    let basic = auth.starts_with("Basic ");
    let signed: Vec<&str> = auth
        .split("SignedHeaders=")
        .nth(1)
        .and_then(|rest| rest.split(',').next())
        .map(|list| list.split(';').collect())
        .unwrap_or_default();
    let implied: &[&str] = match vendor {
        Vendor::Wangsu if basic => &["authorization", "date"],
        Vendor::Wangsu => &["authorization", "x-cnc-accesskey", "x-cnc-timestamp"],
        Vendor::Aliyun => &["authorization"],
        Vendor::Tencent => &["authorization", "x-tc-timestamp"],
        Vendor::Huawei => &["authorization"],
    };
    let mut out = Vec::new();
    for (slot, (name, value)) in request.headers.iter().enumerate() {
        if !signed.contains(&name.as_str()) && !implied.contains(&name.as_str()) {
            continue;
        }
        for at in 0..value.len() {
            let mut changed = request.clone();
            changed.headers[slot].1[at] ^= 1;
            out.push((format!("{name} at {at}"), changed));
        }
    }
    if basic {
        return out;
    }
    for at in 0..request.body.len() {
        let mut changed = request.clone();
        let mut body = request.body.to_vec();
        body[at] ^= 1;
        changed.body = Bytes::from(body);
        out.push((format!("body at {at}"), changed));
    }
    for at in 0..request.raw_query.len() {
        let mut query = request.raw_query.clone().into_bytes();
        query[at] ^= 1;
        let mut changed = request.clone();
        changed.raw_query = String::from_utf8(query).expect("still ASCII");
        out.push((format!("query at {at}"), changed));
    }
    if matches!(vendor, Vendor::Wangsu | Vendor::Huawei) {
        for at in 1..request.path.len() {
            let mut path = request.path.clone().into_bytes();
            path[at] ^= 1;
            let mut changed = request.clone();
            changed.path = String::from_utf8(path).expect("still ASCII");
            out.push((format!("path at {at}"), changed));
        }
    }
    out
}

#[test]
fn every_protected_byte_counts() {
    let mut count = 0;
    for vendor in Vendor::ALL {
        for case in cases(vendor) {
            let (config, request, now) = (config(vendor, &case), request(&case), clock(&case));
            for (what, changed) in mutations(vendor, &request) {
                let answer = check(&config, &changed, now);
                assert!(answer.is_err(), "{} {} {what}", vendor.name(), case["id"]);
                count += 1;
            }
        }
    }
    assert!(count > 20_000, "{count}");
}

#[test]
fn a_missing_header_is_refused() {
    for vendor in Vendor::ALL {
        for case in cases(vendor) {
            let (config, request, now) = (config(vendor, &case), request(&case), clock(&case));
            for needed in ["authorization", "host", "x-acs-date", "x-sdk-date", "date"] {
                let mut changed = request.clone();
                changed.headers.retain(|(name, _)| name != needed);
                let rpc = request.header("authorization").is_none();
                let basic = request.header("date").is_some() && needed == "host";
                if changed.headers.len() < request.headers.len() && !rpc && !basic {
                    let answer = check(&config, &changed, now);
                    assert!(answer.is_err(), "{} without {needed}", case["id"]);
                }
            }
        }
    }
}

#[test]
fn nonces_and_signatures_are_good_once() {
    for (vendor, id) in [
        (Vendor::Aliyun, "acs3-resume"),
        (Vendor::Aliyun, "rpc_v1-resume"),
        (Vendor::Wangsu, "aksk-resume"),
    ] {
        let all = cases(vendor);
        let case = all.iter().find(|case| case["id"] == id).expect("the case");
        let (config, request, now) = (config(vendor, case), request(case), clock(case));
        let params = vendor::read_params(vendor, &request).expect("parameters");
        let check = Check {
            config: &config,
            request: &request,
            params: &params,
            now,
        };
        let mut seen = Seen::default();
        assert!(authenticate(&check, &mut seen).is_ok());
        assert_eq!(authenticate(&check, &mut seen).err(), Some(Refusal::Replay));
    }
}

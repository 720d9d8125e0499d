//! Huawei Cloud: SDK-HMAC-SHA256 (AK/SK). IAM tokens are not simulated.

use std::time::Duration;

use tidegate_core::UnixMs;

use super::{Case, Check, fields, lines, lists};
use crate::config::Account;
use crate::digest::{hmac_sha256, same, sha256_hex};
use crate::refusal::Refusal;
use crate::wire;

const WINDOW: Duration = Duration::from_secs(900);
const SCHEME: &str = "SDK-HMAC-SHA256";
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

pub(super) fn authenticate<'a>(check: &Check<'a>) -> Result<&'a Account, Refusal> {
    let header = check.header("authorization", "Authorization")?;
    let names = ["Access", "SignedHeaders", "Signature"];
    let [id, signed, signature] =
        fields(header, SCHEME, ", ", names).ok_or(Refusal::AuthMalformed("Authorization"))?;
    let (account, key) = check.key(id)?;
    let stamp = check.header("x-sdk-date", "X-Sdk-Date")?;
    check.within(instant(stamp)?, WINDOW)?;
    match (&key.token, check.request.header("x-security-token")) {
        (None, None) => {}
        (Some(token), Some(sent)) if same(token.expose(), sent) => {}
        _ => return Err(Refusal::WrongToken),
    }
    if !lists(signed, &["host", "x-sdk-date"]) {
        return Err(Refusal::AuthMalformed("SignedHeaders"));
    }
    let block = check
        .header_block(signed, Case::AsSent)
        .ok_or(Refusal::AuthMalformed("SignedHeaders"))?;
    let request = check.request;
    let canonical = lines(&[
        request.method.as_bytes(),
        canonical_path(&request.path).as_bytes(),
        wire::canonical_query(wire::pairs(&request.raw_query)).as_bytes(),
        &block,
        signed.as_bytes(),
        payload_hash(check).as_bytes(),
    ]);
    let to_sign = format!("{SCHEME}\n{stamp}\n{}", sha256_hex(&canonical));
    let expected = hmac_sha256(key.secret.expose().as_bytes(), to_sign.as_bytes());
    if !same(&hex::encode(expected), signature) {
        return Err(Refusal::WrongSignature(to_sign));
    }
    Ok(account)
}

/// `yyyyMMddTHHmmssZ`.
fn instant(stamp: &str) -> Result<UnixMs, Refusal> {
    let part = |range: std::ops::Range<usize>| stamp.get(range).unwrap_or("?");
    let long = format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0..4),
        part(4..6),
        part(6..8),
        part(9..11),
        part(11..13),
        part(13..15)
    );
    UnixMs::parse_utc(&long)
        .ok()
        .filter(|_| stamp.len() == 16 && part(8..9) == "T" && part(15..16) == "Z")
        .ok_or(Refusal::AuthMalformed("X-Sdk-Date"))
}

/// Every segment encoded anew, and a slash at the end that the request line does not have.
fn canonical_path(path: &str) -> String {
    let mut out: Vec<String> = path
        .split('/')
        .map(|segment| wire::encode(&wire::decode(segment)))
        .collect();
    if out.last().is_some_and(|last| !last.is_empty()) {
        out.push(String::new());
    }
    out.join("/")
}

/// Bodies that are not JSON may go unsigned, and then say so.
fn payload_hash(check: &Check<'_>) -> String {
    let json = check
        .request
        .header("content-type")
        .is_none_or(|kind| kind.starts_with("application/json"));
    match check.request.header("x-sdk-content-sha256") {
        Some(UNSIGNED) if !json => UNSIGNED.to_owned(),
        _ => sha256_hex(&check.request.body),
    }
}

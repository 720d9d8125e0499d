//! Alibaba Cloud: ACS3-HMAC-SHA256, and RPC v1 with HMAC-SHA1.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tidegate_core::UnixMs;

use super::{Case, Check, Seen, fields, lines, lists};
use crate::config::{Account, Key};
use crate::digest::{hmac_sha1, hmac_sha256, same, sha256_hex};
use crate::refusal::Refusal;
use crate::wire;

const WINDOW: Duration = Duration::from_secs(900);
/// A nonce is good again once no request that carries it can be in the window.
const NONCE_KEPT: Duration = Duration::from_secs(1800);
const SCHEME: &str = "ACS3-HMAC-SHA256";

pub(super) fn authenticate<'a>(check: &Check<'a>, seen: &mut Seen) -> Result<&'a Account, Refusal> {
    match check.request.header("authorization") {
        Some(header) => by_acs3(check, header, seen),
        None => by_rpc(check, seen),
    }
}

fn by_acs3<'a>(check: &Check<'a>, header: &str, seen: &mut Seen) -> Result<&'a Account, Refusal> {
    let names = ["Credential", "SignedHeaders", "Signature"];
    let [id, signed, signature] =
        fields(header, SCHEME, ",", names).ok_or(Refusal::AuthMalformed("Authorization"))?;
    let (account, key) = check.key(id)?;
    token(key, check.request.header("x-acs-security-token"))?;
    let date = check.header("x-acs-date", "x-acs-date")?;
    in_window(check, date)?;
    let nonce = check.header("x-acs-signature-nonce", "x-acs-signature-nonce")?;
    let hash = sha256_hex(&check.request.body);
    if check.header("x-acs-content-sha256", "x-acs-content-sha256")? != hash {
        return Err(Refusal::WrongSignature(String::new()));
    }
    if !signs_enough(check, signed) {
        return Err(Refusal::AuthMalformed("SignedHeaders"));
    }
    let block = check
        .header_block(signed, Case::AsSent)
        .ok_or(Refusal::AuthMalformed("SignedHeaders"))?;
    let query = wire::canonical_query(wire::pairs(&check.request.raw_query));
    let canonical = lines(&[
        check.request.method.as_bytes(),
        check.request.path.as_bytes(),
        query.as_bytes(),
        &block,
        signed.as_bytes(),
        hash.as_bytes(),
    ]);
    let to_sign = format!("{SCHEME}\n{}", sha256_hex(&canonical));
    let expected = hmac_sha256(key.secret.expose().as_bytes(), to_sign.as_bytes());
    if !same(&hex::encode(expected), signature) {
        return Err(Refusal::WrongSignature(to_sign));
    }
    seen.first_time(format!("{id}\n{nonce}"), check.now, NONCE_KEPT)?;
    Ok(account)
}

/// Host, every `x-acs-` header that came, and the type of a body must be signed.
fn signs_enough(check: &Check<'_>, signed: &str) -> bool {
    let mut needed = check
        .request
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| name.starts_with("x-acs-"));
    let typed = check.request.header("content-type").is_some();
    lists(signed, &["host"])
        && needed.all(|name| lists(signed, &[name]))
        && (!typed || lists(signed, &["content-type"]))
}

fn by_rpc<'a>(check: &Check<'a>, seen: &mut Seen) -> Result<&'a Account, Refusal> {
    let required = |name: &'static str| check.params.get(name).ok_or(Refusal::AuthMissing(name));
    let id = required("AccessKeyId")?;
    let signature = required("Signature")?;
    let stamp = required("Timestamp")?;
    let nonce = required("SignatureNonce")?;
    if required("SignatureMethod")? != "HMAC-SHA1" {
        return Err(Refusal::AuthMalformed("SignatureMethod"));
    }
    if required("SignatureVersion")? != "1.0" {
        return Err(Refusal::AuthMalformed("SignatureVersion"));
    }
    let (account, key) = check.key(id)?;
    token(key, check.params.get("SecurityToken"))?;
    in_window(check, stamp)?;

    let mut pairs = wire::pairs(&check.request.raw_query);
    if is_form(check) {
        let form = std::str::from_utf8(&check.request.body).unwrap_or_default();
        pairs.extend(wire::pairs(form));
    }
    pairs.retain(|(name, _)| name != b"Signature");
    let canonical = wire::canonical_query(pairs);
    let method = &check.request.method;
    let to_sign = format!("{method}&%2F&{}", wire::encode(canonical.as_bytes()));
    let secret = format!("{}&", key.secret.expose());
    let expected = hmac_sha1(secret.as_bytes(), to_sign.as_bytes());
    if !same(&STANDARD.encode(expected), signature) {
        return Err(Refusal::WrongSignature(to_sign));
    }
    seen.first_time(format!("{id}\n{nonce}"), check.now, NONCE_KEPT)?;
    Ok(account)
}

fn is_form(check: &Check<'_>) -> bool {
    check
        .request
        .header("content-type")
        .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"))
}

fn in_window(check: &Check<'_>, stamp: &str) -> Result<(), Refusal> {
    let claimed = UnixMs::parse_utc(stamp).map_err(|_| Refusal::AuthMalformed("Timestamp"))?;
    check.within(claimed, WINDOW)
}

fn token(key: &Key, sent: Option<&str>) -> Result<(), Refusal> {
    match (&key.token, sent) {
        (None, None) => Ok(()),
        (Some(token), Some(sent)) if same(token.expose(), sent) => Ok(()),
        _ => Err(Refusal::WrongToken),
    }
}

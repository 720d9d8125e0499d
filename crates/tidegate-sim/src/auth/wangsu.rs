//! Wangsu: AK/SK (CNC-HMAC-SHA256), and account + apiKey (HMAC-SHA1 of the date, as Basic).

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tidegate_core::UnixMs;

use super::{Case, Check, Seen, fields, lines, lists};
use crate::config::Account;
use crate::digest::{hmac_sha1, hmac_sha256, same, sha256_hex};
use crate::refusal::Refusal;
use crate::wire;

/// Documented for AK/SK; nothing is said of the other scheme, which gets the same.
const WINDOW: Duration = Duration::from_secs(300);
const SCHEME: &str = "CNC-HMAC-SHA256";

pub(super) fn authenticate<'a>(check: &Check<'a>, seen: &mut Seen) -> Result<&'a Account, Refusal> {
    let header = check.header("authorization", "Authorization")?;
    match header.strip_prefix("Basic ") {
        Some(token) => by_api_key(check, token),
        None => by_access_key(check, header, seen),
    }
}

fn by_access_key<'a>(
    check: &Check<'a>,
    header: &str,
    seen: &mut Seen,
) -> Result<&'a Account, Refusal> {
    let names = ["Credential", "SignedHeaders", "Signature"];
    let [id, signed, signature] =
        fields(header, SCHEME, ", ", names).ok_or(Refusal::AuthMalformed("Authorization"))?;
    if check.header("x-cnc-accesskey", "x-cnc-accessKey")? != id {
        return Err(Refusal::AuthMalformed("x-cnc-accessKey"));
    }
    let method = check.request.header("x-cnc-auth-method");
    if method.is_some_and(|method| method != "AKSK") {
        return Err(Refusal::AuthMalformed("x-cnc-auth-method"));
    }
    let (account, key) = check.key(id)?;
    let stamp = check.header("x-cnc-timestamp", "x-cnc-timestamp")?;
    let claimed: i64 = stamp
        .parse()
        .map_err(|_| Refusal::AuthMalformed("x-cnc-timestamp"))?;
    check.within(UnixMs::from_seconds(claimed), WINDOW)?;
    if !lists(signed, &["content-type", "host"]) {
        return Err(Refusal::AuthMalformed("SignedHeaders"));
    }
    let block = check
        .header_block(signed, Case::Lower)
        .ok_or(Refusal::AuthMalformed("SignedHeaders"))?;

    let request = check.request;
    let (query, hashed): (Vec<Vec<u8>>, &[u8]) = match request.method.as_str() {
        "POST" => (vec![Vec::new()], &request.body),
        "GET" => (decoded_queries(&request.raw_query), b""),
        _ => (decoded_queries(&request.raw_query), &request.body),
    };
    let hash = sha256_hex(hashed);
    let mut wanted = String::new();
    for query in query {
        let canonical = lines(&[
            request.method.as_bytes(),
            request.path.as_bytes(),
            &query,
            &block,
            signed.as_bytes(),
            hash.as_bytes(),
        ]);
        wanted = format!("{SCHEME}\n{stamp}\n{}", sha256_hex(&canonical));
        let expected = hmac_sha256(key.secret.expose().as_bytes(), wanted.as_bytes());
        if same(&hex::encode(expected), signature) {
            seen.first_time(signature.to_owned(), check.now, WINDOW * 2)?;
            return Ok(account);
        }
    }
    Err(Refusal::WrongSignature(wanted))
}

/// The vendor's own clients differ on whether `+` is a space, so both readings pass.
fn decoded_queries(raw: &str) -> Vec<Vec<u8>> {
    vec![wire::decode(raw), wire::decode(&raw.replace('+', " "))]
}

fn by_api_key<'a>(check: &Check<'a>, token: &str) -> Result<&'a Account, Refusal> {
    let malformed = || Refusal::AuthMalformed("Authorization");
    let pair = STANDARD.decode(token).map_err(|_| malformed())?;
    let pair = String::from_utf8(pair).map_err(|_| malformed())?;
    let (name, password) = pair.split_once(':').ok_or_else(malformed)?;
    let (account, api_key) = check
        .config
        .accounts
        .iter()
        .filter(|account| account.name == name)
        .find_map(|account| Some((account, account.api_key.as_ref()?)))
        .ok_or(Refusal::UnknownKey)?;
    let date = check
        .request
        .header("x-cnc-date")
        .or_else(|| check.request.header("date"))
        .ok_or(Refusal::AuthMissing("Date"))?;
    let claimed = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(date)
        .map_err(|_| Refusal::AuthMalformed("Date"))?;
    check.within(UnixMs(claimed.as_millisecond()), WINDOW)?;
    let expected = hmac_sha1(api_key.expose().as_bytes(), date.as_bytes());
    if !same(&STANDARD.encode(expected), password) {
        return Err(Refusal::WrongSignature(date.to_owned()));
    }
    Ok(account)
}

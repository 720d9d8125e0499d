//! Tencent Cloud: TC3-HMAC-SHA256.

use std::time::Duration;

use tidegate_core::UnixMs;

use super::{Case, Check, fields, lines, lists};
use crate::config::Account;
use crate::digest::{hmac_sha256, same, sha256_hex};
use crate::refusal::Refusal;

const WINDOW: Duration = Duration::from_secs(300);
const SCHEME: &str = "TC3-HMAC-SHA256";
const SERVICE: &str = "live";

pub(super) fn authenticate<'a>(check: &Check<'a>) -> Result<&'a Account, Refusal> {
    let header = check.header("authorization", "Authorization")?;
    let names = ["Credential", "SignedHeaders", "Signature"];
    let malformed = || Refusal::AuthMalformed("Authorization");
    let [credential, signed, signature] =
        fields(header, SCHEME, ", ", names).ok_or_else(malformed)?;
    let (id, scope) = credential.split_once('/').ok_or_else(malformed)?;
    let stamp = check.header("x-tc-timestamp", "X-TC-Timestamp")?;
    let seconds: i64 = stamp
        .parse()
        .map_err(|_| Refusal::AuthMalformed("X-TC-Timestamp"))?;
    let claimed = UnixMs::from_seconds(seconds);
    let (account, key) = check.key(id)?;
    check.within(claimed, WINDOW)?;
    match (&key.token, check.request.header("x-tc-token")) {
        (None, None) => {}
        (Some(token), Some(sent)) if same(token.expose(), sent) => {}
        _ => return Err(Refusal::WrongToken),
    }
    let printed = claimed.to_string();
    let date = printed.get(..10).unwrap_or_default();
    if scope != format!("{date}/{SERVICE}/tc3_request") {
        return Err(Refusal::AuthMalformed("Credential"));
    }
    if !lists(signed, &["content-type", "host"]) {
        return Err(Refusal::AuthMalformed("SignedHeaders"));
    }

    let request = check.request;
    let query: &str = match request.method.as_str() {
        "GET" => &request.raw_query,
        _ => "",
    };
    let hash = sha256_hex(&request.body);
    let signing_key = [date, SERVICE, "tc3_request"].iter().fold(
        format!("TC3{}", key.secret.expose()).into_bytes(),
        |key, part| hmac_sha256(&key, part.as_bytes()),
    );
    let mut wanted = String::new();
    // The published algorithm lower-cases header values, the vendor's clients do not.
    for case in [Case::AsSent, Case::Lower] {
        let block = check
            .header_block(signed, case)
            .ok_or(Refusal::AuthMalformed("SignedHeaders"))?;
        let canonical = lines(&[
            request.method.as_bytes(),
            b"/",
            query.as_bytes(),
            &block,
            signed.as_bytes(),
            hash.as_bytes(),
        ]);
        wanted = format!("{SCHEME}\n{stamp}\n{scope}\n{}", sha256_hex(&canonical));
        let expected = hmac_sha256(&signing_key, wanted.as_bytes());
        if same(&hex::encode(expected), signature) {
            return Ok(account);
        }
    }
    Err(Refusal::WrongSignature(wanted))
}

//! `ACS3-HMAC-SHA256`: Alibaba Cloud's current scheme.
//!
//! The secret is the key as it is, without a date scope. `Authorization` has no spaces after
//! its commas.

use super::{Key, Parts, Signed, header_block, hmac_sha256, sha256_hex};
use crate::encode;

const ALGORITHM: &str = "ACS3-HMAC-SHA256";

/// Signs a request. `query` holds the decoded parameters (the vendor's own client writes a space
/// as `+` and signs `%20`, so the raw query is not enough); `parts.raw_query` is not looked at.
/// `x-acs-date`, the nonce and the content hash are headers and signed as such.
pub fn sign(parts: Parts<'_>, query: &[(String, String)], signed: &[&str], key: Key<'_>) -> Signed {
    let (block, list) = header_block(parts.headers, signed, str::to_owned);
    let canonical_request = format!(
        "{}\n{}\n{}\n{block}\n{list}\n{}",
        parts.method,
        parts.path,
        encode::sorted_query(query),
        sha256_hex(parts.body)
    );
    let string_to_sign = format!("{ALGORITHM}\n{}", sha256_hex(canonical_request.as_bytes()));
    let signature = hex::encode(hmac_sha256(
        key.secret.as_bytes(),
        string_to_sign.as_bytes(),
    ));
    let authorization = format!(
        "{ALGORITHM} Credential={},SignedHeaders={list},Signature={signature}",
        key.id
    );
    Signed {
        canonical_request,
        string_to_sign,
        signature,
        authorization,
    }
}

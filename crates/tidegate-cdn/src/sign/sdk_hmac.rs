//! `SDK-HMAC-SHA256`: Huawei Cloud with access key and secret key.
//!
//! The canonical path ends with a slash although the request line's does not, and the word in
//! `Authorization` is `Access`, not `Credential`. The vendor's client leaves a body of another type
//! than JSON unsigned; a header then stands for its hash.

use percent_encoding::percent_decode_str;

use super::{Key, Parts, Signed, header, header_block, hmac_sha256, sha256_hex};
use crate::encode;

const ALGORITHM: &str = "SDK-HMAC-SHA256";

const CONTENT: &str = "x-sdk-content-sha256";

/// Signs a request. `date` is the text of `X-Sdk-Date` (`yyyyMMddTHHmmssZ`); `query` holds the
/// decoded parameters, and `parts.raw_query` is not looked at.
pub fn sign(
    parts: Parts<'_>,
    query: &[(String, String)],
    signed: &[&str],
    key: Key<'_>,
    date: &str,
) -> Signed {
    let (block, list) = header_block(parts.headers, signed, str::to_owned);
    let mut path = encode::path(&percent_decode_str(parts.path).decode_utf8_lossy());
    if !path.ends_with('/') {
        path.push('/');
    }
    let hash = match header(parts.headers, CONTENT) {
        Some(hash) if !parts.body.is_empty() => hash.to_owned(),
        _ => sha256_hex(parts.body),
    };
    let canonical_request = format!(
        "{}\n{path}\n{}\n{block}\n{list}\n{hash}",
        parts.method,
        encode::sorted_query(query),
    );
    let string_to_sign = format!(
        "{ALGORITHM}\n{date}\n{}",
        sha256_hex(canonical_request.as_bytes())
    );
    let signature = hex::encode(hmac_sha256(
        key.secret.as_bytes(),
        string_to_sign.as_bytes(),
    ));
    let authorization = format!(
        "{ALGORITHM} Access={}, SignedHeaders={list}, Signature={signature}",
        key.id
    );
    Signed {
        canonical_request,
        string_to_sign,
        signature,
        authorization,
    }
}

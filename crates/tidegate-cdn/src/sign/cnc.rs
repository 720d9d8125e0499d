//! `CNC-HMAC-SHA256`: Wangsu with access key and secret key.
//!
//! Header values are lower-cased before signing. The query counts for GET only, and there
//! percent-decoded as a whole and unsorted.

use percent_encoding::percent_decode_str;

use super::{Key, Parts, Signed, header_block, hmac_sha256, sha256_hex};

const ALGORITHM: &str = "CNC-HMAC-SHA256";

/// The headers that must be signed at least.
pub const SIGNED: [&str; 2] = ["content-type", "host"];

/// Signs at `timestamp`, unix seconds, which goes out as `x-cnc-timestamp`.
pub fn sign(parts: Parts<'_>, signed: &[&str], key: Key<'_>, timestamp: i64) -> Signed {
    let query = match parts.method {
        "POST" => String::new(),
        _ => percent_decode_str(parts.raw_query)
            .decode_utf8_lossy()
            .into_owned(),
    };
    let body: &[u8] = match parts.method {
        "GET" => b"",
        _ => parts.body,
    };
    let (block, list) = header_block(parts.headers, signed, str::to_lowercase);
    let canonical_request = format!(
        "{}\n{}\n{query}\n{block}\n{list}\n{}",
        parts.method,
        parts.path,
        sha256_hex(body)
    );
    let string_to_sign = format!(
        "{ALGORITHM}\n{timestamp}\n{}",
        sha256_hex(canonical_request.as_bytes())
    );
    let signature = hex::encode(hmac_sha256(
        key.secret.as_bytes(),
        string_to_sign.as_bytes(),
    ));
    let authorization = format!(
        "{ALGORITHM} Credential={}, SignedHeaders={list}, Signature={signature}",
        key.id
    );
    Signed {
        canonical_request,
        string_to_sign,
        signature,
        authorization,
    }
}

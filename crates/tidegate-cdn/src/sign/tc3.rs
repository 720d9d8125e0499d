//! `TC3-HMAC-SHA256`: Tencent Cloud.
//!
//! The scope carries the UTC date of the timestamp; the Beijing date, a day ahead from 16:00
//! UTC on, is refused. The query is signed exactly as it is sent. A body that is not to be signed
//! is said so in a header, and those words are signed in its place.

use tidegate_core::UnixMs;
use zeroize::Zeroizing;

use super::{Key, Parts, Signed, header, header_block, hmac_sha256, sha256_hex};

const ALGORITHM: &str = "TC3-HMAC-SHA256";

/// The headers that must be signed at least.
pub const SIGNED: [&str; 2] = ["content-type", "host"];

const CONTENT: &str = "x-tc-content-sha256";
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// Signs at `timestamp`, unix seconds, which goes out as `X-TC-Timestamp`; `service` is the
/// product's name, `live`.
pub fn sign(
    parts: Parts<'_>,
    signed: &[&str],
    key: Key<'_>,
    timestamp: i64,
    service: &str,
) -> Signed {
    let (block, list) = header_block(parts.headers, signed, str::to_lowercase);
    let body = match header(parts.headers, CONTENT) {
        Some(UNSIGNED) => UNSIGNED.as_bytes(),
        _ => parts.body,
    };
    let canonical_request = format!(
        "{}\n{}\n{}\n{block}\n{list}\n{}",
        parts.method,
        parts.path,
        parts.raw_query,
        sha256_hex(body)
    );
    let instant = UnixMs::from_seconds(timestamp).to_string();
    let date = instant.split('T').next().unwrap_or_default();
    let scope = format!("{date}/{service}/tc3_request");
    let string_to_sign = format!(
        "{ALGORITHM}\n{timestamp}\n{scope}\n{}",
        sha256_hex(canonical_request.as_bytes())
    );
    let first = Zeroizing::new(format!("TC3{}", key.secret));
    let dated = hmac_sha256(first.as_bytes(), date.as_bytes());
    let scoped = hmac_sha256(&hmac_sha256(&dated, service.as_bytes()), b"tc3_request");
    let signature = hex::encode(hmac_sha256(&scoped, string_to_sign.as_bytes()));
    let authorization = format!(
        "{ALGORITHM} Credential={}/{scope}, SignedHeaders={list}, Signature={signature}",
        key.id
    );
    Signed {
        canonical_request,
        string_to_sign,
        signature,
        authorization,
    }
}

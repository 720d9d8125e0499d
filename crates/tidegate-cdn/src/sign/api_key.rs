//! Wangsu with account and apiKey: HTTP Basic whose password is an HMAC-SHA1 of the date.
//!
//! Nothing but the date is signed, so whoever sees the header may use it for any call until the
//! vendor calls the date stale. `CNC-HMAC-SHA256` is the better choice where there is one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Key, Signed, hmac_sha1};

/// Signs `date`, the exact text of the `Date` header. The key's id is the account, its secret
/// the apiKey.
pub fn sign(key: Key<'_>, date: &str) -> Signed {
    let signature = STANDARD.encode(hmac_sha1(key.secret.as_bytes(), date.as_bytes()));
    let pair = format!("{}:{signature}", key.id);
    Signed {
        canonical_request: String::new(),
        string_to_sign: date.to_owned(),
        signature,
        authorization: format!("Basic {}", STANDARD.encode(pair)),
    }
}

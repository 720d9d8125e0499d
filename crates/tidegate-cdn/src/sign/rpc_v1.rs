//! RPC v1 with HMAC-SHA1: Alibaba Cloud's previous scheme. The signature is a parameter.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::{Signed, hmac_sha1};
use crate::encode;

/// Signs the decoded parameters, all of them but `Signature` itself. An empty value is signed as
/// `Name=`.
pub fn sign(method: &str, parameters: &[(String, String)], secret: &str) -> Signed {
    let canonical_request = encode::sorted_query(parameters);
    let string_to_sign = format!("{method}&%2F&{}", encode::component(&canonical_request));
    let key = Zeroizing::new(format!("{secret}&"));
    let signature = STANDARD.encode(hmac_sha1(key.as_bytes(), string_to_sign.as_bytes()));
    Signed {
        canonical_request,
        string_to_sign,
        signature,
        authorization: String::new(),
    }
}

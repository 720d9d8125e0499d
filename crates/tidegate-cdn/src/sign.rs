//! The signature schemes, one module each. Pure: time and nonce come with the request.
//!
//! A signer takes what goes on the wire and gives back every intermediate string, so that a
//! difference from a vendor's own client can be seen at the step where it arises.

pub mod acs3;
pub mod api_key;
pub mod cnc;
pub mod rpc_v1;
pub mod sdk_hmac;
pub mod tc3;

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// The result of a signature. None of it is secret, but it authorises one request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signed {
    /// The request in canonical form; empty where the scheme has none.
    pub canonical_request: String,
    /// What the key was applied to.
    pub string_to_sign: String,
    /// The signature, in the scheme's own alphabet.
    pub signature: String,
    /// Value of the `Authorization` header; empty where the scheme signs in the query.
    pub authorization: String,
}

/// The parts of a request that can be signed.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// Upper case.
    pub method: &'a str,
    /// As sent, percent-encoded.
    pub path: &'a str,
    /// As sent, without the question mark.
    pub raw_query: &'a str,
    /// All headers, host included, in any order and case.
    pub headers: &'a [(String, String)],
    /// As sent.
    pub body: &'a [u8],
}

/// A key id and its secret.
#[derive(Clone, Copy)]
pub struct Key<'a> {
    /// Public half.
    pub id: &'a str,
    /// Secret half.
    pub secret: &'a str,
}

/// SHA-256 in lower-case hex.
pub fn sha256_hex(data: &[u8]) -> String {
    hex::encode(Sha256::digest(data))
}

/// The first header of that name, in any case.
fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.trim())
}

/// The signed headers as `name:value\n` lines and as a `;` list, both sorted, names in lower
/// case, values trimmed and put through `fold`. A header that is not there counts as empty.
fn header_block(
    headers: &[(String, String)],
    signed: &[&str],
    fold: fn(&str) -> String,
) -> (String, String) {
    let mut names: Vec<String> = signed.iter().map(|n| n.to_ascii_lowercase()).collect();
    names.sort();
    names.dedup();
    let mut block = String::new();
    for name in &names {
        let values: Vec<String> = headers
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| fold(value.trim()))
            .collect();
        block.push_str(&format!("{name}:{}\n", values.join(",")));
    }
    (block, names.join(";"))
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
fn hmac_sha1(key: &[u8], message: &[u8]) -> [u8; 20] {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_agree_with_the_published_ones() {
        assert_eq!(
            sha256_hex(b""),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(
            hex::encode(hmac_sha256(b"Jefe", b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hex::encode(hmac_sha1(b"Jefe", b"what do ya want for nothing?")),
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"
        );
    }

    #[test]
    fn the_header_block_is_sorted_trimmed_and_complete() {
        let headers = [("X-B", " 2 "), ("x-a", "Ä b"), ("X-b", "3")];
        let headers = headers.map(|(n, v)| (n.to_owned(), v.to_owned()));
        let (block, list) = header_block(&headers, &["x-b", "X-A", "x-b", "none"], str::to_owned);
        assert_eq!(block, "none:\nx-a:Ä b\nx-b:2,3\n");
        assert_eq!(list, "none;x-a;x-b");
    }

    #[test]
    fn what_is_said_to_be_unsigned_is_signed_as_those_words() {
        let key = Key {
            id: "i",
            secret: "k",
        };
        let hash_of = |request: &str| request.rsplit('\n').next().map(str::to_owned);
        for (name, value, body, tc3_hash, sdk_hash) in [
            (
                "X-TC-Content-SHA256",
                "UNSIGNED-PAYLOAD",
                "b",
                sha256_hex(b"UNSIGNED-PAYLOAD"),
                sha256_hex(b"b"),
            ),
            (
                "X-TC-Content-SHA256",
                "something",
                "b",
                sha256_hex(b"b"),
                sha256_hex(b"b"),
            ),
            (
                "X-Sdk-Content-Sha256",
                "UNSIGNED-PAYLOAD",
                "b",
                sha256_hex(b"b"),
                "UNSIGNED-PAYLOAD".into(),
            ),
            (
                "X-Sdk-Content-Sha256",
                "UNSIGNED-PAYLOAD",
                "",
                sha256_hex(b""),
                sha256_hex(b""),
            ),
        ] {
            let headers = [(name.to_owned(), value.to_owned())];
            let parts = Parts {
                method: "POST",
                path: "/",
                raw_query: "",
                headers: &headers,
                body: body.as_bytes(),
            };
            let tc3 = tc3::sign(parts, &["host"], key, 1_772_698_150, "live");
            assert_eq!(hash_of(&tc3.canonical_request), Some(tc3_hash), "{name}");
            let sdk = sdk_hmac::sign(parts, &[], &["host"], key, "20260305T080910Z");
            assert_eq!(hash_of(&sdk.canonical_request), Some(sdk_hash), "{name}");
        }
    }

    #[test]
    fn names_and_values_of_every_script_are_signed_as_other_code_signs_them() {
        let query = [("名 a", "直播 +/~*%"), ("B", "x=1&y"), ("a", "")];
        let query = query.map(|(n, v)| (n.to_owned(), v.to_owned()));
        let headers = [("host".to_owned(), "h".to_owned())];
        let parts = Parts {
            method: "POST",
            path: "/",
            raw_query: "",
            headers: &headers,
            body: b"",
        };
        let key = Key {
            id: "i",
            secret: "k",
        };
        let acs3 = acs3::sign(parts, &query, &["host"], key);
        assert_eq!(
            acs3.signature,
            "b340bc218701458c14546ff42256fde1a4d3fd3e0785e02342173b696ffc09d0"
        );
        let rpc = rpc_v1::sign("POST", &query, "k");
        assert_eq!(rpc.signature, "7Wlw5epYswyvIKfg42Uix2c1G7M=");
        let parts = Parts {
            path: "/v1/a%20b",
            ..parts
        };
        let sdk = sdk_hmac::sign(parts, &query, &["host"], key, "20260305T080910Z");
        assert_eq!(
            sdk.signature,
            "ebca9d8ea52c09fbf943520008f4ae0d10e467e18832ec37acba084bf0ba311a"
        );
    }
}

//! Signed publish URLs, by the three recipes that the original platform documents (`reference`
//! section 5.4).
//!
//! | recipe | query | secret |
//! |---|---|---|
//! | Tencent | `txSecret`, `txTime` | MD5 of key + stream + time |
//! | Wangsu | `wsSecret`, `wsABStime` | MD5 of time + `/app/stream` + key |
//! | Huawei | `hwSecret`, `hwTime` | HMAC-SHA256 under key of stream + time |
//!
//! The time is the instant of expiry, Unix seconds in hex, hashed exactly as sent.

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use percent_encoding::percent_decode_str;
use sha2::Sha256;

use crate::secret::{Secret, same_bytes};

/// Which recipe a URL is signed by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recipe {
    /// `txSecret` and `txTime`.
    Tencent,
    /// `wsSecret` and `wsABStime`.
    Wangsu,
    /// `hwSecret` and `hwTime`.
    Huawei,
}

/// Why a publish URL is not authentic.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AuthError {
    /// No pair of secret and time of any recipe.
    #[error(
        "this app takes signed publish URLs only: add txSecret and txTime, wsSecret and wsABStime, or hwSecret and hwTime"
    )]
    Unsigned,
    /// A parameter of the pair is missing, repeated, or the time is not eight hex digits.
    #[error(
        "the signature of the publish URL is malformed: one secret and one time of eight hex digits are needed"
    )]
    Malformed,
    /// The secret fits neither key.
    #[error("the signature of the publish URL is wrong")]
    Wrong,
    /// The secret is right and its time has passed.
    #[error("the publish URL has expired")]
    Expired,
}

const RECIPES: [Recipe; 3] = [Recipe::Tencent, Recipe::Wangsu, Recipe::Huawei];

impl Recipe {
    fn parameters(self) -> (&'static str, &'static str) {
        match self {
            Self::Tencent => ("txSecret", "txTime"),
            Self::Wangsu => ("wsSecret", "wsABStime"),
            Self::Huawei => ("hwSecret", "hwTime"),
        }
    }

    fn digest(self, key: &Secret, app: &str, stream: &str, time: &str) -> String {
        match self {
            Self::Tencent => md5_hex(&[key.expose(), stream, time]),
            Self::Wangsu => md5_hex(&[time, "/", app, "/", stream, key.expose()]),
            Self::Huawei => {
                // HMAC takes a key of any length.
                let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes()) else {
                    return String::new();
                };
                mac.update(stream.as_bytes());
                mac.update(time.as_bytes());
                hex::encode(mac.finalize().into_bytes())
            }
        }
    }
}

fn md5_hex(parts: &[&str]) -> String {
    let mut md5 = Md5::new();
    for part in parts {
        md5.update(part);
    }
    hex::encode(md5.finalize())
}

/// The query (without `?`) that authorises publishing `stream` under the RTMP app `app` until
/// `expires_seconds`, at the latest the end of 32-bit time in 2106.
pub fn sign(recipe: Recipe, key: &Secret, app: &str, stream: &str, expires_seconds: i64) -> String {
    let time = format!("{:08x}", expires_seconds.clamp(0, u32::MAX.into()));
    let (secret_name, time_name) = recipe.parameters();
    let secret = recipe.digest(key, app, stream, &time);
    format!("{secret_name}={secret}&{time_name}={time}")
}

/// Checks the query of a publish URL against all of `keys`. Which recipe is used is told by the
/// parameter's name; every recipe present must hold, so a stray wrong one is not ignored.
pub fn verify<'a>(
    query: &str,
    keys: impl IntoIterator<Item = &'a Secret> + Clone,
    app: &str,
    stream: &str,
    now_seconds: i64,
) -> Result<(), AuthError> {
    let mut signed = false;
    for recipe in RECIPES {
        let (secret_name, time_name) = recipe.parameters();
        let (secret, time) = match (only(query, secret_name)?, only(query, time_name)?) {
            (None, None) => continue,
            (Some(secret), Some(time)) => (secret, time),
            _ => return Err(AuthError::Malformed),
        };
        let expires = parse_time(&time).ok_or(AuthError::Malformed)?;
        let mut right = false;
        for key in keys.clone() {
            let want = recipe.digest(key, app, stream, &time);
            right |= same_bytes(want.as_bytes(), secret.as_bytes());
        }
        if !right {
            return Err(AuthError::Wrong);
        }
        if expires < now_seconds {
            return Err(AuthError::Expired);
        }
        signed = true;
    }
    if signed {
        Ok(())
    } else {
        Err(AuthError::Unsigned)
    }
}

/// The one value of a parameter; twice is malformed.
fn only(query: &str, name: &str) -> Result<Option<String>, AuthError> {
    let mut found = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(n, _)| *n == name);
    match (found.next(), found.next()) {
        (None, _) => Ok(None),
        (Some((_, value)), None) => match percent_decode_str(value).decode_utf8() {
            Ok(value) => Ok(Some(value.into_owned())),
            Err(_) => Err(AuthError::Malformed),
        },
        _ => Err(AuthError::Malformed),
    }
}

/// Exactly eight digits, enough until 2106. Two recipes hash the stream and the time with nothing
/// between them: with times of any length, `demo1` and `65a006aa` would also authorise `demo` until
/// `165a006aa`.
fn parse_time(text: &str) -> Option<i64> {
    let digits = text.len() == 8 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if !digits {
        return None;
    }
    i64::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Secret {
        Secret::new("KEY123".into())
    }

    /// Section 7 of the reference, vectors 3 to 5.
    #[test]
    fn agrees_with_the_reference_vectors() {
        let tx = Recipe::Tencent.digest(&key(), "live", "streamid123", "65a006aa");
        assert_eq!(tx, "e4dd78edddc4c74373784b6851789997");
        let ws = Recipe::Wangsu.digest(&key(), "live", "streamid123", "65A006AA");
        assert_eq!(ws, "9fc45b71d7731532c8748b42a8ccdda9");
        let hw = Recipe::Huawei.digest(&key(), "live", "streamid123", "65a006aa");
        assert_eq!(
            hw,
            "72f0d0a2e69e2069a076a3ad1528a8b39788a41b70c0f183cf37968bb9ef09c5"
        );
        assert_eq!(
            sign(Recipe::Tencent, &key(), "live", "x", 1_546_064_025)
                .split_once("&txTime=")
                .map(|p| p.1),
            Some("5c271099")
        );
    }

    #[test]
    fn what_was_signed_verifies_until_it_expires_under_either_key() {
        let (primary, backup) = (key(), Secret::new("other".into()));
        for recipe in RECIPES {
            for signer in [&primary, &backup] {
                let query = sign(recipe, signer, "live", "demo", 1000);
                assert_eq!(
                    verify(&query, [&primary, &backup], "live", "demo", 1000),
                    Ok(())
                );
                assert_eq!(
                    verify(&query, [&primary, &backup], "live", "demo", 1001),
                    Err(AuthError::Expired)
                );
                assert_eq!(
                    verify(&query, [&primary, &backup], "live", "other", 1),
                    Err(AuthError::Wrong)
                );
            }
            let query = sign(recipe, &primary, "live", "demo", 1000);
            assert_eq!(
                verify(&query, [&backup], "live", "demo", 1),
                Err(AuthError::Wrong)
            );
            assert_eq!(verify(&query, [], "live", "demo", 1), Err(AuthError::Wrong));
        }
    }

    #[test]
    fn the_time_is_hashed_as_sent() {
        let query = "wsSecret=9fc45b71d7731532c8748b42a8ccdda9&wsABStime=65A006AA";
        assert_eq!(verify(query, [&key()], "live", "streamid123", 1), Ok(()));
        let lower = query.replace("65A006AA", "65a006aa");
        assert_eq!(
            verify(&lower, [&key()], "live", "streamid123", 1),
            Err(AuthError::Wrong)
        );
    }

    #[test]
    fn a_digit_moved_from_the_stream_to_the_time_does_not_verify() {
        for recipe in RECIPES {
            let query = sign(recipe, &key(), "live", "demo1", 0x65a0_06aa);
            let moved = query.replace("=65a006aa", "=165a006aa");
            let result = verify(&moved, [&key()], "live", "demo", 1);
            assert_eq!(result, Err(AuthError::Malformed));
        }
    }

    #[test]
    fn malformed_queries_are_told_apart() {
        let good = sign(Recipe::Tencent, &key(), "live", "demo", 1000);
        let check = |query: &str| verify(query, [&key()], "live", "demo", 1);
        assert_eq!(check(""), Err(AuthError::Unsigned));
        assert_eq!(check("a=b&c"), Err(AuthError::Unsigned));
        assert_eq!(check("txSecret=x"), Err(AuthError::Malformed));
        assert_eq!(check("txTime=1"), Err(AuthError::Malformed));
        assert_eq!(check("txSecret=x&txTime=xyz"), Err(AuthError::Malformed));
        assert_eq!(check("txSecret=x&txTime="), Err(AuthError::Malformed));
        assert_eq!(
            check("txSecret=x&txTime=ffffffffffffffffff"),
            Err(AuthError::Malformed)
        );
        assert_eq!(
            check(&format!("{good}&txTime=1")),
            Err(AuthError::Malformed)
        );
        assert_eq!(
            check(&format!("{good}&hwSecret=1&hwTime=000003e8")),
            Err(AuthError::Wrong)
        );
        assert_eq!(check(&format!("a=b&{good}")), Ok(()));
    }
}

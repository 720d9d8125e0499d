//! Signature v2.0 of the Server API (`reference` section 1.4): lower-case hex MD5 over AppId,
//! nonce, ServerSecret and timestamp, with nothing between them.

use md5::{Digest, Md5};

use crate::ids::AppId;
use crate::secret::{Secret, same_bytes};

/// Furthest that a Timestamp may be from the server's clock, in seconds, either way.
pub const WINDOW_SECONDS: i64 = 600;

/// The signature of a request. `timestamp` is the decimal text that is sent.
pub fn sign(app: AppId, nonce: &str, secret: &Secret, timestamp: &str) -> String {
    hex::encode(digest(app, nonce, secret, timestamp))
}

/// Whether `signature` is right under any of `secrets`. All are compared, whichever fits first;
/// callers pass a dummy secret for an unknown App so that both cases cost the same.
pub fn verify<'a>(
    app: AppId,
    nonce: &str,
    timestamp: &str,
    signature: &str,
    secrets: impl IntoIterator<Item = &'a Secret>,
) -> bool {
    let mut right = false;
    for secret in secrets {
        let mut want = [0u8; 32];
        // Encoding 16 bytes into 32 cannot fail.
        let _ = hex::encode_to_slice(digest(app, nonce, secret, timestamp), &mut want);
        right |= same_bytes(&want, signature.as_bytes());
    }
    right
}

/// Whether the server's clock is within the window of the signer's. Never overflows.
pub fn in_window(timestamp: i64, now_seconds: i64) -> bool {
    now_seconds.abs_diff(timestamp) <= WINDOW_SECONDS.unsigned_abs()
}

fn digest(app: AppId, nonce: &str, secret: &Secret, timestamp: &str) -> [u8; 16] {
    let mut md5 = Md5::new();
    md5.update(app.to_string());
    md5.update(nonce);
    md5.update(secret.expose());
    md5.update(timestamp);
    md5.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published() -> (AppId, &'static str, Secret, &'static str) {
        let secret = Secret::new("9193cc662a4c0ec135ec71fb57194b38".into());
        (AppId(12345), "4fd24687296dd9f3", secret, "1615186943")
    }

    #[test]
    fn agrees_with_the_published_vector() {
        let (app, nonce, secret, at) = published();
        assert_eq!(
            sign(app, nonce, &secret, at),
            "43e5cfcca828314675f91b001390566a"
        );
    }

    #[test]
    fn verifies_lower_case_hex_only_and_under_any_live_secret() {
        let (app, nonce, secret, at) = published();
        let other = Secret::new("x".into());
        let right = "43e5cfcca828314675f91b001390566a";
        assert!(verify(app, nonce, at, right, [&secret]));
        assert!(verify(app, nonce, at, right, [&other, &secret]));
        assert!(verify(app, nonce, at, right, [&secret, &other]));
        assert!(!verify(app, nonce, at, right, [&other]));
        assert!(!verify(app, nonce, at, right, []));
        for wrong in [
            "",
            "43E5CFCCA828314675F91B001390566A",
            &right[1..],
            "é",
            &right.repeat(2),
        ] {
            assert!(!verify(app, nonce, at, wrong, [&secret]), "{wrong}");
        }
    }

    #[test]
    fn the_window_is_ten_minutes_both_ways_and_cannot_overflow() {
        let now = 1_615_186_943;
        assert!(in_window(now - 600, now) && in_window(now + 600, now));
        assert!(!in_window(now - 601, now) && !in_window(now + 601, now));
        assert!(!in_window(i64::MIN, now) && !in_window(i64::MAX, now));
        assert!(!in_window(i64::MIN, i64::MAX) && !in_window(i64::MAX, i64::MIN));
    }
}

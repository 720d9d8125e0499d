//! Who calls: the common parameters in the design's order of checks, then the signature.

use std::borrow::Cow;
use std::sync::Arc;

use tidegate_core::api_signature::{WINDOW_SECONDS, in_window, verify};
use tidegate_core::{AppId, Secret, UnixMs};
use tidegate_engine::AppEntry;

use super::actions::{self, Action};
use super::codes::Code;
use super::params::{Common, Slot};
use super::refusal::{Refusal, shown};
use crate::options::AuthCodes;

const WRONG: &str = "authentication failed: check AppId, ServerSecret and that the Signature is \
    the lower-case hex MD5 of AppId, SignatureNonce, ServerSecret and Timestamp joined together";
const NONCE_USED: &str = "authentication failed: this SignatureNonce belongs to a different \
    request; sign every request with a SignatureNonce of its own";

/// A call with a right signature inside the window.
pub(crate) struct Identified {
    pub(crate) entry: Arc<AppEntry>,
    pub(crate) timestamp: i64,
}

/// What authentication needs besides the call.
pub(crate) struct Keys<'a> {
    pub(crate) find: &'a dyn Fn(AppId) -> Option<Arc<AppEntry>>,
    pub(crate) dummy: &'a Secret,
    pub(crate) codes: AuthCodes,
    pub(crate) now: UnixMs,
}

/// The action that is asked for; `Err(name)` inside for one that no row has.
pub(crate) type Asked<'a> = Result<(usize, &'static Action), Cow<'a, str>>;

/// The first check: which action.
pub(crate) fn action<'a>(common: &Common<'a>) -> Result<Asked<'a>, Refusal> {
    let empty = || {
        Refusal::new(
            Code::ActionEmpty,
            "Action is required in the query, and missing or empty",
        )
    };
    let name = present(&common.action, "Action", Code::Parameter, empty)?;
    Ok(actions::find(name).ok_or_else(|| Cow::Owned(name.to_owned())))
}

/// All other checks up to the signature's expiry.
pub(crate) fn identify(
    common: &Common<'_>,
    asked: &Asked<'_>,
    keys: &Keys<'_>,
) -> Result<Identified, Refusal> {
    let app = app_id(common)?;
    version(common)?;
    let nonce = nonce(common)?;
    let (timestamp_text, timestamp) = timestamp(common)?;
    let signature = signature(common)?;

    let entry = (keys.find)(app);
    let mut secrets = [keys.dummy; 2];
    if let Some(entry) = &entry {
        for (slot, live) in secrets.iter_mut().zip(entry.live_secrets(keys.now)) {
            *slot = live;
        }
    }
    let right = verify(app, nonce, timestamp_text, signature, secrets);
    let failed = |code| Refusal::new(failed_code(asked, keys.codes, code), WRONG);
    let entry = match entry {
        Some(entry) if !entry.app.disabled => entry,
        _ => return Err(failed(Code::AppUnknown)),
    };
    if !right {
        return Err(failed(Code::SignatureWrong));
    }
    if !in_window(timestamp, keys.now.seconds()) {
        let code = failed_code(asked, keys.codes, Code::SignatureExpired);
        return Err(Refusal::new(code, expired(timestamp, keys.now)));
    }
    Ok(Identified { entry, timestamp })
}

/// The nonce was used by a different request.
pub(crate) fn nonce_taken(asked: &Asked<'_>, codes: AuthCodes) -> Refusal {
    Refusal::new(failed_code(asked, codes, Code::SignatureWrong), NONCE_USED)
}

/// The text of the nonce; the checks of [`identify`] have seen it.
pub(crate) fn nonce<'c>(common: &'c Common<'_>) -> Result<&'c str, Refusal> {
    present(&common.nonce, "SignatureNonce", Code::Parameter, || {
        Refusal::new(
            Code::NonceEmpty,
            "SignatureNonce is required in the query, and missing or empty",
        )
    })
}

fn failed_code(asked: &Asked<'_>, codes: AuthCodes, gateway: Code) -> Code {
    match (asked, codes) {
        (Ok((_, action)), AuthCodes::Action) => action.failed_auth,
        _ => gateway,
    }
}

fn expired(timestamp: i64, now: UnixMs) -> String {
    format!(
        "authentication failed: the signature has expired: its Timestamp is {timestamp}, the \
         server's time is {} ({now}), and they may be {WINDOW_SECONDS} seconds apart; sign again",
        now.seconds()
    )
}

fn app_id(common: &Common<'_>) -> Result<AppId, Refusal> {
    let missing = || {
        Refusal::new(
            Code::AppIdFormat,
            "AppId is required in the query, and missing or empty",
        )
    };
    let text = present(&common.app_id, "AppId", Code::AppIdFormat, missing)?;
    AppId::parse(text).ok_or_else(|| {
        let words = format!(
            "AppId must be a decimal number from 1 to 4294967295, came {}",
            shown(text)
        );
        Refusal::new(Code::AppIdFormat, words)
    })
}

fn version(common: &Common<'_>) -> Result<(), Refusal> {
    let (slot, name) = (&common.version, "SignatureVersion");
    let text = present(slot, name, Code::VersionUnsupported, || {
        Refusal::new(
            Code::VersionEmpty,
            "SignatureVersion is required in the query, and missing or empty",
        )
    })?;
    if text == "2.0" {
        return Ok(());
    }
    let words = format!("SignatureVersion must be 2.0, came {}", shown(text));
    Err(Refusal::new(Code::VersionUnsupported, words))
}

fn timestamp<'c>(common: &'c Common<'_>) -> Result<(&'c str, i64), Refusal> {
    let missing = || {
        Refusal::new(
            Code::TimestampEmpty,
            "Timestamp is required in the query, and missing or empty",
        )
    };
    let text = present(
        &common.timestamp,
        "Timestamp",
        Code::TimestampFormat,
        missing,
    )?;
    // Only the canonical decimal: it is what the signature covers.
    let digits = text.strip_prefix('-').unwrap_or(text);
    let canonical = !digits.starts_with('0') && !digits.starts_with('+') || text == "0";
    let number = text.parse::<i64>().ok().filter(|_| canonical);
    number.map(|number| (text, number)).ok_or_else(|| {
        let words = format!(
            "Timestamp must be Unix time in whole seconds as a decimal number, came {}",
            shown(text)
        );
        Refusal::new(Code::TimestampFormat, words)
    })
}

fn signature<'c>(common: &'c Common<'_>) -> Result<&'c str, Refusal> {
    let missing = || {
        Refusal::new(
            Code::SignatureEmpty,
            "Signature is required in the query, and missing or empty",
        )
    };
    match &common.signature {
        // Whatever it is, it is not right.
        Slot::NotText => Ok("-"),
        slot => present(slot, "Signature", Code::Parameter, missing),
    }
}

/// The text of a common parameter that is there once and not empty. `malformed` is the code for
/// one that is there and unusable.
fn present<'c>(
    slot: &'c Slot<'_>,
    name: &str,
    malformed: Code,
    missing: impl FnOnce() -> Refusal,
) -> Result<&'c str, Refusal> {
    match slot {
        Slot::One(text) if !text.is_empty() => Ok(text),
        Slot::One(_) | Slot::Missing => Err(missing()),
        Slot::Repeated => Err(Refusal::new(
            malformed,
            format!("{name} is given twice; it is given once, in the query"),
        )),
        Slot::NotText => Err(Refusal::new(
            malformed,
            format!("{name} must be percent-encoded UTF-8, and is not"),
        )),
    }
}

//! Parameters of a call: the common ones straight from the query, and after authentication all of
//! them, from the query and the JSON body.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::percent_decode;
use serde::de::{Deserializer as _, MapAccess, Visitor};
use sha2::{Digest, Sha256};

use super::refusal::{Refusal, shown};

/// A common parameter as it came.
#[derive(Clone, Default, Debug)]
pub(crate) enum Slot<'a> {
    #[default]
    Missing,
    One(Cow<'a, str>),
    Repeated,
    /// Percent-encoding that is not UTF-8.
    NotText,
}

/// The common parameters. Found in one pass that keeps nothing else, so that a stranger's 60 KiB
/// cost no memory.
#[derive(Default)]
pub(crate) struct Common<'a> {
    pub(crate) action: Slot<'a>,
    pub(crate) app_id: Slot<'a>,
    pub(crate) nonce: Slot<'a>,
    pub(crate) timestamp: Slot<'a>,
    pub(crate) signature: Slot<'a>,
    pub(crate) version: Slot<'a>,
}

impl<'a> Common<'a> {
    pub(crate) fn read(query: &'a str) -> Self {
        let mut common = Self::default();
        for (name, value) in pairs(query) {
            let Some(name) = decode(name) else { continue };
            let slot = match &*name {
                "Action" => &mut common.action,
                "AppId" => &mut common.app_id,
                "SignatureNonce" => &mut common.nonce,
                "Timestamp" => &mut common.timestamp,
                "Signature" => &mut common.signature,
                "SignatureVersion" => &mut common.version,
                _ => continue,
            };
            *slot = match (&*slot, decode(value)) {
                (Slot::Missing, Some(value)) => Slot::One(value),
                (Slot::Missing, None) => Slot::NotText,
                _ => Slot::Repeated,
            };
        }
        common
    }
}

/// One value.
#[derive(Debug)]
enum Value<'a> {
    Text(Cow<'a, str>),
    /// From a JSON body, and not a string.
    Other(serde_json::Value),
}

/// All parameters of an authenticated call, sorted by name, each name once.
#[derive(Debug, Default)]
pub(crate) struct Params<'a> {
    all: Vec<(Cow<'a, str>, Value<'a>)>,
}

impl<'a> Params<'a> {
    /// Gathers the query's parameters and the members of a JSON body; an empty body has none.
    pub(crate) fn gather(query: &'a str, body: &[u8]) -> Result<Self, Refusal> {
        let mut all = Vec::with_capacity(12);
        for (name, value) in pairs(query) {
            let name = decode(name).ok_or_else(|| {
                let came = shown(name);
                Refusal::parameter(format!(
                    "a parameter name in the query is not UTF-8: {came}"
                ))
            })?;
            let Some(text) = decode(value) else {
                let came = shown(value);
                return Err(Refusal::parameter(format!(
                    "{} must be percent-encoded UTF-8, came {came}",
                    named(&name)
                )));
            };
            all.push((name, Value::Text(text)));
        }
        if !body.is_empty() {
            all.extend(json_members(body)?);
        }
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        let twice = all
            .iter()
            .zip(all.iter().skip(1))
            .find(|((a, _), (b, _))| a == b);
        if let Some(((name, _), _)) = twice {
            return Err(Refusal::parameter(format!(
                "{} is given twice; each parameter is given once, in the query or in the body",
                named(name)
            )));
        }
        Ok(Self { all })
    }

    /// A text parameter; `None` if it is absent.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let found = self.all.binary_search_by(|(n, _)| (**n).cmp(name));
        match found.ok().and_then(|at| self.all.get(at)) {
            None => Ok(None),
            Some((_, Value::Text(text))) => Ok(Some(text)),
            Some((_, Value::Other(value))) => Err(Refusal::parameter(format!(
                "{name} must be a string, came {}",
                described(value)
            ))),
        }
    }

    /// A text parameter that must be there and not empty.
    pub(crate) fn required(&self, name: &str) -> Result<&str, Refusal> {
        match self.text(name)? {
            Some(text) if !text.is_empty() => Ok(text),
            Some(_) => Err(Refusal::parameter(format!(
                "{name} is required, came empty"
            ))),
            None => Err(Refusal::parameter(format!(
                "{name} is required, and missing"
            ))),
        }
    }

    /// SHA-256 over the request's content: every parameter but the Signature. The same for GET and
    /// POST, and unambiguous, since each piece goes in with its length.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let mut sha = Sha256::new();
        for (name, value) in &self.all {
            if name == "Signature" {
                continue;
            }
            piece(&mut sha, b'n', name.as_bytes());
            match value {
                Value::Text(text) => piece(&mut sha, b't', text.as_bytes()),
                Value::Other(value) => piece(&mut sha, b'j', value.to_string().as_bytes()),
            }
        }
        sha.finalize().into()
    }
}

/// Stands for the content of a request whose parameters cannot be read.
pub(crate) fn unreadable_digest(query: &str, body: &[u8]) -> [u8; 32] {
    let mut sha = Sha256::new();
    piece(&mut sha, b'q', query.as_bytes());
    piece(&mut sha, b'b', body);
    sha.finalize().into()
}

fn piece(sha: &mut Sha256, tag: u8, bytes: &[u8]) {
    sha.update([tag]);
    sha.update((bytes.len() as u64).to_be_bytes());
    sha.update(bytes);
}

fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Undoes form encoding; borrows where there is none. `None` if the result is not UTF-8.
fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.bytes().any(|b| matches!(b, b'%' | b'+')) {
        return Some(Cow::Borrowed(text));
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_decode(spaced.as_bytes()).decode_utf8().ok()?;
    Some(Cow::Owned(decoded.into_owned()))
}

fn named(name: &str) -> String {
    tidegate_core::text::printable(name, 64)
}

/// A JSON value in a few words: what it is, and the value where it is short.
fn described(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => "null".to_owned(),
        serde_json::Value::Bool(b) => format!("the boolean {b}"),
        serde_json::Value::Number(n) => format!("the number {}", shown(&n.to_string())),
        serde_json::Value::String(text) => shown(text),
        serde_json::Value::Array(_) => "an array".to_owned(),
        serde_json::Value::Object(_) => "an object".to_owned(),
    }
}

/// The members of a JSON object, repeated names kept: `serde_json::Map` would drop one silently.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(Cow<'static, str>, Value<'static>)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, serde_json::Value>()? {
            let value = match value {
                serde_json::Value::String(text) => Value::Text(Cow::Owned(text)),
                other => Value::Other(other),
            };
            members.push((Cow::Owned(name), value));
        }
        Ok(members)
    }
}

fn json_members(body: &[u8]) -> Result<Vec<(Cow<'static, str>, Value<'static>)>, Refusal> {
    // serde_json bounds the depth of nesting itself.
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = json.deserialize_map(Members);
    let read = read.and_then(|members| json.end().map(|()| members));
    read.map_err(|error| {
        Refusal::parameter(format!(
            "the body must be one JSON object with the parameters: {}",
            tidegate_core::text::printable(&error.to_string(), 160)
        ))
    })
}

#[cfg(test)]
mod tests;

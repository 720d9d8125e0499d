//! Parameters of a call, from a query, a form or a JSON object, all as text.

use std::collections::BTreeMap;

use tidegate_core::UnixMs;

use crate::refusal::Refusal;
use crate::wire;

#[derive(Clone, Debug, Default)]
pub(crate) struct Params(BTreeMap<String, String>);

impl Params {
    pub(crate) fn from_pairs(raw: &str) -> Self {
        Self(
            wire::pairs(raw)
                .into_iter()
                .map(|(name, value)| (text(&name), text(&value)))
                .collect(),
        )
    }

    /// Reads a JSON object; numbers and booleans become text, nested values are left out.
    pub(crate) fn from_json(body: &[u8]) -> Result<Self, Refusal> {
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(body).map_err(|_| Refusal::Unreadable)?;
        let flat = object.into_iter().filter_map(|(name, value)| {
            let value = match value {
                serde_json::Value::String(text) => text,
                serde_json::Value::Number(number) => number.to_string(),
                serde_json::Value::Bool(flag) => flag.to_string(),
                _ => return None,
            };
            Some((name, value))
        });
        Ok(Self(flat.collect()))
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// A value that is there and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|v| !v.is_empty())
    }

    pub(crate) fn required(&self, name: &'static str) -> Result<&str, Refusal> {
        self.get(name).ok_or(Refusal::Missing(name))
    }

    pub(crate) fn number(
        &self,
        name: &'static str,
        default: usize,
        range: std::ops::RangeInclusive<usize>,
    ) -> Result<usize, Refusal> {
        let Some(value) = self.get(name) else {
            return Ok(default);
        };
        value
            .parse()
            .ok()
            .filter(|number| range.contains(number))
            .ok_or(Refusal::Bad(name))
    }

    /// A UTC instant that must lie ahead.
    pub(crate) fn future(
        &self,
        name: &'static str,
        now: UnixMs,
    ) -> Result<Option<UnixMs>, Refusal> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        match UnixMs::parse_utc(value) {
            Ok(at) if at > now => Ok(Some(at)),
            _ => Err(Refusal::BadEnd(name)),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

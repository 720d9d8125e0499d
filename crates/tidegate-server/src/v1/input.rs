//! Reading what `/v1` callers send: ids, bodies, queries, durations, names.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Query;
use http::{HeaderMap, Uri};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _};
use tidegate_core::text::printable;
use tidegate_core::{AppId, Secret, StreamId, StreamKey};
use tidegate_engine::AppEntry;

use super::Context;
use super::error::ApiError;

const OPERATOR: &str = "Tidegate-Operator";
const LONGEST_NAME: usize = 64;
/// Ten years.
const LONGEST: u64 = 3650 * 86_400;

impl Context {
    /// The App of this id, enabled or not.
    pub(super) fn app(&self, id: &str) -> Result<Arc<AppEntry>, ApiError> {
        let parsed = AppId::parse(id).ok_or_else(|| {
            let came = printable(id, 40);
            ApiError::invalid(format!("an AppId is a decimal number, came {came:?}"))
        })?;
        self.attached
            .engine
            .apps()
            .get(parsed)
            .cloned()
            .ok_or_else(|| ApiError::not_found(format!("there is no App {parsed}")))
    }

    /// The App and the stream of a path.
    pub(super) fn stream(
        &self,
        id: &str,
        stream: &str,
    ) -> Result<(Arc<AppEntry>, StreamKey), ApiError> {
        let entry = self.app(id)?;
        let stream = StreamId::parse(stream).map_err(|why| {
            let came = printable(stream, 80);
            ApiError::invalid(format!("{came:?} is not a stream id: {why}"))
        })?;
        let key = StreamKey::new(entry.app.id, stream);
        Ok((entry, key))
    }
}

/// A secret in a body. What comes instead of a text is not quoted in the refusal.
pub(super) struct SecretText(pub(super) Secret);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = serde_json::Value::deserialize(deserializer)?;
        match text {
            serde_json::Value::String(text) => Ok(Self(Secret::new(text))),
            _ => Err(D::Error::custom("a secret is a text")),
        }
    }
}

/// A JSON body; an empty one stands for `{}`.
pub(super) fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let bytes = if bytes.trim_ascii().is_empty() {
        b"{}"
    } else {
        bytes
    };
    serde_json::from_slice(bytes).map_err(|error| {
        let words = printable(&error.to_string(), 300);
        ApiError::invalid(format!("the body is not what this call takes: {words}"))
    })
}

/// The query.
pub(super) fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, ApiError> {
    match Query::try_from_uri(uri) {
        Ok(Query(query)) => Ok(query),
        Err(error) => {
            let words = printable(&error.body_text(), 300);
            Err(ApiError::invalid(format!(
                "the query is not what this call takes: {words}"
            )))
        }
    }
}

/// The name that the operator goes by.
pub(super) fn operator_name(headers: &HeaderMap) -> Result<String, ApiError> {
    let Some(value) = headers.get(OPERATOR) else {
        return Ok("operator".to_owned());
    };
    let name = std::str::from_utf8(value.as_bytes()).unwrap_or("").trim();
    let count = name.chars().count();
    if count == 0 || count > LONGEST_NAME || name != printable(name, LONGEST_NAME) {
        return Err(ApiError::invalid(format!(
            "{OPERATOR} must have 1 to {LONGEST_NAME} printable characters"
        )));
    }
    Ok(name.to_owned())
}

/// Reads "90s", "30m", "2h", "7d" and combinations such as "1d12h": whole seconds, more than none,
/// ten years at most.
pub(super) fn duration(text: &str) -> Result<Duration, ApiError> {
    seconds(text).map(Duration::from_secs).ok_or_else(|| {
        let came = printable(text, 40);
        ApiError::invalid(format!(
            "a duration is written like 90s, 30m, 2h, 7d or 1d12h, up to ten years; came {came:?}"
        ))
    })
}

fn seconds(text: &str) -> Option<u64> {
    let mut total = 0u64;
    let mut rest = text;
    let mut above = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let mut letters = tail.chars();
        let unit = match letters.next()? {
            'd' => 86_400,
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        if unit >= above {
            return None;
        }
        above = unit;
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(unit)?)?;
        rest = letters.as_str();
    }
    (1..=LONGEST).contains(&total).then_some(total)
}

/// The shortest text that [`duration`] reads back.
pub(super) fn written(length: Duration) -> String {
    let mut rest = length.as_secs();
    let mut text = String::new();
    for (unit, letter) in [(86_400, 'd'), (3600, 'h'), (60, 'm'), (1, 's')] {
        let count = rest / unit;
        rest %= unit;
        if count > 0 {
            text.push_str(&count.to_string());
            text.push(letter);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_write_the_same() {
        for (text, seconds) in [
            ("90s", 90),
            ("30m", 1800),
            ("2h", 7200),
            ("7d", 604_800),
            ("1d12h", 129_600),
            ("1d1h1m1s", 90_061),
            ("3650d", LONGEST),
        ] {
            assert_eq!(duration(text).expect(text).as_secs(), seconds, "{text}");
        }
        assert_eq!(written(Duration::from_secs(90)), "1m30s");
        assert_eq!(written(Duration::from_secs(86_400)), "1d");
        for text in [
            "",
            "0s",
            "5",
            "s",
            "1w",
            "-1s",
            "1.5h",
            "1h1d",
            "1s1s",
            " 1s",
            "3651d",
            "1é",
            "99999999999999999999s",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}

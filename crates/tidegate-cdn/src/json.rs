//! Reading vendors' JSON, which is typed as it pleases: numbers as texts, objects as lists.

use serde_json::Value;

/// The JSON object in `body`; `None` for anything else. Nesting is bounded by the parser.
pub(crate) fn object(body: &[u8]) -> Option<Value> {
    serde_json::from_slice(body)
        .ok()
        .filter(|value: &Value| value.is_object())
}

/// The text or number under `key`, as text.
pub(crate) fn text(value: &Value, key: &str) -> Option<String> {
    match value.get(key)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The whole number under `key`, also where it is written as a text.
pub(crate) fn number(value: &Value, key: &str) -> Option<i64> {
    match value.get(key)? {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_i64(),
    }
}

/// As [`number`], for a count.
pub(crate) fn count(value: &Value, key: &str) -> Option<u64> {
    number(value, key).and_then(|n| n.try_into().ok())
}

/// The list under `key`. An object in its place is looked into for its only list, as in
/// `{"StreamUrls":{"StreamUrl":[..]}}`. `None` where there is no list.
pub(crate) fn list<'a>(value: &'a Value, key: &str) -> Option<&'a [Value]> {
    match value.get(key)? {
        Value::Array(items) => Some(items),
        Value::Object(inner) => inner.values().find_map(Value::as_array).map(Vec::as_slice),
        _ => None,
    }
}

//! Reading vendors' JSON, which is typed as it pleases: numbers as texts, objects as lists.

use serde_json::Value;

use crate::operation::Page;

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

/// Whether a page follows `asked` (its size within the vendor's range), which brought `entries`. What
/// was asked for counts, not what the answer says it is a page of; where no total is told, a full
/// page has a next one.
pub(crate) fn more_pages(
    asked: Page,
    entries: usize,
    pages: Option<u64>,
    total: Option<u64>,
) -> bool {
    let next = u64::from(asked.number) + 1;
    let size = u64::from(asked.size);
    let full = u64::try_from(entries).unwrap_or(u64::MAX) >= size;
    entries > 0
        && match (pages, total) {
            (Some(pages), _) => next < pages,
            (None, Some(total)) => next.saturating_mul(size) < total,
            (None, None) => full,
        }
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

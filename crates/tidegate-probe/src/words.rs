//! What is said about a look: plain, short, and without what a query may hold.

use std::error::Error;

use tidegate_core::text::printable;

/// Most characters of [`crate::Looked::words`], give or take an ellipsis and escapes.
const MAX: usize = 300;
/// Shorter values than this are no signatures, and would be found in ordinary words.
const SECRET: usize = 8;

/// `text` as it may be shown: printable, bounded, every value of `url`'s query and everything that
/// looks like a query taken out. A server may echo the URL that it was asked for.
pub(crate) fn clean(text: &str, url: &str) -> String {
    // More than is shown, so that no value is cut in two before it is found.
    let end = text
        .char_indices()
        .nth(MAX * 4)
        .map_or(text.len(), |(at, _)| at);
    let mut shown = String::new();
    for word in text.get(..end).unwrap_or_default().split_whitespace() {
        if !shown.is_empty() {
            shown.push(' ');
        }
        match word.find(['?', '=', '&']) {
            Some(at) => {
                shown.push_str(word.get(..=at).unwrap_or_default());
                shown.push('…');
            }
            None => shown.push_str(word),
        }
    }
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let values = query.split('&').filter_map(|pair| pair.split_once('='));
    for (_, value) in values {
        // Alibaba's token is several values in one.
        for part in value.split('-').chain([value]) {
            if part.len() >= SECRET {
                shown = shown.replace(part, "…");
            }
        }
    }
    printable(&shown, MAX)
}

/// An error of the HTTP client with its causes, without the address.
pub(crate) fn of_error(error: &reqwest::Error) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut source = error.source();
    while let Some(cause) = source.filter(|_| texts.len() < 8) {
        let text = cause.to_string();
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        source = cause.source();
    }
    if texts.is_empty() {
        texts.push("the request failed".to_owned());
    }
    texts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_and_signatures_are_taken_out() {
        let url = "http://h/live/x.flv?auth_key=1700000600-0-0-37bba5bbd9a0f8ac&a=b";
        for (text, want) in [
            ("no such stream live/x", "no such stream live/x"),
            ("not found: live/x?auth_key=1-0", "not found: live/x?…"),
            ("txSecret=abc is wrong", "txSecret=… is wrong"),
            ("(37bba5bbd9a0f8ac) is wrong", "(…) is wrong"),
            ("a\u{1b}[31m\nb", "a\\u{1b}[31m b"),
            ("é=", "é=…"),
        ] {
            assert_eq!(clean(text, url), want, "{text}");
        }
        assert!(clean(&"x".repeat(1 << 20), url).chars().count() <= MAX + 1);
        assert!(clean(&"x ".repeat(1 << 19), url).chars().count() <= MAX + 1);
    }
}

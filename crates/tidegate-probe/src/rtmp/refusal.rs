//! What the refusals of RTMP servers mean: few agree on codes, so words count too.

use tidegate_core::probe::Look;

fn says(texts: [&str; 2], words: &[&str]) -> bool {
    let has = |text: &str| {
        let text = text.to_ascii_lowercase();
        words.iter().any(|word| text.contains(word))
    };
    texts.into_iter().any(has)
}

/// Codes that name the case, whatever the words beside them.
fn is_not_found(code: &str) -> bool {
    let last = code.rsplit('.').next().unwrap_or_default();
    ["StreamNotFound", "FileNotFound", "InvalidApp"].contains(&last)
}

const AUTH: [&str; 8] = [
    "auth",
    "forbid",
    "denied",
    "permission",
    "expired",
    "secret",
    "403",
    "401",
];
const NO_SUCH: [&str; 6] = [
    "not found",
    "notfound",
    "no such",
    "no app",
    "unknown",
    "not exist",
];
/// The server's own trouble, or another place to ask; neither tells anything of the stream.
const TROUBLE: [&str; 10] = [
    "shutdown",
    "busy",
    "overload",
    "too many",
    "limit",
    "unavailable",
    "try again",
    "internal",
    "redirect",
    "timeout",
];

/// What a refused connect shows.
pub(super) fn of_connect(code: &str, description: &str) -> Look {
    let texts = [code, description];
    if is_not_found(code) {
        Look::Absent
    } else if says(texts, &AUTH) {
        Look::Refused
    } else if says(texts, &TROUBLE) || code == "NetConnection.Connect.Failed" || code.is_empty() {
        Look::NoAnswer
    } else if says(texts, &NO_SUCH) {
        Look::Absent
    } else {
        Look::Refused
    }
}

/// What a refused or cut play shows.
pub(super) fn of_play(code: &str, description: &str) -> Look {
    let texts = [code, description];
    if is_not_found(code) {
        Look::Absent
    } else if says(texts, &AUTH) {
        Look::Refused
    } else if code.is_empty() || says(texts, &TROUBLE) {
        Look::NoAnswer
    } else {
        Look::Absent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_from_trouble() {
        for (code, words, connect, play) in [
            (
                "NetConnection.Connect.Rejected",
                "",
                Look::Refused,
                Look::Absent,
            ),
            ("X.Rejected", "token expired", Look::Refused, Look::Refused),
            (
                "X.Rejected",
                "there is no app \"x\" here",
                Look::Absent,
                Look::Absent,
            ),
            (
                "NetConnection.Connect.InvalidApp",
                "",
                Look::Absent,
                Look::Absent,
            ),
            (
                "X.Rejected",
                "[ redirect ]: rtmp://h/x",
                Look::NoAnswer,
                Look::NoAnswer,
            ),
            (
                "NetConnection.Connect.AppShutdown",
                "",
                Look::NoAnswer,
                Look::NoAnswer,
            ),
            (
                "NetStream.Play.StreamNotFound",
                "no busy-403",
                Look::Absent,
                Look::Absent,
            ),
            (
                "NetStream.Play.Failed",
                "stream is forbidden",
                Look::Refused,
                Look::Refused,
            ),
            ("", "", Look::NoAnswer, Look::NoAnswer),
        ] {
            assert_eq!(of_connect(code, words), connect, "{code} {words}");
            assert_eq!(of_play(code, words), play, "{code} {words}");
        }
    }
}

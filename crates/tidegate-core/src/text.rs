//! Escaping of what strangers sent before it reaches a log, a terminal or an answer.

use std::fmt::Write as _;

/// `text` with control characters, bidirectional overrides and other invisibles written as
/// `\u{..}`, cut to `max` characters with an ellipsis.
pub fn printable(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max.saturating_add(4)));
    for (count, c) in text.chars().enumerate() {
        if count >= max {
            out.push('…');
            break;
        }
        if is_plain(c) {
            out.push(c);
        } else {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        }
    }
    out
}

/// Whether a character can be shown as it is: no control character, override or invisible.
pub fn is_plain(c: char) -> bool {
    let invisible = matches!(
        u32::from(c),
        0xad | 0x61c | 0x180e | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff
            | 0xfff9..=0xfffb | 0xe0000..=0xe0fff
    );
    !c.is_control() && !invisible
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_what_could_deceive_a_terminal() {
        assert_eq!(printable("cam-7 é 直播", 99), "cam-7 é 直播");
        assert_eq!(
            printable("a\n\u{1b}[31mb\0", 99),
            "a\\u{a}\\u{1b}[31mb\\u{0}"
        );
        assert_eq!(printable("x\u{202e}y\u{7f}", 99), "x\\u{202e}y\\u{7f}");
        assert_eq!(printable("abcdef", 3), "abc…");
    }
}

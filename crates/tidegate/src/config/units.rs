//! Times and sizes as people write them.

use std::time::Duration;

/// Units of time, largest first, in milliseconds.
const TIMES: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Units of size, largest first, in bytes.
const SIZES: [(&str, u64); 4] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// Reads "90s", "250ms", "1d12h": numbers with units, larger units first, each at most once.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut units = TIMES.iter();
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (number, unit, after) = split_unit(rest)?;
        let (_, scale) = units.find(|(name, _)| *name == unit)?;
        total = total.checked_add(number.checked_mul(*scale)?)?;
        rest = after;
    }
    (!text.is_empty()).then(|| Duration::from_millis(total))
}

/// The shortest text that [`parse_duration`] reads as this, to the millisecond.
pub(super) fn show_duration(time: Duration) -> String {
    let mut rest = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut out = String::new();
    for (unit, scale) in TIMES {
        if rest >= scale {
            out.push_str(&format!("{}{unit}", rest / scale));
            rest %= scale;
        }
    }
    out
}

/// Reads "4MiB", "256KiB", "1GiB", "512B".
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let (number, unit, after) = split_unit(text)?;
    let (_, scale) = SIZES.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*scale).filter(|_| after.is_empty())
}

/// The shortest text that [`parse_size`] reads as this.
pub(super) fn show_size(bytes: u64) -> String {
    let whole = SIZES.iter().find(|(_, scale)| bytes.is_multiple_of(*scale));
    match whole {
        Some((unit, scale)) => format!("{}{unit}", bytes / scale),
        None => format!("{bytes}B"),
    }
}

/// A number, the letters after it, and the rest.
fn split_unit(text: &str) -> Option<(u64, &str, &str)> {
    let letters = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, rest) = text.split_at(letters);
    let end = rest.find(|c: char| c.is_ascii_digit());
    let (unit, rest) = rest.split_at(end.unwrap_or(rest.len()));
    Some((number.parse().ok()?, unit, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_printed_back() {
        for (text, ms) in [
            ("30s", 30_000),
            ("250ms", 250),
            ("1d12h", 129_600_000),
            ("1m1s1ms", 61_001),
            ("0s", 0),
        ] {
            let time = parse_duration(text).expect(text);
            assert_eq!(time, Duration::from_millis(ms), "{text}");
            assert_eq!(show_duration(time), text);
        }
        assert_eq!(
            parse_duration("90s").map(show_duration),
            Some("1m30s".into())
        );
    }

    #[test]
    fn other_texts_are_not_times() {
        for text in [
            "",
            "30",
            "s",
            "-1s",
            "1.5h",
            "1 s",
            "1h1d",
            "1s1s",
            "1w",
            "1S",
            "５s",
            "99999999999999999999s",
            "999999999999999999d",
        ] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_read_and_printed_back() {
        for (text, bytes) in [
            ("4MiB", 4 << 20),
            ("256KiB", 256 << 10),
            ("1GiB", 1 << 30),
            ("7B", 7),
        ] {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
            assert_eq!(show_size(bytes), text);
        }
        for text in [
            "",
            "4",
            "4MB",
            "4mib",
            "MiB",
            "4MiB1B",
            "-1B",
            "99999999999GiB",
        ] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }
}

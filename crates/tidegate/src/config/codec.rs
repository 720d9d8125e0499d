//! How values are read from TOML and from the environment, and printed.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use tidegate_core::text::printable;
use tidegate_ledger::LedgerUrl;
use toml::de::DeValue;
use tracing_subscriber::filter::Targets;

use super::units::{parse_duration, parse_size, show_duration, show_size};
use super::{AuthCodes, LogFormat};

/// Longest time that can be set; keeps sums of instants far from overflow.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// A value as it was written.
pub(super) enum Raw<'a> {
    Toml(&'a DeValue<'a>),
    Env(&'a str),
}

impl Raw<'_> {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Toml(value) => value.as_str(),
            Self::Env(text) => Some(text),
        }
    }

    fn integer(&self) -> Option<u64> {
        match self {
            Self::Toml(value) => {
                let digits = value.as_integer()?;
                u64::from_str_radix(digits.as_str(), digits.radix()).ok()
            }
            Self::Env(text) => text.parse().ok(),
        }
    }

    fn flag(&self) -> Option<bool> {
        match self {
            Self::Toml(value) => value.as_bool(),
            Self::Env(text) => text.parse().ok(),
        }
    }

    /// An array of strings; from the environment, parts between commas.
    fn list(&self) -> Option<Vec<String>> {
        match self {
            Self::Toml(value) => value
                .as_array()?
                .iter()
                .map(|part| part.get_ref().as_str().map(str::to_owned))
                .collect(),
            Self::Env(text) => {
                let parts = text.split(',').map(str::trim).filter(|p| !p.is_empty());
                Some(parts.map(str::to_owned).collect())
            }
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Toml(DeValue::String(text)) => format!("{:?}", printable(text, 60)),
            Self::Toml(DeValue::Integer(number)) => number.to_string(),
            Self::Toml(DeValue::Float(number)) => number.to_string(),
            Self::Toml(DeValue::Boolean(flag)) => flag.to_string(),
            Self::Toml(value) => format!("a value of type {}", value.type_str()),
            Self::Env(text) => format!("{:?}", printable(text, 60)),
        }
    }
}

/// Reads and prints values of one kind.
pub(super) trait Codec<T> {
    /// What a right value looks like; ends the sentence "expected ...".
    const EXPECTED: &'static str;

    /// `None` if it is anything else.
    fn read(raw: &Raw<'_>) -> Option<T>;

    /// As TOML.
    fn show(value: &T) -> String;

    /// As [`Codec::read`], with the sentence that says what was expected.
    fn read_or_say(raw: &Raw<'_>) -> Result<T, String> {
        Self::read(raw).ok_or_else(|| format!("expected {}, got {}", Self::EXPECTED, raw.shown()))
    }
}

/// `text` as a TOML string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

pub(super) struct Path;
pub(super) struct OptionalPath;
pub(super) struct Url;
pub(super) struct Address;
pub(super) struct Level;
pub(super) struct LogFormatWord;
pub(super) struct AuthCodesWord;
pub(super) struct Time;
pub(super) struct TimeOrZero;
pub(super) struct WholeTime;
pub(super) struct Size;
pub(super) struct Volume;
pub(super) struct Count;
pub(super) struct CountOrZero;
pub(super) struct Flag;
pub(super) struct Text;
pub(super) struct List;

impl Codec<PathBuf> for Path {
    const EXPECTED: &'static str = "a path, such as \"./tidegate-data\"";

    fn read(raw: &Raw<'_>) -> Option<PathBuf> {
        raw.text().filter(|t| !t.is_empty()).map(PathBuf::from)
    }

    fn show(value: &PathBuf) -> String {
        quoted(&value.to_string_lossy())
    }
}

impl Codec<Option<PathBuf>> for OptionalPath {
    const EXPECTED: &'static str = "a path, or \"\" for the default";

    fn read(raw: &Raw<'_>) -> Option<Option<PathBuf>> {
        raw.text()
            .map(|text| (!text.is_empty()).then(|| PathBuf::from(text)))
    }

    fn show(value: &Option<PathBuf>) -> String {
        quoted(&value.as_deref().unwrap_or("".as_ref()).to_string_lossy())
    }
}

impl Codec<Option<LedgerUrl>> for Url {
    const EXPECTED: &'static str = "a URL such as \"postgres://user:password@host:5432/database?sslmode=verify-full\", or \"\" for \
         SQLite in the data directory";

    fn read(raw: &Raw<'_>) -> Option<Option<LedgerUrl>> {
        match raw.text()? {
            "" => Some(None),
            text => LedgerUrl::parse(text).ok().map(Some),
        }
    }

    /// Without the password.
    fn show(value: &Option<LedgerUrl>) -> String {
        quoted(&value.as_ref().map(LedgerUrl::to_string).unwrap_or_default())
    }

    /// A wrong URL is not repeated: it may hold a password all the same.
    fn read_or_say(raw: &Raw<'_>) -> Result<Option<LedgerUrl>, String> {
        Self::read(raw).ok_or_else(|| format!("expected {}", Self::EXPECTED))
    }
}

impl Codec<SocketAddr> for Address {
    const EXPECTED: &'static str = "an address \"host:port\" with an IP address or localhost as host, such as \"127.0.0.1:1935\" \
         or \"[::]:1935\" (port 0 picks one)";

    fn read(raw: &Raw<'_>) -> Option<SocketAddr> {
        let text = raw.text()?;
        match text.strip_prefix("localhost:") {
            Some(port) => Some((Ipv4Addr::LOCALHOST, port.parse::<u16>().ok()?).into()),
            None => text.parse().ok(),
        }
    }

    fn show(value: &SocketAddr) -> String {
        quoted(&value.to_string())
    }
}

impl Codec<String> for Level {
    const EXPECTED: &'static str = "\"error\", \"warn\", \"info\", \"debug\", \"trace\" or \"off\", also per target as in \
         \"info,tidegate_origin=debug\"";

    fn read(raw: &Raw<'_>) -> Option<String> {
        let text = raw.text()?;
        let part_is_right = |part: &str| {
            let level = part.rsplit('=').next().unwrap_or(part);
            ["error", "warn", "info", "debug", "trace", "off"].contains(&level)
        };
        let right = text.split(',').all(part_is_right) && text.parse::<Targets>().is_ok();
        right.then(|| text.to_owned())
    }

    fn show(value: &String) -> String {
        quoted(value)
    }
}

const FORMATS: [(&str, LogFormat); 3] = [
    ("auto", LogFormat::Auto),
    ("text", LogFormat::Text),
    ("json", LogFormat::Json),
];

impl Codec<LogFormat> for LogFormatWord {
    const EXPECTED: &'static str = "\"auto\", \"text\" or \"json\"";

    fn read(raw: &Raw<'_>) -> Option<LogFormat> {
        by_word(&FORMATS, raw)
    }

    fn show(value: &LogFormat) -> String {
        word_of(&FORMATS, value)
    }
}

const AUTH_CODES: [(&str, AuthCodes); 2] = [
    ("action", AuthCodes::Action),
    ("gateway", AuthCodes::Gateway),
];

impl Codec<AuthCodes> for AuthCodesWord {
    const EXPECTED: &'static str = "\"action\" or \"gateway\"";

    fn read(raw: &Raw<'_>) -> Option<AuthCodes> {
        by_word(&AUTH_CODES, raw)
    }

    fn show(value: &AuthCodes) -> String {
        word_of(&AUTH_CODES, value)
    }
}

fn by_word<T: Copy>(words: &[(&str, T)], raw: &Raw<'_>) -> Option<T> {
    let text = raw.text()?;
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, value)| *value)
}

fn word_of<T: PartialEq>(words: &[(&str, T)], value: &T) -> String {
    let found = words.iter().find(|(_, v)| v == value);
    quoted(found.map_or("", |(word, _)| word))
}

fn read_time(raw: &Raw<'_>) -> Option<Duration> {
    parse_duration(raw.text()?).filter(|time| *time <= LONGEST)
}

impl Codec<Duration> for Time {
    const EXPECTED: &'static str =
        "a time above zero and up to 10 years, such as \"30s\", \"250ms\" or \"1d12h\"";

    fn read(raw: &Raw<'_>) -> Option<Duration> {
        read_time(raw).filter(|time| !time.is_zero())
    }

    fn show(value: &Duration) -> String {
        quoted(&show_duration(*value))
    }
}

impl Codec<Duration> for TimeOrZero {
    const EXPECTED: &'static str = "a time up to 10 years, such as \"350ms\" or \"0s\"";

    fn read(raw: &Raw<'_>) -> Option<Duration> {
        read_time(raw)
    }

    fn show(value: &Duration) -> String {
        quoted(&show_duration(*value))
    }
}

impl Codec<Duration> for WholeTime {
    const EXPECTED: &'static str =
        "a time in whole seconds, from \"1s\" to 10 years, such as \"1d\" or \"1d12h\"";

    fn read(raw: &Raw<'_>) -> Option<Duration> {
        read_time(raw).filter(|time| time.as_secs() > 0 && time.subsec_nanos() == 0)
    }

    fn show(value: &Duration) -> String {
        quoted(&show_duration(*value))
    }
}

impl Codec<usize> for Size {
    const EXPECTED: &'static str =
        "a size from 4 KiB to 1 GiB, such as \"4MiB\", \"256KiB\" or a number of bytes";

    fn read(raw: &Raw<'_>) -> Option<usize> {
        let bytes = raw
            .integer()
            .or_else(|| raw.text().and_then(parse_size))
            .filter(|bytes| (4 << 10..=1 << 30).contains(bytes))?;
        usize::try_from(bytes).ok()
    }

    fn show(value: &usize) -> String {
        quoted(&show_size(*value as u64))
    }
}

impl Codec<u64> for Volume {
    const EXPECTED: &'static str =
        "a size from 4 KiB to 1024 GiB, such as \"256MiB\", \"1GiB\" or a number of bytes";

    fn read(raw: &Raw<'_>) -> Option<u64> {
        let bytes = raw.integer().or_else(|| raw.text().and_then(parse_size));
        bytes.filter(|bytes| (4 << 10..=1 << 40).contains(bytes))
    }

    fn show(value: &u64) -> String {
        quoted(&show_size(*value))
    }
}

impl Codec<usize> for Count {
    const EXPECTED: &'static str = "a whole number from 1 to 10000000";

    fn read(raw: &Raw<'_>) -> Option<usize> {
        let number = raw.integer().filter(|n| (1..=10_000_000).contains(n))?;
        usize::try_from(number).ok()
    }

    fn show(value: &usize) -> String {
        value.to_string()
    }
}

impl Codec<usize> for CountOrZero {
    const EXPECTED: &'static str = "a whole number from 0 to 10000000";

    fn read(raw: &Raw<'_>) -> Option<usize> {
        let number = raw.integer().filter(|n| *n <= 10_000_000)?;
        usize::try_from(number).ok()
    }

    fn show(value: &usize) -> String {
        value.to_string()
    }
}

impl Codec<u32> for CountOrZero {
    const EXPECTED: &'static str = "a whole number from 0 to 10000000";

    fn read(raw: &Raw<'_>) -> Option<u32> {
        let number = raw.integer().filter(|n| *n <= 10_000_000)?;
        u32::try_from(number).ok()
    }

    fn show(value: &u32) -> String {
        value.to_string()
    }
}

impl Codec<bool> for Flag {
    const EXPECTED: &'static str = "true or false";

    fn read(raw: &Raw<'_>) -> Option<bool> {
        raw.flag()
    }

    fn show(value: &bool) -> String {
        value.to_string()
    }
}

impl Codec<String> for Text {
    const EXPECTED: &'static str = "a text without control characters";

    fn read(raw: &Raw<'_>) -> Option<String> {
        let text = raw.text().filter(|t| !t.chars().any(char::is_control))?;
        Some(text.to_owned())
    }

    fn show(value: &String) -> String {
        quoted(value)
    }
}

impl Codec<Vec<String>> for List {
    const EXPECTED: &'static str = "a list of texts, such as [\"https://example.com\"]";

    fn read(raw: &Raw<'_>) -> Option<Vec<String>> {
        raw.list()
    }

    fn show(value: &Vec<String>) -> String {
        let parts: Vec<String> = value.iter().map(|part| quoted(part)).collect();
        format!("[{}]", parts.join(", "))
    }
}

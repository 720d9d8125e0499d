//! Identifiers: App, stream, generation, request.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A tenant's id: an unsigned 32-bit number other than zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AppId(pub u32);

impl AppId {
    /// Reads the decimal form. Signs, leading zeros, spaces, zero and anything past `u32::MAX`
    /// are refused, because the signature covers the canonical decimal.
    pub fn parse(text: &str) -> Option<Self> {
        let canonical = !text.is_empty()
            && text.len() <= 10
            && text.bytes().all(|b| b.is_ascii_digit())
            && !text.starts_with('0');
        if !canonical {
            return None;
        }
        text.parse().ok().map(Self)
    }
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a text is not a stream id.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StreamIdError {
    /// No characters at all.
    #[error("it is empty")]
    Empty,
    /// More than 256 characters; carries how many there were.
    #[error("it has {0} characters, at most 256 are allowed")]
    TooLong(usize),
    /// A character outside `[A-Za-z0-9_-]`; carries the first one and its position from 0.
    #[error("it has {0:?} at position {1}, only A-Z a-z 0-9 _ - are allowed")]
    Character(char, usize),
}

/// A stream's id inside an App: 1 to 256 of `[A-Za-z0-9_-]`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct StreamId(Arc<str>);

impl StreamId {
    /// The longest id, in characters.
    pub const MAX: usize = 256;

    /// Checks the characters and the length. Case matters, nothing is trimmed or decoded.
    pub fn parse(text: &str) -> Result<Self, StreamIdError> {
        Self::check(text)?;
        Ok(Self(text.into()))
    }

    /// As [`StreamId::parse`], without keeping the text.
    pub fn check(text: &str) -> Result<(), StreamIdError> {
        if text.is_empty() {
            return Err(StreamIdError::Empty);
        }
        let stray = |c: &char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
        if let Some((at, c)) = text.chars().enumerate().find(|(_, c)| stray(c)) {
            return Err(StreamIdError::Character(c, at));
        }
        if text.len() > Self::MAX {
            return Err(StreamIdError::TooLong(text.len()));
        }
        Ok(())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for StreamId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// A stream of one App.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct StreamKey {
    /// The App it belongs to.
    pub app: AppId,
    /// Its id there.
    pub stream: StreamId,
}

impl StreamKey {
    /// Puts the two together.
    pub fn new(app: AppId, stream: StreamId) -> Self {
        Self { app, stream }
    }
}

impl fmt::Display for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.app, self.stream)
    }
}

/// Rises by one with each decision on a stream; the first decision is 1.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The id of one executed request: unique across restarts and nodes that share a ledger.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RequestId(pub u64);

impl RequestId {
    const SEQUENCE_BITS: u32 = 36;
    const INSTANCE_MASK: u64 = (1 << 24) - 1;

    /// The `sequence`th request of server instance `instance`. The ledger hands each start of a
    /// server an instance number of its own; 24 bits of it and 36 bits of sequence are used, and
    /// a leading bit keeps the decimal form at 19 digits, as the original service prints it.
    pub fn compose(instance: u64, sequence: u64) -> Self {
        let sequence = sequence & ((1 << Self::SEQUENCE_BITS) - 1);
        let instance = (instance & Self::INSTANCE_MASK) << Self::SEQUENCE_BITS;
        Self((1 << 60) | instance | sequence)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn app_ids_are_canonical_decimals() {
        for (text, want) in [
            ("1", Some(1)),
            ("4294967295", Some(u32::MAX)),
            ("12345", Some(12345)),
        ] {
            assert_eq!(AppId::parse(text), want.map(AppId), "{text}");
        }
        for text in [
            "",
            "0",
            "00",
            "01",
            "+1",
            "-1",
            " 1",
            "1 ",
            "4294967296",
            "99999999999",
            "1e3",
        ] {
            assert_eq!(AppId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn stream_ids_name_the_offending_character() {
        assert!(StreamId::parse("cam-7_A").is_ok());
        assert!(StreamId::parse(&"a".repeat(256)).is_ok());
        assert_eq!(
            StreamId::parse(&"a".repeat(257)),
            Err(StreamIdError::TooLong(257))
        );
        assert_eq!(StreamId::parse(""), Err(StreamIdError::Empty));
        assert_eq!(
            StreamId::parse("a/b"),
            Err(StreamIdError::Character('/', 1))
        );
        assert_eq!(StreamId::parse("é"), Err(StreamIdError::Character('é', 0)));
    }

    #[test]
    fn request_ids_have_nineteen_digits_and_do_not_meet() {
        let first = RequestId::compose(1, u64::MAX);
        let second = RequestId::compose(2, 0);
        assert_ne!(first, second);
        for id in [
            first,
            second,
            RequestId::compose(0, 0),
            RequestId::compose(u64::MAX, u64::MAX),
        ] {
            assert_eq!(id.to_string().len(), 19);
        }
    }
}

//! Instants on the wall clock, and their one printed form.

use std::fmt;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::civil::{DateTime, date};
use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct UnixMs(pub i64);

/// Why a text is not an instant.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TimeError {
    /// Not `YYYY-MM-DDThh:mm:ssZ`.
    #[error("it is not of the form 2026-05-01T00:00:00Z (UTC, whole seconds)")]
    Form,
    /// The right form, but no such instant (month 13, hour 25).
    #[error("there is no such instant")]
    NoSuchInstant,
}

impl UnixMs {
    /// The last instant that the printed form can show: 9999-12-31T23:59:59Z. Stands for "no end"
    /// on the Server API.
    pub const LAST: Self = Self(253_402_300_799_000);

    /// Whole seconds since the epoch, rounded down.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// From whole seconds; saturates.
    pub fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// This instant plus a length; saturates.
    pub fn plus(self, length: Duration) -> Self {
        let ms = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(ms))
    }

    /// How long until `later`; zero when it has passed.
    pub fn until(self, later: Self) -> Duration {
        Duration::from_millis(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }

    /// Reads `YYYY-MM-DDThh:mm:ssZ` and nothing else: whole seconds, capital `T` and `Z`, four
    /// digits of year, no leap second.
    pub fn parse_utc(text: &str) -> Result<Self, TimeError> {
        let form = b"dddd-dd-ddTdd:dd:ddZ";
        let fits = text.len() == form.len()
            && text.bytes().zip(form).all(|(b, f)| match f {
                b'd' => b.is_ascii_digit(),
                _ => b == *f,
            });
        if !fits {
            return Err(TimeError::Form);
        }
        if text.get(17..19) == Some("60") {
            return Err(TimeError::NoSuchInstant);
        }
        let civil = text.trim_end_matches('Z');
        let at: DateTime = civil.parse().map_err(|_| TimeError::NoSuchInstant)?;
        Ok(Self::from_seconds(at.duration_since(epoch()).as_secs()))
    }
}

/// Civil time, because jiff's `Timestamp` ends two days before [`UnixMs::LAST`].
fn epoch() -> DateTime {
    date(1970, 1, 1).at(0, 0, 0, 0)
}

impl fmt::Display for UnixMs {
    /// `YYYY-MM-DDThh:mm:ssZ`, rounded down to the second; years outside 0 to 9999 print as the
    /// nearest instant inside.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.seconds().clamp(-62_167_219_200, Self::LAST.seconds());
        let at = epoch()
            .checked_add(SignedDuration::from_secs(seconds))
            .map_err(|_| fmt::Error)?;
        write!(f, "{at}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_reads_the_published_form() {
        let text = "2018-11-29T19:00:00Z";
        let at = UnixMs::parse_utc(text).expect("published sample");
        assert_eq!(at.seconds(), 1_543_518_000);
        assert_eq!(at.to_string(), text);
        assert_eq!(UnixMs::LAST.to_string(), "9999-12-31T23:59:59Z");
        assert_eq!(UnixMs::parse_utc("9999-12-31T23:59:59Z"), Ok(UnixMs::LAST));
        assert_eq!(UnixMs(1999).to_string(), "1970-01-01T00:00:01Z");
        assert_eq!(UnixMs(i64::MAX).to_string(), "9999-12-31T23:59:59Z");
        let _ = UnixMs(i64::MIN).to_string();
    }

    #[test]
    fn refuses_every_other_form() {
        for text in [
            "",
            "2018-11-29",
            "2018-11-29T19:00:00",
            "2018-11-29T19:00:00+00:00",
            "2018-11-29t19:00:00z",
            "2018-11-29 19:00:00Z",
            "2018-11-29T19:00:00.5Z",
            "1543518000",
            "2018-11-29T19:00Z",
            "２018-11-29T19:00:0Z",
        ] {
            assert_eq!(UnixMs::parse_utc(text), Err(TimeError::Form), "{text}");
        }
        for text in [
            "2018-13-29T19:00:00Z",
            "2018-02-30T19:00:00Z",
            "2018-11-29T25:00:00Z",
            "2016-12-31T23:59:60Z",
        ] {
            assert_eq!(
                UnixMs::parse_utc(text),
                Err(TimeError::NoSuchInstant),
                "{text}"
            );
        }
    }
}

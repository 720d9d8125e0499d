//! The written form of faults: TOML or JSON, in files and at the admin endpoint.

use serde::{Deserialize, Serialize};

use super::{Fault, Rule};
use crate::media::StreamName;
use crate::operation::Operation;

/// Why a list of faults cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    /// Neither TOML nor JSON of the right shape.
    #[error("not a usable list of faults: {0}")]
    Form(String),
    /// A kind that does not exist.
    #[error(
        "there is no fault {0:?}: use latency, server-error, throttle, drop-before, drop-after, \
         garbage, wrong-clock, expired-key, quota-spent, slow-propagation, lapse-early, \
         list-missing, list-extra or list-stale"
    )]
    Kind(String),
    /// A number out of range.
    #[error("{field} is {value}, expected {expected}")]
    Range {
        /// Which field.
        field: &'static str,
        /// What came.
        value: String,
        /// What is possible.
        expected: &'static str,
    },
}

/// The form of a rule in files: one table, fields of other kinds refused by their absence of use.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Raw {
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<i64>,
    after_effect: bool,
    entries: Vec<StreamName>,
    operations: Vec<Operation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<f64>,
    skip: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    from_ms: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    until_ms: Option<i64>,
}

impl TryFrom<Raw> for Rule {
    type Error = FaultError;

    fn try_from(raw: Raw) -> Result<Self, FaultError> {
        let probability = raw.probability.unwrap_or(1.0);
        if !(0.0..=1.0).contains(&probability) {
            return Err(FaultError::Range {
                field: "probability",
                value: probability.to_string(),
                expected: "0 to 1",
            });
        }
        Ok(Self {
            fault: fault(&raw)?,
            operations: raw.operations,
            stream: raw.stream,
            probability,
            skip: raw.skip,
            count: raw.count,
            from_ms: raw.from_ms,
            until_ms: raw.until_ms,
        })
    }
}

fn fault(raw: &Raw) -> Result<Fault, FaultError> {
    let ms = raw
        .ms
        .or(raw.seconds.map(|s| s.saturating_mul(1000)))
        .unwrap_or(1000);
    Ok(match raw.kind.as_str() {
        "latency" => Fault::Latency {
            ms: u64::try_from(ms).map_err(|_| FaultError::Range {
                field: "ms",
                value: ms.to_string(),
                expected: "0 or more",
            })?,
            after_effect: raw.after_effect,
        },
        "server-error" => Fault::ServerError {
            status: raw
                .status
                .filter(|status| (500..600).contains(status))
                .or(raw.status.is_none().then_some(503))
                .ok_or_else(|| FaultError::Range {
                    field: "status",
                    value: raw.status.unwrap_or_default().to_string(),
                    expected: "500 to 599",
                })?,
            after_effect: raw.after_effect,
        },
        "throttle" => Fault::Throttle {
            retry_after_s: raw.seconds.and_then(|s| u32::try_from(s).ok()),
        },
        "drop-before" => Fault::DropBefore,
        "drop-after" => Fault::DropAfter,
        "garbage" => Fault::Garbage,
        "wrong-clock" => Fault::WrongClock {
            seconds: raw.seconds.unwrap_or(3600),
        },
        "expired-key" => Fault::ExpiredKey,
        "quota-spent" => Fault::QuotaSpent,
        "slow-propagation" => Fault::SlowPropagation { ms },
        "lapse-early" => Fault::LapseEarly { ms },
        "list-missing" => Fault::ListMissing {
            entries: raw.entries.clone(),
        },
        "list-extra" => Fault::ListExtra {
            entries: raw.entries.clone(),
        },
        "list-stale" => Fault::ListStale { ms },
        other => return Err(FaultError::Kind(other.to_owned())),
    })
}

impl From<Rule> for Raw {
    fn from(rule: Rule) -> Self {
        let mut raw = Self {
            kind: rule.fault.kind().to_owned(),
            operations: rule.operations,
            stream: rule.stream,
            probability: Some(rule.probability),
            skip: rule.skip,
            count: rule.count,
            from_ms: rule.from_ms,
            until_ms: rule.until_ms,
            ..Self::default()
        };
        match rule.fault {
            Fault::Latency { ms, after_effect } => {
                raw.ms = i64::try_from(ms).ok();
                raw.after_effect = after_effect;
            }
            Fault::ServerError {
                status,
                after_effect,
            } => {
                raw.status = Some(status);
                raw.after_effect = after_effect;
            }
            Fault::Throttle { retry_after_s } => raw.seconds = retry_after_s.map(i64::from),
            Fault::WrongClock { seconds } => raw.seconds = Some(seconds),
            Fault::SlowPropagation { ms } | Fault::LapseEarly { ms } | Fault::ListStale { ms } => {
                raw.ms = Some(ms)
            }
            Fault::ListMissing { entries } | Fault::ListExtra { entries } => raw.entries = entries,
            Fault::DropBefore
            | Fault::DropAfter
            | Fault::Garbage
            | Fault::ExpiredKey
            | Fault::QuotaSpent => {}
        }
        raw
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    fault: Vec<Rule>,
}

/// Reads a file of rules: TOML with `[[fault]]` tables, or the same in JSON (`{"fault": [...]}`).
pub fn parse(text: &str) -> Result<Vec<Rule>, FaultError> {
    let file: Result<File, String> = if text.trim_start().starts_with('{') {
        serde_json::from_str(text).map_err(|error| error.to_string())
    } else {
        toml::from_str(text).map_err(|error| error.to_string())
    };
    Ok(file.map_err(FaultError::Form)?.fault)
}

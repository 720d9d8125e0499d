//! A refused call: its code, and one sentence for the caller.

use std::borrow::Cow;

use tidegate_core::text::printable;

use super::codes::Code;

/// Longest piece of a caller's own text that an answer repeats, in characters.
const SHOWN: usize = 80;

/// Why a call is refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) message: Cow<'static, str>,
}

impl Refusal {
    pub(crate) fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// A parameter error.
    pub(crate) fn parameter(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::Parameter, message)
    }
}

/// A caller's text in quotes, escaped and shortened.
pub(crate) fn shown(text: &str) -> String {
    format!("\"{}\"", printable(text, SHOWN))
}

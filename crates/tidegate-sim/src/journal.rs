//! What was received and what became of it, for tests to read.

use std::collections::VecDeque;

use serde::Serialize;
use tidegate_core::UnixMs;

use crate::media::StreamName;
use crate::operation::Operation;

/// What a call did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase", tag = "did")]
pub enum Effect {
    /// Nothing.
    Nothing,
    /// A stream is banned until then.
    Forbade {
        /// The end, caps applied.
        until: UnixMs,
    },
    /// A ban was lifted (or there was none and the vendor does not mind).
    Resumed,
    /// A stream was cut once.
    Kicked,
}

/// What the caller got.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The connection was closed.
    Dropped,
    /// An answer.
    Answered {
        /// HTTP status.
        status: u16,
        /// The vendor's error code; empty on success.
        code: String,
    },
}

/// One call.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Entry {
    /// Rises by one a call.
    pub seq: u64,
    /// When it came, on the simulator's clock.
    pub arrived: UnixMs,
    /// When it was dealt with. Rows are in this order.
    pub at: UnixMs,
    /// When its answer, if any, was sent.
    pub answered: UnixMs,
    /// Whose call; none when it did not authenticate.
    pub account: Option<String>,
    /// What it asked for.
    pub operation: Operation,
    /// The same in the vendor's words.
    pub action: String,
    /// For which stream.
    pub name: Option<StreamName>,
    /// What it did.
    pub effect: Effect,
    /// What the caller got.
    pub outcome: Outcome,
    /// The request id that was given out.
    pub request_id: String,
    /// Faults that hit it.
    pub faults: Vec<&'static str>,
}

#[derive(Debug, Default)]
pub(crate) struct Journal {
    rows: VecDeque<Entry>,
    count: u64,
}

impl Journal {
    pub(crate) fn push(&mut self, mut entry: Entry, keep: usize) {
        self.count += 1;
        entry.seq = self.count;
        self.rows.push_back(entry);
        while self.rows.len() > keep {
            self.rows.pop_front();
        }
    }

    pub(crate) fn after(&self, seq: u64) -> Vec<Entry> {
        self.rows
            .iter()
            .filter(|entry| entry.seq > seq)
            .cloned()
            .collect()
    }
}

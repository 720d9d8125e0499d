//! The blocks that should stand, from history alone.

use std::collections::HashMap;

use super::history::StoredBlock;
use super::{Stop, broken};
use crate::chain::{RawDecision, RawEvent};

#[derive(Clone, Copy, PartialEq, Eq)]
struct Standing {
    generation: i64,
    since_ms: i64,
    until_ms: i64,
    held_resume: Option<i64>,
}

/// Follows history, row by row.
#[derive(Default)]
pub(super) struct Replay {
    blocks: HashMap<i64, HashMap<String, Standing>>,
    held: bool,
}

impl Replay {
    /// A decision was recorded.
    pub(super) fn decision(&mut self, seq: i64, row: &RawDecision) -> Result<(), Stop> {
        let blocks = self.blocks.entry(row.app).or_default();
        match (row.verb.as_str(), row.until_ms, row.held) {
            ("forbid", Some(until_ms), false) => {
                let since_ms = blocks
                    .get(&row.stream)
                    .map_or(row.at_ms, |block| block.since_ms.min(row.at_ms));
                let block = Standing {
                    generation: row.generation,
                    since_ms,
                    until_ms,
                    held_resume: None,
                };
                blocks.insert(row.stream.clone(), block);
            }
            ("resume", None, true) => match blocks.get_mut(&row.stream) {
                Some(block) => block.held_resume = Some(row.generation),
                None => return broken(format!("link {seq} holds a resume of an open stream")),
            },
            ("resume" | "lapse", None, false) => {
                blocks.remove(&row.stream);
            }
            (verb, ..) => return broken(format!("link {seq} is no possible decision: {verb:?}")),
        }
        Ok(())
    }

    /// Something happened to the ledger as a whole.
    pub(super) fn event(&mut self, row: &RawEvent) {
        self.held = row.verb == "restore";
        if row.verb == "confirm" {
            for blocks in self.blocks.values_mut() {
                blocks.retain(|_, block| block.held_resume.is_none());
            }
        }
    }

    /// Compares with the blocks and the hold that are stored.
    pub(super) fn compare(mut self, held: bool, stored: Vec<StoredBlock>) -> Result<(), Stop> {
        if held != self.held {
            return broken(
                "the hold on resumes does not agree with history: it was set or lifted by hand"
                    .to_owned(),
            );
        }
        for block in stored {
            let (app, stream) = (block.app, block.stream);
            let stored = Standing {
                generation: block.generation,
                since_ms: block.since_ms,
                until_ms: block.until_ms,
                held_resume: block.held_resume,
            };
            let wanted = self
                .blocks
                .get_mut(&app)
                .and_then(|blocks| blocks.remove(&stream));
            match wanted {
                Some(wanted) if wanted == stored => {}
                Some(_) => {
                    return broken(format!(
                        "the block on {app}/{stream} is not the one that history sets"
                    ));
                }
                None => {
                    return broken(format!(
                        "the block on {app}/{stream} was set without a decision"
                    ));
                }
            }
        }
        let missing = self
            .blocks
            .iter()
            .find_map(|(app, blocks)| blocks.iter().next().map(|one| (app, one)));
        match missing {
            None => Ok(()),
            Some((app, (stream, block))) => broken(format!(
                "the block on {app}/{stream} (generation {}) was removed without a decision",
                block.generation
            )),
        }
    }
}

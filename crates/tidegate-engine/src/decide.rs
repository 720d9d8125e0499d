//! One decision, from the ask to the results.
//!
//! A forbid cuts at once, while its commit runs; a resume takes effect after its commit. What a
//! failed commit leaves behind is a block in memory, an alarm, and an honest answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tidegate_core::{Ask, AskKind, AskedEnd, Generation, Outcome, RequestId, StreamKey, Until};
use tidegate_ledger::{
    Attempt, AttemptResult, Bound, Decided, LedgerError, NonceRecord, NonceUse, Placement,
    SavedAnswer, Vendor,
};
use tidegate_origin::{Cut, Refusal};

use crate::alarms::AlarmKind;
use crate::cdns::{Gather, Slot};
use crate::engine::Engine;
use crate::nonces::Ticket;

/// How often the ledger is asked about accounts that another server drives.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// What became of an ask.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// Decided and recorded.
    Decided(Answered),
    /// The very same request was decided before.
    Replay(Box<NonceRecord>),
    /// The nonce belongs to a different request; nothing happened.
    NonceTaken,
}

/// A recorded decision and what each target said to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answered {
    /// The request that carried it.
    pub request_id: RequestId,
    /// Its number on the stream.
    pub generation: Generation,
    /// What it did; `None` where a later start of the server answers for an earlier one.
    pub outcome: Option<Outcome>,
    /// One entry a target, the origin first. Empty: the App has no target.
    pub results: Vec<TargetResult>,
}

/// What one target said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetResult {
    /// Which CDN.
    pub vendor: Vendor,
    /// How far it is.
    pub result: ResultWord,
    /// The rest of `CdnResult`, after the word and the colon.
    pub words: String,
}

/// First word of a `CdnResult`. Ordered from best to worst.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ResultWord {
    /// The CDN accepted this generation.
    Success,
    /// Not yet.
    Pending,
    /// It refused.
    Failed,
}

impl ResultWord {
    /// `success`, `pending` or `failed`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Pending => "pending",
            Self::Failed => "failed",
        }
    }
}

/// The decision was not recorded.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    /// The stream is cut and refused at this server's origin, in memory only.
    #[error("the stream is cut here, but the decision is not recorded: call again ({0})")]
    ForbidNotRecorded(LedgerError),
    /// Nothing happened.
    #[error("the decision is not recorded and the stream stays as it is: call again ({0})")]
    ResumeNotRecorded(LedgerError),
}

impl Engine {
    /// Decides and acts. Run it in a task of its own: dropped half-way, a forbid stays in force
    /// in memory as one that could not be recorded.
    pub async fn decide(&self, ask: Ask, nonce: Option<NonceUse>) -> Result<Reply, DecideError> {
        match ask.kind {
            AskKind::Forbid(end) => self.forbid(ask, end, nonce).await,
            AskKind::Resume => self.resume(ask, nonce).await,
        }
    }

    /// Binds the nonce to the answer that was given, here at once and in the ledger soon.
    pub fn finish(&self, ticket: Ticket, key: &StreamKey, nonce: NonceUse, answer: Arc<str>) {
        let saved = SavedAnswer {
            app: key.app,
            nonce: nonce.nonce,
            answer: answer.to_string(),
        };
        ticket.finish(nonce.expires, answer);
        self.recorder.answer(saved);
    }

    /// Rebuilds what was answered to a request of an earlier run whose answer was not kept.
    pub async fn recompose(&self, record: &NonceRecord) -> Result<Answered, LedgerError> {
        let status = self.ledger().status(&record.key).await?;
        let results = status
            .placements
            .iter()
            .map(|placement| {
                let accepted = placement.accepted.is_some_and(|g| g >= record.generation);
                let words = if accepted {
                    "accepted"
                } else {
                    "not accepted yet"
                };
                TargetResult {
                    vendor: placement.target.vendor,
                    result: if accepted {
                        ResultWord::Success
                    } else {
                        ResultWord::Pending
                    },
                    words: words.to_owned(),
                }
            })
            .collect();
        Ok(Answered {
            request_id: record.request_id,
            generation: record.generation,
            outcome: None,
            results,
        })
    }

    async fn forbid(
        &self,
        ask: Ask,
        end: AskedEnd,
        nonce: Option<NonceUse>,
    ) -> Result<Reply, DecideError> {
        let key = ask.key.clone();
        let asked = match end {
            AskedEnd::At(at) => Until::At(at),
            AskedEnd::AtLeast(length) => Until::At(ask.at.plus(length)),
            AskedEnd::Lifted => Until::Lifted,
        };
        self.blocks().begin_forbid(&key, asked);
        let unsettled = Unsettled {
            engine: self,
            key: &key,
            until: asked,
            armed: true,
        };
        let in_force = self
            .blocks()
            .get(key.app, key.stream.as_str())
            .unwrap_or(asked);
        let cut = self.hub().cut(&key, &Refusal::Forbidden(in_force));
        let no_restore = self.restoring.read().await;
        let bound = match self.ledger().decide(ask.clone(), nonce).await {
            Ok(bound) => bound,
            Err(error) => {
                drop(unsettled);
                self.ledger_failed(&error);
                tracing::error!(app_id = key.app.0, stream = %key.stream, %error,
                    "forbid cut here but not recorded");
                return Err(DecideError::ForbidNotRecorded(error));
            }
        };
        self.ledger_works();
        match &bound {
            Bound::Fresh(Decided {
                outcome: Outcome::Blocked(block),
                ..
            }) => {
                unsettled.disarm();
                self.blocks().forbid_recorded(&key, block);
                self.expect_end(block.until);
            }
            _ => {
                unsettled.disarm();
                self.blocks().forbid_withdrawn(&key);
            }
        }
        self.note_unrecorded();
        drop(no_restore);
        Ok(self.reply(&ask, bound, &Origin::cut(cut)).await)
    }

    async fn resume(&self, ask: Ask, nonce: Option<NonceUse>) -> Result<Reply, DecideError> {
        let key = ask.key.clone();
        let asked = self.blocks().begin_resume();
        let no_restore = self.restoring.read().await;
        let bound = match self.ledger().decide(ask.clone(), nonce).await {
            Ok(bound) => bound,
            Err(error) => {
                self.ledger_failed(&error);
                tracing::error!(app_id = key.app.0, stream = %key.stream, %error,
                    "resume not recorded");
                return Err(DecideError::ResumeNotRecorded(error));
            }
        };
        self.ledger_works();
        let mut origin = Origin::default();
        if let Bound::Fresh(decided) = &bound {
            origin = match decided.outcome {
                Outcome::Opened { was_blocked } => {
                    let had_block = self.blocks().get(key.app, key.stream.as_str()).is_some();
                    self.blocks().opened(&key, decided.generation, Some(asked));
                    Origin::opened(was_blocked || had_block)
                }
                _ => Origin::held(),
            };
        }
        self.note_unrecorded();
        drop(no_restore);
        Ok(self.reply(&ask, bound, &origin).await)
    }

    async fn reply(&self, ask: &Ask, bound: Bound, origin: &Origin) -> Reply {
        let decided = match bound {
            Bound::Fresh(decided) => decided,
            Bound::Replay(record) => {
                self.stats().replays.bump();
                return Reply::Replay(Box::new(record));
            }
            Bound::NonceTaken => return Reply::NonceTaken,
        };
        match ask.kind {
            AskKind::Forbid(_) => self.stats().forbids.bump(),
            AskKind::Resume => self.stats().resumes.bump(),
        }
        let until = match decided.outcome.block().map(|block| block.until) {
            Some(Until::At(at)) => at.to_string(),
            Some(Until::Lifted) => "lifted".to_owned(),
            None => "-".to_owned(),
        };
        tracing::info!(app_id = ask.key.app.0, stream = %ask.key.stream, verb = ask.kind.word(),
            generation = decided.generation.0, request_id = %ask.request_id,
            until, origin = %origin.words, "decided");
        let mut results = self.origin_results(ask, &decided, origin);
        results.extend(match decided.outcome {
            Outcome::Held(_) => held_results(&decided, origin),
            Outcome::Blocked(_) | Outcome::Opened { .. } => self.cdn_results(ask, &decided).await,
        });
        Reply::Decided(Answered {
            request_id: ask.request_id,
            generation: decided.generation,
            outcome: Some(decided.outcome),
            results,
        })
    }

    fn origin_results(&self, ask: &Ask, decided: &Decided, origin: &Origin) -> Vec<TargetResult> {
        let placed = decided.placements.iter();
        let placed = placed.filter(|placement| placement.target.vendor == Vendor::Origin);
        let result = |placement: &Placement| {
            let attempt = Attempt {
                key: ask.key.clone(),
                target: placement.target.id,
                generation: decided.generation,
                at: self.now(),
                result: AttemptResult::Accepted,
                vendor_request_id: String::new(),
                words: origin.words.clone(),
            };
            self.recorder.attempt(attempt, self.stats());
            TargetResult {
                vendor: Vendor::Origin,
                result: origin.result,
                words: origin.words.clone(),
            }
        };
        placed.map(result).collect()
    }

    /// Wakes the desks and waits for what CDNs say, as long as an answer may wait.
    async fn cdn_results(&self, ask: &Ask, decided: &Decided) -> Vec<TargetResult> {
        let gather = Gather::new(self.cdns().options().answer_within);
        let mut slots = HashMap::new();
        for placement in &decided.placements {
            let target = &placement.target;
            if target.vendor != Vendor::Origin {
                let slot = gather.slot(target.vendor, target.id, placement.wanted);
                slots.insert(target.id, slot);
            }
        }
        let elsewhere = self.cdns().wake(&ask.key, slots);
        tokio::select! {
            results = gather.results() => results,
            () = self.ask_ledger(ask, &elsewhere), if !elsewhere.is_empty() => Vec::new(),
        }
    }

    /// What other servers get accepted shows in the ledger. Never returns.
    async fn ask_ledger(&self, ask: &Ask, elsewhere: &HashMap<i64, Slot>) {
        loop {
            tokio::time::sleep(ASK_EVERY).await;
            let Ok(status) = self.ledger().status(&ask.key).await else {
                continue;
            };
            for placement in status.placements {
                let Some(slot) = elsewhere.get(&placement.target.id) else {
                    continue;
                };
                if placement.accepted.is_some_and(|g| g >= slot.generation) {
                    let at = placement.accepted_at.unwrap_or(ask.at);
                    slot.settle(ResultWord::Success, format!("accepted at {at}"));
                }
            }
        }
    }

    /// Raises or clears the alarm about forbids that stand in memory only.
    pub(crate) fn note_unrecorded(&self) {
        match self.blocks().unrecorded() {
            0 => self.alarms().clear(AlarmKind::ForbidUnrecorded),
            n => self.alarms().raise(
                AlarmKind::ForbidUnrecorded,
                self.now(),
                format!("{n} forbidden streams are in force in memory only; forbid them again once the ledger works"),
            ),
        }
    }
}

/// Resumes are held: nothing is asked of any CDN.
fn held_results(decided: &Decided, origin: &Origin) -> Vec<TargetResult> {
    let placed = decided.placements.iter();
    let at_cdns = placed.filter(|placement| placement.target.vendor != Vendor::Origin);
    let result = |placement: &Placement| TargetResult {
        vendor: placement.target.vendor,
        result: origin.result,
        words: origin.words.clone(),
    };
    at_cdns.map(result).collect()
}

/// What the origin has to say for itself.
struct Origin {
    result: ResultWord,
    words: String,
}

impl Default for Origin {
    fn default() -> Self {
        Self {
            result: ResultWord::Success,
            words: String::new(),
        }
    }
}

impl Origin {
    fn cut(cut: Cut) -> Self {
        let words = match (cut.publishers, cut.players) {
            (0, 0) => "publishing is refused; nobody was publishing".to_owned(),
            (publishers, players) => format!(
                "publishing is refused; {} and {} were cut",
                counted(publishers, "publisher"),
                counted(players, "player")
            ),
        };
        Self {
            result: ResultWord::Success,
            words,
        }
    }

    fn opened(was_blocked: bool) -> Self {
        let words = if was_blocked {
            "publishing is allowed again"
        } else {
            "publishing was allowed already"
        };
        Self {
            result: ResultWord::Success,
            words: words.to_owned(),
        }
    }

    fn held() -> Self {
        let words = "recorded, but resumes are held since a backup was restored; \
                     confirm with `tidegate ledger confirm`";
        Self {
            result: ResultWord::Pending,
            words: words.to_owned(),
        }
    }
}

fn counted(n: u32, thing: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {thing}{plural}")
}

/// A forbid between entering memory and its settlement; keeps the block when dropped early.
struct Unsettled<'a> {
    engine: &'a Engine,
    key: &'a StreamKey,
    until: Until,
    armed: bool,
}

impl Unsettled<'_> {
    fn disarm(mut self) {
        self.armed = false;
    }
}

impl Drop for Unsettled<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.engine.blocks().forbid_unrecorded(self.key, self.until);
            self.engine.stats().unrecorded.bump();
            self.engine.note_unrecorded();
        }
    }
}

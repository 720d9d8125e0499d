//! The part that all mutating actions share: the nonce, the decision in a task of its own, and the
//! answer that is kept for a retry.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use tidegate_core::{Actor, Ask, StreamKey, UnixMs};
use tidegate_engine::{Claim, Engine, Reply, Ticket};
use tidegate_ledger::{NonceRecord, NonceUse};

use super::actions::Wish;
use super::answer::Answer;
use super::auth::{self, Asked, Identified};
use super::codes::Code;
use super::refusal::Refusal;
use super::{Executing, decisions};

/// A nonce up to this long is kept as it is, a longer one by its digest.
const KEPT_AS_IS: usize = 64;

/// What the nonce says about the call.
pub(super) enum Claimed {
    /// It was answered before.
    Answer(Answer),
    /// It may go on; `None` where the App does not bind nonces.
    Go(Option<(Ticket, NonceUse)>),
}

impl Executing<'_> {
    pub(super) async fn claim(
        &self,
        asked: &Asked<'_>,
        who: &Identified,
        digest: [u8; 32],
    ) -> Result<Claimed, Refusal> {
        let app = &who.entry.app;
        if !app.bind_nonces {
            return Ok(Claimed::Go(None));
        }
        let nonce = kept(auth::nonce(self.common)?);
        let engine = &self.attached.engine;
        let window = tidegate_core::api_signature::WINDOW_SECONDS;
        match engine.claim_nonce(app.id, &nonce, digest).await {
            Claim::New(ticket) => {
                let expires = UnixMs::from_seconds(who.timestamp.saturating_add(window));
                let used = NonceUse {
                    nonce,
                    digest,
                    expires,
                };
                Ok(Claimed::Go(Some((ticket, used))))
            }
            Claim::Answered(text) => Ok(Claimed::Answer(Answer::again(&text))),
            Claim::Decided(record) => Ok(Claimed::Answer(again(engine, &record).await)),
            Claim::Other => Err(self.taken(asked)),
        }
    }

    /// Decides in a task of its own, so that a caller who hangs up cancels nothing.
    pub(super) async fn decide(
        &self,
        asked: &Asked<'_>,
        who: &Identified,
        wish: Wish,
        nonce: Option<(Ticket, NonceUse)>,
        now: UnixMs,
    ) -> Result<Answer, Refusal> {
        let ask = Ask {
            key: StreamKey::new(who.entry.app.id, wish.stream),
            kind: wish.kind,
            by: Actor::App {
                client: self.peer.ip().to_canonical(),
            },
            reason: None,
            at: now,
            request_id: self.id,
        };
        let engine = Arc::clone(&self.attached.engine);
        match tokio::spawn(decide_and_bind(engine, ask, nonce)).await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(self.taken(asked)),
            Err(_) => Err(Refusal::new(
                Code::NotRecorded,
                "an internal error: whether the decision is recorded is not known; call again",
            )),
        }
    }

    fn taken(&self, asked: &Asked<'_>) -> Refusal {
        auth::nonce_taken(asked, self.shared.options.auth_codes)
    }
}

/// `None`: the nonce belongs to a different request.
async fn decide_and_bind(
    engine: Arc<Engine>,
    ask: Ask,
    nonce: Option<(Ticket, NonceUse)>,
) -> Option<Answer> {
    let (key, id) = (ask.key.clone(), ask.request_id);
    let (ticket, used) = nonce.unzip();
    match engine.decide(ask, used.clone()).await {
        Ok(Reply::Decided(answered)) => {
            let answer = decisions::recorded(&answered);
            if let (Some(ticket), Some(used)) = (ticket, used) {
                let text = String::from_utf8_lossy(&answer.body);
                engine.finish(ticket, &key, used, text.into());
            }
            Some(answer)
        }
        Ok(Reply::Replay(record)) => Some(again(&engine, &record).await),
        Ok(Reply::NonceTaken) => None,
        Err(error) => Some(decisions::unrecorded(&error, id)),
    }
}

/// The answer to a request that was decided before.
async fn again(engine: &Engine, record: &NonceRecord) -> Answer {
    if let Some(text) = &record.answer {
        return Answer::again(text);
    }
    match engine.recompose(record).await {
        Ok(answered) => decisions::recorded(&answered),
        Err(error) => {
            tracing::error!(%error, request_id = %record.request_id, "answer not rebuilt");
            let words = "the decision is recorded, but its results cannot be read right now";
            Answer::new(Code::Success, words, record.request_id, b"[]")
        }
    }
}

/// The nonce as it is bound: bounded, and plain text whatever was sent.
fn kept(nonce: &str) -> String {
    let plain = nonce.len() <= KEPT_AS_IS && nonce.bytes().all(|b| b.is_ascii_graphic());
    if plain {
        return nonce.to_owned();
    }
    let digest: [u8; 32] = Sha256::digest(nonce).into();
    format!("sha256:{}", hex::encode(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_unprintable_nonces_are_kept_by_digest() {
        assert_eq!(kept("4fd24687296dd9f3"), "4fd24687296dd9f3");
        for nonce in ["a b", "\0", "é", &"a".repeat(65), &"a".repeat(60_000)] {
            let text = kept(nonce);
            assert_eq!(text.len(), 71);
            assert_ne!(text, kept("other nonce"));
        }
    }
}

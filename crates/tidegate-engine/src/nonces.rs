//! Which nonces have been used for what.
//!
//! Signature v2.0 covers neither Action nor parameters, so a URL that was seen could be turned
//! against another stream. A nonce is therefore good for one mutating request until its Timestamp
//! leaves the window. The ledger binds it in the decision's own transaction; this index answers
//! before anything is cut, makes a twin wait for the first answer, and is filled from the ledger
//! at start.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tidegate_core::{AppId, UnixMs};
use tidegate_ledger::NonceRecord;
use tokio::sync::watch;

type Key = (AppId, Box<str>);

/// The index.
#[derive(Default)]
pub(crate) struct Nonces {
    slots: Mutex<Slots>,
}

#[derive(Default)]
struct Slots {
    map: HashMap<Key, Slot>,
    /// When expired slots are next looked for.
    sweep_at: UnixMs,
}

enum Slot {
    UnderWay {
        digest: [u8; 32],
        done: watch::Receiver<()>,
    },
    Answered {
        digest: [u8; 32],
        expires: UnixMs,
        answer: Arc<str>,
    },
    /// Bound in the ledger by an earlier run that did not get to save its answer.
    Recorded(Box<NonceRecord>),
}

/// What a nonce turned out to be.
pub enum Claim {
    /// Unused: the request may go on, holding the ticket.
    New(Ticket),
    /// The very same request was answered before, with this.
    Answered(Arc<str>),
    /// The very same request was decided before, but its answer was not kept.
    Decided(Box<NonceRecord>),
    /// Used by a different request.
    Other,
}

/// Holds a nonce while its request is under way. Dropped unfinished, the nonce is free again.
pub struct Ticket {
    nonces: Arc<Nonces>,
    key: Option<Key>,
    digest: [u8; 32],
    // Dropping the sender wakes the twins.
    _done: watch::Sender<()>,
}

impl Ticket {
    /// The request was decided and answered: the nonce is bound until `expires`.
    pub(crate) fn finish(mut self, expires: UnixMs, answer: Arc<str>) {
        if let Some(key) = self.key.take() {
            let slot = Slot::Answered {
                digest: self.digest,
                expires,
                answer,
            };
            self.nonces.slots.lock().map.insert(key, slot);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.nonces.slots.lock().map.remove(&key);
        }
    }
}

impl Nonces {
    pub(crate) fn load(&self, records: Vec<NonceRecord>) {
        let mut slots = self.slots.lock();
        for record in records {
            let key = (record.app, record.used.nonce.as_str().into());
            let slot = match &record.answer {
                Some(answer) => Slot::Answered {
                    digest: record.used.digest,
                    expires: record.used.expires,
                    answer: answer.as_str().into(),
                },
                None => Slot::Recorded(Box::new(record)),
            };
            slots.map.insert(key, slot);
        }
    }

    /// Claims a nonce for the request with this digest; waits while a twin is under way.
    pub(crate) async fn claim(
        self: &Arc<Self>,
        app: AppId,
        nonce: &str,
        digest: [u8; 32],
        now: UnixMs,
    ) -> Claim {
        loop {
            let mut done = match self.look(app, nonce, digest, now) {
                Ok(claim) => return claim,
                Err(done) => done,
            };
            // An error says that the twin is done: it drops its sender.
            let _ = done.changed().await;
        }
    }

    fn look(
        self: &Arc<Self>,
        app: AppId,
        nonce: &str,
        digest: [u8; 32],
        now: UnixMs,
    ) -> Result<Claim, watch::Receiver<()>> {
        let mut slots = self.slots.lock();
        slots.sweep(now);
        let key: Key = (app, nonce.into());
        let (bound, claim) = match slots.map.get(&key) {
            Some(Slot::UnderWay {
                digest: bound,
                done,
            }) => {
                if *bound == digest {
                    return Err(done.clone());
                }
                return Ok(Claim::Other);
            }
            Some(Slot::Answered {
                digest,
                expires,
                answer,
            }) if *expires >= now => (*digest, Claim::Answered(answer.clone())),
            Some(Slot::Recorded(record)) if record.used.expires >= now => {
                (record.used.digest, Claim::Decided(record.clone()))
            }
            _ => {
                let (sender, done) = watch::channel(());
                slots
                    .map
                    .insert(key.clone(), Slot::UnderWay { digest, done });
                let nonces = Arc::clone(self);
                return Ok(Claim::New(Ticket {
                    nonces,
                    key: Some(key),
                    digest,
                    _done: sender,
                }));
            }
        };
        Ok(if bound == digest { claim } else { Claim::Other })
    }
}

impl Slots {
    const SWEEP_EVERY_MS: i64 = 60_000;

    fn sweep(&mut self, now: UnixMs) {
        let due = self.sweep_at <= now || self.sweep_at.0 > now.0 + 2 * Self::SWEEP_EVERY_MS;
        if !due {
            return;
        }
        self.sweep_at = UnixMs(now.0 + Self::SWEEP_EVERY_MS);
        self.map.retain(|_, slot| match slot {
            Slot::UnderWay { .. } => true,
            Slot::Answered { expires, .. } => *expires >= now,
            Slot::Recorded(record) => record.used.expires >= now,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: AppId = AppId(1);
    const NOW: UnixMs = UnixMs(1000);

    async fn claim(nonces: &Arc<Nonces>, digest: u8, now: UnixMs) -> Claim {
        nonces.claim(APP, "n", [digest; 32], now).await
    }

    #[tokio::test]
    async fn the_same_request_gets_the_first_answer_and_another_is_turned_away() {
        let nonces = Arc::new(Nonces::default());
        let Claim::New(ticket) = claim(&nonces, 1, NOW).await else {
            panic!("unused")
        };
        assert!(
            matches!(claim(&nonces, 2, NOW).await, Claim::Other),
            "while under way"
        );
        ticket.finish(UnixMs(2000), "first".into());
        assert!(matches!(claim(&nonces, 1, NOW).await, Claim::Answered(a) if &*a == "first"));
        assert!(matches!(claim(&nonces, 2, NOW).await, Claim::Other));
        assert!(
            matches!(claim(&nonces, 2, UnixMs(2001)).await, Claim::New(_)),
            "expired"
        );
    }

    #[tokio::test]
    async fn a_twin_waits_for_the_first_answer() {
        let nonces = Arc::new(Nonces::default());
        let Claim::New(ticket) = claim(&nonces, 1, NOW).await else {
            panic!("unused")
        };
        let twin = tokio::spawn({
            let nonces = nonces.clone();
            async move { claim(&nonces, 1, NOW).await }
        });
        tokio::task::yield_now().await;
        assert!(!twin.is_finished());
        ticket.finish(UnixMs(2000), "first".into());
        assert!(matches!(twin.await.expect("twin"), Claim::Answered(a) if &*a == "first"));
    }

    #[tokio::test]
    async fn a_refused_request_binds_nothing() {
        let nonces = Arc::new(Nonces::default());
        let Claim::New(ticket) = claim(&nonces, 1, NOW).await else {
            panic!("unused")
        };
        drop(ticket);
        assert!(matches!(claim(&nonces, 2, NOW).await, Claim::New(_)));
    }
}

//! Calls beside the queue: looks and lists. They draw on the account's budget like all others, and
//! the ledger knows of it before they go out.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tidegate_core::AppId;
use tidegate_core::budget::{CallKind, Spending, Verdict};
use tokio::sync::oneshot;

use super::{Desk, Event};
use crate::engine::Engine;

/// When to ask again while it is not known yet what was spent before.
const SOON: Duration = Duration::from_millis(100);

/// One call that was drawn from the budget. It counts as out until this is dropped.
pub(crate) struct Drawn {
    engine: Arc<Engine>,
    desk: Arc<Desk>,
    kind: CallKind,
    app: AppId,
    kept: oneshot::Receiver<()>,
}

impl Drawn {
    /// Draws one call for an App (0 for none in particular); how it does not fit, if it does not.
    pub(crate) fn draw(
        engine: &Arc<Engine>,
        desk: &Arc<Desk>,
        kind: CallKind,
        app: AppId,
    ) -> Result<Self, Verdict> {
        let now = engine.clock.now();
        if !desk.restored.load(Ordering::Acquire) {
            return Err(Verdict::Later(now.steady.plus(SOON)));
        }
        let spending = Spending {
            kinds: &[kind],
            app,
            reserve: false,
            adds_ban: false,
        };
        let mut budget = desk.budget.lock();
        match budget.ask(spending, now) {
            Verdict::Fits => {}
            other => return Err(other),
        }
        budget.spend(spending, now);
        budget.on_sent(spending.kinds, app, now);
        drop(budget);
        let (tell, kept) = oneshot::channel();
        desk.send(Event::Drawn(tell));
        Ok(Self {
            engine: Arc::clone(engine),
            desk: Arc::clone(desk),
            kind,
            app,
            kept,
        })
    }

    /// Waits until it is written down; the call must not go out if this is false.
    pub(crate) async fn is_kept(&mut self) -> bool {
        (&mut self.kept).await.is_ok()
    }
}

impl Drop for Drawn {
    fn drop(&mut self) {
        let now = self.engine.clock.now();
        let mut budget = self.desk.budget.lock();
        budget.on_answered(&[self.kind], self.app, now);
    }
}

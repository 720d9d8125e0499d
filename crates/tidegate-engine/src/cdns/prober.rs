//! Looks at streams after decisions, and says *dark* or *live*.
//!
//! Level-triggered on the ledger: it knows which placements are watched and when each is due.
//! When to look and what looks prove is decided in `tidegate_core::probe`; looking at a play URL is
//! `tidegate-probe`'s.

mod evidence;
mod seen;
mod told;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_core::placement::Evidence;
use tidegate_core::probe::{Goal, News, Watch};
use tidegate_core::{StreamKey, UnixMs};
use tidegate_ledger::LedgerError;
use tidegate_ledger::cdns::{LookRow, LookSave, WatchSave};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::evidence::Sight;
use self::seen::Seen;
use self::told::StillLive;
use super::desk::Desk;
use super::directory::{AccountEntry, CdnDirectory, TargetEntry};
use crate::engine::Engine;

/// Looks that go on at once for one account.
const AT_ONCE: usize = 16;
/// With looks at streams that are about to be cut.
const MOST_FIRST: usize = 2 * AT_ONCE;
/// With nothing to look at, the ledger is asked again after this.
const IDLE: Duration = Duration::from_secs(60);
/// After the ledger failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// A watch, and what was seen last.
#[derive(Serialize, Deserialize)]
pub(crate) struct Kept {
    watch: Watch,
    last: Option<Evidence>,
}

impl Kept {
    /// Nothing was seen yet.
    pub(crate) fn new(watch: Watch) -> Self {
        Self { watch, last: None }
    }

    /// To keep; over once no look is left.
    pub(crate) fn save(&self) -> WatchSave {
        let next = self.watch.next();
        WatchSave {
            state: next.and_then(|_| serde_json::to_string(self).ok()),
            next,
        }
    }
}

/// The prober of one account.
struct Prober {
    engine: Arc<Engine>,
    account: Arc<AccountEntry>,
    desk: Arc<Desk>,
    seen: Seen,
    still_live: StillLive,
    looks: JoinSet<Ended>,
    /// Placements that are being looked at.
    under_way: HashSet<(StreamKey, i64)>,
}

/// A look that has ended.
enum Ended {
    /// Of a watch.
    Watch(Box<Looked>),
    /// One that only lets play URLs prove themselves.
    First(Arc<TargetEntry>, Sight),
}

struct Looked {
    row: LookRow,
    kept: Kept,
    target: Arc<TargetEntry>,
    began: UnixMs,
    began_wall: UnixMs,
    sight: Sight,
}

/// Looks for the desk, until `stop`.
pub(super) async fn run(
    engine: Arc<Engine>,
    account: Arc<AccountEntry>,
    desk: Arc<Desk>,
    stop: CancellationToken,
) {
    let mut prober = Prober {
        seen: Seen::default(),
        still_live: StillLive::default(),
        engine,
        account,
        desk,
        looks: JoinSet::new(),
        under_way: HashSet::new(),
    };
    let mut ended: Option<Ended> = None;
    while !stop.is_cancelled() {
        let pause = match prober.round(ended.take()).await {
            Ok(pause) => pause,
            Err(error) => {
                prober.engine.ledger_failed(&error);
                prober.desk.next_look.store(i64::MIN, Ordering::Relaxed);
                AFTER_FAILURE
            }
        };
        tokio::select! {
            Some(done) = prober.looks.join_next() => ended = done.ok(),
            () = tokio::time::sleep(pause) => {}
            () = prober.desk.look_added.notified() => {}
            () = stop.cancelled() => {}
        }
    }
}

impl Prober {
    /// Writes down what was seen and begins what is due; returns how long nothing will be.
    async fn round(&mut self, ended: Option<Ended>) -> Result<Duration, LedgerError> {
        if let Some(ended) = ended {
            self.on_ended(ended).await?;
        }
        let directory = self.engine.cdns().directory();
        if let Some(account) = directory.account(self.account.account.id) {
            self.account = Arc::clone(account);
        }
        self.first_looks(&directory);
        let now = self.engine.clock.now();
        let next = UnixMs(self.desk.next_look.load(Ordering::Relaxed));
        if next > now.steady {
            return Ok(now.steady.until(next).min(IDLE));
        }
        // Watches that begin from here on lower it again.
        self.desk.next_look.store(i64::MAX, Ordering::Relaxed);
        let (id, busy) = (self.account.account.id, self.under_way.len());
        let ledger = self.engine.ledger();
        let rows = ledger
            .due_looks(id, UnixMs(i64::MAX), busy + AT_ONCE + 1)
            .await?;
        for row in rows {
            if self.under_way.contains(&(row.key.clone(), row.target)) {
                continue;
            }
            if row.next > now.steady {
                self.desk.next_look.fetch_min(row.next.0, Ordering::Relaxed);
                break;
            }
            if self.looks.len() >= AT_ONCE {
                // The next look that ends makes room.
                self.desk.next_look.fetch_min(row.next.0, Ordering::Relaxed);
                return Ok(IDLE);
            }
            self.look(row, &directory);
        }
        let next = UnixMs(self.desk.next_look.load(Ordering::Relaxed));
        Ok(now.steady.until(next).min(IDLE))
    }

    /// Streams that are being taken off the air, where a play URL was never seen live: now is the
    /// last moment at which it can prove itself.
    fn first_looks(&mut self, directory: &CdnDirectory) {
        for (stream, target) in self.desk.take_first_looks() {
            let Some(target) = directory.target(target).cloned() else {
                continue;
            };
            if self.looks.len() < MOST_FIRST && self.seen.has_unproven(&target) {
                let look = self.sight_of(&stream, &target, false);
                self.looks
                    .spawn(async move { Ended::First(target, look.await) });
            }
        }
    }

    fn look(&mut self, row: LookRow, directory: &CdnDirectory) {
        let kept = serde_json::from_str::<Kept>(&row.watch);
        let (Ok(kept), Some(target)) = (kept, directory.target(row.target)) else {
            tracing::error!(stream = %row.key, "a watch in the ledger cannot be used");
            return;
        };
        let now = self.engine.clock.now();
        let target = Arc::clone(target);
        let look = self.sight_of(&row.key, &target, true);
        self.under_way.insert((row.key.clone(), row.target));
        self.looks.spawn(async move {
            Ended::Watch(Box::new(Looked {
                row,
                kept,
                target,
                began: now.steady,
                began_wall: now.wall,
                sight: look.await,
            }))
        });
    }

    async fn on_ended(&mut self, ended: Ended) -> Result<(), LedgerError> {
        match ended {
            Ended::First(target, sight) => {
                self.seen.note(&target, &sight, self.engine.clock.now());
            }
            Ended::Watch(looked) => {
                let placement = (looked.row.key.clone(), looked.row.target);
                self.under_way.remove(&placement);
                // Kept or not, the ledger says what is due next.
                self.desk.next_look.store(i64::MIN, Ordering::Relaxed);
                let save = self.conclude(*looked);
                self.engine.ledger().save_looks(vec![save]).await?;
            }
        }
        self.seen.keep(&self.engine).await
    }

    /// What a look comes to.
    fn conclude(&mut self, looked: Looked) -> LookSave {
        let now = self.engine.clock.now();
        self.seen.note(&looked.target, &looked.sight, now);
        let evidence = self.seen.judge(&looked.target, &looked.sight);
        let mut kept = looked.kept;
        let news = kept.watch.on_look(evidence, looked.began, now);
        self.tell(
            &looked.row,
            &looked.sight,
            kept.watch.goal(),
            evidence,
            news,
            now.wall,
        );
        let changed = kept.last != Some(evidence);
        kept.last = Some(evidence);
        let observed = tidegate_core::placement::Observed {
            evidence,
            at: looked.began_wall,
        };
        if changed {
            self.note_history(&looked.row, evidence, &looked.sight.words, now.wall);
        }
        if kept.watch.goal() == Goal::Dark && evidence != Evidence::Unknown {
            let stream = &looked.row.key.stream;
            let object = self.account.object_key(&looked.target.site, stream);
            self.desk.seen(object, observed);
        }
        LookSave {
            key: looked.row.key,
            target: looked.row.target,
            observed: Some(observed),
            watch: Some(kept.save()),
            due: Some(looked.row.next),
        }
    }

    fn tell(
        &mut self,
        row: &LookRow,
        sight: &Sight,
        goal: Goal,
        evidence: Evidence,
        news: News,
        now: UnixMs,
    ) {
        let (account, stream) = (&self.account.account.name, &row.key);
        match news {
            News::Reached(after) if goal == Goal::Dark => {
                tracing::info!(account, %stream, after_s = after.as_secs(), seen = %sight.words,
                    "the stream is dark");
            }
            News::Reached(after) => {
                tracing::info!(account, %stream, after_s = after.as_secs(), seen = %sight.words,
                    "the stream is back on the air");
            }
            News::StillLive(after) => {
                tracing::error!(account, %stream, after_s = after.as_secs(), seen = %sight.words,
                    "the stream is still live although the CDN accepted its ban");
                self.engine.stats().still_live.bump();
            }
            News::LiveAgain => {
                tracing::error!(account, %stream, seen = %sight.words,
                    "the stream was dark and is live again although it is banned");
                self.engine.stats().still_live.bump();
            }
            News::None => {}
        }
        let late = matches!(news, News::StillLive(_) | News::LiveAgain);
        let key = (row.key.clone(), row.target);
        match (goal, evidence) {
            (Goal::Dark, Evidence::Live) if late => self.still_live.add(key, now),
            (Goal::Dark, Evidence::Live | Evidence::Unknown) => {}
            _ => self.still_live.remove(&key),
        }
        self.still_live.alarm(self.engine.alarms(), account, now);
    }

    fn note_history(&self, row: &LookRow, evidence: Evidence, words: &str, at: UnixMs) {
        let result = match evidence {
            Evidence::Live => tidegate_ledger::AttemptResult::Live,
            Evidence::Dark => tidegate_ledger::AttemptResult::Dark,
            Evidence::Unknown => return,
        };
        let attempt = tidegate_ledger::Attempt {
            key: row.key.clone(),
            target: row.target,
            generation: tidegate_core::Generation::default(),
            at,
            result,
            vendor_request_id: String::new(),
            words: words.to_owned(),
        };
        self.engine.recorder.attempt(attempt, self.engine.stats());
    }
}

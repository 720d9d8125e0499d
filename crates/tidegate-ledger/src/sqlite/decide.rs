//! Decisions, scheduled ends and the confirmation of a restore.

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use tidegate_core::{
    Actor, Ask, AskKind, Block, Generation, Outcome, RequestId, StreamKey, UnixMs, decide,
};

use super::error::OpError;
use super::operation::{Operation, Tx};
use super::rows::{self, column, value};
use super::writer::run;
use crate::chain::{LinkKind, RawActor, RawDecision, RawEvent};
use crate::lanes::Lane;
use crate::model::{Bound, Decided, NonceRecord, NonceUse, Placement, Target};

/// Everything that a decision depends on. `$NNN` rather than `?NNN` in texts of several
/// statements: sqlx counts gaps in the latter against the arguments.
const READ: &str = "
    SELECT d.newest, b.generation, b.since_ms, b.until_ms, b.held_resume,
           n.digest, n.expires_ms, n.request_id, n.stream, n.generation, n.answer
    FROM (SELECT max(generation) AS newest FROM decisions WHERE app_id = $1 AND stream = $2) d
    LEFT JOIN blocks b ON b.app_id = $1 AND b.stream = $2
    LEFT JOIN nonces n ON n.app_id = $1 AND n.nonce = $3";

/// One text for all that a decision writes, because each text is a trip to SQLite's thread.
macro_rules! record {
    ($block:literal) => {
        concat!(
            "SAVEPOINT op;
            INSERT INTO chain (seq, kind, digest, hash) VALUES ($1, 'decision', $2, $3);
            INSERT INTO decisions (link, app_id, stream, generation, verb, until_ms, held, actor,
                                   operator, client, reason, at_ms, request_id)
            VALUES ($1, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15);",
            $block,
            "INSERT INTO placements (app_id, stream, target, wanted, accepted, accepted_ms)
             SELECT $4, $5, id, $16, iif(vendor = 'origin', $16, NULL),
                    iif(vendor = 'origin', $14, NULL)
             FROM targets WHERE app_id = $4 AND leaving_ms IS NULL
             ON CONFLICT (app_id, stream, target) DO UPDATE SET wanted = excluded.wanted,
                 accepted = coalesce(excluded.accepted, accepted),
                 accepted_ms = iif(excluded.accepted IS accepted, accepted_ms,
                                   coalesce(excluded.accepted_ms, accepted_ms))
             RETURNING target, wanted, accepted, accepted_ms;
             INSERT OR REPLACE INTO nonces
                 (app_id, nonce, digest, expires_ms, request_id, stream, generation)
             SELECT $4, $20, $21, $22, $15, $5, $6 WHERE $20 IS NOT NULL;
             RELEASE op"
        )
    };
}

const RECORD_AND_SET: &str = record!(
    "INSERT OR REPLACE INTO blocks (app_id, stream, generation, since_ms, until_ms, held_resume)
     VALUES ($4, $5, $16, $17, $18, $19);"
);
const RECORD_AND_CLEAR: &str = record!("DELETE FROM blocks WHERE app_id = $4 AND stream = $5;");

/// What stood before a decision.
struct Before {
    newest: i64,
    block: Option<Block>,
    nonce: Option<NonceRecord>,
}

impl Before {
    /// The number of the next decision on the stream.
    fn next_generation(&self, floor: i64) -> Generation {
        Generation(value(self.newest.max(floor).saturating_add(1)))
    }
}

async fn read(
    tx: &mut Tx<'_>,
    key: &StreamKey,
    nonce: Option<&NonceUse>,
) -> Result<Before, OpError> {
    let name = nonce.map(|n| n.nonce.as_str());
    let row = sqlx::query(READ)
        .bind(key.app.0)
        .bind(key.stream.as_str())
        .bind(name)
        .fetch_one(&mut *tx.conn)
        .await?;
    let newest: Option<i64> = rows::get(&row, 0)?;
    let nonce = match name {
        Some(name) => rows::nonce(key.app, name, &row, 5)?,
        None => None,
    };
    Ok(Before {
        newest: newest.unwrap_or(0),
        block: rows::block(&row, 1)?,
        nonce,
    })
}

/// Writes a history row with its link, and the block and placements that follow from it.
async fn record(
    tx: &mut Tx<'_>,
    raw: &RawDecision,
    outcome: &Outcome,
    nonce: Option<&NonceUse>,
) -> Result<Vec<SqliteRow>, OpError> {
    let digest = raw.digest();
    let tip = tx.memory.tip.next(LinkKind::Decision, &digest);
    let block = outcome.block();
    let sql = match block {
        Some(_) => RECORD_AND_SET,
        None => RECORD_AND_CLEAR,
    };
    let written = sqlx::query(sql)
        .bind(tip.seq)
        .bind(&digest[..])
        .bind(&tip.hash[..])
        .bind(raw.app)
        .bind(&raw.stream)
        .bind(raw.generation)
        .bind(&raw.verb)
        .bind(raw.until_ms)
        .bind(raw.held)
        .bind(&raw.by.actor)
        .bind(&raw.by.operator)
        .bind(&raw.by.client)
        .bind(&raw.reason)
        .bind(raw.at_ms)
        .bind(raw.request_id)
        .bind(block.map_or(raw.generation, |b| column(b.generation.0)))
        .bind(block.map(|b| b.since.0))
        .bind(block.map(|b| rows::until_column(b.until)))
        .bind(block.and_then(|b| b.held_resume).map(|g| column(g.0)))
        .bind(nonce.map(|n| &n.nonce))
        .bind(nonce.map(|n| &n.digest[..]))
        .bind(nonce.map(|n| n.expires.0))
        .fetch_all(&mut *tx.conn)
        .await;
    match written.map_err(OpError::from) {
        Ok(rows) => {
            tx.memory.tip = tip;
            tx.memory.decisions += 1;
            tx.memory.saw(raw.at_ms);
            Ok(rows)
        }
        Err(OpError::Refused(error)) => {
            run(tx.conn, "ROLLBACK TO op; RELEASE op").await?;
            Err(error.into())
        }
        broken => broken,
    }
}

fn placements(targets: &[Target], rows: &[SqliteRow]) -> Result<Vec<Placement>, OpError> {
    let mut placements = Vec::with_capacity(targets.len());
    for target in targets {
        for row in rows {
            if rows::get::<i64>(row, 0)? == target.id {
                placements.push(rows::placement(target.clone(), row, 1)?);
            }
        }
    }
    Ok(placements)
}

/// [`crate::Ledger::decide`].
pub(super) struct Decide {
    pub ask: Ask,
    pub nonce: Option<NonceUse>,
}

#[async_trait]
impl Operation for Decide {
    type Out = Bound;

    fn lane(&self) -> Lane {
        match self.ask.kind {
            AskKind::Forbid(_) => Lane::Takedown,
            AskKind::Resume => Lane::Release,
        }
    }

    fn saves_itself(&self) -> bool {
        true
    }

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Bound, OpError> {
        let ask = &self.ask;
        let targets = tx.targets(ask.key.app).await?;
        let before = read(tx, &ask.key, self.nonce.as_ref()).await?;
        let generation = before.next_generation(tx.memory.floor);
        if let (Some(bound), Some(used)) = (before.nonce, &self.nonce)
            && bound.used.expires > ask.at
        {
            return Ok(if bound.used.digest == used.digest {
                Bound::Replay(bound)
            } else {
                Bound::NonceTaken
            });
        }
        let hold = tx.memory.hold.is_some();
        let outcome = decide(before.block.as_ref(), ask, generation, hold);
        let raw = RawDecision {
            app: i64::from(ask.key.app.0),
            stream: ask.key.stream.as_str().to_owned(),
            generation: column(generation.0),
            verb: ask.kind.word().to_owned(),
            until_ms: match outcome {
                Outcome::Blocked(block) => Some(rows::until_column(block.until)),
                Outcome::Opened { .. } | Outcome::Held(_) => None,
            },
            held: matches!(outcome, Outcome::Held(_)),
            by: rows::actor_columns(&ask.by),
            reason: ask.reason.clone(),
            at_ms: ask.at.0,
            request_id: Some(column(ask.request_id.0)),
        };
        let rows = record(tx, &raw, &outcome, self.nonce.as_ref()).await?;
        Ok(Bound::Fresh(Decided {
            generation,
            outcome,
            placements: placements(&targets, &rows)?,
        }))
    }
}

/// [`crate::Ledger::lapse`].
pub(super) struct Lapse {
    pub key: StreamKey,
    pub block: Generation,
    pub at: UnixMs,
}

#[async_trait]
impl Operation for Lapse {
    type Out = Option<Generation>;

    fn lane(&self) -> Lane {
        Lane::Release
    }

    fn saves_itself(&self) -> bool {
        true
    }

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Option<Generation>, OpError> {
        let before = read(tx, &self.key, None).await?;
        let stands = before.block.is_some_and(|b| b.generation == self.block);
        if !stands || tx.memory.hold.is_some() {
            return Ok(None);
        }
        let generation = before.next_generation(tx.memory.floor);
        let raw = RawDecision {
            app: i64::from(self.key.app.0),
            stream: self.key.stream.as_str().to_owned(),
            generation: column(generation.0),
            verb: "lapse".to_owned(),
            until_ms: None,
            held: false,
            by: RawActor::default(),
            reason: None,
            at_ms: self.at.0,
            request_id: None,
        };
        let opened = Outcome::Opened { was_blocked: true };
        record(tx, &raw, &opened, None).await?;
        Ok(Some(generation))
    }
}

/// [`crate::Ledger::confirm_restore`]: one row of `events`, because it decides on no stream by
/// itself. The resumes that it lets go are decisions already.
pub(super) struct Confirm {
    pub by: Actor,
    pub at: UnixMs,
    pub request_id: RequestId,
}

#[async_trait]
impl Operation for Confirm {
    type Out = Vec<(StreamKey, Generation)>;

    fn lane(&self) -> Lane {
        Lane::Release
    }

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Self::Out, OpError> {
        let Some(restored_at) = tx.memory.hold else {
            return Ok(Vec::new());
        };
        let event = RawEvent {
            verb: "confirm".to_owned(),
            by: rows::actor_columns(&self.by),
            detail: format!("restore of {}", UnixMs(restored_at)),
            at_ms: self.at.0,
            request_id: Some(column(self.request_id.0)),
        };
        append_event(tx, &event).await?;
        let opened = open_held(tx, self.at).await?;
        tx.memory.hold = None;
        Ok(opened)
    }
}

/// Appends a row of `events` and its link.
pub(super) async fn append_event(tx: &mut Tx<'_>, event: &RawEvent) -> Result<(), OpError> {
    let link = tx.append_link(LinkKind::Event, &event.digest()).await?;
    sqlx::query(
        "INSERT INTO events (link, verb, actor, operator, client, detail, at_ms, request_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(link)
    .bind(&event.verb)
    .bind(&event.by.actor)
    .bind(&event.by.operator)
    .bind(&event.by.client)
    .bind(&event.detail)
    .bind(event.at_ms)
    .bind(event.request_id)
    .execute(&mut *tx.conn)
    .await?;
    tx.memory.saw(event.at_ms);
    Ok(())
}

async fn open_held(tx: &mut Tx<'_>, at: UnixMs) -> Result<Vec<(StreamKey, Generation)>, OpError> {
    let held = sqlx::query(
        "SELECT app_id, stream, held_resume FROM blocks WHERE held_resume IS NOT NULL
         ORDER BY app_id, stream",
    )
    .fetch_all(&mut *tx.conn)
    .await?;
    sqlx::query(
        "UPDATE placements SET wanted = b.held_resume,
             accepted = iif(t.vendor = 'origin', b.held_resume, accepted),
             accepted_ms = iif(t.vendor = 'origin', $1, accepted_ms)
         FROM blocks b, targets t
         WHERE b.held_resume IS NOT NULL AND placements.app_id = b.app_id
           AND placements.stream = b.stream AND t.id = placements.target
           AND t.leaving_ms IS NULL;
         DELETE FROM blocks WHERE held_resume IS NOT NULL;
         DELETE FROM meta WHERE name = 'restore_hold'",
    )
    .bind(at.0)
    .execute(&mut *tx.conn)
    .await?;
    held.iter()
        .map(|row| {
            let key = rows::stream_key(rows::get(row, 0)?, rows::get(row, 1)?)?;
            Ok((key, Generation(value(rows::get(row, 2)?))))
        })
        .collect()
}

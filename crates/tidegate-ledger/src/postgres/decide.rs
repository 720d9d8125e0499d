//! Decisions and scheduled ends of one batch: read together, decided in order, written together.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::Row;
use sqlx::postgres::PgRow;
use tidegate_core::{AppId, Ask, Block, Generation, Outcome, StreamKey, decide};

use super::error::{OpError, unavailable};
use super::operation::{Job, Tx, Work, read_targets, require_app};
use super::record::Writes;
use super::rows::{self, escaped};
use crate::chain::{LinkKind, RawActor, RawDecision};
use crate::columns::{actor_columns, column, until_column, value};
use crate::error::LedgerError;
use crate::model::{Bound, Decided, NonceRecord, NonceUse, Placement, Target, Vendor};

const READ: &str = "
    SELECT d.newest, b.generation, b.since_ms, b.until_ms, b.held_resume,
           n.digest, n.expires_ms, n.request_id, n.stream, n.generation, n.answer,
           p.targets, p.accepted, p.accepted_ms
    FROM unnest($1::bigint[], $2::text[], $3::text[]) WITH ORDINALITY AS k (app, stream, nonce, place)
    LEFT JOIN LATERAL (SELECT generation AS newest FROM decisions
        WHERE app_id = k.app AND stream = k.stream ORDER BY generation DESC LIMIT 1) d ON true
    LEFT JOIN LATERAL (SELECT generation, since_ms, until_ms, held_resume FROM blocks
        WHERE app_id = k.app AND stream = k.stream LIMIT 1) b ON true
    LEFT JOIN LATERAL (SELECT digest, expires_ms, request_id, stream, generation, answer
        FROM nonces WHERE app_id = k.app AND nonce = k.nonce LIMIT 1) n ON true
    LEFT JOIN LATERAL (SELECT array_agg(target) AS targets, array_agg(accepted) AS accepted,
        array_agg(accepted_ms) AS accepted_ms FROM placements
        WHERE app_id = k.app AND stream = k.stream) p ON true
    ORDER BY k.place";

/// What stands on a stream while the batch is decided.
struct Standing {
    newest: i64,
    block: Option<Block>,
    /// By target: the newest generation accepted, and when.
    accepted: HashMap<i64, (i64, Option<i64>)>,
}

/// What the batch reads and changes, by stream and by nonce.
struct Board {
    streams: HashMap<StreamKey, Standing>,
    nonces: HashMap<(AppId, String), NonceRecord>,
}

/// Decides a run of jobs, all of which are decisions or scheduled ends. What one of them is
/// refused with is kept for its caller; an error is the whole batch's.
pub(super) async fn decide_all(tx: &mut Tx<'_>, jobs: &mut [Job]) -> Result<(), sqlx::Error> {
    let mut board = match read(tx, jobs).await {
        Ok(board) => board,
        Err(OpError::Broken(error)) => return Err(error),
        Err(OpError::Refused(error)) => {
            refuse_all(jobs, &error);
            return Ok(());
        }
    };
    let mut writes = Writes::default();
    for job in jobs {
        match &mut job.work {
            Work::Decide { ask, nonce, reply } => {
                let bound = decide_one(tx, &mut board, &mut writes, ask, nonce.as_ref()).await;
                reply.outcome = Some(kept(bound)?);
            }
            Work::Lapse {
                key,
                block,
                at,
                reply,
            } => {
                let lapsed = lapse_one(tx, &mut board, &mut writes, key, *block, at.0).await;
                reply.outcome = Some(kept(lapsed)?);
            }
            Work::Other(_) => {}
        }
    }
    writes.write(tx).await
}

fn kept<T>(outcome: Result<T, OpError>) -> Result<Result<T, LedgerError>, sqlx::Error> {
    match outcome {
        Ok(out) => Ok(Ok(out)),
        Err(OpError::Refused(error)) => Ok(Err(error)),
        Err(OpError::Broken(error)) => Err(error),
    }
}

fn refuse_all(jobs: &mut [Job], error: &LedgerError) {
    let again = || LedgerError::Corrupt(error.to_string());
    for job in jobs {
        match &mut job.work {
            Work::Decide { reply, .. } => reply.outcome = Some(Err(again())),
            Work::Lapse { reply, .. } => reply.outcome = Some(Err(again())),
            Work::Other(_) => {}
        }
    }
}

async fn read(tx: &mut Tx<'_>, jobs: &[Job]) -> Result<Board, OpError> {
    let wanted: Vec<(&StreamKey, Option<&NonceUse>)> = jobs
        .iter()
        .filter_map(|job| match &job.work {
            Work::Decide { ask, nonce, .. } => Some((&ask.key, nonce.as_ref())),
            Work::Lapse { key, .. } => Some((key, None)),
            Work::Other(_) => None,
        })
        .collect();
    let apps: Vec<i64> = wanted.iter().map(|(key, _)| key.app.0.into()).collect();
    let streams: Vec<&str> = wanted.iter().map(|(key, _)| key.stream.as_str()).collect();
    let nonces: Vec<Option<String>> = wanted
        .iter()
        .map(|(_, nonce)| nonce.map(|n| escaped(&n.nonce).into_owned()))
        .collect();
    let rows = sqlx::query(READ)
        .bind(apps)
        .bind(streams)
        .bind(nonces)
        .fetch_all(&mut *tx.conn)
        .await?;
    let mut board = Board {
        streams: HashMap::with_capacity(rows.len()),
        nonces: HashMap::new(),
    };
    for ((key, nonce), row) in wanted.into_iter().zip(&rows) {
        if let Some(nonce) = nonce
            && let Some(record) = rows::nonce(key.app, &nonce.nonce, row, 5)?
        {
            board.nonces.insert((key.app, nonce.nonce.clone()), record);
        }
        if !board.streams.contains_key(key) {
            board.streams.insert(key.clone(), standing(row)?);
        }
    }
    Ok(board)
}

fn standing(row: &PgRow) -> Result<Standing, OpError> {
    let list = |index| -> Result<Vec<Option<i64>>, sqlx::Error> {
        Ok(row
            .try_get::<Option<Vec<Option<i64>>>, _>(index)?
            .unwrap_or_default())
    };
    let (targets, accepted, at) = (list(11)?, list(12)?, list(13)?);
    let accepted = targets
        .into_iter()
        .zip(accepted)
        .zip(at)
        .filter_map(|((target, accepted), at)| Some((target?, (accepted?, at))))
        .collect();
    Ok(Standing {
        newest: row.try_get::<Option<i64>, _>(0)?.unwrap_or(0),
        block: rows::block(row, 1)?,
        accepted,
    })
}

/// The targets of an App, its origin first; `NoSuchApp` if there is none.
async fn targets(tx: &mut Tx<'_>, app: AppId) -> Result<Arc<[Target]>, OpError> {
    if let Some(targets) = tx.targets.by_app.get(&app) {
        return Ok(Arc::clone(targets));
    }
    require_app(tx.conn, app).await?;
    let targets: Arc<[Target]> = read_targets(tx.conn, app).await?.into();
    tx.targets.by_app.insert(app, Arc::clone(&targets));
    Ok(targets)
}

fn lost() -> OpError {
    unavailable("written", &sqlx::Error::RowNotFound).into()
}

async fn decide_one(
    tx: &mut Tx<'_>,
    board: &mut Board,
    writes: &mut Writes,
    ask: &Ask,
    nonce: Option<&NonceUse>,
) -> Result<Bound, OpError> {
    let targets = targets(tx, ask.key.app).await?;
    let bound = nonce.and_then(|n| board.nonces.get(&(ask.key.app, n.nonce.clone())));
    if let (Some(bound), Some(used)) = (bound, nonce)
        && bound.used.expires > ask.at
    {
        return Ok(if bound.used.digest == used.digest {
            Bound::Replay(bound.clone())
        } else {
            Bound::NonceTaken
        });
    }
    let standing = board.streams.get_mut(&ask.key).ok_or_else(lost)?;
    let generation = standing.newest.max(tx.state.floor).saturating_add(1);
    let hold = tx.state.hold.is_some();
    let outcome = decide(
        standing.block.as_ref(),
        ask,
        Generation(value(generation)),
        hold,
    );
    let raw = RawDecision {
        app: i64::from(ask.key.app.0),
        stream: ask.key.stream.as_str().to_owned(),
        generation,
        verb: ask.kind.word().to_owned(),
        until_ms: match outcome {
            Outcome::Blocked(block) => Some(until_column(block.until)),
            Outcome::Opened { .. } | Outcome::Held(_) => None,
        },
        held: matches!(outcome, Outcome::Held(_)),
        by: actor_columns(&ask.by),
        reason: ask.reason.clone(),
        at_ms: ask.at.0,
        request_id: Some(column(ask.request_id.0)),
    };
    let placements = set(tx, standing, writes, &targets, &ask.key, raw, &outcome);
    if let Some(used) = nonce {
        let record = NonceRecord {
            app: ask.key.app,
            used: used.clone(),
            request_id: ask.request_id,
            key: ask.key.clone(),
            generation: Generation(value(generation)),
            answer: None,
        };
        let key = (ask.key.app, used.nonce.clone());
        writes.nonces.insert(key.clone(), record.clone());
        board.nonces.insert(key, record);
    }
    Ok(Bound::Fresh(Decided {
        generation: Generation(value(generation)),
        outcome,
        placements,
    }))
}

async fn lapse_one(
    tx: &mut Tx<'_>,
    board: &mut Board,
    writes: &mut Writes,
    key: &StreamKey,
    block: Generation,
    at_ms: i64,
) -> Result<Option<Generation>, OpError> {
    let standing = board.streams.get_mut(key).ok_or_else(lost)?;
    let stands = standing.block.is_some_and(|b| b.generation == block);
    if !stands || tx.state.hold.is_some() {
        return Ok(None);
    }
    let targets = targets(tx, key.app).await?;
    let generation = standing.newest.max(tx.state.floor).saturating_add(1);
    let raw = RawDecision {
        app: i64::from(key.app.0),
        stream: key.stream.as_str().to_owned(),
        generation,
        verb: "lapse".to_owned(),
        until_ms: None,
        held: false,
        by: RawActor::default(),
        reason: None,
        at_ms,
        request_id: None,
    };
    let opened = Outcome::Opened { was_blocked: true };
    set(tx, standing, writes, &targets, key, raw, &opened);
    Ok(Some(Generation(value(generation))))
}

/// Puts a history row and what follows from it on the list of writes, and on the board.
fn set(
    tx: &mut Tx<'_>,
    standing: &mut Standing,
    writes: &mut Writes,
    targets: &[Target],
    key: &StreamKey,
    raw: RawDecision,
    outcome: &Outcome,
) -> Vec<Placement> {
    let (generation, at_ms) = (raw.generation, raw.at_ms);
    let digest = raw.digest();
    let tip = tx.state.tip.next(LinkKind::Decision, &digest);
    tx.state.tip = tip;
    tx.state.decisions += 1;
    tx.state.saw(at_ms);
    writes.links.push((tip, digest));
    writes.decisions.push(raw);
    standing.newest = generation;
    standing.block = outcome.block();
    writes.blocks.insert(key.clone(), standing.block);
    let wanted = standing
        .block
        .map_or(generation, |b| column(b.generation.0));
    let mut placements = Vec::with_capacity(targets.len());
    for target in targets {
        // The origin has no other memory than this ledger: the commit is its acceptance.
        let origin = target.vendor == Vendor::Origin;
        let before = standing.accepted.get(&target.id).copied();
        let accepted = match before {
            Some((accepted, at)) if !origin || accepted == wanted => Some((accepted, at)),
            _ if origin => Some((wanted, Some(at_ms))),
            _ => None,
        };
        if let Some(accepted) = accepted {
            standing.accepted.insert(target.id, accepted);
        }
        let placement = Placement {
            target: target.clone(),
            wanted: Generation(value(wanted)),
            accepted: accepted.map(|(g, _)| Generation(value(g))),
            accepted_at: accepted.and_then(|(_, at)| at).map(tidegate_core::UnixMs),
            observed: None,
        };
        writes
            .placements
            .insert((key.clone(), target.id), placement.clone());
        placements.push(placement);
    }
    placements
}

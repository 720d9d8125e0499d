//! Reads: blocks, ends, status, nonces, marks.

use futures_util::TryStreamExt;
use sqlx::{Connection, PgConnection};
use tidegate_core::clock::Sample;
use tidegate_core::{Block, StreamKey, UnixMs};

use super::error::reading;
use super::rows::{self, free, get};
use crate::columns::{app_id, corrupt, stream_key, value};
use crate::error::LedgerError;
use crate::model::{ClockMark, NonceRecord, StreamStatus};

const NEWEST: i64 = 20;

/// Opens a transaction whose statements all see the same commits.
pub(crate) const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// [`crate::Ledger::load_blocks`].
pub(super) async fn load_blocks(
    conn: &mut PgConnection,
    visit: &mut (dyn FnMut(StreamKey, Block) + Send),
) -> Result<(), LedgerError> {
    let mut rows = sqlx::query(
        "SELECT app_id, stream, generation, since_ms, until_ms, held_resume FROM blocks",
    )
    .fetch(conn);
    while let Some(row) = rows.try_next().await.map_err(|e| reading(&e))? {
        let block = rows::block(&row, 2)?.ok_or_else(|| corrupt("a block"))?;
        visit(stream_key(get(&row, 0)?, get(&row, 1)?)?, block);
    }
    Ok(())
}

/// [`crate::Ledger::due_ends`].
pub(super) async fn due_ends(
    conn: &mut PgConnection,
    now: UnixMs,
    limit: usize,
) -> Result<(Vec<(StreamKey, Block)>, Option<UnixMs>), LedgerError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX - 1);
    let rows = sqlx::query(
        "SELECT app_id, stream, generation, since_ms, until_ms, held_resume FROM blocks
         WHERE until_ms < 9223372036854775807 ORDER BY until_ms, app_id, stream LIMIT $1",
    )
    .bind(limit + 1)
    .fetch_all(conn)
    .await
    .map_err(|e| reading(&e))?;
    let mut due = Vec::new();
    for row in &rows {
        let until = UnixMs(get(row, 4)?);
        if until > now || due.len() as u64 >= limit.unsigned_abs() {
            return Ok((due, Some(until)));
        }
        let stream: &str = get(row, 1)?;
        let block = rows::block(row, 2)?.ok_or_else(|| corrupt("a block"))?;
        due.push((stream_key(get(row, 0)?, stream)?, block));
    }
    Ok((due, None))
}

/// [`crate::Ledger::status`].
pub(super) async fn status(
    conn: &mut PgConnection,
    key: &StreamKey,
) -> Result<StreamStatus, LedgerError> {
    let begun = conn.begin_with(SNAPSHOT).await;
    let mut snapshot = begun.map_err(|e| reading(&e))?;
    let (app, stream) = (i64::from(key.app.0), key.stream.as_str());
    let block = sqlx::query(
        "SELECT generation, since_ms, until_ms, held_resume FROM blocks
         WHERE app_id = $1 AND stream = $2",
    );
    let block = block.bind(app).bind(stream);
    let block = block.fetch_optional(&mut *snapshot).await;
    let placements = sqlx::query(
        "SELECT t.id, t.app_id, t.vendor, t.publish_domain, t.rtmp_app,
             p.wanted, p.accepted, p.accepted_ms, p.observed, p.observed_ms
         FROM placements p JOIN targets t ON t.id = p.target
         WHERE p.app_id = $1 AND p.stream = $2 ORDER BY t.vendor <> 'origin', t.id",
    );
    let placements = placements.bind(app).bind(stream);
    let placements = placements.fetch_all(&mut *snapshot).await;
    let decisions = sqlx::query(
        "SELECT generation, verb, until_ms, actor, operator, client, reason, at_ms, request_id
         FROM decisions WHERE app_id = $1 AND stream = $2 ORDER BY generation DESC LIMIT $3",
    );
    let decisions = decisions.bind(app).bind(stream).bind(NEWEST);
    let decisions = decisions.fetch_all(&mut *snapshot).await;
    let attempts = sqlx::query(
        "SELECT target, generation, at_ms, result, vendor_request_id, words FROM attempts
         WHERE app_id = $1 AND stream = $2 ORDER BY link DESC, place DESC LIMIT $3",
    );
    let attempts = attempts.bind(app).bind(stream).bind(NEWEST);
    let attempts = attempts.fetch_all(&mut *snapshot).await;
    let told = |e| reading(&e);
    Ok(StreamStatus {
        block: match block.map_err(told)? {
            Some(row) => rows::block(&row, 0)?,
            None => None,
        },
        placements: placements
            .map_err(told)?
            .iter()
            .map(|row| rows::observed_placement(rows::target(row, 0)?, row, 5))
            .collect::<Result<_, _>>()?,
        decisions: decisions
            .map_err(told)?
            .iter()
            .map(|row| rows::decision(key, row))
            .collect::<Result<_, _>>()?,
        attempts: attempts
            .map_err(told)?
            .iter()
            .map(|row| rows::attempt(key, row))
            .collect::<Result<_, _>>()?,
    })
}

/// Nonces that are bound at `now`.
pub(super) async fn live_nonces(
    conn: &mut PgConnection,
    now: UnixMs,
) -> Result<Vec<NonceRecord>, LedgerError> {
    let rows = sqlx::query(
        "SELECT app_id, nonce, digest, expires_ms, request_id, stream, generation, answer
         FROM nonces WHERE expires_ms > $1 ORDER BY expires_ms",
    )
    .bind(now.0)
    .fetch_all(conn)
    .await
    .map_err(|e| reading(&e))?;
    rows.iter()
        .map(|row| {
            let app = app_id(get(row, 0)?)?;
            let nonce = free(row, 1)?;
            rows::nonce(app, &nonce, row, 2)?.ok_or_else(|| corrupt("a nonce"))
        })
        .collect()
}

/// [`crate::Ledger::clock_mark`].
pub(super) async fn clock_mark(conn: &mut PgConnection) -> Result<Option<ClockMark>, LedgerError> {
    let row = sqlx::query("SELECT wall_ms, since_boot_ms, boot FROM clock")
        .fetch_optional(conn)
        .await
        .map_err(|e| reading(&e))?;
    row.map(|row| {
        Ok(ClockMark {
            sample: Sample {
                wall: UnixMs(get(&row, 0)?),
                since_boot_ms: value(get(&row, 1)?),
            },
            boot: free(&row, 2)?,
        })
    })
    .transpose()
}

//! Reads: blocks, ends, status, nonces, marks.

use sqlx::{Connection, SqliteConnection};
use tidegate_core::clock::Sample;
use tidegate_core::{Block, Generation, StreamKey, UnixMs};
use tokio::sync::mpsc;

use super::error::reading;
use super::rows::{self, corrupt, get, value};
use crate::error::LedgerError;
use crate::model::{ClockMark, NonceRecord, StreamStatus};

/// Blocks packed into one fetched row: a row costs a trip between threads, a line costs none.
const PAGE: i64 = 8192;

const NEWEST: i64 = 20;

const BLOCK_PAGE: &str = "
    SELECT group_concat(concat_ws(' ', app_id, stream, generation, since_ms, until_ms,
                                  coalesce(held_resume, 0)), char(10)),
           count(*), max(app_id)
    FROM (SELECT * FROM blocks WHERE (app_id, stream) > ($1, $2) ORDER BY app_id, stream LIMIT $3)";

/// Sends pages of blocks, as text, from one snapshot.
pub(super) async fn send_block_pages(
    conn: &mut SqliteConnection,
    pages: mpsc::Sender<Result<String, LedgerError>>,
) {
    if let Err(error) = try_send_block_pages(conn, &pages).await {
        let _ = pages.send(Err(reading(&error))).await;
    }
}

async fn try_send_block_pages(
    conn: &mut SqliteConnection,
    pages: &mpsc::Sender<Result<String, LedgerError>>,
) -> Result<(), sqlx::Error> {
    let mut snapshot = conn.begin().await?;
    let (mut app, mut stream) = (0_i64, String::new());
    loop {
        let (page, count): (Option<String>, i64) = sqlx::query_as(BLOCK_PAGE)
            .bind(app)
            .bind(&stream)
            .bind(PAGE)
            .fetch_one(&mut *snapshot)
            .await?;
        let Some(page) = page else { break };
        if let Some((last_app, last_stream)) = last_key(&page) {
            (app, stream) = (last_app, last_stream);
        }
        if pages.send(Ok(page)).await.is_err() || count < PAGE {
            break;
        }
    }
    snapshot.commit().await
}

fn last_key(page: &str) -> Option<(i64, String)> {
    let mut words = page.rsplit('\n').next()?.split(' ');
    let app = words.next()?.parse().ok()?;
    Some((app, words.next()?.to_owned()))
}

/// Hands the blocks of a page to `visit`.
pub(super) fn visit_page(
    page: &str,
    visit: &mut (dyn FnMut(StreamKey, Block) + Send),
) -> Result<(), LedgerError> {
    for line in page.split('\n') {
        let (key, block) = parse_line(line).ok_or_else(|| corrupt("a block"))?;
        visit(key, block);
    }
    Ok(())
}

fn parse_line(line: &str) -> Option<(StreamKey, Block)> {
    let mut words = line.split(' ');
    let app = words.next()?.parse().ok()?;
    let key = rows::stream_key(app, words.next()?).ok()?;
    let mut number = || words.next()?.parse::<i64>().ok();
    let block = Block {
        generation: Generation(value(number()?)),
        since: UnixMs(number()?),
        until: rows::until_value(number()?),
        held_resume: number().map(|g| Generation(value(g))).filter(|g| g.0 > 0),
    };
    Some((key, block))
}

/// [`crate::Ledger::due_ends`].
pub(super) async fn due_ends(
    conn: &mut SqliteConnection,
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
        due.push((rows::stream_key(get(row, 0)?, stream)?, block));
    }
    Ok((due, None))
}

/// [`crate::Ledger::status`].
pub(super) async fn status(
    conn: &mut SqliteConnection,
    key: &StreamKey,
) -> Result<StreamStatus, LedgerError> {
    let mut snapshot = conn.begin().await.map_err(|e| reading(&e))?;
    let (app, stream) = (key.app.0, key.stream.as_str());
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
    conn: &mut SqliteConnection,
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
            let app = rows::app_id(get(row, 0)?)?;
            let nonce: &str = get(row, 1)?;
            rows::nonce(app, nonce, row, 2)?.ok_or_else(|| corrupt("a nonce"))
        })
        .collect()
}

/// [`crate::Ledger::clock_mark`].
pub(super) async fn clock_mark(
    conn: &mut SqliteConnection,
) -> Result<Option<ClockMark>, LedgerError> {
    let row: Option<(i64, i64, String)> =
        sqlx::query_as("SELECT wall_ms, since_boot_ms, boot FROM clock")
            .fetch_optional(conn)
            .await
            .map_err(|e| reading(&e))?;
    Ok(row.map(|(wall, since_boot, boot)| ClockMark {
        sample: Sample {
            wall: UnixMs(wall),
            since_boot_ms: value(since_boot),
        },
        boot,
    }))
}

//! What was decided since somebody looked.
//!
//! Links are numbered and committed in the same order, so history after a link is complete: no
//! transaction that is still open can add to it later.

use sqlx::{Connection, PgConnection};
use tidegate_core::Generation;

use super::error::reading;
use super::operation::meta_int;
use super::operation::read_tip;
use super::read::SNAPSHOT;
use super::rows::{self, get};
use crate::chain::Tip;
use crate::columns::{stream_key, value};
use crate::error::LedgerError;
use crate::model::{Change, Changes, Cursor, Head};

/// Links read at a time.
const PAGE: i64 = 4096;

/// A confirmation decides on the streams whose resumes were held since the restore before it.
const STREAMS: &str = "
    SELECT s.app_id, s.stream,
        (SELECT max(generation) FROM decisions d WHERE d.app_id = s.app_id AND d.stream = s.stream),
        b.generation, b.since_ms, b.until_ms, b.held_resume
    FROM (SELECT app_id, stream FROM decisions WHERE link > $1 AND link <= $2
          UNION
          SELECT d.app_id, d.stream FROM decisions d, events e
          WHERE e.link > $1 AND e.link <= $2 AND e.verb = 'confirm' AND d.held
            AND d.link < e.link
            AND d.link > (SELECT coalesce(max(link), 0) FROM events
                          WHERE verb = 'restore' AND link < e.link)) s
    LEFT JOIN blocks b ON b.app_id = s.app_id AND b.stream = s.stream";

/// [`crate::Ledger::cursor`].
pub(super) async fn cursor(conn: &mut PgConnection) -> Result<Cursor, LedgerError> {
    let begun = conn.begin_with(SNAPSHOT).await;
    let mut snapshot = begun.map_err(|e| reading(&e))?;
    cursor_in(&mut snapshot).await.map_err(|e| reading(&e))
}

async fn cursor_in(conn: &mut PgConnection) -> Result<Cursor, sqlx::Error> {
    let revision = meta_int(conn, "revision").await?.unwrap_or(0);
    Ok(Cursor {
        head: read_tip(conn).await?.head(),
        revision: value(revision),
    })
}

/// [`crate::Ledger::changes_since`].
pub(super) async fn since(conn: &mut PgConnection, seen: &Cursor) -> Result<Changes, LedgerError> {
    let begun = conn.begin_with(SNAPSHOT).await;
    let mut snapshot = begun.map_err(|e| reading(&e))?;
    let now = cursor_in(&mut snapshot).await.map_err(|e| reading(&e))?;
    let mut changes = Changes {
        streams: Vec::new(),
        apps: now.revision != seen.revision,
        events: false,
        replaced: false,
        more: false,
        next: now,
    };
    if changes.next.head == seen.head {
        return Ok(changes);
    }
    let from = i64::try_from(seen.head.length).unwrap_or(i64::MAX);
    if head_at(&mut snapshot, from).await?.as_ref() != Some(&seen.head) {
        changes.replaced = true;
        changes.events = true;
        return Ok(changes);
    }
    let to = from.saturating_add(PAGE);
    if let Some(head) = head_at(&mut snapshot, to).await? {
        changes.more = head != changes.next.head;
        changes.next.head = head;
    }
    let events: i64 =
        sqlx::query_scalar("SELECT count(*) FROM events WHERE link > $1 AND link <= $2")
            .bind(from)
            .bind(to)
            .fetch_one(&mut *snapshot)
            .await
            .map_err(|e| reading(&e))?;
    changes.events = events > 0;
    let rows = sqlx::query(STREAMS)
        .bind(from)
        .bind(to)
        .fetch_all(&mut *snapshot)
        .await
        .map_err(|e| reading(&e))?;
    for row in &rows {
        let stream: &str = get(row, 1)?;
        changes.streams.push(Change {
            key: stream_key(get(row, 0)?, stream)?,
            generation: Generation(value(get(row, 2)?)),
            block: rows::block(row, 3)?,
        });
    }
    Ok(changes)
}

/// The head of the chain when it had this length; `None` if it never had.
async fn head_at(conn: &mut PgConnection, length: i64) -> Result<Option<Head>, LedgerError> {
    if length == 0 {
        return Ok(Some(Tip::EMPTY.head()));
    }
    let hash: Option<Vec<u8>> = sqlx::query_scalar("SELECT hash FROM chain WHERE seq = $1")
        .bind(length)
        .fetch_optional(conn)
        .await
        .map_err(|e| reading(&e))?;
    Ok(hash.map(|hash| Head {
        length: length.unsigned_abs(),
        hash: hex::encode(hash),
    }))
}

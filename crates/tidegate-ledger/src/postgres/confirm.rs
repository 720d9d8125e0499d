//! The confirmation of a restore, and events of the ledger as a whole.

use async_trait::async_trait;
use tidegate_core::{Actor, Generation, RequestId, StreamKey, UnixMs};

use super::error::OpError;
use super::operation::{Operation, Tx};
use super::rows::{self, escaped, maybe_escaped};
use super::writer::simple;
use crate::chain::{LinkKind, RawEvent};
use crate::columns::{actor_columns, column, stream_key, value};
use crate::lanes::Lane;

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
        let Some(restored_at) = tx.state.hold else {
            return Ok(Vec::new());
        };
        let event = RawEvent {
            verb: "confirm".to_owned(),
            by: actor_columns(&self.by),
            detail: format!("restore of {}", UnixMs(restored_at)),
            at_ms: self.at.0,
            request_id: Some(column(self.request_id.0)),
        };
        append_event(tx, &event).await?;
        let opened = open_held(tx, self.at).await?;
        tx.state.hold = None;
        Ok(opened)
    }
}

/// Appends a row of `events` and its link.
async fn append_event(tx: &mut Tx<'_>, event: &RawEvent) -> Result<(), OpError> {
    let link = tx.append_link(LinkKind::Event, &event.digest()).await?;
    sqlx::query(
        "INSERT INTO events (link, verb, actor, operator, client, detail, at_ms, request_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(link)
    .bind(&event.verb)
    .bind(&event.by.actor)
    .bind(maybe_escaped(event.by.operator.as_deref()))
    .bind(&event.by.client)
    .bind(escaped(&event.detail))
    .bind(event.at_ms)
    .bind(event.request_id)
    .execute(&mut *tx.conn)
    .await?;
    tx.state.saw(event.at_ms);
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
             accepted = CASE WHEN t.vendor = 'origin' THEN b.held_resume ELSE accepted END,
             accepted_ms = CASE WHEN t.vendor = 'origin' THEN $1 ELSE accepted_ms END
         FROM blocks b, targets t
         WHERE b.held_resume IS NOT NULL AND placements.app_id = b.app_id
           AND placements.stream = b.stream AND t.id = placements.target
           AND t.leaving_ms IS NULL",
    )
    .bind(at.0)
    .execute(&mut *tx.conn)
    .await?;
    simple(
        tx.conn,
        "DELETE FROM blocks WHERE held_resume IS NOT NULL;
         DELETE FROM meta WHERE name = 'restore_hold'",
    )
    .await?;
    held.iter()
        .map(|row| {
            let key = stream_key(rows::get(row, 0)?, rows::get(row, 1)?)?;
            Ok((key, Generation(value(rows::get(row, 2)?))))
        })
        .collect()
}

//! What was seen of placements, when to look again, and what the prober keeps of targets.

use async_trait::async_trait;
use serde_json::json;
use sqlx::SqliteConnection;
use tidegate_core::UnixMs;

use crate::cdns::raw::{evidence_word, merged, watch_columns};
use crate::cdns::{LookRow, LookSave};
use crate::columns::stream_key;
use crate::error::LedgerError;
use crate::lanes::Lane;
use crate::sqlite::error::{OpError, reading};
use crate::sqlite::operation::{Operation, Tx};

/// [`crate::CdnLedger::save_looks`].
pub(super) struct SaveLooks(pub Vec<LookSave>);

#[async_trait]
impl Operation for SaveLooks {
    type Out = ();

    fn lane(&self) -> Lane {
        Lane::Patient
    }

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), OpError> {
        let looks = merged(&self.0);
        let list: Vec<_> = looks
            .iter()
            .map(|look| {
                let seen = look.observed.map(|seen| evidence_word(seen.evidence));
                let seen_at = look.observed.map(|seen| seen.at.0);
                let watch = look.watch.as_ref().map(watch_columns);
                let watched = i64::from(watch.is_some());
                let (state, next) = watch.unwrap_or_default();
                let (app, stream) = (look.key.app.0, look.key.stream.as_str());
                (
                    app,
                    stream,
                    look.target,
                    seen,
                    seen_at,
                    watched,
                    state,
                    next,
                    look.due.map(|due| due.0),
                )
            })
            .collect();
        sqlx::query(
            "UPDATE placements SET
                 observed = coalesce(v.observed, placements.observed),
                 observed_ms = coalesce(v.observed_ms, placements.observed_ms),
                 watch = iif(v.watched AND (v.due IS NULL OR v.due = placements.look_ms),
                     v.watch, placements.watch),
                 look_ms = iif(v.watched AND (v.due IS NULL OR v.due = placements.look_ms),
                     v.look_ms, placements.look_ms)
             FROM (SELECT value ->> 0 AS app_id, value ->> 1 AS stream, value ->> 2 AS target,
                       value ->> 3 AS observed, value ->> 4 AS observed_ms,
                       value ->> 5 AS watched, value ->> 6 AS watch, value ->> 7 AS look_ms,
                       value ->> 8 AS due
                   FROM json_each($1)) v
             WHERE placements.app_id = v.app_id AND placements.stream = v.stream
                 AND placements.target = v.target",
        )
        .bind(json!(list).to_string())
        .execute(&mut *tx.conn)
        .await?;
        Ok(())
    }
}

/// [`crate::CdnLedger::due_looks`].
pub(super) async fn due(
    conn: &mut SqliteConnection,
    account: i64,
    before: UnixMs,
    limit: usize,
) -> Result<Vec<LookRow>, LedgerError> {
    let rows: Vec<(i64, String, i64, String, i64)> = sqlx::query_as(
        "SELECT p.app_id, p.stream, p.target, p.watch, p.look_ms
         FROM targets t CROSS JOIN placements p INDEXED BY placements_to_look_at
         WHERE t.account = $1 AND p.target = t.id AND p.look_ms <= $2 AND p.watch IS NOT NULL
         ORDER BY p.look_ms, p.app_id, p.stream, p.target LIMIT $3",
    )
    .bind(account)
    .bind(before.0)
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(conn)
    .await
    .map_err(|e| reading(&e))?;
    rows.into_iter()
        .map(|(app, stream, target, watch, next)| {
            Ok(LookRow {
                key: stream_key(app, &stream)?,
                target,
                watch,
                next: UnixMs(next),
            })
        })
        .collect()
}

/// [`crate::CdnLedger::save_probe`].
pub(super) struct SaveProbe {
    pub target: i64,
    pub state: String,
}

#[async_trait]
impl Operation for SaveProbe {
    type Out = ();

    fn lane(&self) -> Lane {
        Lane::Patient
    }

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), OpError> {
        sqlx::query("UPDATE targets SET probe = $2 WHERE id = $1")
            .bind(self.target)
            .bind(&self.state)
            .execute(&mut *tx.conn)
            .await?;
        Ok(())
    }
}

//! What was seen of placements, when to look again, and what the prober keeps of targets.

use async_trait::async_trait;
use sqlx::PgConnection;
use tidegate_core::UnixMs;

use crate::cdns::raw::{evidence_word, merged, watch_columns};
use crate::cdns::{LookRow, LookSave};
use crate::columns::{corrupt, stream_key};
use crate::error::LedgerError;
use crate::lanes::Lane;
use crate::postgres::error::{OpError, reading};
use crate::postgres::operation::{Operation, Tx};
use crate::postgres::record::each;
use crate::postgres::rows::{escaped, maybe_escaped, unescaped};

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
        let watch: Vec<_> = looks
            .iter()
            .map(|look| look.watch.as_ref().map(watch_columns))
            .collect();
        sqlx::query(
            "UPDATE placements SET
                 observed = coalesce(v.seen, observed),
                 observed_ms = coalesce(v.seen_ms, observed_ms),
                 watch = CASE WHEN v.watched AND (v.due IS NULL OR v.due = look_ms)
                     THEN v.state ELSE watch END,
                 look_ms = CASE WHEN v.watched AND (v.due IS NULL OR v.due = look_ms)
                     THEN v.next_ms ELSE look_ms END
             FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[], $5::bigint[],
                 $6::boolean[], $7::text[], $8::bigint[], $9::bigint[])
                 AS v (app, name, at, seen, seen_ms, watched, state, next_ms, due)
             WHERE app_id = v.app AND stream = v.name AND target = v.at",
        )
        .bind(each(&looks, |look| i64::from(look.key.app.0)))
        .bind(each(&looks, |look| look.key.stream.as_str()))
        .bind(each(&looks, |look| look.target))
        .bind(each(&looks, |look| {
            look.observed.map(|seen| evidence_word(seen.evidence))
        }))
        .bind(each(&looks, |look| look.observed.map(|seen| seen.at.0)))
        .bind(each(&watch, Option::is_some))
        .bind(each(&watch, |watch| {
            maybe_escaped(watch.as_ref().and_then(|(state, _)| state.as_deref()))
        }))
        .bind(each(&watch, |watch| {
            watch.as_ref().and_then(|(_, next)| *next)
        }))
        .bind(each(&looks, |look| look.due.map(|due| due.0)))
        .execute(&mut *tx.conn)
        .await?;
        Ok(())
    }
}

/// [`crate::CdnLedger::due_looks`].
pub(super) async fn due(
    conn: &mut PgConnection,
    account: i64,
    before: UnixMs,
    limit: usize,
) -> Result<Vec<LookRow>, LedgerError> {
    let rows: Vec<(i64, String, i64, String, i64)> = sqlx::query_as(
        "SELECT p.app_id, p.stream, p.target, p.watch, p.look_ms
         FROM targets t CROSS JOIN placements p
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
                watch: unescaped(&watch).ok_or_else(|| corrupt("a watch"))?,
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
            .bind(escaped(&self.state))
            .execute(&mut *tx.conn)
            .await?;
        Ok(())
    }
}

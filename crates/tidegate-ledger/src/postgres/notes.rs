//! Small writes: counters, the admin token, answers, attempts, clock marks, probes.

use async_trait::async_trait;
use tidegate_core::UnixMs;

use super::error::OpError;
use super::operation::{Operation, Tx};
use super::rows::escaped;
use crate::chain::{self, LinkKind, RawAttempt};
use crate::columns::{column, raw_attempt, value};
use crate::lanes::Lane;
use crate::model::{Attempt, ClockMark, SavedAnswer};

/// [`crate::Ledger::next_instance`].
pub(super) struct NextInstance;

#[async_trait]
impl Operation for NextInstance {
    type Out = u64;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<u64, OpError> {
        let instance: i64 = sqlx::query_scalar(
            "INSERT INTO meta (name, number) VALUES ('instance', 1)
             ON CONFLICT (name) DO UPDATE SET number = meta.number + 1 RETURNING number",
        )
        .fetch_one(&mut *tx.conn)
        .await?;
        Ok(value(instance))
    }
}

/// [`crate::Ledger::set_admin_token`].
pub(super) struct SetAdminToken(pub [u8; 32]);

#[async_trait]
impl Operation for SetAdminToken {
    type Out = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), OpError> {
        sqlx::query(
            "INSERT INTO meta (name, bytes) VALUES ('admin_token', $1)
             ON CONFLICT (name) DO UPDATE SET bytes = excluded.bytes",
        )
        .bind(&self.0[..])
        .execute(&mut *tx.conn)
        .await?;
        Ok(())
    }
}

/// [`crate::Ledger::save_answers`].
pub(super) struct SaveAnswers(pub Vec<SavedAnswer>);

#[async_trait]
impl Operation for SaveAnswers {
    type Out = ();

    fn lane(&self) -> Lane {
        Lane::Patient
    }

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), OpError> {
        let apps: Vec<i64> = self.0.iter().map(|s| s.app.0.into()).collect();
        let text = |column: fn(&SavedAnswer) -> &str| {
            let stored = |saved| escaped(column(saved)).into_owned();
            self.0.iter().map(stored).collect::<Vec<_>>()
        };
        sqlx::query(
            "UPDATE nonces SET answer = k.said
             FROM unnest($1::bigint[], $2::text[], $3::text[]) AS k (app, name, said)
             WHERE app_id = k.app AND nonce = k.name",
        )
        .bind(apps)
        .bind(text(|saved| &saved.nonce))
        .bind(text(|saved| &saved.answer))
        .execute(&mut *tx.conn)
        .await?;
        Ok(())
    }
}

/// Forgets nonces that have expired.
pub(super) struct ForgetNonces {
    pub now: UnixMs,
}

#[async_trait]
impl Operation for ForgetNonces {
    type Out = ();

    fn lane(&self) -> Lane {
        Lane::Patient
    }

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), OpError> {
        sqlx::query("DELETE FROM nonces WHERE expires_ms <= $1")
            .bind(self.now.0)
            .execute(&mut *tx.conn)
            .await?;
        Ok(())
    }
}

/// [`crate::Ledger::record_attempts`].
pub(super) struct RecordAttempts(pub Vec<Attempt>);

#[async_trait]
impl Operation for RecordAttempts {
    type Out = ();

    fn lane(&self) -> Lane {
        Lane::Patient
    }

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), OpError> {
        let rows: Vec<RawAttempt> = self.0.iter().map(raw_attempt).collect();
        let digest = chain::attempts_digest(&rows);
        let link = tx.append_link(LinkKind::Attempts, &digest).await?;
        let each = |column: fn(&RawAttempt) -> i64| rows.iter().map(column).collect::<Vec<_>>();
        let text = |column: fn(&RawAttempt) -> &str| {
            let stored = |row| escaped(column(row)).into_owned();
            rows.iter().map(stored).collect::<Vec<_>>()
        };
        sqlx::query(
            "INSERT INTO attempts (link, place, app_id, stream, target, generation, at_ms, result,
                 vendor_request_id, words)
             SELECT $1, place - 1, app_id, stream, target, generation, at_ms, result, id, words
             FROM unnest($2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[],
                 $7::text[], $8::text[], $9::text[]) WITH ORDINALITY
                 AS t (app_id, stream, target, generation, at_ms, result, id, words, place)",
        )
        .bind(link)
        .bind(each(|row| row.app))
        .bind(text(|row| &row.stream))
        .bind(each(|row| row.target))
        .bind(each(|row| row.generation))
        .bind(each(|row| row.at_ms))
        .bind(text(|row| &row.result))
        .bind(text(|row| &row.vendor_request_id))
        .bind(text(|row| &row.words))
        .execute(&mut *tx.conn)
        .await?;
        for row in &rows {
            tx.state.saw(row.at_ms);
        }
        Ok(())
    }
}

/// [`crate::Ledger::set_clock_mark`].
pub(super) struct SetClockMark(pub ClockMark);

#[async_trait]
impl Operation for SetClockMark {
    type Out = ();

    fn lane(&self) -> Lane {
        Lane::Patient
    }

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), OpError> {
        sqlx::query(
            "INSERT INTO clock (\"only\", wall_ms, since_boot_ms, boot) VALUES (1, $1, $2, $3)
             ON CONFLICT (\"only\") DO UPDATE SET wall_ms = excluded.wall_ms,
                 since_boot_ms = excluded.since_boot_ms, boot = excluded.boot",
        )
        .bind(self.0.sample.wall.0)
        .bind(column(self.0.sample.since_boot_ms))
        .bind(escaped(&self.0.boot))
        .execute(&mut *tx.conn)
        .await?;
        tx.state.saw(self.0.sample.wall.0);
        Ok(())
    }
}

/// [`crate::Ledger::probe`].
pub(super) struct Probe;

#[async_trait]
impl Operation for Probe {
    type Out = ();

    fn lane(&self) -> Lane {
        Lane::Patient
    }

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), OpError> {
        sqlx::query(
            "INSERT INTO meta (name, number) VALUES ('probe', 1)
             ON CONFLICT (name) DO UPDATE SET number = meta.number + 1",
        )
        .execute(&mut *tx.conn)
        .await?;
        Ok(())
    }
}

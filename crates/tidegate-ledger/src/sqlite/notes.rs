//! Small writes: counters, the admin token, answers, attempts, clock marks, probes.

use async_trait::async_trait;
use tidegate_core::UnixMs;

use super::error::OpError;
use super::operation::{Operation, Tx};
use super::rows::{column, value};
use crate::chain::{self, LinkKind, RawAttempt};
use crate::columns::raw_attempt;
use crate::lanes::Lane;
use crate::model::{Attempt, ClockMark, SavedAnswer};

/// [`crate::Ledger::next_instance`].
pub(super) struct NextInstance;

#[async_trait]
impl Operation for NextInstance {
    type Out = u64;

    fn lane(&self) -> Lane {
        Lane::Rest
    }

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<u64, OpError> {
        let instance: i64 = sqlx::query_scalar(
            "INSERT INTO meta (name, value) VALUES ('instance', 1)
             ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value",
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

    fn lane(&self) -> Lane {
        Lane::Rest
    }

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), OpError> {
        sqlx::query("INSERT OR REPLACE INTO meta (name, value) VALUES ('admin_token', $1)")
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
        for saved in &self.0 {
            sqlx::query("UPDATE nonces SET answer = $3 WHERE app_id = $1 AND nonce = $2")
                .bind(saved.app.0)
                .bind(&saved.nonce)
                .bind(&saved.answer)
                .execute(&mut *tx.conn)
                .await?;
        }
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
        for (place, row) in (0_i64..).zip(&rows) {
            sqlx::query(
                "INSERT INTO attempts (link, place, app_id, stream, target, generation, at_ms,
                     result, vendor_request_id, words)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            )
            .bind(link)
            .bind(place)
            .bind(row.app)
            .bind(&row.stream)
            .bind(row.target)
            .bind(row.generation)
            .bind(row.at_ms)
            .bind(&row.result)
            .bind(&row.vendor_request_id)
            .bind(&row.words)
            .execute(&mut *tx.conn)
            .await?;
            tx.memory.saw(row.at_ms);
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
            "INSERT OR REPLACE INTO clock (only, wall_ms, since_boot_ms, boot)
             VALUES (1, $1, $2, $3)",
        )
        .bind(self.0.sample.wall.0)
        .bind(column(self.0.sample.since_boot_ms))
        .bind(&self.0.boot)
        .execute(&mut *tx.conn)
        .await?;
        tx.memory.saw(self.0.sample.wall.0);
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
            "INSERT INTO meta (name, value) VALUES ('probe', 1)
             ON CONFLICT (name) DO UPDATE SET value = value + 1",
        )
        .execute(&mut *tx.conn)
        .await?;
        Ok(())
    }
}

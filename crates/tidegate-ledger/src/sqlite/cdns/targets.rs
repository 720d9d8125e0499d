//! Targets at vendors: added with what stands, removed once it is lifted.

use async_trait::async_trait;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use crate::cdns::raw::{now_ms, origin_stays, target_taken, urls_column, urls_value, vendor};
use crate::cdns::{CdnTarget, NewTarget, RemovedTarget};
use crate::error::LedgerError;
use crate::keys::{SealingKey, play_key_place};
use crate::lanes::Lane;
use crate::model::Vendor;
use crate::sqlite::error::{OpError, is_unique, reading};
use crate::sqlite::operation::{Operation, Tx, require_app};
use crate::sqlite::rows::{self, get};

/// [`crate::CdnLedger::add_target`].
pub(super) struct AddTarget(pub NewTarget);

#[async_trait]
impl Operation for AddTarget {
    type Out = i64;

    fn lane(&self) -> Lane {
        Lane::Rest
    }

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<i64, OpError> {
        let new = &self.0;
        require_app(tx.conn, new.app).await?;
        let at: Option<String> = sqlx::query_scalar("SELECT vendor FROM accounts WHERE id = $1")
            .bind(new.account)
            .fetch_optional(&mut *tx.conn)
            .await?;
        let at = at.ok_or(LedgerError::NoSuchAccount(new.account))?;
        let at = vendor(&at)?;
        let id = tx.next_id("targets").await?;
        let play_key = new.play_key.as_ref();
        let play_key = play_key.map(|key| tx.sealing.seal(play_key_place(&[id]), key.expose()));
        let inserted = sqlx::query(
            "INSERT INTO targets (id, app_id, vendor, publish_domain, rtmp_app, account,
                 play_domain, play_urls, play_key)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(id)
        .bind(new.app.0)
        .bind(at.word())
        .bind(&new.publish_domain)
        .bind(&new.rtmp_app)
        .bind(new.account)
        .bind(&new.play_domain)
        .bind(urls_column(&new.play_urls))
        .bind(play_key.transpose()?)
        .execute(&mut *tx.conn)
        .await;
        match inserted {
            Err(error) if is_unique(&error) => return Err(taken(tx, new, at).await?.into()),
            other => other?,
        };
        sqlx::query(
            "INSERT INTO placements (app_id, stream, target, wanted)
             SELECT app_id, stream, $2, generation FROM blocks WHERE app_id = $1;
             UPDATE accounts SET epoch = epoch + 1 WHERE id = $3",
        )
        .bind(new.app.0)
        .bind(id)
        .bind(new.account)
        .execute(&mut *tx.conn)
        .await?;
        tx.bump_revision().await?;
        Ok(id)
    }
}

async fn taken(tx: &mut Tx<'_>, new: &NewTarget, at: Vendor) -> Result<LedgerError, OpError> {
    let (app, leaving): (i64, bool) = sqlx::query_as(
        "SELECT app_id, leaving_ms IS NOT NULL FROM targets
         WHERE vendor = $1 AND publish_domain = $2 AND rtmp_app = $3",
    )
    .bind(at.word())
    .bind(&new.publish_domain)
    .bind(&new.rtmp_app)
    .fetch_one(&mut *tx.conn)
    .await?;
    Ok(target_taken(new, at, app, leaving))
}

/// [`crate::CdnLedger::remove_target`].
pub(super) struct RemoveTarget {
    pub target: i64,
    pub lift: bool,
}

#[async_trait]
impl Operation for RemoveTarget {
    type Out = RemovedTarget;

    fn lane(&self) -> Lane {
        Lane::Rest
    }

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<RemovedTarget, OpError> {
        let row: Option<(i64, Option<i64>, Option<i64>)> =
            sqlx::query_as("SELECT app_id, account, leaving_ms FROM targets WHERE id = $1")
                .bind(self.target)
                .fetch_optional(&mut *tx.conn)
                .await?;
        let (app, account, leaving) = row.ok_or(LedgerError::NoSuchTarget(self.target))?;
        let account = account.ok_or_else(origin_stays)?;
        if self.lift && leaving.is_some() {
            return Ok(RemovedTarget::Leaving(unsettled(tx, self.target).await?));
        }
        if self.lift {
            leave(tx, app, self.target).await?;
        } else {
            sqlx::query("DELETE FROM placements WHERE app_id = $1 AND target = $2")
                .bind(app)
                .bind(self.target)
                .execute(&mut *tx.conn)
                .await?;
        }
        let left = unsettled(tx, self.target).await?;
        if left > 0 {
            changed(tx, account).await?;
            return Ok(RemovedTarget::Leaving(left));
        }
        forget(tx, self.target, account).await?;
        Ok(RemovedTarget::Gone)
    }
}

/// Placements that may be banned want to be open, as the next thing after their newest decision;
/// the others go.
async fn leave(tx: &mut Tx<'_>, app: i64, target: i64) -> Result<(), OpError> {
    sqlx::query(
        "DELETE FROM placements WHERE app_id = $1 AND target = $2 AND accepted >= wanted
             AND NOT EXISTS (SELECT 1 FROM blocks b
                 WHERE b.app_id = placements.app_id AND b.stream = placements.stream);
         UPDATE placements SET wanted = max(wanted, coalesce(accepted, 0)) + 1
         WHERE app_id = $1 AND target = $2;
         UPDATE targets SET leaving_ms = $3 WHERE id = $2",
    )
    .bind(app)
    .bind(target)
    .bind(now_ms())
    .execute(&mut *tx.conn)
    .await?;
    Ok(())
}

/// How many placements on a target are not as they should be; of a leaving one, all.
async fn unsettled(tx: &mut Tx<'_>, target: i64) -> Result<u64, OpError> {
    let count: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM placements INDEXED BY placements_unsettled
         WHERE target = $1 AND (accepted IS NULL OR accepted < wanted)",
    )
    .bind(target)
    .fetch_one(&mut *tx.conn)
    .await?;
    Ok(count.unsigned_abs())
}

/// Servers look at an account and its targets again.
async fn changed(tx: &mut Tx<'_>, account: i64) -> Result<(), OpError> {
    sqlx::query("UPDATE accounts SET epoch = epoch + 1 WHERE id = $1")
        .bind(account)
        .execute(&mut *tx.conn)
        .await?;
    tx.bump_revision().await
}

/// Ends a target without placements.
async fn forget(tx: &mut Tx<'_>, target: i64, account: i64) -> Result<(), OpError> {
    sqlx::query("DELETE FROM targets WHERE id = $1")
        .bind(target)
        .execute(&mut *tx.conn)
        .await?;
    changed(tx, account).await
}

/// Ends those of the leaving `targets` (a JSON list) that have no placement left.
pub(super) async fn forget_empty(tx: &mut Tx<'_>, targets: &str) -> Result<(), OpError> {
    let empty: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT t.id, t.account FROM targets t
         WHERE t.id IN (SELECT value FROM json_each($1)) AND t.leaving_ms IS NOT NULL
             AND NOT EXISTS (SELECT 1 FROM placements p INDEXED BY placements_unsettled
                 WHERE p.target = t.id AND (p.accepted IS NULL OR p.accepted < p.wanted))",
    )
    .bind(targets)
    .fetch_all(&mut *tx.conn)
    .await?;
    for (target, account) in empty {
        forget(tx, target, account).await?;
    }
    Ok(())
}

/// [`crate::CdnLedger::cdn_targets`].
pub(super) async fn read_targets(
    conn: &mut SqliteConnection,
    sealing: &SealingKey,
) -> Result<Vec<CdnTarget>, LedgerError> {
    let rows = sqlx::query(
        "SELECT id, app_id, vendor, publish_domain, rtmp_app, account, play_domain, play_urls,
             play_key, leaving_ms IS NOT NULL, probe
         FROM targets WHERE account IS NOT NULL ORDER BY id",
    )
    .fetch_all(conn)
    .await
    .map_err(|e| reading(&e))?;
    rows.iter().map(|row| target(row, sealing)).collect()
}

fn target(row: &SqliteRow, sealing: &SealingKey) -> Result<CdnTarget, LedgerError> {
    let target = rows::target(row, 0)?;
    let place = [target.id];
    Ok(CdnTarget {
        target,
        account: get(row, 5)?,
        play_domain: get(row, 6)?,
        play_urls: urls_value(get(row, 7)?)?,
        play_key: get::<Option<Vec<u8>>>(row, 8)?
            .map(|sealed| sealing.open(play_key_place(&place), &sealed))
            .transpose()?,
        leaving: get(row, 9)?,
        probe: get(row, 10)?,
    })
}

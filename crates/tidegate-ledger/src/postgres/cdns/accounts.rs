//! Accounts with their sealed keys, and who works on them.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use tidegate_core::UnixMs;

use crate::cdns::raw::{account_in_use, check_account, name_taken, vendor};
use crate::cdns::{AccountKey, CdnAccount};
use crate::columns::{column, value};
use crate::error::LedgerError;
use crate::keys::{SealingKey, account_place};
use crate::postgres::error::{OpError, is_unique, reading, unavailable};
use crate::postgres::operation::{Operation, Tx};
use crate::postgres::rows::{escaped, free, get, maybe_escaped, maybe_free, unescaped};

/// Sealed secret and security token of a key pair.
fn seal(
    sealing: &SealingKey,
    account: i64,
    key: &AccountKey,
) -> Result<(Vec<u8>, Option<Vec<u8>>), LedgerError> {
    let row = [account];
    let token = key.security_token.as_ref().map(|token| {
        let place = account_place(&row, "security_token");
        sealing.seal(place, token.expose())
    });
    let secret = sealing.seal(account_place(&row, "secret"), key.secret.expose())?;
    Ok((secret, token.transpose()?))
}

/// [`crate::CdnLedger::add_account`].
pub(super) struct AddAccount(pub CdnAccount);

#[async_trait]
impl Operation for AddAccount {
    type Out = i64;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<i64, OpError> {
        let account = &self.0;
        check_account(account)?;
        let id = tx.next_id("accounts").await?;
        let (secret, token) = seal(tx.sealing, id, &account.key)?;
        sqlx::query(
            "INSERT INTO accounts (id, name, vendor, access_key_id, secret, security_token,
                 scheme, region, project_id, endpoint, strict, epoch, created_ms, rotated_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        )
        .bind(id)
        .bind(escaped(&account.name))
        .bind(account.vendor.word())
        .bind(escaped(&account.key.access_key_id))
        .bind(secret)
        .bind(token)
        .bind(maybe_escaped(account.scheme.as_deref()))
        .bind(maybe_escaped(account.region.as_deref()))
        .bind(maybe_escaped(account.project_id.as_deref()))
        .bind(maybe_escaped(account.endpoint.as_deref()))
        .bind(account.strict)
        .bind(column(account.epoch))
        .bind(account.created.0)
        .bind(account.rotated.map(|at| at.0))
        .execute(&mut *tx.conn)
        .await
        .map_err(|error| {
            if is_unique(&error) {
                name_taken(&account.name).into()
            } else {
                OpError::from(error)
            }
        })?;
        tx.bump_revision().await?;
        Ok(id)
    }
}

/// [`crate::CdnLedger::rotate_account`].
pub(super) struct RotateAccount {
    pub account: i64,
    pub key: AccountKey,
    pub at: UnixMs,
}

#[async_trait]
impl Operation for RotateAccount {
    type Out = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), OpError> {
        let (secret, token) = seal(tx.sealing, self.account, &self.key)?;
        let changed = sqlx::query(
            "UPDATE accounts SET access_key_id = $2, secret = $3, security_token = $4,
                 rotated_ms = $5, epoch = epoch + 1 WHERE id = $1",
        )
        .bind(self.account)
        .bind(escaped(&self.key.access_key_id))
        .bind(secret)
        .bind(token)
        .bind(self.at.0)
        .execute(&mut *tx.conn)
        .await?;
        match changed.rows_affected() {
            0 => Err(LedgerError::NoSuchAccount(self.account).into()),
            _ => tx.bump_revision().await,
        }
    }
}

/// [`crate::CdnLedger::remove_account`].
pub(super) struct RemoveAccount(pub i64);

#[async_trait]
impl Operation for RemoveAccount {
    type Out = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), OpError> {
        let used: Option<(String, i64, i64)> = sqlx::query_as(
            "SELECT name, (SELECT count(*) FROM targets WHERE account = a.id),
                 (SELECT count(*) FROM targets WHERE account = a.id AND leaving_ms IS NOT NULL)
             FROM accounts a WHERE id = $1",
        )
        .bind(self.0)
        .fetch_optional(&mut *tx.conn)
        .await?;
        let told = |stored: String| unescaped(&stored).unwrap_or(stored);
        match used {
            None => return Err(LedgerError::NoSuchAccount(self.0).into()),
            Some((_, 0, _)) => {}
            Some((name, targets, leaving)) => {
                return Err(account_in_use(&told(name), targets, leaving).into());
            }
        }
        for table in [
            "DELETE FROM objects WHERE account = $1",
            "DELETE FROM budgets WHERE account = $1",
            "DELETE FROM accounts WHERE id = $1",
        ] {
            let delete = sqlx::query(table).bind(self.0);
            delete.execute(&mut *tx.conn).await?;
        }
        tx.bump_revision().await
    }
}

/// [`crate::CdnLedger::cdn_accounts`].
pub(super) async fn read_accounts(
    conn: &mut PgConnection,
    sealing: &SealingKey,
) -> Result<Vec<CdnAccount>, LedgerError> {
    let rows = sqlx::query(
        "SELECT id, name, vendor, access_key_id, secret, security_token, scheme, region,
             project_id, endpoint, strict, epoch, created_ms, rotated_ms
         FROM accounts ORDER BY name COLLATE \"C\"",
    )
    .fetch_all(conn)
    .await
    .map_err(|e| reading(&e))?;
    rows.iter().map(|row| account(row, sealing)).collect()
}

fn account(row: &PgRow, sealing: &SealingKey) -> Result<CdnAccount, LedgerError> {
    let id: i64 = get(row, 0)?;
    let place = [id];
    let open = |column, sealed: Vec<u8>| sealing.open(account_place(&place, column), &sealed);
    Ok(CdnAccount {
        id,
        name: free(row, 1)?,
        vendor: vendor(get(row, 2)?)?,
        key: AccountKey {
            access_key_id: free(row, 3)?,
            secret: open("secret", get(row, 4)?)?,
            security_token: get::<Option<Vec<u8>>>(row, 5)?
                .map(|sealed| open("security_token", sealed))
                .transpose()?,
        },
        scheme: maybe_free(row, 6)?,
        region: maybe_free(row, 7)?,
        project_id: maybe_free(row, 8)?,
        endpoint: maybe_free(row, 9)?,
        strict: get(row, 10)?,
        epoch: value(get(row, 11)?),
        created: UnixMs(get(row, 12)?),
        rotated: get::<Option<i64>>(row, 13)?.map(UnixMs),
    })
}

/// [`crate::CdnLedger::lease_accounts`]. By itself rather than by the writer, so that a writer in
/// trouble costs no lease. In order of their ids, so that servers which meet do not deadlock.
pub(super) async fn lease(
    conn: &mut PgConnection,
    holder: &str,
    length: Duration,
) -> Result<Vec<i64>, LedgerError> {
    let mut held: Vec<i64> = sqlx::query_scalar(
        "INSERT INTO leases (account, holder, ends)
         SELECT id, $1, now() + make_interval(secs => $2) FROM accounts ORDER BY id
         ON CONFLICT (account) DO UPDATE SET holder = excluded.holder, ends = excluded.ends
             WHERE leases.holder = excluded.holder OR leases.ends <= now()
         RETURNING account",
    )
    .bind(escaped(holder))
    .bind(length.as_secs_f64())
    .fetch_all(conn)
    .await
    .map_err(|e| unavailable("written", &e))?;
    held.sort_unstable();
    Ok(held)
}

/// [`crate::CdnLedger::release_accounts`].
pub(super) async fn release(conn: &mut PgConnection, holder: &str) -> Result<(), LedgerError> {
    sqlx::query("DELETE FROM leases WHERE holder = $1")
        .bind(escaped(holder))
        .execute(conn)
        .await
        .map(|_| ())
        .map_err(|e| unavailable("written", &e))
}

//! [`CdnLedger`] in a SQLite file.

mod accounts;
mod looks;
mod objects;
mod save;
mod targets;

use std::time::Duration;

use async_trait::async_trait;
use tidegate_core::{StreamKey, UnixMs};

use super::SqliteLedger;
use super::error::reading;
use crate::cdns::{
    AccountKey, CdnAccount, CdnLedger, CdnSave, CdnTarget, LookRow, LookSave, NewTarget, ObjectKey,
    ObjectRow, RemovedTarget,
};
use crate::error::LedgerError;

#[async_trait]
impl CdnLedger for SqliteLedger {
    async fn cdn_accounts(&self) -> Result<Vec<CdnAccount>, LedgerError> {
        let mut conn = self.readers.get().await?;
        accounts::read_accounts(&mut conn, &self.sealing).await
    }

    async fn add_account(&self, account: &CdnAccount) -> Result<i64, LedgerError> {
        self.write(accounts::AddAccount(account.clone())).await
    }

    async fn rotate_account(
        &self,
        account: i64,
        key: &AccountKey,
        at: UnixMs,
    ) -> Result<(), LedgerError> {
        let key = key.clone();
        self.write(accounts::RotateAccount { account, key, at })
            .await
    }

    async fn remove_account(&self, account: i64) -> Result<(), LedgerError> {
        self.write(accounts::RemoveAccount(account)).await
    }

    async fn cdn_targets(&self) -> Result<Vec<CdnTarget>, LedgerError> {
        let mut conn = self.readers.get().await?;
        targets::read_targets(&mut conn, &self.sealing).await
    }

    async fn add_target(&self, target: &NewTarget) -> Result<i64, LedgerError> {
        self.write(targets::AddTarget(target.clone())).await
    }

    async fn remove_target(&self, target: i64, lift: bool) -> Result<RemovedTarget, LedgerError> {
        self.write(targets::RemoveTarget { target, lift }).await
    }

    async fn save_probe(&self, target: i64, state: &str) -> Result<(), LedgerError> {
        let state = state.to_owned();
        self.write(looks::SaveProbe { target, state }).await
    }

    async fn lease_accounts(
        &self,
        _holder: &str,
        _length: Duration,
    ) -> Result<Vec<i64>, LedgerError> {
        let mut conn = self.readers.get().await?;
        sqlx::query_scalar("SELECT id FROM accounts ORDER BY id")
            .fetch_all(&mut *conn)
            .await
            .map_err(|e| reading(&e))
    }

    async fn release_accounts(&self, _holder: &str) -> Result<(), LedgerError> {
        Ok(())
    }

    fn is_exclusive(&self) -> bool {
        true
    }

    async fn budget(&self, account: i64) -> Result<Option<String>, LedgerError> {
        let mut conn = self.readers.get().await?;
        sqlx::query_scalar("SELECT state FROM budgets WHERE account = $1")
            .bind(account)
            .fetch_optional(&mut *conn)
            .await
            .map_err(|e| reading(&e))
    }

    async fn objects(&self, keys: &[ObjectKey]) -> Result<Vec<ObjectRow>, LedgerError> {
        let mut conn = self.readers.get().await?;
        objects::read(&mut conn, keys).await
    }

    async fn due_objects(
        &self,
        account: i64,
        before: UnixMs,
        after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<Vec<ObjectKey>, LedgerError> {
        let mut conn = self.readers.get().await?;
        objects::due(&mut conn, account, before, after, limit).await
    }

    async fn kept_objects(
        &self,
        account: i64,
        after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<Vec<ObjectKey>, LedgerError> {
        let mut conn = self.readers.get().await?;
        objects::kept(&mut conn, account, after, limit).await
    }

    async fn objects_of(&self, key: &StreamKey) -> Result<Vec<(i64, ObjectRow)>, LedgerError> {
        let mut conn = self.readers.get().await?;
        objects::of_stream(&mut conn, key).await
    }

    async fn save(&self, save: CdnSave) -> Result<Vec<Option<i64>>, LedgerError> {
        if save == CdnSave::default() {
            return Ok(Vec::new());
        }
        self.write(save::Save(save)).await
    }

    async fn save_looks(&self, looks: Vec<LookSave>) -> Result<(), LedgerError> {
        if looks.is_empty() {
            return Ok(());
        }
        self.write(looks::SaveLooks(looks)).await
    }

    async fn due_looks(
        &self,
        account: i64,
        before: UnixMs,
        limit: usize,
    ) -> Result<Vec<LookRow>, LedgerError> {
        let mut conn = self.readers.get().await?;
        looks::due(&mut conn, account, before, limit).await
    }
}

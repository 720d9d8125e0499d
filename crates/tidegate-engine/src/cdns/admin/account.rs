//! Accounts: added, given another key, removed.

use std::sync::Arc;

use tidegate_cdn::{AccountError, AuthScheme};
use tidegate_core::Secret;
use tidegate_core::text::printable;
use tidegate_ledger::cdns::{AccountKey, CdnAccount};
use tidegate_ledger::{LedgerError, Vendor};

use super::CdnError;
use crate::cdns::{AccountEntry, Unusable};
use crate::clock::wall;
use crate::engine::Engine;

/// What a new account is asked to be.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Unique name.
    pub name: String,
    /// Whose API; not the origin.
    pub vendor: Vendor,
    /// Access key id, SecretId or account name.
    pub access_key_id: String,
    /// Secret key, SecretKey or apiKey.
    pub secret: Secret,
    /// Token of temporary credentials.
    pub security_token: Option<Secret>,
    /// Word of the signature scheme; `None`: the vendor's current one.
    pub scheme: Option<String>,
    /// Region.
    pub region: Option<String>,
    /// Project id.
    pub project_id: Option<String>,
    /// Endpoint override.
    pub endpoint: Option<String>,
    /// Whether Tencent's support has switched on strict matching. The others always match so.
    pub strict: bool,
}

/// Another key pair for an account.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// `None` keeps the id there is.
    pub access_key_id: Option<String>,
    /// The secret that goes with it.
    pub secret: Secret,
    /// Token of temporary credentials. The earlier one never stays: it belongs to its key.
    pub security_token: Option<Secret>,
}

/// A vendor that has accounts, by its word.
pub fn cdn_vendor(word: &str) -> Result<Vendor, CdnError> {
    match Vendor::parse(word) {
        None | Some(Vendor::Origin) => Err(CdnError::Vendor(word.to_owned())),
        Some(vendor) => Ok(vendor),
    }
}

impl Engine {
    /// Checks and adds an account; nothing is called.
    pub async fn add_account(&self, new: NewAccount) -> Result<Arc<AccountEntry>, CdnError> {
        if matches!(new.name.as_str(), "." | "..") {
            return Err(CdnError::DotName(new.name));
        }
        cdn_vendor(new.vendor.word())?;
        let mut account = CdnAccount {
            id: 0,
            name: new.name,
            vendor: new.vendor,
            key: AccountKey {
                access_key_id: new.access_key_id,
                secret: new.secret,
                security_token: new.security_token,
            },
            scheme: scheme(new.scheme, new.vendor)?,
            region: new.region,
            project_id: new.project_id,
            endpoint: new.endpoint,
            strict: new.strict || new.vendor != Vendor::Tencent,
            epoch: 0,
            created: wall(),
            rotated: None,
        };
        let checked = self.checked(account.clone())?;
        if account.endpoint.is_some() {
            account.endpoint = Some(checked.signer.endpoint().to_string());
        }
        let ledger = self.ledger();
        let known = ledger.cdn_accounts().await?;
        let taken = |a: &CdnAccount| a.name == account.name;
        if known.iter().any(taken) {
            return Err(CdnError::NameTaken(account.name));
        }
        let same_key = |a: &&CdnAccount| {
            a.vendor == account.vendor
                && a.key.access_key_id == account.key.access_key_id
                && a.endpoint == account.endpoint
        };
        if let Some(other) = known.iter().find(same_key) {
            return Err(CdnError::KeyTaken(other.name.clone()));
        }
        ledger.add_account(&account).await.map_err(|e| match e {
            LedgerError::Conflict(_) => CdnError::NameTaken(account.name.clone()),
            other => other.into(),
        })?;
        self.reload_apps().await?;
        self.account_entry(&account.name)
    }

    /// Gives an account another key pair. What the earlier one was refused is tried again.
    pub async fn rotate_account(
        &self,
        name: &str,
        new: NewKey,
    ) -> Result<Arc<AccountEntry>, CdnError> {
        let mut account = self.account_row(name).await?;
        account.key = AccountKey {
            access_key_id: new.access_key_id.unwrap_or(account.key.access_key_id),
            secret: new.secret,
            security_token: new.security_token,
        };
        let id = account.id;
        let key = account.key.clone();
        self.checked(account)?;
        self.ledger().rotate_account(id, &key, wall()).await?;
        self.reload_apps().await?;
        self.account_entry(name)
    }

    /// Removes an account that no target uses.
    pub async fn remove_account(&self, name: &str) -> Result<(), CdnError> {
        let account = self.account_row(name).await?;
        let targets = self.ledger().cdn_targets().await?;
        let users: Vec<String> = targets
            .iter()
            .filter(|target| target.account == account.id)
            .map(|target| {
                let leaving = if target.leaving { ", leaving" } else { "" };
                let place = &target.target;
                let app = printable(&place.rtmp_app, 130);
                format!(
                    "target {} ({}/{app}{leaving})",
                    place.id, place.publish_domain
                )
            })
            .collect();
        let in_use = |users: String| CdnError::InUse {
            name: account.name.clone(),
            users,
        };
        if !users.is_empty() {
            return Err(in_use(users.join(", ")));
        }
        let removed = self.ledger().remove_account(account.id).await;
        removed.map_err(|error| match error {
            LedgerError::Conflict(_) => in_use("a target that was just added".to_owned()),
            other => other.into(),
        })?;
        Ok(self.reload_apps().await?)
    }

    /// An account as it is in use.
    pub fn account_entry(&self, name: &str) -> Result<Arc<AccountEntry>, CdnError> {
        let directory = self.cdns().directory();
        let found = directory.account_named(name).cloned();
        found.ok_or_else(|| unknown(name, directory.accounts().iter().map(|a| &a.account)))
    }

    /// From the ledger, so that one that cannot be used can be changed and removed too.
    async fn account_row(&self, name: &str) -> Result<CdnAccount, CdnError> {
        let rows = self.ledger().cdn_accounts().await?;
        let found = rows.iter().find(|row| row.name == name).cloned();
        found.ok_or_else(|| unknown(name, rows.iter()))
    }

    fn checked(&self, account: CdnAccount) -> Result<AccountEntry, CdnError> {
        AccountEntry::new(account, self.cdns().client()).map_err(CdnError::from)
    }
}

fn unknown<'a>(name: &str, rows: impl Iterator<Item = &'a CdnAccount>) -> CdnError {
    CdnError::UnknownAccount {
        name: name.to_owned(),
        known: rows.map(|row| row.name.clone()).collect(),
    }
}

/// The scheme's own spelling.
fn scheme(word: Option<String>, vendor: Vendor) -> Result<Option<String>, CdnError> {
    let Some(word) = word else {
        return Ok(None);
    };
    match AuthScheme::parse(&word) {
        Some(scheme) => Ok(Some(scheme.word().to_owned())),
        None => {
            let takes = tidegate_cdn::Vendor::parse(vendor.word());
            let takes = takes.map_or(&[] as &[AuthScheme], |vendor| vendor.schemes());
            let takes: Vec<&str> = takes.iter().map(|scheme| scheme.word()).collect();
            let takes = takes.join(" or ");
            Err(CdnError::Scheme {
                word,
                vendor,
                takes,
            })
        }
    }
}

impl From<Unusable> for CdnError {
    fn from(why: Unusable) -> Self {
        match why {
            Unusable::Account(_, why) => Self::Account(why),
            Unusable::Scheme(name, _) => Self::Account(AccountError::Name(name)),
            Unusable::Target(_, why) => Self::Site(why),
        }
    }
}

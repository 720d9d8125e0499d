//! Accounts and targets at vendors in memory, with an adapter for each account.
//!
//! A snapshot: changes make a new one. An adapter lives as long as its account's key, since it
//! remembers which seconds it has signed.

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_cdn::{
    Account, AccountError, AccountSpec, Adapter, AuthScheme, Cdn, HttpClient, Matching,
    ObjectError, Site, VendorObject,
};
use tidegate_core::{AppId, StreamId};
use tidegate_ledger::cdns::{ANY_SITE, CdnAccount, CdnTarget, ObjectKey};
use tidegate_ledger::{Ledger, LedgerError, Vendor};

use crate::clock::wall;

/// A vendor account.
pub struct AccountEntry {
    /// As the ledger has it.
    pub account: CdnAccount,
    /// What calls with it.
    pub cdn: Arc<dyn Cdn>,
    /// The account as the adapter signs for it.
    pub signer: Account,
}

/// A target at a vendor.
#[derive(Debug)]
pub struct TargetEntry {
    /// As the ledger has it.
    pub target: CdnTarget,
    /// Where it is, as vendors are told.
    pub site: Site,
}

/// All accounts and targets at vendors.
#[derive(Default)]
pub struct CdnDirectory {
    accounts: HashMap<i64, Arc<AccountEntry>>,
    targets: HashMap<i64, Arc<TargetEntry>>,
    by_app: HashMap<AppId, Vec<Arc<TargetEntry>>>,
}

/// A row of the ledger that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The account.
    #[error("account {0}: {1}")]
    Account(String, AccountError),
    /// The scheme.
    #[error("account {0}: {1:?} is not a signature scheme")]
    Scheme(String, String),
    /// The target's names.
    #[error("target {0}: {1}")]
    Target(i64, ObjectError),
}

impl AccountEntry {
    /// Checks a row and makes its adapter; nothing is called.
    pub fn new(account: CdnAccount, client: &HttpClient) -> Result<Self, Unusable> {
        let signer = signer(&account)?;
        let cdn = Arc::new(Adapter::new(signer.clone(), client.clone(), wall));
        Ok(Self {
            account,
            cdn,
            signer,
        })
    }

    /// Which object a stream is at this site.
    pub fn object_key(&self, site: &Site, stream: &StreamId) -> ObjectKey {
        let site = match self.account.strict {
            true => format!("{}/{}", site.publish_domain(), site.rtmp_app()),
            false => ANY_SITE.to_owned(),
        };
        ObjectKey {
            account: self.account.id,
            site,
            stream: stream.clone(),
        }
    }

    /// The stream as calls name it.
    pub fn object(&self, site: &Site, stream: &StreamId) -> VendorObject {
        self.signer.object(site, stream)
    }

    fn is_same_signer(&self, account: &CdnAccount) -> bool {
        let (ours, theirs) = (&self.account, account);
        ours.created == theirs.created && ours.rotated == theirs.rotated
    }
}

fn signer(account: &CdnAccount) -> Result<Account, Unusable> {
    let scheme = match &account.scheme {
        None => None,
        Some(word) => Some(
            AuthScheme::parse(word)
                .ok_or_else(|| Unusable::Scheme(account.name.clone(), word.clone()))?,
        ),
    };
    let spec = AccountSpec {
        name: account.name.clone(),
        vendor: vendor(account.vendor),
        access_key_id: account.key.access_key_id.clone(),
        secret: account.key.secret.clone(),
        security_token: account.key.security_token.clone(),
        scheme,
        region: account.region.clone(),
        project_id: account.project_id.clone(),
        endpoint: account.endpoint.clone(),
        matching: if account.strict {
            Matching::Strict
        } else {
            Matching::NameOnly
        },
    };
    Account::new(spec).map_err(|why| Unusable::Account(account.name.clone(), why))
}

/// The vendor as its adapter knows it. Accounts are never the origin's; were one, it would be
/// refused as Wangsu's.
fn vendor(vendor: Vendor) -> tidegate_cdn::Vendor {
    match vendor {
        Vendor::Origin | Vendor::Ws => tidegate_cdn::Vendor::Ws,
        Vendor::Aliyun => tidegate_cdn::Vendor::Aliyun,
        Vendor::Tencent => tidegate_cdn::Vendor::Tencent,
        Vendor::Huawei => tidegate_cdn::Vendor::Huawei,
    }
}

impl TargetEntry {
    /// Checks a row.
    pub fn new(target: CdnTarget) -> Result<Self, Unusable> {
        let site = Site::new(
            &target.target.publish_domain,
            target.play_domain.as_deref(),
            &target.target.rtmp_app,
        )
        .map_err(|why| Unusable::Target(target.target.id, why))?;
        Ok(Self { target, site })
    }
}

impl CdnDirectory {
    /// Reads everything; adapters of `before` that still fit are kept. A row that cannot be used is
    /// left out, with a line in the log.
    pub(crate) async fn load(
        ledger: &dyn Ledger,
        client: &HttpClient,
        before: &Self,
    ) -> Result<Self, LedgerError> {
        let mut directory = Self::default();
        for account in ledger.cdn_accounts().await? {
            let id = account.id;
            let entry = match before.accounts.get(&id) {
                Some(entry) if entry.is_same_signer(&account) => Ok(AccountEntry {
                    cdn: Arc::clone(&entry.cdn),
                    signer: entry.signer.clone(),
                    account,
                }),
                _ => AccountEntry::new(account, client),
            };
            match entry {
                Ok(entry) => drop(directory.accounts.insert(id, Arc::new(entry))),
                Err(why) => tracing::error!(%why, "an account in the ledger cannot be used"),
            }
        }
        for target in ledger.cdn_targets().await? {
            let id = target.target.id;
            match TargetEntry::new(target) {
                Ok(entry) => {
                    let entry = Arc::new(entry);
                    let of_app = directory.by_app.entry(entry.target.target.app);
                    of_app.or_default().push(Arc::clone(&entry));
                    directory.targets.insert(id, entry);
                }
                Err(why) => tracing::error!(%why, "a target in the ledger cannot be used"),
            }
        }
        Ok(directory)
    }

    /// An account by its row id.
    pub fn account(&self, id: i64) -> Option<&Arc<AccountEntry>> {
        self.accounts.get(&id)
    }

    /// An account by its name.
    pub fn account_named(&self, name: &str) -> Option<&Arc<AccountEntry>> {
        self.accounts.values().find(|a| a.account.name == name)
    }

    /// All accounts, by name.
    pub fn accounts(&self) -> Vec<Arc<AccountEntry>> {
        let mut accounts: Vec<_> = self.accounts.values().cloned().collect();
        accounts.sort_by(|a, b| a.account.name.cmp(&b.account.name));
        accounts
    }

    /// A target by its row id; a leaving one too.
    pub fn target(&self, id: i64) -> Option<&Arc<TargetEntry>> {
        self.targets.get(&id)
    }

    /// The targets of an App, by id; leaving ones too.
    pub fn targets_of(&self, app: AppId) -> &[Arc<TargetEntry>] {
        self.by_app.get(&app).map_or(&[], Vec::as_slice)
    }

    /// All targets, in no order; leaving ones too.
    pub fn all_targets(&self) -> impl Iterator<Item = &TargetEntry> {
        self.targets.values().map(AsRef::as_ref)
    }

    /// All targets, by id; leaving ones too.
    pub fn targets(&self) -> Vec<Arc<TargetEntry>> {
        let mut targets: Vec<_> = self.targets.values().cloned().collect();
        targets.sort_by_key(|entry| entry.target.target.id);
        targets
    }

    /// The object that a stream is on this target.
    pub fn object_key(&self, target: &TargetEntry, stream: &StreamId) -> Option<ObjectKey> {
        let account = self.accounts.get(&target.target.account)?;
        Some(account.object_key(&target.site, stream))
    }
}

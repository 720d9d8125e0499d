//! What the ledger keeps about vendors' CDNs: accounts, targets, vendor objects, budgets and looks.
//!
//! States of objects, budgets, watches and probes are opaque texts here: the pure step that
//! writes them lives in `tidegate-core`, and the loops in `tidegate-engine`.

pub(crate) mod raw;

use std::time::Duration;

use async_trait::async_trait;
use tidegate_core::placement::{Observed, Owner};
use tidegate_core::{AppId, Generation, Secret, StreamId, StreamKey, UnixMs};

use crate::error::LedgerError;
use crate::model::{Target, Vendor};

/// Site of the objects of an account whose vendor compares the stream name alone.
pub const ANY_SITE: &str = "*";

/// A key pair of a vendor account.
#[derive(Clone, Debug)]
pub struct AccountKey {
    /// Access key id, SecretId or account name.
    pub access_key_id: String,
    /// Secret key, SecretKey or apiKey; kept sealed.
    pub secret: Secret,
    /// Token of temporary credentials; kept sealed.
    pub security_token: Option<Secret>,
}

/// Credentials at one vendor, opened.
#[derive(Clone, Debug)]
pub struct CdnAccount {
    /// Row id; 0 for one that is to be added.
    pub id: i64,
    /// Unique name.
    pub name: String,
    /// Never [`Vendor::Origin`].
    pub vendor: Vendor,
    /// The key pair.
    pub key: AccountKey,
    /// Word of the signature scheme; `None`: the vendor's current one.
    pub scheme: Option<String>,
    /// Region.
    pub region: Option<String>,
    /// Project id.
    pub project_id: Option<String>,
    /// Endpoint override.
    pub endpoint: Option<String>,
    /// Whether the vendor compares domain, app and stream. Only ever `false` at Tencent.
    pub strict: bool,
    /// Rises when the key changes, or a target of the account is added, changed or removed.
    pub epoch: u64,
    /// When it was added.
    pub created: UnixMs,
    /// When its key was last replaced.
    pub rotated: Option<UnixMs>,
}

/// What is added as a target at a vendor.
#[derive(Clone, Debug)]
pub struct NewTarget {
    /// Whose.
    pub app: AppId,
    /// Row id of the account.
    pub account: i64,
    /// Where publishers push to; lower case.
    pub publish_domain: String,
    /// Where players pull from; lower case.
    pub play_domain: Option<String>,
    /// RTMP app name there.
    pub rtmp_app: String,
    /// Play URL templates with `{stream}`.
    pub play_urls: Vec<String>,
    /// Signs play URLs; kept sealed.
    pub play_key: Option<Secret>,
}

/// A target at a vendor, with what is needed to act and look there.
#[derive(Clone, Debug)]
pub struct CdnTarget {
    /// Id, App, vendor, publish domain and RTMP app.
    pub target: Target,
    /// Row id of its account.
    pub account: i64,
    /// Where players pull from.
    pub play_domain: Option<String>,
    /// Play URL templates with `{stream}`.
    pub play_urls: Vec<String>,
    /// Signs play URLs.
    pub play_key: Option<Secret>,
    /// It was removed, and waits until its bans are lifted. No decision reaches it any more.
    pub leaving: bool,
    /// What the prober wants to know of it after a restart.
    pub probe: Option<String>,
}

/// Identity of a vendor object: what calls are serialised by, and what owners share.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ObjectKey {
    /// Row id of the account.
    pub account: i64,
    /// `publish domain/RTMP app`, or [`ANY_SITE`] where the account is not strict.
    pub site: String,
    /// The stream name.
    pub stream: StreamId,
}

/// One owner of an object: the placement of its stream on one target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnerRow {
    /// What its block comes to. The id is the target's. A leaving target's owner wants the object
    /// open, under a generation one above the placement's own.
    pub owner: Owner,
    /// The newest generation written down as accepted.
    pub accepted: Option<Generation>,
    /// Its target was removed.
    pub leaving: bool,
}

/// An object with its owners, as of one instant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObjectRow {
    /// Which.
    pub key: ObjectKey,
    /// What was kept of it; `None` before the first save.
    pub state: Option<String>,
    /// Number of the last save; 0 before the first.
    pub version: i64,
    /// Its owners; none where nobody ever decided, or all targets are gone.
    pub owners: Vec<OwnerRow>,
}

/// A generation that a placement's CDN has accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AcceptedBy {
    /// The owner's App.
    pub app: AppId,
    /// The owner's target.
    pub target: i64,
    /// Which generation. For a leaving target this ends the placement.
    pub generation: Generation,
    /// When.
    pub at: UnixMs,
    /// The looks that follow; `None` leaves what there is.
    pub watch: Option<WatchSave>,
}

/// A watch over a placement, to keep.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WatchSave {
    /// Its state; `None`: it is over.
    pub state: Option<String>,
    /// When to look next, on the steady clock; `None`: no more.
    pub next: Option<UnixMs>,
}

/// An object to keep, unless another process has kept it meanwhile.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObjectSave {
    /// Which.
    pub key: ObjectKey,
    /// The version that `state` follows.
    pub version: i64,
    /// Its state.
    pub state: String,
    /// When to load it again at the latest, on the steady clock; `None`: not by itself.
    pub due: Option<UnixMs>,
    /// Placements that are settled by this. Only ever raises a placement's accepted generation.
    pub accepted: Vec<AcceptedBy>,
}

/// Accounts' budgets and objects to keep in one transaction.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CdnSave {
    /// By account: the new state of its budget. The last writer wins: only the holder of the
    /// account's lease spends.
    pub budgets: Vec<(i64, String)>,
    /// Objects.
    pub objects: Vec<ObjectSave>,
}

/// What a look at a placement showed, and when to look again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LookSave {
    /// The stream.
    pub key: StreamKey,
    /// The target.
    pub target: i64,
    /// What was seen; `None` leaves what there is.
    pub observed: Option<Observed>,
    /// The watch; `None` leaves what there is.
    pub watch: Option<WatchSave>,
    /// When the look was due, as read. A watch that took its place meanwhile stays; `None`: any
    /// watch is replaced.
    pub due: Option<UnixMs>,
}

/// A placement that is to be looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LookRow {
    /// The stream.
    pub key: StreamKey,
    /// The target.
    pub target: i64,
    /// State of the watch.
    pub watch: String,
    /// When, on the steady clock.
    pub next: UnixMs,
}

/// What became of a removed target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RemovedTarget {
    /// It is gone.
    Gone,
    /// It goes once this many placements are open at the vendor.
    Leaving(u64),
}

/// The part of a ledger that drives vendors' CDNs. Errors and durability as in [`crate::Ledger`].
#[async_trait]
pub trait CdnLedger: Send + Sync + 'static {
    /// All accounts, by name.
    async fn cdn_accounts(&self) -> Result<Vec<CdnAccount>, LedgerError>;

    /// Adds an account and returns its id. `Conflict` if the name is taken.
    async fn add_account(&self, account: &CdnAccount) -> Result<i64, LedgerError>;

    /// Replaces the key pair and raises the epoch. `NoSuchAccount` if there is none.
    async fn rotate_account(
        &self,
        account: i64,
        key: &AccountKey,
        at: UnixMs,
    ) -> Result<(), LedgerError>;

    /// Removes an account with its budget and objects. `Conflict` while targets use it, leaving
    /// ones too; says how many.
    async fn remove_account(&self, account: i64) -> Result<(), LedgerError>;

    /// All targets at vendors, leaving ones too, by id.
    async fn cdn_targets(&self) -> Result<Vec<CdnTarget>, LedgerError>;

    /// Adds a target and places every standing block of the App on it. Raises the account's epoch.
    /// `Conflict` if (vendor, publish domain, RTMP app) is taken, by a leaving target too.
    async fn add_target(&self, target: &NewTarget) -> Result<i64, LedgerError>;

    /// Removes a target. With `lift`, placements that may be banned at the vendor (a block stands,
    /// or the newest decision was not accepted there) are opened first: the target leaves, and its
    /// other placements go at once. Without, it goes at once and its bans stay at the vendor.
    /// Either way the account's epoch rises. `NoSuchTarget`; `Conflict` for an origin target.
    async fn remove_target(&self, target: i64, lift: bool) -> Result<RemovedTarget, LedgerError>;

    /// Keeps what the prober knows of a target.
    async fn save_probe(&self, target: i64, state: &str) -> Result<(), LedgerError>;

    /// Takes or renews the lease of every account that nobody else holds, for `length` by the
    /// store's own clock, and returns the ids of those held now. On a ledger with a single server
    /// all of them.
    async fn lease_accounts(&self, holder: &str, length: Duration)
    -> Result<Vec<i64>, LedgerError>;

    /// Gives back all leases of `holder`.
    async fn release_accounts(&self, holder: &str) -> Result<(), LedgerError>;

    /// Whether no other server can be at work on this ledger, so that calls of an earlier holder
    /// are known to be lost.
    fn is_exclusive(&self) -> bool;

    /// What was kept of the account's budget.
    async fn budget(&self, account: i64) -> Result<Option<String>, LedgerError>;

    /// The objects as they stand, with their owners, in the order asked for.
    async fn objects(&self, keys: &[ObjectKey]) -> Result<Vec<ObjectRow>, LedgerError>;

    /// Objects of an account that are due at or before `before`, and those with an owner whose
    /// wanted generation is not accepted, in the order of their keys after `after`, at most
    /// `limit`.
    async fn due_objects(
        &self,
        account: i64,
        before: UnixMs,
        after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<Vec<ObjectKey>, LedgerError>;

    /// All objects of an account that were ever kept, in the order of their keys after `after`.
    async fn kept_objects(
        &self,
        account: i64,
        after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<Vec<ObjectKey>, LedgerError>;

    /// The objects that a stream has on vendors' CDNs, by its App's targets.
    async fn objects_of(&self, key: &StreamKey) -> Result<Vec<(i64, ObjectRow)>, LedgerError>;

    /// Keeps objects and budgets. Returns for each object its new version, or `None` where
    /// another process has kept it meanwhile, and nothing was written for it.
    async fn save(&self, save: CdnSave) -> Result<Vec<Option<i64>>, LedgerError>;

    /// Keeps what was seen. A look at a placement that is gone is dropped.
    async fn save_looks(&self, looks: Vec<LookSave>) -> Result<(), LedgerError>;

    /// Placements on an account's targets whose next look is at or before `before`, earliest
    /// first, at most `limit`.
    async fn due_looks(
        &self,
        account: i64,
        before: UnixMs,
        limit: usize,
    ) -> Result<Vec<LookRow>, LedgerError>;
}

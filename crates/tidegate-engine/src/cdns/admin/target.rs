//! Targets: added and removed.

use std::sync::Arc;

use tidegate_cdn::Site;
use tidegate_core::{AppId, Secret, StreamId};
use tidegate_ledger::cdns::{CdnTarget, NewTarget, RemovedTarget};
use tidegate_ledger::{LedgerError, Target, Vendor};
use tidegate_probe::Template;

use super::CdnError;
use crate::cdns::{AccountEntry, TargetEntry};
use crate::engine::Engine;

/// Most play URL templates of a target.
const MOST_TEMPLATES: usize = 8;
/// Longest play key.
const LONGEST_KEY: usize = 512;

/// What a new target is asked to be.
#[derive(Clone, Debug)]
pub struct NewCdnTarget {
    /// Whose.
    pub app: AppId,
    /// Name of the account.
    pub account: String,
    /// The account's vendor; `None` leaves it to the account.
    pub vendor: Option<Vendor>,
    /// Where publishers push to.
    pub publish_domain: String,
    /// Where players pull from.
    pub play_domain: Option<String>,
    /// RTMP app name there.
    pub rtmp_app: String,
    /// Play URL templates with `{stream}`.
    pub play_urls: Vec<String>,
    /// Signs play URLs.
    pub play_key: Option<Secret>,
}

/// A target that was added.
#[derive(Debug)]
pub struct AddedTarget {
    /// It.
    pub target: Arc<TargetEntry>,
    /// How many standing blocks it was given.
    pub blocks: usize,
    /// What will not work there, and what else its bans hit.
    pub warnings: Vec<String>,
}

/// What else a ban at this site hits, in a sentence about a stream `STREAM`.
pub fn blast_radius(account: &AccountEntry, site: &Site) -> Option<String> {
    let stream = StreamId::parse("STREAM").ok()?;
    account.object(site, &stream).blast_radius()
}

impl Engine {
    /// Adds a target; every standing block of its App goes there.
    pub async fn add_target(&self, new: NewCdnTarget) -> Result<AddedTarget, CdnError> {
        if self.apps().get(new.app).is_none() {
            return Err(CdnError::UnknownApp(new.app));
        }
        let account = self.account_entry(&new.account)?;
        let vendor = account.account.vendor;
        if let Some(asked) = new.vendor.filter(|asked| *asked != vendor) {
            return Err(CdnError::OtherVendor {
                account: new.account,
                has: vendor,
                asked,
            });
        }
        check_play_urls(&new)?;
        let entry = TargetEntry::new(CdnTarget {
            target: Target {
                id: 0,
                app: new.app,
                vendor,
                publish_domain: new.publish_domain,
                rtmp_app: new.rtmp_app,
            },
            account: account.account.id,
            play_domain: new.play_domain,
            play_urls: new.play_urls,
            play_key: new.play_key,
            leaving: false,
            probe: None,
        })?;
        let row = NewTarget {
            app: new.app,
            account: account.account.id,
            publish_domain: entry.site.publish_domain().to_owned(),
            play_domain: entry.site.play_domain().map(str::to_owned),
            rtmp_app: entry.site.rtmp_app().to_owned(),
            play_urls: entry.target.play_urls.clone(),
            play_key: entry.target.play_key.clone(),
        };
        let id = self.ledger().add_target(&row).await.map_err(|e| match e {
            LedgerError::Conflict(words) => CdnError::TargetTaken(words),
            other => other.into(),
        })?;
        self.reload_apps().await?;
        let directory = self.cdns().directory();
        let target = directory.target(id).ok_or(CdnError::UnknownTarget(id))?;
        Ok(AddedTarget {
            warnings: warnings(&account, target),
            target: Arc::clone(target),
            blocks: self.blocks().list(new.app, 0).1,
        })
    }

    /// Removes a target. Its bans are lifted first, unless they are to be kept at the vendor.
    pub async fn remove_target(&self, id: i64, keep_bans: bool) -> Result<RemovedTarget, CdnError> {
        let removed = self.ledger().remove_target(id, !keep_bans).await;
        let removed = removed.map_err(|error| match error {
            LedgerError::NoSuchTarget(_) => CdnError::UnknownTarget(id),
            other => other.into(),
        })?;
        self.reload_apps().await?;
        Ok(removed)
    }
}

fn check_play_urls(new: &NewCdnTarget) -> Result<(), CdnError> {
    if new.play_urls.len() > MOST_TEMPLATES {
        return Err(CdnError::TooManyTemplates(MOST_TEMPLATES));
    }
    for text in &new.play_urls {
        Template::parse(text)?;
    }
    let good = |key: &Secret| {
        let text = key.expose();
        (1..=LONGEST_KEY).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
    };
    match &new.play_key {
        Some(key) if !good(key) => Err(CdnError::PlayKey),
        _ => Ok(()),
    }
}

/// What an operator should know of a target before it matters.
pub(super) fn warnings(account: &AccountEntry, target: &TargetEntry) -> Vec<String> {
    let mut warnings = Vec::new();
    warnings.extend(blast_radius(account, &target.site));
    let vendor = account.account.vendor;
    if vendor == Vendor::Aliyun && target.site.play_domain().is_none() {
        warnings.push(
            "Alibaba Cloud keys its list of bans by the play domain, and this target has none: \
             its bans cannot be listed or checked; add it again with --play-domain"
                .to_owned(),
        );
    }
    if vendor == Vendor::Ws && target.target.play_urls.is_empty() {
        warnings.push(
            "Wangsu tells no stream's state, and this target has no play URL: what is observed \
             there stays unknown; add it again with --play-url"
                .to_owned(),
        );
    }
    warnings
}

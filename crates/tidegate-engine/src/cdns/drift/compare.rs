//! One list against the ledger.

use std::collections::{HashMap, HashSet};

use tidegate_cdn::{ForbiddenEntry, OnlineEntry, Site};
use tidegate_core::placement::{Belief, Evidence, Observed, Want};
use tidegate_core::reconcile::{Drift as Difference, Object, Standing};
use tidegate_core::{StreamId, StreamKey, UnixMs};
use tidegate_ledger::LedgerError;
use tidegate_ledger::cdns::{ObjectKey, ObjectRow};

use super::super::directory::{CdnDirectory, TargetEntry};
use super::Drift;

/// Objects read at once.
const PAGE: usize = 256;
/// Bans set again after one comparison; a list that lies must not burn the day's calls.
const MOST_REPAIRS: usize = 100;

/// Differences, by name.
#[derive(Default)]
pub(super) struct Found {
    pub(super) foreign: Vec<String>,
    pub(super) vanished: Vec<String>,
    pub(super) live: Vec<String>,
}

impl Found {
    pub(super) fn is_empty(&self) -> bool {
        self.foreign.is_empty() && self.vanished.is_empty() && self.live.is_empty()
    }
}

/// A list, to find names in. Tencent puts a number before a name.
struct Listed<'a> {
    entries: &'a [ForbiddenEntry],
    by_name: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Listed<'a> {
    fn new(entries: &'a [ForbiddenEntry]) -> Self {
        let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
        for (place, entry) in entries.iter().enumerate() {
            by_name.entry(&entry.stream).or_default().push(place);
            if let Some((_, bare)) = entry.stream.split_once('_') {
                by_name.entry(bare).or_default().push(place);
            }
        }
        Self { entries, by_name }
    }

    fn find(&self, object: &tidegate_cdn::VendorObject) -> Option<(usize, &ForbiddenEntry)> {
        let places = self.by_name.get(object.stream().as_str())?;
        let entries = places
            .iter()
            .filter_map(|p| Some((*p, self.entries.get(*p)?)));
        entries.into_iter().find(|(_, entry)| entry.fits(object))
    }
}

impl Drift {
    /// Every object that the list should or should not show.
    pub(super) async fn compare_bans(
        &self,
        directory: &CdnDirectory,
        site: &Site,
        bans: &[ForbiddenEntry],
        looked: UnixMs,
        found: &mut Found,
    ) -> Result<(), LedgerError> {
        let listed = Listed::new(bans);
        let mut ours: HashSet<usize> = HashSet::new();
        let mut after: Option<ObjectKey> = None;
        loop {
            let id = self.account.account.id;
            let ledger = self.engine.ledger();
            let keys = ledger.kept_objects(id, after.as_ref(), PAGE).await?;
            let last = keys.len() < PAGE;
            after = keys.last().cloned();
            for row in ledger.objects(&keys).await? {
                if let Some(place) = self.compare_one(directory, site, &listed, &row, looked, found)
                {
                    ours.insert(place);
                }
            }
            if last {
                break;
            }
        }
        let foreign = bans.iter().enumerate().filter(|(p, _)| !ours.contains(p));
        found
            .foreign
            .extend(foreign.map(|(_, entry)| entry_name(entry)));
        Ok(())
    }

    /// Returns the place of its ban in the list, if that is ours.
    fn compare_one(
        &self,
        directory: &CdnDirectory,
        site: &Site,
        listed: &Listed<'_>,
        row: &ObjectRow,
        looked: UnixMs,
        found: &mut Found,
    ) -> Option<usize> {
        let target = target_of(directory, row)?;
        let on_list = self.account.signer.vendor() == tidegate_cdn::Vendor::Tencent
            || target.site.publish_domain() == site.publish_domain();
        if !on_list {
            return None;
        }
        let object = self.account.object(&target.site, &row.key.stream);
        let entry = listed.find(&object);
        let mut known: Object = serde_json::from_str(row.state.as_deref()?).ok()?;
        let wants: Vec<_> = row.owners.iter().map(|row| row.owner).collect();
        let banned = matches!(
            tidegate_core::placement::merge(&wants),
            Some(Want::Banned(_))
        );
        let standing = match entry {
            Some((_, entry)) => Standing::Banned(entry.until),
            None => Standing::Free,
        };
        let before = known.belief;
        let now = self.engine.clock.now();
        let settled = self.is_settled(&known, looked);
        let difference = known.on_listed(standing, looked, now);
        let name = format!("{}/{}", row.key.site, row.key.stream);
        match difference {
            Difference::Foreign if !banned => found.foreign.push(name),
            Difference::Vanished if !settled => return entry.map(|(place, _)| place),
            Difference::Vanished => {
                found.vanished.push(name);
                if found.vanished.len() <= MOST_REPAIRS {
                    self.desk.listed(row.key.clone(), standing, looked);
                }
            }
            _ if known.belief != before && settled => {
                self.desk.listed(row.key.clone(), standing, looked);
            }
            _ => {}
        }
        entry.map(|(place, _)| place)
    }

    /// Whether the last acceptance is old enough for a list to show it.
    fn is_settled(&self, object: &Object, looked: UnixMs) -> bool {
        let grace = self.engine.cdns().options().drift_grace;
        let accepted = object.accepted.as_ref();
        accepted.is_none_or(|accepted| accepted.at.until(looked) >= grace)
    }

    /// Streams on the air against blocks. One that is not forbidden lets play URLs prove
    /// themselves.
    pub(super) async fn compare_online(
        &self,
        directory: &CdnDirectory,
        site: &Site,
        online: &[OnlineEntry],
        looked: UnixMs,
        found: &mut Found,
    ) -> Result<(), LedgerError> {
        for entry in online {
            let domain = entry.domain.as_deref().unwrap_or(site.publish_domain());
            let Some(target) = self.target_at(directory, domain, &entry.app) else {
                continue;
            };
            let Ok(stream) = StreamId::parse(&entry.stream) else {
                continue;
            };
            let key = StreamKey::new(target.target.target.app, stream);
            if self
                .engine
                .blocks()
                .get(key.app, key.stream.as_str())
                .is_none()
            {
                self.desk.look_first(key, target.target.target.id);
                continue;
            }
            let object = self.account.object_key(&target.site, &key.stream);
            let rows = self
                .engine
                .ledger()
                .objects(std::slice::from_ref(&object))
                .await?;
            let state = rows.first().and_then(|row| row.state.as_deref());
            let known = state.and_then(|text| serde_json::from_str::<Object>(text).ok());
            let Some(known) = known else {
                continue;
            };
            let banned = matches!(known.belief, Belief::Banned(_));
            if banned && self.is_settled(&known, looked) {
                found.live.push(key.to_string());
                let seen = Observed {
                    evidence: Evidence::Live,
                    at: looked,
                };
                self.desk.seen(object, seen);
            }
        }
        Ok(())
    }

    fn target_at<'a>(
        &self,
        directory: &'a CdnDirectory,
        domain: &str,
        app: &str,
    ) -> Option<&'a TargetEntry> {
        let id = self.account.account.id;
        directory.all_targets().find(|target| {
            let site = &target.site;
            let names = site.publish_domain().eq_ignore_ascii_case(domain)
                || site
                    .play_domain()
                    .is_some_and(|play| play.eq_ignore_ascii_case(domain));
            target.target.account == id && names && site.rtmp_app() == app
        })
    }
}

fn target_of<'a>(directory: &'a CdnDirectory, row: &ObjectRow) -> Option<&'a TargetEntry> {
    let mut owners = row.owners.iter();
    owners.find_map(|row| directory.target(row.owner.id.0).map(AsRef::as_ref))
}

fn entry_name(entry: &ForbiddenEntry) -> String {
    let parts = [
        entry.domain.as_deref(),
        entry.app.as_deref(),
        Some(&entry.stream),
    ];
    let parts: Vec<&str> = parts.into_iter().flatten().collect();
    parts.join("/")
}

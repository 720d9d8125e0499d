//! Between what is kept about vendors' CDNs and columns, the same in every back end.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{SystemTime, UNIX_EPOCH};

use tidegate_core::placement::{Evidence, Observed, Opening, Owner, OwnerId, Want};
use tidegate_core::{Generation, StreamId, StreamKey, UnixMs};

use super::{
    ANY_SITE, AcceptedBy, CdnAccount, CdnSave, LookSave, NewTarget, ObjectKey, ObjectSave,
    OwnerRow, WatchSave,
};
use crate::columns::{app_id, column, corrupt, until_value, value};
use crate::error::LedgerError;
use crate::model::Vendor;

/// The word of an evidence in the store.
pub(crate) fn evidence_word(evidence: Evidence) -> &'static str {
    match evidence {
        Evidence::Live => "live",
        Evidence::Dark => "dark",
        Evidence::Unknown => "unknown",
    }
}

/// From `observed` and `observed_ms`.
pub(crate) fn observed(
    word: Option<&str>,
    at_ms: Option<i64>,
) -> Result<Option<Observed>, LedgerError> {
    let Some((word, at)) = word.zip(at_ms) else {
        return Ok(None);
    };
    let evidence = [Evidence::Live, Evidence::Dark, Evidence::Unknown]
        .into_iter()
        .find(|evidence| evidence_word(*evidence) == word)
        .ok_or_else(|| corrupt("an observation"))?;
    let at = UnixMs(at);
    Ok(Some(Observed { evidence, at }))
}

/// A vendor, from storage.
pub(crate) fn vendor(word: &str) -> Result<Vendor, LedgerError> {
    Vendor::parse(word).ok_or_else(|| corrupt("a vendor"))
}

/// Play URL templates as one text.
pub(crate) fn urls_column(urls: &[String]) -> String {
    serde_json::Value::from(urls).to_string()
}

/// From storage.
pub(crate) fn urls_value(text: Option<&str>) -> Result<Vec<String>, LedgerError> {
    match text {
        Some(text) => serde_json::from_str(text).map_err(|_| corrupt("a list of play URLs")),
        None => Ok(Vec::new()),
    }
}

/// Identity of an object, from columns.
pub(crate) fn object_key(account: i64, site: &str, stream: &str) -> Result<ObjectKey, LedgerError> {
    Ok(ObjectKey {
        account,
        site: site.to_owned(),
        stream: StreamId::parse(stream).map_err(|_| corrupt("a stream id"))?,
    })
}

/// Publish domain and RTMP app of a site; `None` for [`ANY_SITE`].
pub(crate) fn site_parts(site: &str) -> Option<(&str, &str)> {
    (site != ANY_SITE).then(|| site.split_once('/').unwrap_or((site, "")))
}

/// The site of a target's objects.
pub(crate) fn site_of(strict: bool, publish_domain: &str, rtmp_app: &str) -> String {
    if strict {
        format!("{publish_domain}/{rtmp_app}")
    } else {
        ANY_SITE.to_owned()
    }
}

/// An owner in columns.
pub(crate) struct RawOwner {
    pub app: i64,
    pub target: i64,
    pub wanted: i64,
    pub accepted: Option<i64>,
    pub leaving_ms: Option<i64>,
    /// `since_ms` and `until_ms` of the standing block.
    pub block: Option<(i64, i64)>,
    /// `verb` and `at_ms` of the newest decision on the stream.
    pub newest: Option<(String, i64)>,
}

impl RawOwner {
    /// What it asks of the object.
    pub(crate) fn value(self) -> Result<OwnerRow, LedgerError> {
        let (verb, decided) = self.newest.ok_or_else(|| corrupt("a placement"))?;
        let (want, decided) = match (self.leaving_ms, self.block) {
            (Some(at), _) => (Want::Open(Opening::Resumed), at),
            (None, Some((since, until))) => (Want::Banned(until_value(until)), since),
            (None, None) if verb == "lapse" => (Want::Open(Opening::Ended), decided),
            (None, None) => (Want::Open(Opening::Resumed), decided),
        };
        Ok(OwnerRow {
            owner: Owner {
                id: OwnerId(self.target),
                app: app_id(self.app)?,
                generation: Generation(value(self.wanted)),
                decided: UnixMs(decided),
                want,
            },
            accepted: self.accepted.map(|g| Generation(value(g))),
            leaving: self.leaving_ms.is_some(),
        })
    }
}

/// A placement that a save settles, in columns.
pub(crate) struct Settled {
    pub app: i64,
    pub stream: StreamId,
    pub target: i64,
    pub generation: i64,
    pub at_ms: i64,
    pub watch: Option<WatchColumns>,
}

/// A watch in columns: state, and when to look.
pub(crate) type WatchColumns = (Option<String>, Option<i64>);

/// A watch that is over is not looked at.
pub(crate) fn watch_columns(watch: &WatchSave) -> WatchColumns {
    let next = watch.state.as_ref().and(watch.next);
    (watch.state.clone(), next.map(|at| at.0))
}

/// What these objects settle, each placement once, by its newest generation.
pub(crate) fn settled<'a>(objects: impl IntoIterator<Item = &'a ObjectSave>) -> Vec<Settled> {
    let mut all: HashMap<(u32, &StreamId, i64), Settled> = HashMap::new();
    for object in objects {
        for by in &object.accepted {
            let key = (by.app.0, &object.key.stream, by.target);
            let row = settled_row(&object.key.stream, by);
            match all.get_mut(&key) {
                Some(known) => {
                    if row.generation > known.generation {
                        (known.generation, known.at_ms) = (row.generation, row.at_ms);
                    }
                    known.watch = row.watch.or(known.watch.take());
                }
                None => drop(all.insert(key, row)),
            }
        }
    }
    all.into_values().collect()
}

fn settled_row(stream: &StreamId, by: &AcceptedBy) -> Settled {
    Settled {
        app: by.app.0.into(),
        stream: stream.clone(),
        target: by.target,
        generation: column(by.generation.0),
        at_ms: by.at.0,
        watch: by.watch.as_ref().map(watch_columns),
    }
}

/// Looks, each placement once: of two at the same, what the later one says counts.
pub(crate) fn merged(looks: &[LookSave]) -> Vec<LookSave> {
    let mut all: HashMap<(&StreamKey, i64), LookSave> = HashMap::with_capacity(looks.len());
    for look in looks {
        let known = all.entry((&look.key, look.target));
        let known = known.or_insert_with(|| look.clone());
        known.observed = look.observed.or(known.observed);
        if look.watch.is_some() {
            known.watch = look.watch.clone();
            known.due = look.due;
        }
    }
    all.into_values().collect()
}

/// Places of the first save of each object. A second one of the same object has lost to the first.
pub(crate) fn firsts(objects: &[ObjectSave]) -> Vec<usize> {
    let mut seen = HashSet::with_capacity(objects.len());
    let mut places = Vec::with_capacity(objects.len());
    for (place, object) in objects.iter().enumerate() {
        if seen.insert(&object.key) {
            places.push(place);
        }
    }
    places
}

/// Budgets, each account's last.
pub(crate) fn budgets(save: &CdnSave) -> BTreeMap<i64, &str> {
    save.budgets
        .iter()
        .map(|(account, state)| (*account, state.as_str()))
        .collect()
}

/// Refuses an account of no vendor.
pub(crate) fn check_account(account: &CdnAccount) -> Result<(), LedgerError> {
    if account.vendor == Vendor::Origin {
        return Err(LedgerError::Conflict(
            "the origin needs no account; name one of ws, aliyun, tencent, huawei".into(),
        ));
    }
    Ok(())
}

/// An account's name is taken.
pub(crate) fn name_taken(name: &str) -> LedgerError {
    LedgerError::Conflict(format!(
        "there is an account {name:?} already; choose another name, or rotate that one's key"
    ))
}

/// An account is in use.
pub(crate) fn account_in_use(name: &str, targets: i64, leaving: i64) -> LedgerError {
    let (count, verb) = if targets == 1 {
        ("1 target".to_owned(), "uses")
    } else {
        (format!("{targets} targets"), "use")
    };
    let waiting = match leaving {
        0 => String::new(),
        n => format!(
            " ({n} of them removed already and waiting until the vendor has lifted their bans)"
        ),
    };
    LedgerError::Conflict(format!(
        "{count} {verb} account {name:?}{waiting}; an account can be removed once no target uses \
         it, so remove its targets first"
    ))
}

/// Domain and RTMP app of a target are taken.
pub(crate) fn target_taken(
    new: &NewTarget,
    vendor: Vendor,
    app: i64,
    leaving: bool,
) -> LedgerError {
    let (domain, rtmp_app) = (&new.publish_domain, &new.rtmp_app);
    LedgerError::Conflict(if leaving {
        format!(
            "{domain}/{rtmp_app} at {vendor} is still being removed from App {app}: bans are yet \
             to be lifted there; wait until that is done, or name another RTMP app"
        )
    } else {
        format!(
            "{domain}/{rtmp_app} at {vendor} is a target of App {app} already; remove it there \
             first, or name another publish domain or RTMP app"
        )
    })
}

/// Origin targets stay.
pub(crate) fn origin_stays() -> LedgerError {
    LedgerError::Conflict(
        "the origin target of an App cannot be removed; to take the App off the origin, disable it"
            .into(),
    )
}

/// The wall clock.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let since = since.unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use tidegate_core::AppId;

    use super::*;

    fn save(stream: &str, accepted: Vec<AcceptedBy>) -> ObjectSave {
        ObjectSave {
            key: object_key(1, ANY_SITE, stream).expect("valid"),
            version: 0,
            state: "{}".into(),
            due: None,
            accepted,
        }
    }

    #[test]
    fn a_placement_that_is_settled_twice_keeps_its_newest_generation() {
        let by = |generation, watch: Option<&str>| AcceptedBy {
            app: AppId(1),
            target: 2,
            generation: Generation(generation),
            at: UnixMs(5),
            watch: watch.map(|state| WatchSave {
                state: Some(state.into()),
                next: None,
            }),
        };
        let saves = [save("cam", vec![by(3, Some("w")), by(2, None)])];
        let all = settled(&saves);
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].generation, 3);
        assert_eq!(all[0].watch, Some((Some("w".into()), None)));
    }

    #[test]
    fn of_two_saves_of_one_object_the_first_counts() {
        let saves = [save("a", vec![]), save("b", vec![]), save("a", vec![])];
        assert_eq!(firsts(&saves), [0, 1]);
    }
}

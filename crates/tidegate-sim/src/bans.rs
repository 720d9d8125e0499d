//! The table of bans of one vendor, with the past that a stale list shows.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;
use serde::Serialize;
use tidegate_core::UnixMs;

use crate::media::StreamName;

/// Lifted and lapsed bans that are remembered for stale lists.
const MOST_PAST: usize = 20_000;

/// Which side of a stream is banned. Only Wangsu tells them apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Push to the CDN.
    Publish,
    /// The CDN's pull from an origin.
    Play,
}

/// What a ban is keyed by.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct BanKey {
    pub(crate) account: String,
    pub(crate) name: StreamName,
    pub(crate) side: Side,
}

/// A standing ban.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Ban {
    /// Whose.
    pub account: String,
    /// What, as far as the vendor looks at it.
    pub name: StreamName,
    /// Which side.
    pub side: Side,
    /// When it was made.
    pub made_at: UnixMs,
    /// From when it holds; later than `made_at` when it spreads slowly.
    pub holds_from: UnixMs,
    /// Until when the vendor says it holds.
    pub until: UnixMs,
    /// When it lapses in truth; earlier than `until` only by a fault.
    pub lapses_at: UnixMs,
    order: u64,
}

impl Ban {
    fn listed(&self, now: UnixMs) -> bool {
        now < self.lapses_at
    }
}

/// How a ban is to be entered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) until: UnixMs,
    pub(crate) spreads_ms: i64,
    pub(crate) lapses_after_ms: Option<i64>,
}

#[derive(Debug, Default)]
pub(crate) struct Bans {
    standing: FxHashMap<BanKey, Ban>,
    past: VecDeque<(Ban, UnixMs)>,
    /// Lifted, but still held until then, because a resume spreads slowly.
    lingering: FxHashMap<BanKey, UnixMs>,
    made: u64,
}

impl Bans {
    pub(crate) fn standing(&self, key: &BanKey, now: UnixMs) -> bool {
        self.standing.get(key).is_some_and(|ban| ban.listed(now))
    }

    /// Until when a publisher is turned away; none when it is let in.
    pub(crate) fn held_until(&self, key: &BanKey, now: UnixMs) -> Option<UnixMs> {
        let standing = self
            .standing
            .get(key)
            .filter(|ban| ban.listed(now) && ban.holds_from <= now)
            .map(|ban| ban.until);
        let lingering = self.lingering.get(key).copied().filter(|end| now < *end);
        standing.or(lingering)
    }

    /// Enters a ban or moves the end of one.
    pub(crate) fn put(&mut self, key: BanKey, terms: Terms, now: UnixMs) {
        let lapses_at = terms
            .lapses_after_ms
            .map_or(terms.until, |after| terms.until.min(later(now, after)));
        if let Some(ban) = self.standing.get_mut(&key)
            && ban.listed(now)
        {
            ban.until = terms.until;
            ban.lapses_at = lapses_at;
            return;
        }
        self.made += 1;
        let ban = Ban {
            account: key.account.clone(),
            name: key.name.clone(),
            side: key.side,
            made_at: now,
            holds_from: later(now, terms.spreads_ms),
            until: terms.until,
            lapses_at,
            order: self.made,
        };
        self.lingering.remove(&key);
        if let Some(old) = self.standing.insert(key, ban) {
            self.bury(old, now);
        }
    }

    /// Lifts a ban; false when there was none.
    pub(crate) fn lift(&mut self, key: &BanKey, spreads_ms: i64, now: UnixMs) -> bool {
        let Some(ban) = self.standing.remove(key) else {
            return false;
        };
        let stood = ban.listed(now);
        if stood && spreads_ms > 0 {
            self.lingering.retain(|_, end| now < *end);
            self.lingering.insert(key.clone(), later(now, spreads_ms));
        }
        self.bury(ban, now);
        stood
    }

    fn bury(&mut self, ban: Ban, now: UnixMs) {
        if self.past.len() >= MOST_PAST {
            self.past.pop_front();
        }
        let ended = ban.lapses_at.min(now);
        self.past.push_back((ban, ended));
    }

    /// Keys of an account's standing bans that fit.
    pub(crate) fn matching(
        &self,
        account: &str,
        now: UnixMs,
        fits: impl Fn(&BanKey) -> bool,
    ) -> Vec<BanKey> {
        self.standing
            .iter()
            .filter(|(key, ban)| key.account == account && ban.listed(now) && fits(key))
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// Whether an account has as many as `most`. Lapsed ones are cleared away only when the whole
    /// table could be that full, so that a ban does not cost a walk through it.
    pub(crate) fn fills(&mut self, account: &str, most: usize, now: UnixMs) -> bool {
        if self.standing.len() < most {
            return false;
        }
        let lapsed: Vec<BanKey> = self
            .standing
            .iter()
            .filter(|(_, ban)| !ban.listed(now))
            .map(|(key, _)| key.clone())
            .collect();
        for key in lapsed {
            if let Some(ban) = self.standing.remove(&key) {
                self.bury(ban, now);
            }
        }
        let mine = self.standing.keys().filter(|key| key.account == account);
        mine.count() >= most
    }

    /// An account's bans as they stood at `at`, oldest first.
    pub(crate) fn list(&self, account: Option<&str>, at: UnixMs) -> Vec<Ban> {
        let past = self
            .past
            .iter()
            .filter(|(_, ended)| at < *ended)
            .map(|(ban, _)| ban);
        let mut rows: Vec<Ban> = self
            .standing
            .values()
            .chain(past)
            .filter(|ban| ban.made_at <= at && ban.listed(at))
            .filter(|ban| account.is_none_or(|account| ban.account == account))
            .cloned()
            .collect();
        rows.sort_by_key(|ban| ban.order);
        rows
    }
}

pub(crate) fn invented(account: &str, name: StreamName, now: UnixMs) -> Ban {
    let until = later(now, 86_400_000);
    Ban {
        account: account.to_owned(),
        name,
        side: Side::Publish,
        made_at: now,
        holds_from: now,
        until,
        lapses_at: until,
        order: u64::MAX,
    }
}

fn later(now: UnixMs, ms: i64) -> UnixMs {
    UnixMs(now.0.saturating_add(ms))
}

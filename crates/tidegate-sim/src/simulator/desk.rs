//! Where a face carries out one authenticated call: the ban table with the call's faults applied.

use tidegate_core::UnixMs;

use crate::bans::{self, Ban, BanKey, Bans, Side, Terms};
use crate::config::{Account, Config, ForbidAgain, ResumeNothing, Vendor};
use crate::faults::Fault;
use crate::journal::Effect;
use crate::media::{Online, StreamName};
use crate::refusal::Refusal;

pub(crate) struct Desk<'a> {
    pub(crate) config: &'a Config,
    pub(crate) account: &'a Account,
    pub(crate) online: &'a [Online],
    /// The clock that the caller is judged by; a fault may have moved it.
    pub(crate) now: UnixMs,
    pub(crate) request_id: &'a str,
    pub(super) cuts: Vec<(UnixMs, StreamName)>,
    pub(super) effect: Effect,
    bans: &'a mut Bans,
    faults: &'a [Fault],
    truth: UnixMs,
}

/// What a ban of this stream is keyed by: at Tencent the stream name alone, unless configured.
pub(super) fn key_of(config: &Config, account: &str, name: &StreamName, side: Side) -> BanKey {
    let by_name = config.vendor == Vendor::Tencent && !config.strict_names;
    BanKey {
        account: account.to_owned(),
        name: if by_name {
            StreamName::new("", "", &name.stream)
        } else {
            name.clone()
        },
        side,
    }
}

impl<'a> Desk<'a> {
    #[expect(clippy::too_many_arguments, reason = "one call's whole surroundings")]
    pub(super) fn new(
        config: &'a Config,
        account: &'a Account,
        bans: &'a mut Bans,
        faults: &'a [Fault],
        online: &'a [Online],
        truth: UnixMs,
        now: UnixMs,
        request_id: &'a str,
    ) -> Self {
        Self {
            config,
            account,
            online,
            now,
            request_id,
            cuts: Vec::new(),
            effect: Effect::Nothing,
            bans,
            faults,
            truth,
        }
    }

    fn key(&self, name: &StreamName, side: Side) -> BanKey {
        key_of(self.config, &self.account.name, name, side)
    }

    /// Whether the account has this ingest domain.
    pub(crate) fn owns(&self, domain: &str) -> Result<(), Refusal> {
        self.config
            .domains
            .iter()
            .any(|known| known.publish == domain && known.owned_by(&self.account.name))
            .then_some(())
            .ok_or_else(|| Refusal::UnknownDomain(domain.to_owned()))
    }

    pub(crate) fn is_forbidden(&self, name: &StreamName) -> bool {
        let key = self.key(name, Side::Publish);
        self.bans.standing(&key, self.truth)
    }

    pub(crate) fn forbid(
        &mut self,
        name: &StreamName,
        side: Side,
        until: UnixMs,
    ) -> Result<(), Refusal> {
        let key = self.key(name, side);
        if self.bans.standing(&key, self.truth) {
            if self.config.forbid_again() == ForbidAgain::Refuse {
                return Err(Refusal::AlreadyForbidden);
            }
        } else if let Some(most) = self.config.capacity()
            && self.bans.fills(&self.account.name, most, self.truth)
        {
            return Err(Refusal::ListFull);
        }
        self.put(key, name, side, until);
        Ok(())
    }

    /// Moves the end of a standing ban.
    pub(crate) fn change(
        &mut self,
        name: &StreamName,
        side: Side,
        until: UnixMs,
    ) -> Result<(), Refusal> {
        let key = self.key(name, side);
        if !self.bans.standing(&key, self.truth) {
            return Err(Refusal::NotForbidden);
        }
        self.put(key, name, side, until);
        Ok(())
    }

    fn put(&mut self, key: BanKey, name: &StreamName, side: Side, until: UnixMs) {
        let lapses_after_ms = self.faults.iter().find_map(|fault| match fault {
            Fault::LapseEarly { ms } => Some(*ms),
            _ => None,
        });
        let terms = Terms {
            until,
            spreads_ms: self.spreads_ms(),
            lapses_after_ms,
        };
        self.bans.put(key, terms, self.truth);
        if side == Side::Publish {
            self.cut(name);
        }
        self.effect = Effect::Forbade { until };
    }

    pub(crate) fn resume(&mut self, name: &StreamName, side: Side) -> Result<(), Refusal> {
        let key = self.key(name, side);
        let stood = self.bans.lift(&key, self.spreads_ms(), self.truth);
        self.resumed(stood)
    }

    /// Lifts the bans of a stream under every app of its domain.
    pub(crate) fn resume_any_app(&mut self, name: &StreamName) -> Result<(), Refusal> {
        let fits = |key: &BanKey| key.name.domain == name.domain && key.name.stream == name.stream;
        let keys = self.bans.matching(&self.account.name, self.truth, fits);
        for key in &keys {
            self.bans.lift(key, self.spreads_ms(), self.truth);
        }
        self.resumed(!keys.is_empty())
    }

    fn resumed(&mut self, stood: bool) -> Result<(), Refusal> {
        if !stood && self.config.resume_nothing == ResumeNothing::Refuse {
            return Err(Refusal::NotForbidden);
        }
        self.effect = Effect::Resumed;
        Ok(())
    }

    pub(crate) fn kick(&mut self, name: &StreamName) {
        self.cut(name);
        self.effect = Effect::Kicked;
    }

    fn cut(&mut self, name: &StreamName) {
        let at = UnixMs(self.truth.0.saturating_add(self.spreads_ms()));
        self.cuts.push((at, name.clone()));
    }

    fn spreads_ms(&self) -> i64 {
        self.faults
            .iter()
            .map(|fault| match fault {
                Fault::SlowPropagation { ms } => *ms,
                _ => 0,
            })
            .fold(0, i64::saturating_add)
    }

    /// The account's bans as this call is to see them, oldest first.
    pub(crate) fn list(&self) -> Vec<Ban> {
        let age = self.faults.iter().map(|fault| match fault {
            Fault::ListStale { ms } => *ms,
            _ => 0,
        });
        let at = UnixMs(
            self.truth
                .0
                .saturating_sub(age.fold(0, i64::saturating_add)),
        );
        let mut rows = self.bans.list(Some(&self.account.name), at);
        for fault in self.faults {
            match fault {
                Fault::ListMissing { entries } if entries.is_empty() => rows.clear(),
                Fault::ListMissing { entries } => rows.retain(|ban| {
                    !entries
                        .iter()
                        .any(|name| self.key(name, ban.side).name == ban.name)
                }),
                Fault::ListExtra { entries } => rows.extend(
                    entries
                        .iter()
                        .map(|name| bans::invented(&self.account.name, name.clone(), at)),
                ),
                _ => {}
            }
        }
        rows
    }
}

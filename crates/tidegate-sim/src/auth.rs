//! Signature verification, from the bytes on the wire, as the vendors' servers do it.
//!
//! Written apart from any client code on purpose: two readings of the same specification that agree
//! are worth more than one. Replay memory is here too; what a refusal looks like is the face's job.

mod aliyun;
mod huawei;
mod tencent;
#[cfg(test)]
mod tests;
mod wangsu;

use std::time::Duration;

use rustc_hash::FxHashMap;
use tidegate_core::UnixMs;

use crate::config::{Account, Config, Key, Vendor};
use crate::params::Params;
use crate::refusal::Refusal;
use crate::wire::Request;

/// Most nonces and signatures that are remembered; older ones give way.
const MOST_SEEN: usize = 1 << 20;

/// One call as authentication sees it.
pub(crate) struct Check<'a> {
    pub(crate) config: &'a Config,
    pub(crate) request: &'a Request,
    pub(crate) params: &'a Params,
    pub(crate) now: UnixMs,
}

/// Whose call it is.
pub(crate) fn authenticate<'a>(check: &Check<'a>, seen: &mut Seen) -> Result<&'a Account, Refusal> {
    match check.config.vendor {
        Vendor::Wangsu => wangsu::authenticate(check, seen),
        Vendor::Aliyun => aliyun::authenticate(check, seen),
        Vendor::Tencent => tencent::authenticate(check),
        Vendor::Huawei => huawei::authenticate(check),
    }
}

impl<'a> Check<'a> {
    fn key(&self, id: &str) -> Result<(&'a Account, &'a Key), Refusal> {
        let mut all = self
            .config
            .accounts
            .iter()
            .flat_map(|account| account.keys.iter().map(move |key| (account, key)));
        let found = all.find(|(_, key)| key.id == id);
        let (account, key) = found.ok_or(Refusal::UnknownKey)?;
        if key.expired {
            return Err(Refusal::ExpiredKey);
        }
        Ok((account, key))
    }

    fn within(&self, claimed: UnixMs, window: Duration) -> Result<(), Refusal> {
        let off = self.now.until(claimed).max(claimed.until(self.now));
        if off > window {
            return Err(Refusal::ClockSkew);
        }
        Ok(())
    }

    fn header(&self, name: &str, called: &'static str) -> Result<&'a str, Refusal> {
        self.request
            .header(name)
            .filter(|value| !value.is_empty())
            .ok_or(Refusal::AuthMissing(called))
    }

    /// The canonical header block of a `;`-joined list: one `name:value` line each. None when the
    /// list is not lower case, sorted and unique, or names a header that did not come.
    fn header_block(&self, signed: &str, case: Case) -> Option<Vec<u8>> {
        let names: Vec<&str> = signed.split(';').collect();
        let sorted = names.is_sorted_by(|left, right| left < right);
        if !sorted || signed.bytes().any(|b| b.is_ascii_uppercase()) {
            return None;
        }
        let mut block = Vec::new();
        for name in names {
            let (_, value) = self.request.headers.iter().find(|(n, _)| n == name)?;
            block.extend_from_slice(name.as_bytes());
            block.push(b':');
            match case {
                Case::AsSent => block.extend_from_slice(value.trim_ascii()),
                Case::Lower => block.extend(value.trim_ascii().to_ascii_lowercase()),
            }
            block.push(b'\n');
        }
        Some(block)
    }
}

/// How header values enter the canonical request.
#[derive(Clone, Copy)]
enum Case {
    AsSent,
    Lower,
}

/// Reads `SCHEME a=1, b=2` with exactly these fields in this order.
fn fields<'a, const N: usize>(
    header: &'a str,
    scheme: &str,
    separator: &str,
    names: [&str; N],
) -> Option<[&'a str; N]> {
    let rest = header.strip_prefix(scheme)?.strip_prefix(' ')?;
    let mut parts = rest.split(separator);
    let mut values = [""; N];
    for (value, name) in values.iter_mut().zip(names) {
        *value = parts.next()?.strip_prefix(name)?.strip_prefix('=')?;
    }
    parts.next().is_none().then_some(values)
}

/// Whether a `;`-joined list holds all of these.
fn lists(signed: &str, wanted: &[&str]) -> bool {
    wanted
        .iter()
        .all(|name| signed.split(';').any(|listed| listed == *name))
}

/// Joins lines of a canonical request; the last has no line break.
fn lines(parts: &[&[u8]]) -> Vec<u8> {
    parts.join(&b'\n')
}

/// Nonces or signatures that were used, each until its time window has passed.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    until: FxHashMap<String, UnixMs>,
}

impl Seen {
    /// Remembers a text; refuses it when it is remembered already.
    fn first_time(&mut self, text: String, now: UnixMs, keep: Duration) -> Result<(), Refusal> {
        if self.until.get(&text).is_some_and(|end| *end >= now) {
            return Err(Refusal::Replay);
        }
        if self.until.len() >= MOST_SEEN {
            self.until.retain(|_, end| *end >= now);
            if self.until.len() >= MOST_SEEN {
                self.until.clear();
            }
        }
        self.until.insert(text, now.plus(keep));
        Ok(())
    }
}

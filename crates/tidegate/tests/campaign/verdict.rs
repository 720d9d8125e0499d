//! What has to hold once the weather is clear.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use serde_json::Value;
use tidegate_core::UnixMs;
use tidegate_sim::{Effect, Entry, StreamName, Vendor};

use crate::callers::{Book, Door, Phone};
use crate::fleet::{App, Fleet, NARROW, stream};
use crate::harness::Server;

/// Longest time to converge: doubts settle within 40 s, and Wangsu takes one call a second.
const PATIENCE: Duration = Duration::from_secs(150);
/// How long a caller waits for the beginning of an answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// A vendor counts whole seconds.
const NEAR: i64 = 1000;
/// Ends so close together are the same end: no call is spent on the difference.
const SAME_END: i64 = 5000;

/// A campaign that is over.
pub(crate) struct Verdict<'a> {
    fleet: &'a Fleet,
    book: &'a Book,
    apps: &'a [App; 2],
    kills: &'a [UnixMs],
    journals: Vec<(Vendor, Vec<Entry>)>,
}

impl<'a> Verdict<'a> {
    pub(crate) fn new(
        fleet: &'a Fleet,
        book: &'a Book,
        apps: &'a [App; 2],
        kills: &'a [UnixMs],
    ) -> Self {
        Self {
            fleet,
            book,
            apps,
            kills,
            journals: Vec::new(),
        }
    }

    /// Waits until no short ban is left to end, the ledger says that every CDN took the newest
    /// decision, and every simulated vendor is where that decision wants it.
    pub(crate) fn wait_until_converged(&mut self, server: &Server) {
        let begun = Instant::now();
        let mut phone = Phone::new(&Door::open(&server.api));
        let token = std::fs::read_to_string(server.place.data().join("admin-token"));
        let headers = format!(
            "Authorization: Bearer {}\r\n",
            token.expect("a token").trim()
        );
        let mut open: Vec<_> = self.book.streams.keys().copied().collect();
        loop {
            open.retain(|(app, number)| {
                let path = format!(
                    "/v1/apps/{}/streams/{}",
                    self.apps[*app].id,
                    stream(*number)
                );
                !self.is_accepted(*app, *number, &phone.ask(&path, &headers))
            });
            let differ = match open.is_empty() {
                true => self.differences(),
                false => Vec::new(),
            };
            if open.is_empty() && differ.is_empty() {
                break;
            }
            if begun.elapsed() > PATIENCE {
                self.not_converged(&open, &differ, server);
            }
            std::thread::sleep(Duration::from_millis(250));
        }
        let journal = |cdn: &crate::fleet::Cdn| (cdn.vendor, cdn.sim.journal(0));
        self.journals = self.fleet.cdns.iter().map(journal).collect();
    }

    fn not_converged(&self, open: &[(usize, usize)], differ: &[String], server: &Server) -> ! {
        let accounts = server.json(&["account", "list"]);
        let mut shown = String::new();
        for (app, number) in open.iter().take(5) {
            let id = self.apps[*app].id.to_string();
            let status = server.run(&["status", &stream(*number), "--app-id", &id]);
            shown.push_str(&status.stdout);
        }
        let dir = std::env::temp_dir();
        let log = dir.join("tidegate-campaign.log");
        let _ = std::fs::copy(server.place.beside("log"), &log);
        for cdn in &self.fleet.cdns {
            let name = format!("tidegate-campaign-journal-{}.json", cdn.vendor.name());
            let journal = serde_json::to_string(&cdn.sim.journal(0)).unwrap_or_default();
            let _ = std::fs::write(dir.join(name), journal);
        }
        panic!(
            "{} streams are not accepted, differences {differ:#?}; accounts {accounts}; {shown}; log in {}",
            open.len(),
            log.display()
        );
    }

    /// Whether the newest decision is the one in the ledger and accepted everywhere.
    fn is_accepted(&self, app: usize, number: usize, status: &Value) -> bool {
        let told = &self.book.streams[&(app, number)];
        let Some(newest) = told.last() else {
            return true;
        };
        let decisions = status["decisions"].as_array().expect("decisions");
        let mut asked = decisions.iter().filter(|d| d["by"] == "app");
        let recorded = asked.next().expect("a decision");
        assert_eq!(
            recorded["request_id"].as_str(),
            Some(newest.request_id.as_str()),
            "{}: the newest in the ledger is the newest acknowledged: {status}",
            stream(number)
        );
        let stands = newest
            .end
            .is_some_and(|end| UnixMs::from_seconds(end) > self.fleet.now());
        if status["blocked"] != stands {
            return false;
        }
        let targets = status["targets"].as_array().expect("targets");
        assert_eq!(targets.len(), 1 + self.apps[app].vendors.len(), "{status}");
        targets.iter().all(|t| {
            !t["wanted_generation"].is_null() && t["wanted_generation"] == t["accepted_generation"]
        })
    }

    /// Until when the newest decision of this App wants the stream banned.
    fn wanted(&self, app: usize, number: usize) -> Option<UnixMs> {
        let newest = self.book.streams.get(&(app, number))?.last()?;
        let end = UnixMs::from_seconds(newest.end?);
        (end > self.fleet.now()).then_some(end)
    }

    /// Where the bans at the vendors are not what the newest decisions want.
    fn differences(&self) -> Vec<String> {
        let mut found = Vec::new();
        for cdn in &self.fleet.cdns {
            let mut wanted: BTreeMap<StreamName, UnixMs> = BTreeMap::new();
            for (at, app) in self.apps.iter().enumerate() {
                if !app.vendors.contains(&cdn.vendor) {
                    continue;
                }
                for number in 0..app.streams {
                    let mut name = app.name(cdn.vendor, &stream(number));
                    if cdn.vendor == Vendor::Tencent {
                        name = StreamName::new("", "", &name.stream);
                    }
                    if let Some(end) = self.wanted(at, number) {
                        let latest = wanted.entry(name).or_insert(end);
                        *latest = (*latest).max(end);
                    }
                }
            }
            let bans: BTreeMap<_, _> = cdn
                .sim
                .bans()
                .into_iter()
                .map(|ban| (ban.name, ban.until))
                .collect();
            let names: BTreeSet<_> = wanted.keys().chain(bans.keys()).collect();
            for name in names {
                let (want, has) = (wanted.get(name), bans.get(name));
                let same = match (want, has) {
                    (Some(want), Some(has)) => (want.0 - has.0).abs() <= SAME_END,
                    (want, has) => want.is_none() && has.is_none(),
                };
                if !same {
                    let vendor = cdn.vendor.name();
                    found.push(format!("{vendor} {name:?}: {has:?} instead of {want:?}"));
                }
            }
        }
        found
    }

    /// No call that came after a newer decision's is for an older one, and calls for one object
    /// never overlap, but for those that nobody waited for any more.
    pub(crate) fn nothing_out_of_order(&self) {
        for (vendor, journal) in &self.journals {
            let mut objects: BTreeMap<&StreamName, Vec<&Entry>> = BTreeMap::new();
            for entry in journal.iter().filter(|entry| !entry.operation.is_read()) {
                let name = entry.name.as_ref().expect("a change names its stream");
                objects.entry(name).or_default().push(entry);
            }
            for (name, mut calls) in objects {
                calls.sort_by_key(|entry| entry.arrived);
                self.never_overlapping(&calls);
                self.never_older(*vendor, name, &calls);
            }
        }
    }

    fn never_overlapping(&self, calls: &[&Entry]) {
        for (n, later) in calls.iter().enumerate() {
            for earlier in &calls[..n] {
                let given_up = earlier
                    .arrived
                    .plus(CALL_TIMEOUT - Duration::from_millis(500));
                let killed = self
                    .kills
                    .iter()
                    .any(|at| *at >= earlier.arrived && *at <= later.arrived);
                assert!(
                    later.arrived >= earlier.answered.min(given_up) || killed,
                    "two calls at once: {earlier:?} and {later:?}"
                );
            }
        }
    }

    fn never_older(&self, vendor: Vendor, name: &StreamName, calls: &[&Entry]) {
        for (at, app) in self.apps.iter().enumerate() {
            let numbers = (0..app.streams).filter(|n| app.name(vendor, &stream(*n)) == *name);
            for number in numbers {
                // Both Apps own it: the later end counts, whoever decided first.
                if vendor == Vendor::Tencent && number < NARROW {
                    continue;
                }
                let told = &self.book.streams[&(at, number)];
                let mut newest = 0;
                for call in calls {
                    let Effect::Forbade { until } = call.effect else {
                        continue;
                    };
                    let nth = told.iter().position(|decision| {
                        let end = decision.end.map(UnixMs::from_seconds);
                        end.is_some_and(|end| (end.0 - until.0).abs() <= NEAR)
                    });
                    let nth = nth.unwrap_or_else(|| panic!("nobody asked for {call:?}"));
                    assert!(
                        nth >= newest,
                        "decision {nth} of {name:?} was sent after {newest}: {call:?}"
                    );
                    newest = nth;
                }
            }
        }
    }

    pub(crate) fn no_budget_exceeded(&self) {
        for cdn in &self.fleet.cdns {
            for usage in cdn.sim.usage() {
                assert_eq!(usage.exceeded, 0, "{}: {usage:?}", cdn.vendor.name());
            }
        }
    }

    /// A campaign that met no trouble proves nothing.
    pub(crate) fn every_fault_was_met(&self) {
        let met = self.faults();
        for kind in [
            "latency",
            "server-error",
            "throttle",
            "drop-before",
            "drop-after",
            "garbage",
            "slow-propagation",
            "lapse-early",
            "wrong-clock",
            "expired-key",
            "quota-spent",
        ] {
            assert!(met.contains_key(kind), "no call met {kind}: {met:?}");
        }
        for (vendor, journal) in &self.journals {
            let lost = |entry: &&Entry| {
                entry.faults.contains(&"drop-after") && entry.effect != Effect::Nothing
            };
            assert!(
                journal.iter().any(|entry| lost(&entry)),
                "no answer of {} was lost",
                vendor.name()
            );
        }
    }

    fn faults(&self) -> BTreeMap<&'static str, usize> {
        let mut met = BTreeMap::new();
        for entry in self.journals.iter().flat_map(|(_, journal)| journal) {
            for kind in &entry.faults {
                *met.entry(*kind).or_default() += 1;
            }
        }
        met
    }

    /// What an operator sees of a stream, in words.
    pub(crate) fn shown_to_people(&self, server: &Server) {
        let number = (NARROW..self.apps[0].streams)
            .find(|number| self.wanted(0, *number).is_some())
            .expect("some stream is forbidden");
        let id = self.apps[0].id.to_string();
        let shown = server.run(&["status", &stream(number), "--app-id", &id]);
        assert_eq!(shown.code, 0, "{shown:?}");
        for part in ["forbidden until", "aliyun", "tencent", "huawei", "origin"] {
            assert!(shown.stdout.contains(part), "{part}: {}", shown.stdout);
        }
    }
}

impl fmt::Display for Verdict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} decisions", self.book.decisions())?;
        for (vendor, journal) in &self.journals {
            write!(f, ", {} calls at {}", journal.len(), vendor.name())?;
        }
        write!(
            f,
            ", {} kills, faults met {:?}",
            self.kills.len(),
            self.faults()
        )
    }
}

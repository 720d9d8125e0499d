//! A vendor on the other end of a line without a socket: the very bytes that go on the wire, from
//! signing to reading the answer, in one process.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use tidegate_cdn::wire::{self, HttpResponse};
use tidegate_cdn::{
    Account, AccountSpec, Done, ErrorClass, Failure, Matching, Operation, Reply, SecondGuard, Site,
    Vendor,
};
use tidegate_core::reconcile::{Action, Outcome, Report};
use tidegate_core::{Secret, StreamId, UnixMs};
use tidegate_sim::{Config, Domain, ManualClock, NoMedia, Request, Simulator};

const KEY: &str = "AKIDbench0123456789";
const SECRET: &str = "benchSecret/0123456789+abcdef=";
const PROJECT: &str = "0123456789abcdef0123456789abcdef";
const PUSH: &str = "push.example.com";
const PLAY: &str = "play.example.com";

/// A simulated vendor and an account there.
pub(super) struct Line {
    account: Account,
    site: Site,
    clock: Arc<ManualClock>,
    simulator: Arc<Simulator>,
    second: SecondGuard,
    calls: u64,
}

impl Line {
    pub(super) fn new(vendor: Vendor, start: UnixMs) -> anyhow::Result<Self> {
        let clock = Arc::new(ManualClock::new(start));
        let mut customer = tidegate_sim::Account::new(KEY, KEY, SECRET);
        customer.project_id = Some(PROJECT.to_owned());
        let config = Config {
            accounts: vec![customer],
            domains: vec![Domain::new(PUSH, Some(PLAY))],
            journal_rows: 100,
            ..Config::new(vendor.word().parse()?)
        };
        let huawei = vendor == Vendor::Huawei;
        let account = Account::new(AccountSpec {
            name: "bench".to_owned(),
            vendor,
            access_key_id: KEY.to_owned(),
            secret: Secret::new(SECRET.to_owned()),
            security_token: None,
            scheme: None,
            region: huawei.then(|| "cn-north-4".to_owned()),
            project_id: huawei.then(|| PROJECT.to_owned()),
            endpoint: None,
            matching: Matching::NameOnly,
        })?;
        Ok(Self {
            account,
            site: Site::new(PUSH, Some(PLAY), "live")?,
            simulator: Simulator::new(config, clock.clone(), Arc::new(NoMedia)),
            clock,
            second: SecondGuard::new(),
            calls: 0,
        })
    }

    pub(super) fn set_clock(&self, to: UnixMs) {
        self.clock.set(to);
    }

    /// Calls that were really made.
    pub(super) fn calls(&self) -> u64 {
        self.calls
    }

    /// Calls beyond what the vendor allows, by its own count.
    pub(super) fn exceeded(&self) -> u64 {
        let usage = self.simulator.usage();
        usage.iter().map(|budget| budget.exceeded).sum()
    }

    /// Bans that stand at the vendor.
    pub(super) fn bans(&self) -> usize {
        self.simulator.bans().len()
    }

    /// Makes the one call that the action takes.
    pub(super) fn make(
        &mut self,
        action: Action,
        stream: &StreamId,
        now: UnixMs,
    ) -> anyhow::Result<Report> {
        let object = self.account.object(&self.site, stream);
        let operation = match action {
            Action::Forbid { until } => Operation::Forbid {
                object: &object,
                until,
            },
            Action::Resume => Operation::Resume(&object),
            other => anyhow::bail!("{other:?} is not a call that takedowns and lifts need"),
        };
        self.calls += 1;
        let signed_at = match self.account.vendor() {
            Vendor::Ws => self.second.take(now).unwrap_or(now),
            _ => now,
        };
        let nonce = format!("{:032x}", self.calls);
        let request = wire::build(&operation, &self.account, signed_at, &nonce)?;
        let verdict = self.simulator.call(&Request {
            method: request.method.to_owned(),
            path: request.path,
            raw_query: request.raw_query,
            headers: lower_case(request.headers),
            body: Bytes::from(request.body),
        });
        let reply = verdict.reply.context("the vendor hung up")?;
        let date = wire::http_date(verdict.date).context("a date")?;
        let mut headers = vec![("date".to_owned(), date)];
        let named = reply.headers.into_iter();
        headers.extend(named.map(|(name, value)| (name.to_owned(), value)));
        let response = HttpResponse {
            status: reply.status,
            headers,
            body: reply.body.to_vec(),
        };
        Ok(report(wire::read(
            &operation,
            &self.account,
            &response,
            now,
        )))
    }
}

fn lower_case(headers: Vec<(String, String)>) -> Vec<(String, Vec<u8>)> {
    let one = |(name, value): (String, String)| (name.to_ascii_lowercase(), value.into_bytes());
    headers.into_iter().map(one).collect()
}

fn report(answer: Result<tidegate_cdn::Answer<Reply>, Failure>) -> Report {
    match answer {
        Ok(answer) => Report {
            outcome: match answer.value {
                Reply::Done(Done::Accepted { until }) => Outcome::Accepted { until },
                Reply::Done(Done::AlreadySo) => Outcome::AlreadySo,
                _ => Outcome::Unknown,
            },
            request_id: answer.request_id,
            words: answer.words,
        },
        Err(failure) => Report {
            outcome: match failure.class {
                ErrorClass::Throttled { after } => Outcome::Throttled { after },
                ErrorClass::QuotaSpent(_) => Outcome::QuotaSpent {
                    wait: Duration::from_secs(1800),
                },
                _ => Outcome::Unknown,
            },
            words: failure.to_string(),
            request_id: failure.request_id,
        },
    }
}

//! The [`Cdn`] that calls: clock, nonce and network around [`build`] and [`read`].

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tidegate_core::UnixMs;

use crate::account::Account;
use crate::cdn::Cdn;
use crate::client::HttpClient;
use crate::failure::{ErrorClass, Failure, Refusal, words};
use crate::object::{Site, VendorObject};
use crate::operation::{
    Answer, Done, ForbiddenPage, Kind, OnlinePage, Operation, Page, Reply, Standing, StreamState,
};
use crate::vendor::Vendor;
use crate::wangsu::SecondGuard;
use crate::wire::{build, read};
use crate::{huawei, tencent, wangsu};

/// Least time that is left to a second call.
const LEAST_BUDGET: Duration = Duration::from_millis(200);
/// How often Wangsu is asked whether a refused resume had anything to lift.
const CHECK_EVERY_MS: i64 = 60_000;

/// Where an adapter takes the time from.
type Clock = Arc<dyn Fn() -> UnixMs + Send + Sync>;

/// One account with the client it calls through. An account whose key is rotated gets a new
/// adapter.
pub struct Adapter {
    account: Account,
    client: HttpClient,
    clock: Clock,
    seconds: SecondGuard,
    /// When the last check of a refused resume was made, at Wangsu.
    checked: AtomicI64,
}

impl fmt::Debug for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adapter")
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

impl Adapter {
    /// An adapter that reads time from `clock`.
    pub fn new(
        account: Account,
        client: HttpClient,
        clock: impl Fn() -> UnixMs + Send + Sync + 'static,
    ) -> Self {
        Self {
            account,
            client,
            clock: Arc::new(clock),
            seconds: SecondGuard::new(),
            checked: AtomicI64::new(i64::MIN),
        }
    }

    /// Makes one call, whatever it is.
    pub async fn call(&self, operation: Operation<'_>) -> Result<Answer<Reply>, Failure> {
        self.call_within(operation, self.client.options().total_timeout)
            .await
    }

    async fn call_within(
        &self,
        operation: Operation<'_>,
        budget: Duration,
    ) -> Result<Answer<Reply>, Failure> {
        let now = self.now(&operation)?;
        let request = build(&operation, &self.account, now, &self.nonce()?)?;
        let response = self.client.send(&request, budget).await.map_err(|error| {
            let words = words(&error.words, &self.account);
            Failure::ours(self.account.vendor, error.class, words)
        })?;
        read(&operation, &self.account, &response, (self.clock)())
    }

    /// The time to sign with.
    fn now(&self, operation: &Operation<'_>) -> Result<UnixMs, Failure> {
        let now = (self.clock)();
        let sends = !matches!(
            operation.kind(),
            Kind::ChangeEnd | Kind::StreamState | Kind::Online
        );
        if self.account.vendor != Vendor::Ws || !sends {
            return Ok(now);
        }
        self.seconds.take(now).map_err(|at| {
            let after = Some(now.until(at));
            let words = "one signature a second is taken, and the next seconds are spoken for";
            Failure::ours(Vendor::Ws, ErrorClass::Throttled { after }, words)
        })
    }

    fn nonce(&self) -> Result<String, Failure> {
        let mut bytes = [0u8; 16];
        match getrandom::fill(&mut bytes) {
            Ok(()) => Ok(hex::encode(bytes)),
            Err(error) => Err(Failure::ours(
                self.account.vendor,
                ErrorClass::Retry { after: None },
                format!("no random numbers for a nonce: {error}"),
            )),
        }
    }

    fn end(&self, until: Option<UnixMs>) -> UnixMs {
        self.limits().end_to_send((self.clock)(), until)
    }

    /// What is left of the total time, for a second call.
    fn left(&self, started: Instant) -> Duration {
        let total = self.client.options().total_timeout;
        total.saturating_sub(started.elapsed()).max(LEAST_BUDGET)
    }

    /// Whether the refusal of a resume may mean that there is nothing to lift. No vendor documents
    /// what that is answered with, and sent again and again it would use up what calls there are.
    fn may_be_free(&self, failure: &Failure) -> bool {
        match self.account.vendor {
            Vendor::Tencent => failure.is_unclear() || tencent::may_be_free(failure),
            Vendor::Huawei => huawei::may_be_free(failure),
            Vendor::Ws => failure.is_unclear() || wangsu::may_be_free(failure),
            Vendor::Aliyun => failure.is_unclear(),
        }
    }

    /// Whether the vendor shows that an object is not banned. One call, and at Wangsu none if one
    /// was made within the last minute: ten in five minutes are all there are.
    async fn is_free(&self, object: &VendorObject, budget: Duration) -> bool {
        let check = match self.account.vendor {
            Vendor::Aliyun => Operation::ListForbidden {
                site: object.site(),
                page: Page::FIRST,
            },
            _ => Operation::FindForbidden(object),
        };
        if self.account.vendor == Vendor::Ws && !self.take_check() {
            return false;
        }
        match self.call_within(check, budget).await.map(|a| a.value) {
            Ok(Reply::Standing(standing)) => standing == Standing::Free,
            // Of a longer list a part is not enough.
            Ok(Reply::Forbidden(page)) => {
                !page.more && !page.entries.iter().any(|entry| entry.fits(object))
            }
            _ => false,
        }
    }

    fn take_check(&self) -> bool {
        let now = (self.clock)().0;
        let due = |last: i64| {
            let since = now.saturating_sub(last);
            (!(0..CHECK_EVERY_MS).contains(&since)).then_some(now)
        };
        let taken = self
            .checked
            .try_update(Ordering::AcqRel, Ordering::Acquire, due);
        taken.is_ok()
    }

    fn done(&self, answer: Answer<Reply>) -> Result<Answer<Done>, Failure> {
        self.take(answer, |reply| match reply {
            Reply::Done(done) => Some(done),
            _ => None,
        })
    }

    fn take<T>(
        &self,
        answer: Answer<Reply>,
        pick: impl FnOnce(Reply) -> Option<T>,
    ) -> Result<Answer<T>, Failure> {
        let vendor = self.account.vendor;
        let picked = answer.map(pick);
        match picked.value {
            Some(value) => Ok(Answer {
                value,
                request_id: picked.request_id,
                words: picked.words,
                date: picked.date,
            }),
            None => Err(Failure::ours(
                vendor,
                ErrorClass::Permanent(Refusal::Other),
                "the answer is to another question",
            )),
        }
    }
}

#[async_trait]
impl Cdn for Adapter {
    fn vendor(&self) -> Vendor {
        self.account.vendor
    }

    fn account(&self) -> &str {
        &self.account.name
    }

    fn earliest_next(&self, now: UnixMs) -> UnixMs {
        match self.account.vendor {
            Vendor::Ws => self.seconds.earliest_next(now),
            _ => now,
        }
    }

    async fn forbid(
        &self,
        object: &VendorObject,
        until: Option<UnixMs>,
    ) -> Result<Answer<Done>, Failure> {
        let started = Instant::now();
        let until = self.end(until);
        let mut answer = self.call(Operation::Forbid { object, until }).await;
        if answer.as_ref().is_err_and(huawei::stands_already) {
            let change = Operation::ChangeEnd { object, until };
            answer = self.call_within(change, self.left(started)).await;
        }
        self.done(answer?)
    }

    async fn change_end(
        &self,
        object: &VendorObject,
        until: Option<UnixMs>,
    ) -> Result<Answer<Done>, Failure> {
        let until = self.end(until);
        self.done(self.call(Operation::ChangeEnd { object, until }).await?)
    }

    async fn resume(&self, object: &VendorObject) -> Result<Answer<Done>, Failure> {
        let started = Instant::now();
        let failure = match self.call(Operation::Resume(object)).await {
            Ok(answer) => return self.done(answer),
            Err(failure) => failure,
        };
        if !self.may_be_free(&failure) {
            return Err(failure);
        }
        if !self.is_free(object, self.left(started)).await {
            return Err(failure);
        }
        Ok(Answer {
            value: Done::AlreadySo,
            request_id: failure.request_id,
            words: failure.words,
            date: failure.date,
        })
    }

    async fn kick(&self, object: &VendorObject) -> Result<Answer<Done>, Failure> {
        self.done(self.call(Operation::Kick(object)).await?)
    }

    async fn list_forbidden(
        &self,
        site: &Site,
        page: Page,
    ) -> Result<Answer<ForbiddenPage>, Failure> {
        let answer = self.call(Operation::ListForbidden { site, page }).await?;
        self.take(answer, |reply| match reply {
            Reply::Forbidden(page) => Some(page),
            _ => None,
        })
    }

    async fn find_forbidden(&self, object: &VendorObject) -> Result<Answer<Standing>, Failure> {
        let answer = self.call(Operation::FindForbidden(object)).await?;
        self.take(answer, |reply| match reply {
            Reply::Standing(standing) => Some(standing),
            _ => None,
        })
    }

    async fn stream_state(&self, object: &VendorObject) -> Result<Answer<StreamState>, Failure> {
        let answer = self.call(Operation::StreamState(object)).await?;
        self.take(answer, |reply| match reply {
            Reply::State(state) => Some(state),
            _ => None,
        })
    }

    async fn online(&self, site: &Site, page: Page) -> Result<Answer<OnlinePage>, Failure> {
        let answer = self.call(Operation::Online { site, page }).await?;
        self.take(answer, |reply| match reply {
            Reply::Online(page) => Some(page),
            _ => None,
        })
    }
}

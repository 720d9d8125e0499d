//! The face of a vendor account to the engine.

use async_trait::async_trait;
use tidegate_core::UnixMs;

use crate::failure::Failure;
use crate::limits::Limits;
use crate::object::{Site, VendorObject};
use crate::operation::{Answer, Done, ForbiddenPage, OnlinePage, Page, Standing, StreamState};
use crate::vendor::Vendor;

/// One account at one vendor. Calls are made as asked: whether one may be made (rates, budgets,
/// leases, order per object) is the caller's business.
///
/// Every method may fail with any [`crate::ErrorClass`]; what the vendor does not have fails with
/// [`crate::ErrorClass::Unsupported`] and sends nothing.
#[async_trait]
pub trait Cdn: Send + Sync {
    /// Which vendor.
    fn vendor(&self) -> Vendor;

    /// Name of the account.
    fn account(&self) -> &str;

    /// What the vendor allows.
    fn limits(&self) -> &'static Limits {
        Limits::of(self.vendor())
    }

    /// When the next call can be signed; `now` unless the vendor takes a timestamp only once.
    fn earliest_next(&self, now: UnixMs) -> UnixMs {
        now
    }

    /// Bans and cuts, until `until` or as long as the vendor allows (`None`: until lifted). The
    /// answer tells the end that was sent. At Huawei a ban that stands is given the new end;
    /// elsewhere [`Done::AlreadySo`] says nothing of its end.
    async fn forbid(
        &self,
        object: &VendorObject,
        until: Option<UnixMs>,
    ) -> Result<Answer<Done>, Failure>;

    /// Moves the end of a standing ban. Huawei only.
    async fn change_end(
        &self,
        object: &VendorObject,
        until: Option<UnixMs>,
    ) -> Result<Answer<Done>, Failure>;

    /// Lifts the ban. Where the vendor refuses in words that may mean there is none, its list is
    /// looked at, and [`Done::AlreadySo`] answered if the ban is not there.
    async fn resume(&self, object: &VendorObject) -> Result<Answer<Done>, Failure>;

    /// Cuts once without a ban.
    async fn kick(&self, object: &VendorObject) -> Result<Answer<Done>, Failure>;

    /// A page of the bans of a site; at Tencent of the whole account.
    async fn list_forbidden(
        &self,
        site: &Site,
        page: Page,
    ) -> Result<Answer<ForbiddenPage>, Failure>;

    /// Whether one object is banned. Not at Alibaba Cloud.
    async fn find_forbidden(&self, object: &VendorObject) -> Result<Answer<Standing>, Failure>;

    /// Whether one stream is live. Not at Wangsu.
    async fn stream_state(&self, object: &VendorObject) -> Result<Answer<StreamState>, Failure>;

    /// A page of the live streams of a site. Not at Wangsu.
    async fn online(&self, site: &Site, page: Page) -> Result<Answer<OnlinePage>, Failure>;
}

//! What Tidegate knows about CDN vendors: how each bans a stream, signs a request and says no.
//!
//! Three layers, each usable without the next. [`sign`] holds the pure signature schemes.
//! [`wire::build`] and [`wire::read`] turn an [`Operation`] into an HTTP request and an HTTP
//! response into an [`Answer`] or a classed [`Failure`]; they do no I/O, and clock and nonce are
//! arguments. [`Adapter`] is the [`Cdn`] that really calls, through one pooled [`HttpClient`].
//!
//! When to call, how often and what to do about a failure is the reconciler's business;
//! [`Limits`] is the data it needs for that.

pub mod account;
mod adapter;
mod aliyun;
mod cdn;
mod client;
pub mod encode;
pub mod endpoint;
mod failure;
#[cfg(test)]
mod fixture;
mod huawei;
mod json;
mod limits;
mod object;
mod operation;
pub mod sign;
mod tencent;
mod vendor;
mod wangsu;
pub mod wire;

pub use account::{Account, AccountError, AccountSpec};
pub use adapter::Adapter;
pub use cdn::Cdn;
pub use client::{ClientError, ClientOptions, HttpClient};
pub use endpoint::{Endpoint, EndpointError};
pub use failure::{ErrorClass, Failure, Quota, Refusal};
pub use limits::{Bucket, Limits};
pub use object::{Matching, ObjectError, ObjectKey, Site, VendorObject};
pub use operation::{
    Answer, Done, ForbiddenEntry, ForbiddenPage, Kind, OnlineEntry, OnlinePage, Operation, Page,
    Reply, Standing, StreamState,
};
pub use vendor::{AuthScheme, Vendor};
pub use wangsu::SecondGuard;

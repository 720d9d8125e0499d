//! CDNs in a box: simulators of the live APIs of Wangsu, Alibaba Cloud, Tencent Cloud and Huawei
//! Cloud, with faults on demand.
//!
//! A [`Simulator`] verifies signatures with code of its own, keeps bans with the vendor's defaults,
//! caps, quotas and error bodies, and writes down what it saw. [`serve`] puts it on a socket. What
//! it knows of vendors is what they published; where they are silent the module of the vendor's
//! face says what was chosen. It carries no media: that is behind [`Media`].

mod admin;
mod auth;
mod bans;
mod budget;
mod clock;
mod config;
mod digest;
mod faults;
mod http_face;
mod journal;
mod media;
mod operation;
mod params;
mod refusal;
mod simulator;
mod vendor;
mod wire;

pub use admin::admin_routes;
pub use bans::{Ban, Side};
pub use budget::Usage;
pub use clock::{Clock, ManualClock, SystemClock};
pub use config::{
    Account, Config, ConfigError, Day, Domain, ForbidAgain, Key, Permission, ResumeNothing, Vendor,
};
pub use faults::{Fault, FaultError, Rule, parse as parse_faults};
pub use http_face::{Serving, serve};
pub use journal::{Effect, Entry, Outcome};
pub use media::{Media, NoMedia, Online, StreamName};
pub use operation::Operation;
pub use simulator::{Plan, Simulator, Verdict};
pub use wire::{Reply, Request};

//! Settings of the HTTP faces.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Settings. [`ServerOptions::default`] gives the documented values.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Where to listen; port 0 picks one.
    pub listen: SocketAddr,
    /// How long a forbid without a `ResumeTime` lasts, unless its App says otherwise.
    pub default_forbid: Duration,
    /// What a failed authentication of the Server API answers.
    pub auth_codes: AuthCodes,
    /// Calls per second of each App; 0 means no limit.
    pub rates: Rates,
    /// Whether `/v1` is served to peers that are not on this machine, without TLS.
    pub allow_plain_http: bool,
    /// Where a rotated admin token is written; `None`: it is only answered.
    pub admin_token_file: Option<PathBuf>,
    /// Host name of the origin in URLs that are answered; `None`: the address it listens on.
    pub public_host: Option<String>,
    /// Bounds on connections.
    pub limits: Limits,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 1985)),
            default_forbid: Duration::from_secs(86_400),
            auth_codes: AuthCodes::Action,
            rates: Rates::default(),
            allow_plain_http: false,
            admin_token_file: None,
            public_host: None,
            limits: Limits::default(),
        }
    }
}

/// Which codes a failed authentication answers.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum AuthCodes {
    /// The code that the action's page prints: 3, 40005 or 5003.
    #[default]
    Action,
    /// 100000004, 100000005 and 100000010.
    Gateway,
}

/// Calls per second of each App, by action; 0 means no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rates {
    /// `ForbidCDNLiveStream`.
    pub forbid_cdn_live_stream: u32,
    /// `ResumeCDNLiveStream`.
    pub resume_cdn_live_stream: u32,
    /// `QueryForbidCDNLiveStream`.
    pub query_forbid_cdn_live_stream: u32,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            forbid_cdn_live_stream: 20,
            resume_cdn_live_stream: 20,
            query_forbid_cdn_live_stream: 20,
        }
    }
}

/// Bounds on connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Connections at once; more wait in the kernel's queue.
    pub connections: usize,
    /// From the end of one request (or from accept) to the end of the next request's head.
    pub header_read: Duration,
    /// From the end of the head to the end of the body.
    pub body_read: Duration,
    /// Longest time that a peer takes no byte of its answer.
    pub write: Duration,
    /// How long a stop waits for requests under way.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            header_read: Duration::from_secs(30),
            body_read: Duration::from_secs(10),
            write: Duration::from_secs(10),
            drain: Duration::from_secs(5),
        }
    }
}

//! Where a vendor's API is: scheme and authority, and nothing else.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use tidegate_core::text::printable;

/// An API endpoint: `https://` anywhere, `http://` on a loopback host only. Signatures cover the
/// path, so an endpoint has none.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Endpoint {
    scheme: Scheme,
    authority: String,
}

/// `http` or `https`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Scheme {
    /// In the clear; loopback only.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Why a text is not an endpoint. The text itself is quoted without any user name or password.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EndpointError {
    /// Neither `https://` nor `http://` in front.
    #[error("an endpoint begins with https:// (or http:// for a loopback host), {0:?} does not")]
    Scheme(String),
    /// Something besides host and port.
    #[error("an endpoint is only https://HOST or https://HOST:PORT, without {0}")]
    Extra(&'static str),
    /// Not a host name or address.
    #[error("{0:?} is not a host name or an address, optionally with a port from 1 to 65535")]
    Host(String),
    /// Plain HTTP to another machine.
    #[error(
        "http:// would send the signed request for {0:?} in the clear; use https://, http:// is \
         allowed for localhost, 127.0.0.0/8 and [::1] only"
    )]
    ClearText(String),
}

impl Endpoint {
    /// Reads `https://HOST[:PORT]`; one trailing slash is allowed. The host is lower-cased and a
    /// default port dropped, so that the signed host is the one that is sent.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let shown = || printable(text, 200);
        let (scheme, rest) = match text.split_once("://") {
            Some((s, rest)) if s.eq_ignore_ascii_case("https") => (Scheme::Https, rest),
            Some((s, rest)) if s.eq_ignore_ascii_case("http") => (Scheme::Http, rest),
            _ if text.contains('@') => return Err(EndpointError::Extra("a user name")),
            _ => return Err(EndpointError::Scheme(shown())),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        for (mark, what) in [('@', "a user name"), ('?', "a query"), ('#', "a fragment")] {
            if authority.contains(mark) {
                return Err(EndpointError::Extra(what));
            }
        }
        if authority.contains('/') {
            return Err(EndpointError::Extra("a path"));
        }
        let authority = canonical(authority, scheme)
            .ok_or_else(|| EndpointError::Host(printable(authority, 200)))?;
        let endpoint = Self { scheme, authority };
        endpoint.check()?;
        Ok(endpoint)
    }

    /// Of a host that is known to be good.
    pub(crate) fn https(host: String) -> Self {
        Self {
            scheme: Scheme::Https,
            authority: host,
        }
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Host, and port unless it is the scheme's own.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    fn check(&self) -> Result<(), EndpointError> {
        check_clear_text(self.scheme, &self.authority)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.word(), self.authority)
    }
}

/// Refuses `http` to any host that is not loopback by its spelling.
pub(crate) fn check_clear_text(scheme: Scheme, authority: &str) -> Result<(), EndpointError> {
    match scheme {
        Scheme::Http if !is_loopback(split_port(authority).0) => {
            Err(EndpointError::ClearText(printable(authority, 200)))
        }
        _ => Ok(()),
    }
}

fn is_loopback(host: &str) -> bool {
    let v6 = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    host == "localhost"
        || host.parse().is_ok_and(|ip: Ipv4Addr| ip.is_loopback())
        || v6.is_some_and(|h| h.parse().is_ok_and(|ip: Ipv6Addr| ip.is_loopback()))
}

fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

fn canonical(authority: &str, scheme: Scheme) -> Option<String> {
    let (host, port) = split_port(authority);
    let host = canonical_host(host)?;
    let default = match scheme {
        Scheme::Http => 80,
        Scheme::Https => 443,
    };
    let port = match port {
        Some(text) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse::<u16>().ok()?,
        Some(_) => return None,
        None => default,
    };
    match port {
        0 => None,
        port if port == default => Some(host),
        port => Some(format!("{host}:{port}")),
    }
}

fn canonical_host(host: &str) -> Option<String> {
    if let Some(v6) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        return v6.parse::<Ipv6Addr>().ok().map(|ip| format!("[{ip}]"));
    }
    if host.parse::<Ipv4Addr>().is_ok() {
        return Some(host.to_owned());
    }
    let lower = host.to_ascii_lowercase();
    is_host_name(&lower).then_some(lower)
}

/// A DNS name of lower-case letters, digits and hyphens whose last label is no number, since
/// URL parsers read such names as addresses.
pub(crate) fn is_host_name(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = host.rsplit('.').next().unwrap_or_default();
    host.len() <= 253
        && host.split('.').all(label)
        && last.bytes().any(|b| b.is_ascii_alphabetic())
        && !last.starts_with("0x")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_goes_anywhere_and_http_stays_at_home() {
        for (text, want) in [
            ("https://api.cdnetworks.com", "https://api.cdnetworks.com"),
            ("HTTPS://Api.Example.COM:443/", "https://api.example.com"),
            ("https://10.0.0.7:8443", "https://10.0.0.7:8443"),
            ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
            ("http://127.9.9.9", "http://127.9.9.9"),
            ("http://localhost:80/", "http://localhost"),
            ("http://[0:0::1]:81", "http://[::1]:81"),
        ] {
            let got = Endpoint::parse(text).map(|e| e.to_string());
            assert_eq!(got.as_deref(), Ok(want), "{text}");
        }
        for text in [
            "http://live.aliyuncs.com",
            "http://10.0.0.7",
            "http://0.0.0.0:1",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "http://[::ffff:127.0.0.1]",
            "http://[::2]:81",
        ] {
            let got = Endpoint::parse(text);
            assert!(matches!(got, Err(EndpointError::ClearText(_))), "{text}");
        }
    }

    #[test]
    fn what_is_more_or_less_than_host_and_port_is_refused() {
        for text in [
            "",
            "live.aliyuncs.com",
            "ftp://x",
            "https://",
            "https:///",
            "https://a b",
            "https://x:0",
            "https://x:65536",
            "https://x:+1",
            "https://x:",
            "https://-x.y",
            "https://x..y",
            "https://直播",
            "https://2130706433",
            "http://0x7f.0x1",
            "http://127.1",
            "https://x//",
            "https://x/path",
            "https://x?y",
            "https://x#y",
            "https://[::1",
            "https://x\n",
        ] {
            assert!(Endpoint::parse(text).is_err(), "{text:?}");
        }
        let refused = Endpoint::parse("https://user:hunter2@x")
            .unwrap_err()
            .to_string();
        assert!(!refused.contains("hunter2"), "{refused}");
    }
}

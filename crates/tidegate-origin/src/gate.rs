//! What the origin asks before it lets anybody publish or play.
//!
//! The origin knows connections and media; who may use which name is decided behind [`Gate`].

use std::net::SocketAddr;

use tidegate_core::name::{NameError, Named};
use tidegate_core::publish_auth::AuthError;
use tidegate_core::{StreamKey, Until};

use crate::metrics::Reason;

/// Decides who may publish and play. Implemented by the engine; every method is called on hot
/// paths, takes microseconds and never blocks.
pub trait Gate: Send + Sync + 'static {
    /// Maps a canonical publish address to a stream, checks publish authentication and blocks.
    fn admit_publish(&self, named: &Named, peer: SocketAddr) -> Result<StreamKey, Refusal>;

    /// Maps a canonical play address to a stream and checks blocks.
    fn admit_play(&self, named: &Named, peer: SocketAddr) -> Result<StreamKey, Refusal>;

    /// As [`Gate::admit_publish`], with the host that the publisher believes it connects to (from
    /// `tcUrl`, without port; empty when not sent). Only a gate that serves several domains looks
    /// at it.
    fn admit_publish_at(
        &self,
        named: &Named,
        _host: &str,
        peer: SocketAddr,
    ) -> Result<StreamKey, Refusal> {
        self.admit_publish(named, peer)
    }

    /// As [`Gate::admit_play`], with the host from `tcUrl` or the `Host` header.
    fn admit_play_at(
        &self,
        named: &Named,
        _host: &str,
        peer: SocketAddr,
    ) -> Result<StreamKey, Refusal> {
        self.admit_play(named, peer)
    }

    /// Why a stream may not be on the air right now. Asked again after a publisher or player has
    /// been registered, so that a forbid which ran meanwhile is not missed.
    fn standing(&self, key: &StreamKey) -> Option<Refusal>;
}

/// Why a publisher or player is turned away or cut. `Display` gives the words that it is sent.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// The address has no canonical form.
    #[error("{0}")]
    Name(#[from] NameError),
    /// No enabled App has this RTMP app name.
    #[error("there is no app {0:?} here")]
    UnknownApp(String),
    /// Publish authentication failed.
    #[error("{0}")]
    Auth(#[from] AuthError),
    /// The stream is forbidden.
    #[error("this stream is forbidden {0}")]
    Forbidden(Until),
    /// It was cut once, without a block.
    #[error("this stream was cut; it may be published again")]
    Kicked,
    /// Its App has been disabled.
    #[error("this app is disabled")]
    Disabled,
}

impl Refusal {
    /// What it is counted as.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Name(_) => Reason::Name,
            Self::UnknownApp(_) => Reason::UnknownApp,
            Self::Auth(_) => Reason::Auth,
            Self::Forbidden(_) | Self::Kicked | Self::Disabled => Reason::Forbidden,
        }
    }
}

/// The host of a `tcUrl` or a `Host` header, without scheme, user, port and path.
pub(crate) fn host_of(text: &str) -> &str {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    match host.rsplit_once(':') {
        Some((bare, port)) if port.bytes().all(|b| b.is_ascii_digit()) => bare,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::host_of;

    #[test]
    fn hosts_are_told_without_what_surrounds_them() {
        for (text, host) in [
            ("rtmp://push.example.com/live", "push.example.com"),
            ("rtmp://push.example.com:1935/live?k=v", "push.example.com"),
            ("rtmp://u:p@push.example.com/live", "push.example.com"),
            ("play.example.com:8080", "play.example.com"),
            ("rtmp://[::1]:1935/live", "[::1]"),
            ("rtmp://[::1]/live", "[::1]"),
            ("", ""),
        ] {
            assert_eq!(host_of(text), host, "{text}");
        }
    }
}

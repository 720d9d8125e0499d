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
            Self::Forbidden(_) | Self::Disabled => Reason::Forbidden,
        }
    }
}

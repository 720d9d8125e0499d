//! What a simulated CDN carries. The simulator decides; whoever implements [`Media`] plays and cuts.

use serde::{Deserialize, Serialize};
use tidegate_core::UnixMs;

/// A stream as a vendor names it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamName {
    /// Ingest (publish) domain; empty where the vendor's ban does not look at it.
    #[serde(default)]
    pub domain: String,
    /// RTMP app name; empty where the vendor's ban does not look at it.
    #[serde(default)]
    pub app: String,
    /// Stream name.
    pub stream: String,
}

impl StreamName {
    /// Puts a name together.
    pub fn new(domain: &str, app: &str, stream: &str) -> Self {
        Self {
            domain: domain.to_owned(),
            app: app.to_owned(),
            stream: stream.to_owned(),
        }
    }
}

/// A stream on the air.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Online {
    /// Which one.
    pub name: StreamName,
    /// When its publisher came.
    pub since: UnixMs,
    /// The publisher's address, without port; empty when not known.
    pub client_ip: String,
}

/// The media plane behind a simulated vendor. Both calls must return quickly and not call back into
/// the simulator. Whether a publish may start is asked of [`crate::Simulator::is_forbidden`].
pub trait Media: Send + Sync {
    /// Cuts the publisher and the players of a stream; nothing happens when it is not on the air.
    /// `until` is the end of the ban that cuts it; none when it is cut once.
    fn cut(&self, name: &StreamName, until: Option<UnixMs>);

    /// Every stream on the air.
    fn online(&self) -> Vec<Online>;
}

/// A CDN that carries nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoMedia;

impl Media for NoMedia {
    fn cut(&self, _name: &StreamName, _until: Option<UnixMs>) {}

    fn online(&self) -> Vec<Online> {
        Vec::new()
    }
}

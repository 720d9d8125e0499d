//! The operations that all vendors share under different names.

use serde::{Deserialize, Serialize};

/// What a call asks for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// Ban a stream.
    Forbid,
    /// Change the end of a ban (Huawei's PUT).
    Change,
    /// Lift a ban.
    Resume,
    /// Cut once, without a ban.
    Kick,
    /// List bans.
    List,
    /// State of one stream.
    State,
    /// Streams on the air.
    Online,
    /// Something this vendor does not offer.
    Unknown,
}

impl Operation {
    /// Whether it changes nothing.
    pub fn is_read(self) -> bool {
        matches!(self, Self::List | Self::State | Self::Online)
    }
}

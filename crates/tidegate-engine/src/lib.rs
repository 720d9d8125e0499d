//! The running heart: who may do what, decisions, the cut, and scheduled ends.
//!
//! [`Engine::start`] loads Apps, blocks and nonces from the ledger, so an engine that exists is
//! ready to enforce. It owns the in-memory mirror that admission looks at, hands decisions to the
//! ledger, cuts streams at the origin, and runs the loops that carry out ends and watch the clock.
//! HTTP lives in `tidegate-server`; what a decision means lives in `tidegate-core`.

mod alarms;
mod apps;
pub mod cdns;
mod clock;
mod decide;
mod ends;
mod engine;
mod follow;
mod gate;
mod nonces;
mod recorder;
mod restore;
mod stats;
mod status;

pub use alarms::{Alarm, AlarmKind, Alarms};
pub use apps::{AppEntry, AppError, Directory, NewApp};
pub use cdns::{CdnOptions, Cdns};
pub use decide::{Answered, DecideError, Reply, ResultWord, TargetResult};
pub use engine::{Engine, Options};
pub use nonces::{Claim, Ticket};
pub use stats::Stats;
pub use status::{Observation, ObservedState, StreamReport, TargetReport};

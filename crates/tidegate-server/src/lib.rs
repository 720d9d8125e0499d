//! The HTTP faces: Server API v2 on `/`, REST `/v1`, `/healthz`, `/readyz` and `/metrics`.
//!
//! [`Server::bind`] listens before anything is loaded, so that health checks are answered from the
//! start; [`Handle::attach`] hands over the engine once every block is in force. What a call means
//! is decided in `tidegate-engine` and below; here requests are read, authenticated and answered.

mod api;
mod body;
mod connections;
mod health;
mod metrics;
mod options;
mod server;
mod state;
mod v1;
mod wire;

pub use options::{AuthCodes, Limits, Rates, ServerOptions};
pub use server::{BindError, Handle, Server};
pub use state::{Attachment, Figure, Maintenance, Work};

#[cfg(test)]
mod tests;

//! The real service over real sockets, on a real ledger.

mod accounts;
mod authentication;
mod cdns;
mod decisions;
mod health;
mod nonces;
mod operators;
mod parameters;
mod queries;
mod site;
mod targets;
mod transport;

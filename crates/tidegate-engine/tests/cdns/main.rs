//! Decisions on their way to vendors' CDNs: real sockets, real ledger, simulated vendors.

mod proof;
mod reconcile;
mod rig;

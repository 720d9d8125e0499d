//! The origin through its sockets, with a gate in memory.

mod cut;
mod hostile;
mod play;
mod publish;
mod support;

//! What one peer may cost.

/// Bounds on a session's memory and on what its peer may declare. The defaults suit a public
/// server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Longest message once publishing or playing, in bytes.
    pub message: usize,
    /// Longest message before a publish was accepted, in bytes.
    pub message_before_publish: usize,
    /// Bytes of unfinished messages over all chunk streams.
    pub partial: usize,
    /// Chunk streams in use at once.
    pub chunk_streams: usize,
    /// Message streams that `createStream` hands out; deleted ones are handed out again.
    pub message_streams: u32,
    /// Input bytes held while the caller has not answered a connect, publish or play.
    pub held_input: usize,
    /// Output bytes not yet taken. A peer that makes the session answer while it does not read
    /// meets this.
    pub output: usize,
    /// Events not yet polled; input beyond them is held.
    pub events: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: 16 << 20,
            message_before_publish: 64 << 10,
            partial: 24 << 20,
            chunk_streams: 64,
            message_streams: 8,
            held_input: 512 << 10,
            output: 64 << 10,
            events: 256,
        }
    }
}

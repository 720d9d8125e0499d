//! What a peer can do wrong.

use crate::amf;

/// Why a session is over: close the connection, after writing what output is left if the socket
/// takes it. The text is fit for a log line; nothing in it is a secret.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The first byte is not an RTMP version.
    #[error("not RTMP: the first byte is {first:#04x}, RTMP starts with 0x03{}", guess(*.first))]
    NotRtmp {
        /// The byte.
        first: u8,
    },
    /// Version 6 or 8.
    #[error(
        "the peer wants encrypted RTMP (RTMPE, version {0}), which is not supported: use rtmp:// or rtmps://"
    )]
    Encrypted(u8),
    /// A chunk without message header on a chunk stream that had none before.
    #[error("chunk stream {csid} starts with a chunk of fmt {fmt}, which needs an earlier one")]
    NoEarlierChunk {
        /// The chunk stream.
        csid: u32,
        /// 2 or 3.
        fmt: u8,
    },
    /// A header where the rest of a message was due.
    #[error("chunk stream {csid} starts a message before the one at hand is complete")]
    Interrupted {
        /// The chunk stream.
        csid: u32,
    },
    /// More chunk streams than allowed.
    #[error("more than {0} chunk streams in one connection")]
    TooManyChunkStreams(usize),
    /// A message longer than allowed.
    #[error("a message of {length} bytes, at most {limit} are allowed at this point")]
    MessageTooLong {
        /// As declared.
        length: usize,
        /// As configured.
        limit: usize,
    },
    /// Too much of unfinished messages.
    #[error("more than {0} bytes of unfinished messages")]
    TooMuchUnfinished(usize),
    /// Set Chunk Size outside 1 to 2^31 - 1.
    #[error("a chunk size of {0}, expected 1 to 2147483647")]
    ChunkSize(u32),
    /// A protocol control message that is too short.
    #[error("a control message of type {type_id} with {length} bytes, {expected} were expected")]
    ShortControl {
        /// The message type.
        type_id: u8,
        /// As sent.
        length: usize,
        /// At least.
        expected: usize,
    },
    /// A command that is not AMF.
    #[error("a command that cannot be read: {0}")]
    Command(#[from] amf::Error),
    /// A message in a place where the protocol does not have it.
    #[error("{what} came {when}")]
    OutOfOrder {
        /// Such as `publish`.
        what: &'static str,
        /// Such as `before connect`.
        when: &'static str,
    },
    /// A command without something that it cannot do without.
    #[error("{command} without {missing}")]
    Missing {
        /// The command.
        command: &'static str,
        /// The part.
        missing: &'static str,
    },
    /// More `createStream` than allowed.
    #[error("more than {0} message streams asked for in one connection")]
    TooManyMessageStreams(u32),
    /// The peer sends on while its request is being decided.
    #[error("more than {0} bytes sent ahead of the answer to a connect, publish or play")]
    TooMuchHeld(usize),
    /// The peer makes the session answer and does not read.
    #[error("more than {0} bytes of answers that the peer does not read")]
    TooMuchOutput(usize),
    /// An aggregate message whose parts do not add up.
    #[error("an aggregate message with a part that is cut off")]
    Aggregate,
}

fn guess(first: u8) -> &'static str {
    match first {
        b'A'..=b'Z' | b'a'..=b'z' => " (this looks like HTTP)",
        0x16 => " (this looks like TLS, as in rtmps://)",
        _ => "",
    }
}

//! What a peer can do wrong.

/// Why a session is over: close the connection, after writing what output is left if the socket
/// takes it. The text is fit for a log line; nothing in it is a secret.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The first byte is not an RTMP version.
    #[error("not RTMP: the first byte is {0:#04x}, RTMP starts with 0x03")]
    NotRtmp(u8),
}

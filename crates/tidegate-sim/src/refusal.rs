//! Why a call is refused, before a vendor's words are put to it.

/// A refusal. Each face has one table from these to its own codes, statuses and sentences.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// A header or parameter that authentication needs is not there.
    AuthMissing(&'static str),
    /// It is there and cannot be read.
    AuthMalformed(&'static str),
    /// No such access key.
    UnknownKey,
    /// The signature is another one. Holds the string that this side signed.
    WrongSignature(String),
    /// The request's time is too far from this side's.
    ClockSkew,
    /// This nonce or signature was used before.
    Replay,
    /// The key was good once.
    ExpiredKey,
    /// The token of temporary credentials is missing or another one.
    WrongToken,
    /// The account may not do this.
    NoPermission,
    /// Method, path, action or version that does not exist.
    UnknownOperation(String),
    /// The body is not what it says it is.
    Unreadable,
    /// A parameter is missing or empty.
    Missing(&'static str),
    /// A parameter has a value that is not allowed.
    Bad(&'static str),
    /// The end of the ban is not a time, or has passed.
    BadEnd(&'static str),
    /// The account has no such domain.
    UnknownDomain(String),
    /// Too many calls in a short time. Seconds to wait, when the vendor says.
    Throttled(Option<u32>),
    /// A daily budget is spent.
    QuotaSpent,
    /// The list of bans is full.
    ListFull,
    /// The stream is banned already.
    AlreadyForbidden,
    /// The stream is not banned.
    NotForbidden,
    /// The vendor is broken: an HTTP status of 500 or more.
    Broken(u16),
}

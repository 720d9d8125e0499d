//! The head of a media request: read within bounds, then made sense of. No sockets here.

use httparse::{EMPTY_HEADER, Error as ParseError, Status};

/// Longest head looked at, in bytes.
pub(crate) const MAX_HEAD: usize = 8192;

/// Most header fields.
const MAX_HEADERS: usize = 64;

/// Longest request target.
const MAX_TARGET: usize = 4096;

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    /// HTTP/1.1, so the answer may be chunked.
    pub(crate) is_http11: bool,
    pub(crate) origin: Option<String>,
    pub(crate) host: String,
    pub(crate) upgrade: Upgrade,
    /// How many bytes the head took.
    pub(crate) length: usize,
}

/// The methods served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Method {
    Get,
    Head,
    Options,
    /// Any other.
    Other,
}

/// Whether a WebSocket is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Upgrade {
    None,
    /// With `Sec-WebSocket-Key`.
    WebSocket(String),
    /// Another version of the protocol than 13.
    Version,
}

/// Why a head is refused. `Display` is the body of the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum HeadError {
    #[error("this is not HTTP/1.1")]
    Malformed,
    #[error("the request address is longer than {MAX_TARGET} bytes")]
    TargetTooLong,
    #[error(
        "the request head is longer than {MAX_HEAD} bytes or has more than {MAX_HEADERS} fields"
    )]
    TooLarge,
}

impl HeadError {
    /// The status line's code and words.
    pub(crate) fn status(self) -> &'static str {
        match self {
            Self::Malformed => "400 Bad Request",
            Self::TargetTooLong => "414 URI Too Long",
            Self::TooLarge => "431 Request Header Fields Too Large",
        }
    }
}

/// Reads a head; `None` when more bytes are needed.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Request>, HeadError> {
    let mut fields = [EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut fields);
    let length = match request.parse(bytes) {
        Ok(Status::Complete(length)) if length <= MAX_HEAD => length,
        Ok(Status::Partial) if bytes.len() < MAX_HEAD => return Ok(None),
        Ok(_) => {
            let line = bytes.iter().position(|b| *b == b'\n');
            let is_target = line.is_none_or(|at| at > MAX_TARGET + 32);
            return Err(if is_target {
                HeadError::TargetTooLong
            } else {
                HeadError::TooLarge
            });
        }
        Err(ParseError::TooManyHeaders) => return Err(HeadError::TooLarge),
        Err(_) => return Err(HeadError::Malformed),
    };
    let target = request.path.unwrap_or_default();
    if target.len() > MAX_TARGET {
        return Err(HeadError::TargetTooLong);
    }
    let (path, query) = split_target(target);
    let field = |name: &str| {
        let mut all = request.headers.iter();
        let found = all.find(|h| h.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok().map(str::trim)
    };
    let is_http11 = request.version == Some(1);
    let asks_upgrade = is_http11
        && has_token(field("upgrade"), "websocket")
        && has_token(field("connection"), "upgrade");
    let upgrade = match asks_upgrade {
        false => Upgrade::None,
        true if field("sec-websocket-version") != Some("13") => Upgrade::Version,
        true => Upgrade::WebSocket(field("sec-websocket-key").unwrap_or_default().to_owned()),
    };
    Ok(Some(Request {
        method: match request.method {
            Some("GET") => Method::Get,
            Some("HEAD") => Method::Head,
            Some("OPTIONS") => Method::Options,
            _ => Method::Other,
        },
        path: path.to_owned(),
        query: query.to_owned(),
        is_http11,
        origin: origin(request.headers),
        host: field("host").unwrap_or_default().to_owned(),
        upgrade,
        length,
    }))
}

/// The `Origin`. One that is not text, or given more than once, is kept as something that no policy
/// can list: taken for absent, it would be let in.
fn origin(headers: &[httparse::Header<'_>]) -> Option<String> {
    let all = headers
        .iter()
        .filter(|h| h.name.eq_ignore_ascii_case("origin"));
    let all: Vec<_> = all.map(|h| String::from_utf8_lossy(h.value)).collect();
    (!all.is_empty()).then(|| all.join(", ").trim().to_owned())
}

/// Path and query of a target, which may also be a whole URL.
fn split_target(target: &str) -> (&str, &str) {
    let after_scheme = target.split_once("://").filter(|(s, _)| !s.contains('/'));
    let local = match after_scheme {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
        None => target,
    };
    local.split_once('?').unwrap_or((local, ""))
}

fn has_token(value: Option<&str>, token: &str) -> bool {
    let mut tokens = value.unwrap_or_default().split(',');
    tokens.any(|t| t.trim().eq_ignore_ascii_case(token))
}

impl Request {
    /// Whether a page of this origin may open a WebSocket here: none at all, the server's own
    /// host, or one that is listed.
    pub(crate) fn is_origin_allowed(&self, listed: &[String]) -> bool {
        let Some(origin) = &self.origin else {
            return true;
        };
        let host = origin.split_once("://").map_or("", |(_, host)| host);
        let is_own = !host.is_empty() && host.eq_ignore_ascii_case(&self.host);
        is_own
            || listed
                .iter()
                .any(|l| l == "*" || l.eq_ignore_ascii_case(origin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> Request {
        parse(text.as_bytes()).expect("valid").expect("complete")
    }

    #[test]
    fn targets_are_split() {
        for (target, path, query) in [
            ("/live/a.flv", "/live/a.flv", ""),
            ("/live/a.flv?x=1?y", "/live/a.flv", "x=1?y"),
            ("http://h:1/live/a.flv?x", "/live/a.flv", "x"),
            ("http://h", "/", ""),
            ("/live/a://b", "/live/a://b", ""),
        ] {
            let r = request(&format!("GET {target} HTTP/1.1\r\n\r\n"));
            assert_eq!(
                (r.path.as_str(), r.query.as_str()),
                (path, query),
                "{target}"
            );
        }
    }

    #[test]
    fn heads_out_of_bounds_are_refused() {
        let long = "a".repeat(MAX_HEAD);
        let many = "a: b\r\n".repeat(MAX_HEADERS + 1);
        for (text, error) in [
            ("\x16\x03\x01\r\n\r\n".to_owned(), HeadError::Malformed),
            ("GET /\r\n\r\n".to_owned(), HeadError::Malformed),
            (format!("GET /{long}"), HeadError::TargetTooLong),
            (
                format!("GET /{} HTTP/1.1\r\n\r\n", &long[..4096]),
                HeadError::TargetTooLong,
            ),
            (format!("GET / HTTP/1.1\r\na: {long}"), HeadError::TooLarge),
            (format!("GET / HTTP/1.1\r\n{many}\r\n"), HeadError::TooLarge),
        ] {
            assert_eq!(parse(text.as_bytes()), Err(error), "{:.40}", text);
        }
        assert_eq!(parse(b"GET / HTTP/1.1\r\nHost"), Ok(None));
    }

    #[test]
    fn pages_need_their_origin_allowed() {
        let with = |origin: &str| {
            request(&format!(
                "GET / HTTP/1.1\r\nHost: a:80\r\nOrigin: {origin}\r\n\r\n"
            ))
        };
        let listed = ["https://b".to_owned()];
        assert!(with("http://a:80").is_origin_allowed(&[]));
        assert!(with("https://B").is_origin_allowed(&listed));
        assert!(!with("https://b").is_origin_allowed(&[]));
        assert!(!with("null").is_origin_allowed(&listed));
        assert!(!with("http://a:80\r\nOrigin: https://c").is_origin_allowed(&listed));
        let bytes = b"GET / HTTP/1.1\r\nHost: a:80\r\nOrigin: https://c\xff\r\n\r\n";
        let unreadable = parse(bytes).expect("valid").expect("complete");
        assert!(!unreadable.is_origin_allowed(&listed));
        assert!(with("null").is_origin_allowed(&["*".to_owned()]));
        assert!(!request("GET / HTTP/1.1\r\nOrigin: http://\r\n\r\n").is_origin_allowed(&[]));
        assert!(request("GET / HTTP/1.1\r\n\r\n").is_origin_allowed(&[]));
    }

    #[test]
    fn an_upgrade_needs_version_13() {
        let with = |extra: &str| {
            let head =
                "GET / HTTP/1.1\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n";
            request(&format!("{head}{extra}\r\n")).upgrade
        };
        assert_eq!(
            with("Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: k\r\n"),
            Upgrade::WebSocket("k".to_owned())
        );
        assert_eq!(with("Sec-WebSocket-Version: 8\r\n"), Upgrade::Version);
        let old = "GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        assert_eq!(request(old).upgrade, Upgrade::None, "HTTP/1.0 has none");
    }
}

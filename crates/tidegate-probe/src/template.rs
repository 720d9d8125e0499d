//! Play URL templates: what they may look like, and the URL that one gives for a stream.

#[cfg(test)]
mod tests;

use std::fmt;

use reqwest::Url;
use tidegate_core::text::printable;
use tidegate_core::{StreamId, UnixMs};

use crate::recipe::Signing;

/// What stands for the stream id.
const STREAM: &str = "{stream}";
/// Longest template, in bytes.
const MAX_TEXT: usize = 2048;

/// How a play URL is played.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// HTTP-FLV.
    Flv,
    /// HLS.
    Hls,
    /// RTMP.
    Rtmp,
}

impl Kind {
    /// `flv`, `hls` or `rtmp`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Flv => "flv",
            Self::Hls => "hls",
            Self::Rtmp => "rtmp",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A play URL template: `http(s)://HOST[:PORT]/PATH.flv`, the same with `.m3u8`, or
/// `rtmp://HOST[:PORT]/APP/NAME`, each with `{stream}` at least once in the path or query.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Template {
    text: String,
    kind: Kind,
    host: String,
    /// Where the path begins in `text`.
    path: usize,
    /// Where it ends.
    path_end: usize,
}

/// Why a text is no play URL template. Says what was expected and how to fix it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// Longer than any play URL.
    #[error("the play URL has {0} bytes, at most {MAX_TEXT} are allowed")]
    TooLong(usize),
    /// Something that cannot stand in a URL.
    #[error("the play URL has {0:?} at byte {1}; write it percent-encoded, as in %20 for a space")]
    Character(char, usize),
    /// Not a scheme that is looked at.
    #[error("a play URL begins with http://, https:// or rtmp://, {0:?} does not")]
    Scheme(String),
    /// Credentials in the URL.
    #[error(
        "the play URL has a user name or password before the host; leave it out, play keys are \
         given apart"
    )]
    User,
    /// The part after the scheme.
    #[error("{0:?} is not a host name or an address, optionally with a port from 1 to 65535")]
    Host(String),
    /// `{stream}` before the path.
    #[error("{{stream}} may stand in the path or the query of a play URL, not in its host")]
    StreamInHost,
    /// No `{stream}`.
    #[error(
        "the play URL has no {{stream}}; put it where the stream id belongs, as in \
         https://play.example.com/live/{{stream}}.flv"
    )]
    NoStream,
    /// A brace that is not part of `{stream}`.
    #[error(
        "the play URL has a brace that is not part of {{stream}}; write %7B or %7D for a brace"
    )]
    Brace,
    /// `#` is never sent to a server.
    #[error("the play URL has a #; leave out what follows it, or write %23")]
    Fragment,
    /// Nothing tells FLV from HLS.
    #[error(
        "the path of a play URL over HTTP ends in .flv or .m3u8, {0:?} does not; over RTMP it has \
         no extension"
    )]
    Extension(String),
    /// Less than an app and a name.
    #[error("the path of a play URL over RTMP has an app and a name, as in /live/{{stream}}")]
    RtmpPath,
    /// The path would be sent, and signed, in another form than it is written in.
    #[error("the path {0:?} would be sent as {1:?}; write it so")]
    Path(String, String),
}

impl Template {
    /// Reads a template.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.len() > MAX_TEXT {
            return Err(TemplateError::TooLong(text.len()));
        }
        let stray = |(_, c): &(usize, char)| !c.is_ascii_graphic();
        if let Some((at, c)) = text.char_indices().find(stray) {
            return Err(TemplateError::Character(c, at));
        }
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
            None if text.contains('@') => return Err(TemplateError::User),
            None => return Err(TemplateError::Scheme(shown(text))),
        };
        let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(authority_end);
        if authority.contains('@') {
            return Err(TemplateError::User);
        }
        if !["http", "https", "rtmp"].contains(&scheme.as_str()) {
            return Err(TemplateError::Scheme(shown(text)));
        }
        if authority.contains(STREAM) {
            return Err(TemplateError::StreamInHost);
        }
        let host = host(authority).ok_or_else(|| TemplateError::Host(shown(authority)))?;
        if tail.contains('#') {
            return Err(TemplateError::Fragment);
        }
        if tail.replace(STREAM, "").contains(['{', '}']) {
            return Err(TemplateError::Brace);
        }
        if !tail.contains(STREAM) {
            return Err(TemplateError::NoStream);
        }
        let path = tail.split('?').next().unwrap_or_default();
        let kind = kind(&scheme, path)?;
        check_path(&scheme, path)?;
        let path_start = text.len() - tail.len();
        Ok(Self {
            text: text.to_owned(),
            kind,
            host,
            path: path_start,
            path_end: path_start + path.len(),
        })
    }

    /// How its URLs are played.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// As it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The host in lower case, without port; an IPv6 address keeps its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The URL of one stream, signed by the vendor's recipe when there is a key. The signature
    /// holds for ten minutes from `now`.
    pub fn url(&self, stream: &StreamId, signing: Option<Signing<'_>>, now: UnixMs) -> String {
        let fill = |part: &str| part.replace(STREAM, stream.as_str());
        let mut url = fill(&self.text);
        if let Some(signing) = signing {
            let path = self.text.get(self.path..self.path_end).unwrap_or_default();
            let query = signing.query(&fill(path), &fill(&name(path)), now);
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(&query);
        }
        url
    }
}

fn shown(text: &str) -> String {
    printable(text, 120)
}

/// The name that a signature covers: the path segment with the stream id, without extension.
fn name(path: &str) -> String {
    let with_stream = path.split('/').rfind(|segment| segment.contains(STREAM));
    let segment = with_stream.unwrap_or(STREAM);
    let bare = segment.strip_suffix(".flv");
    let bare = bare.or_else(|| segment.strip_suffix(".m3u8"));
    bare.unwrap_or(segment).to_owned()
}

fn kind(scheme: &str, path: &str) -> Result<Kind, TemplateError> {
    if scheme == "rtmp" {
        let segments = path.split('/').filter(|segment| !segment.is_empty());
        let named = segments.count() >= 2 && !path.ends_with('/');
        return named.then_some(Kind::Rtmp).ok_or(TemplateError::RtmpPath);
    }
    if path.ends_with(".flv") {
        Ok(Kind::Flv)
    } else if path.ends_with(".m3u8") {
        Ok(Kind::Hls)
    } else {
        Err(TemplateError::Extension(shown(path)))
    }
}

/// Signatures cover the path as the server gets it, so it must be what the URL parser makes of it.
fn check_path(scheme: &str, path: &str) -> Result<(), TemplateError> {
    if scheme == "rtmp" {
        return Ok(());
    }
    let filled = path.replace(STREAM, "x");
    let unchanged = |url: &Url| url.path() == filled;
    match Url::parse(&format!("http://host{filled}")) {
        Ok(url) if unchanged(&url) => Ok(()),
        Ok(url) => Err(TemplateError::Path(shown(path), shown(url.path()))),
        Err(_) => Err(TemplateError::Path(shown(path), "/".to_owned())),
    }
}

/// The host of `HOST[:PORT]` in lower case.
fn host(authority: &str) -> Option<String> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let port_fits = port.is_none_or(|port| {
        port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|n| n > 0)
    });
    let v6 = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let host_fits = match v6 {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_name(host) && Url::parse(&format!("http://{host}/")).is_ok(),
    };
    (port_fits && host_fits).then(|| host.to_ascii_lowercase())
}

fn is_name(host: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(plain);
    host.len() <= 253 && host.split('.').all(label)
}

//! One canonical form for the names that encoders and players send.
//!
//! An encoder can write the same stream in many ways: `demo`, `/demo/`, `live//demo`,
//! `flv:demo`, `de%6do`, `demo?key=1`. All of them must meet the same block, so every protocol
//! calls [`canonical`] and nothing else. What is left after it is either a valid stream id or a
//! refusal; there is no third way by which an alias could slip past.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::ids::{StreamId, StreamIdError};
use crate::text::printable;

/// What a publish or play request names, in canonical form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Named {
    /// The RTMP app name, such as `live`. Not yet known to exist.
    pub app: String,
    /// The stream id.
    pub stream: StreamId,
    /// Everything after the first `?` of the app and of the name, joined with `&`, undecoded.
    pub query: String,
}

/// Why a name has no canonical form.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NameError {
    /// Longer than any valid name.
    #[error("the stream address is too long")]
    TooLong,
    /// Percent-encoding that does not decode to UTF-8.
    #[error("the stream address has percent-encoding that is not UTF-8")]
    Encoding,
    /// Fewer or more than one app and one stream.
    #[error("the stream address needs one app name and one stream id, as in live/demo")]
    Parts,
    /// The stream id breaks the naming rules.
    #[error("{text:?} is not a stream id: {why}")]
    StreamId {
        /// The offending id, made printable.
        text: String,
        /// What is wrong with it.
        why: StreamIdError,
    },
}

/// Longest app or name text looked at, in bytes, query included.
pub const MAX_TEXT: usize = 4096;

/// The canonical form of an RTMP app name plus stream name, either of which may carry a query,
/// extra slashes, percent-encoding (undone once) and a container prefix.
pub fn canonical(app: &str, name: &str) -> Result<Named, NameError> {
    if app.len() > MAX_TEXT || name.len() > MAX_TEXT {
        return Err(NameError::TooLong);
    }
    let (app_path, app_query) = split_query(app);
    let (name_path, name_query) = split_query(name);
    let path = format!(
        "{}/{}",
        decode(app_path)?,
        strip_prefixes(&decode(name_path)?)
    );
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let (Some(app), Some(stream), None) = (parts.next(), parts.next(), parts.next()) else {
        return Err(NameError::Parts);
    };
    let stream = strip_prefixes(stream);
    let stream = StreamId::parse(stream).map_err(|why| NameError::StreamId {
        text: printable(stream, 64),
        why,
    })?;
    Ok(Named {
        app: app.to_owned(),
        stream,
        query: join_queries(app_query, name_query),
    })
}

/// As [`canonical`], for the path of a play URL: `/live/demo.flv`, where `extension` is `.flv`
/// and must be there. The path carries no query.
pub fn canonical_path(path: &str, extension: &str) -> Result<Named, NameError> {
    let decoded = decode(path)?;
    let trimmed = decoded.trim_end_matches('/');
    let bare = trimmed.strip_suffix(extension).ok_or(NameError::Parts)?;
    // A `?` or `%` that was encoded is a character of the name here, and no name may have one.
    if let Some(at) = bare.find(['?', '%']) {
        let c = bare[at..].chars().next().unwrap_or('?');
        let why = StreamIdError::Character(c, at);
        return Err(NameError::StreamId {
            text: printable(bare, 64),
            why,
        });
    }
    canonical("", bare)
}

fn split_query(text: &str) -> (&str, &str) {
    text.split_once('?').unwrap_or((text, ""))
}

fn decode(text: &str) -> Result<Cow<'_, str>, NameError> {
    if text.len() > MAX_TEXT {
        return Err(NameError::TooLong);
    }
    percent_decode_str(text)
        .decode_utf8()
        .map_err(|_| NameError::Encoding)
}

fn strip_prefixes(mut name: &str) -> &str {
    loop {
        let bare = name.trim_start_matches('/');
        let stripped = ["flv:", "mp4:"].iter().find_map(|prefix| {
            let head = bare.get(..prefix.len())?;
            head.eq_ignore_ascii_case(prefix)
                .then(|| &bare[prefix.len()..])
        });
        match stripped {
            Some(rest) => name = rest,
            None => return name,
        }
    }
}

fn join_queries(app: &str, name: &str) -> String {
    match (app.is_empty(), name.is_empty()) {
        (true, _) => name.to_owned(),
        (_, true) => app.to_owned(),
        _ => format!("{app}&{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_alias_is_the_same_stream() {
        for (app, name) in [
            ("live", "demo"),
            ("live/", "demo"),
            ("/live", "demo"),
            ("live", "/demo"),
            ("live", "//demo//"),
            ("live", "demo/"),
            ("live", "flv:demo"),
            ("live", "mp4:demo"),
            ("live", "FLV:demo"),
            ("live", "/flv:/demo"),
            ("live", "flv:mp4:demo"),
            ("live", "de%6Do"),
            ("live", "%2fdemo"),
            ("live", "flv%3Ademo"),
            ("", "live/demo"),
            ("live/demo", ""),
            ("l%69ve", "demo"),
            ("live", "demo?a=1"),
            ("live?a=1", "demo"),
            ("", "live/flv:demo"),
        ] {
            let named = canonical(app, name).unwrap_or_else(|e| panic!("{app} {name}: {e}"));
            assert_eq!(
                (named.app.as_str(), named.stream.as_str()),
                ("live", "demo"),
                "{app} {name}"
            );
        }
    }

    #[test]
    fn queries_of_app_and_name_are_joined() {
        let named = canonical("live?x=1", "demo?txSecret=a&txTime=b").expect("valid");
        assert_eq!(named.query, "x=1&txSecret=a&txTime=b");
        assert_eq!(canonical("live", "demo?a=?b").expect("valid").query, "a=?b");
    }

    #[test]
    fn what_is_not_one_app_and_one_stream_is_refused() {
        for (app, name) in [
            ("", ""),
            ("live", ""),
            ("", "demo"),
            ("live", "a/b"),
            ("live/x", "y"),
        ] {
            assert_eq!(canonical(app, name), Err(NameError::Parts), "{app} {name}");
        }
        for name in [
            "de%2564mo",
            "demo.flv",
            "demo%3Fa",
            "..",
            ".",
            "demo%00",
            "avi:demo",
            "dé",
        ] {
            assert!(
                matches!(canonical("live", name), Err(NameError::StreamId { .. })),
                "{name}"
            );
        }
        assert_eq!(canonical("live", "%ff"), Err(NameError::Encoding));
        assert_eq!(
            canonical("live", &"a".repeat(5000)),
            Err(NameError::TooLong)
        );
    }

    #[test]
    fn play_paths_need_their_extension() {
        for path in [
            "/live/demo.flv",
            "//live//demo.flv/",
            "/live/d%65mo.flv",
            "/live%2Fdemo%2eflv",
        ] {
            let named = canonical_path(path, ".flv").unwrap_or_else(|e| panic!("{path}: {e}"));
            assert_eq!(
                (named.app.as_str(), named.stream.as_str()),
                ("live", "demo"),
                "{path}"
            );
        }
        for path in [
            "/live/demo",
            "/live/demo.m3u8",
            "/demo.flv",
            "/",
            "",
            "/live/demo%3fx.flv",
            "/live/d%2565mo.flv",
        ] {
            assert!(canonical_path(path, ".flv").is_err(), "{path}");
        }
    }

    #[test]
    fn never_panics() {
        use proptest::prelude::*;
        proptest!(|(app in ".{0,40}", name in ".{0,40}")| {
            if let Ok(named) = canonical(&app, &name) {
                prop_assert!(StreamId::parse(named.stream.as_str()).is_ok());
            }
            let _ = canonical_path(&name, ".flv");
        });
    }
}

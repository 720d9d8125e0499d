//! HLS playlists, as far as telling a live one needs. Any bytes may come; nothing here does I/O.

use std::time::Duration;

/// A target duration that is not given, or not one.
const USUAL_TARGET: Duration = Duration::from_secs(6);
/// Target durations are taken to be within this, whatever is written.
const LONGEST_TARGET: Duration = Duration::from_secs(3600);
/// A longer line is no URI that anybody plays.
const LONGEST_URI: usize = 8192;

/// A playlist.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Playlist {
    /// Names variants; carries the URI of the first one.
    Master(String),
    /// Names segments.
    Media(Media),
}

/// A media playlist.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Media {
    /// `EXT-X-MEDIA-SEQUENCE`; 0 where it is missing.
    sequence: u64,
    /// The last segment or part without its query, in which a signature may change by itself.
    last: Option<String>,
    /// `EXT-X-ENDLIST`: nothing will follow.
    pub(crate) ended: bool,
    /// How often it is to change.
    pub(crate) target: Duration,
}

/// Why bytes are not a playlist.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Bad {
    #[error("HTTP 200 with something that is not a playlist, #EXTM3U was expected")]
    Signature,
    #[error("a master playlist without a usable variant")]
    NoVariant,
}

impl Media {
    /// Whether it names anything to play.
    pub(crate) fn has_segments(&self) -> bool {
        self.last.is_some()
    }

    /// Whether this is a later state than `earlier`: a live playlist changes, a leftover does not.
    pub(crate) fn has_moved(&self, earlier: &Self) -> bool {
        self.has_segments() && (self.sequence != earlier.sequence || self.last != earlier.last)
    }
}

/// Reads a playlist.
pub(crate) fn parse(bytes: &[u8]) -> Result<Playlist, Bad> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut lines = bytes.split(|b| *b == b'\n').map(<[u8]>::trim_ascii);
    let first = lines.find(|line| !line.is_empty()).unwrap_or_default();
    if !first.starts_with(b"#EXTM3U") {
        return Err(Bad::Signature);
    }
    let mut media = Media {
        sequence: 0,
        last: None,
        ended: false,
        target: USUAL_TARGET,
    };
    let mut last: Option<&[u8]> = None;
    let mut is_master = false;
    let mut after_variant = false;
    for line in lines {
        if let Some(tag) = line.strip_prefix(b"#EXT-X-") {
            if tag.starts_with(b"STREAM-INF:") {
                is_master = true;
                after_variant = true;
            } else if tag.starts_with(b"PART:") {
                last = Some(tag);
            } else if tag == b"ENDLIST" {
                media.ended = true;
            } else if let Some(number) = tag.strip_prefix(b"MEDIA-SEQUENCE:") {
                media.sequence = text(number).trim().parse().unwrap_or(0);
            } else if let Some(number) = tag.strip_prefix(b"TARGETDURATION:") {
                media.target = target(&text(number));
            }
        } else if !line.is_empty() && !line.starts_with(b"#") {
            if after_variant && line.len() <= LONGEST_URI {
                return Ok(Playlist::Master(text(line)));
            }
            last = Some(line);
        }
    }
    if is_master {
        return Err(Bad::NoVariant);
    }
    media.last = last.map(|line| {
        let line = line.get(..LONGEST_URI).unwrap_or(line);
        text(line.split(|b| *b == b'?').next().unwrap_or_default())
    });
    Ok(Playlist::Media(media))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn target(text: &str) -> Duration {
    let seconds: f64 = text.trim().parse().unwrap_or(0.0);
    match Duration::try_from_secs_f64(seconds) {
        Ok(target) if !target.is_zero() => target.min(LONGEST_TARGET),
        _ => USUAL_TARGET,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn media(text: &str) -> Media {
        match parse(text.as_bytes()) {
            Ok(Playlist::Media(media)) => media,
            other => panic!("{text}: {other:?}"),
        }
    }

    const LIVE: &str = "#EXTM3U\r\n#EXT-X-VERSION:3\r\n#EXT-X-MEDIA-SEQUENCE:7\r\n\
        #EXT-X-TARGETDURATION:4\r\n#EXTINF:4.0,\r\n7.ts?sig=1\r\n#EXTINF:4.0,\r\n8.ts?sig=1\r\n";

    #[test]
    fn a_live_playlist_is_read() {
        let live = media(LIVE);
        assert!(live.has_segments() && !live.ended);
        assert_eq!(live.target, Duration::from_secs(4));
        assert_eq!((live.sequence, live.last.as_deref()), (7, Some("8.ts")));
        assert!(media(&format!("{LIVE}#EXT-X-ENDLIST\r\n")).ended);
        assert!(!media("\u{feff}\n#EXTM3U\n").has_segments());
    }

    #[test]
    fn only_what_changes_has_moved() {
        let live = media(LIVE);
        for (later, moved) in [
            (LIVE.to_owned(), false),
            (LIVE.replace("sig=1", "sig=2"), false),
            (LIVE.replace("SEQUENCE:7", "SEQUENCE:8"), true),
            (LIVE.replace("8.ts", "9.ts"), true),
            (
                format!("{LIVE}#EXT-X-PART:DURATION=0.3,URI=\"9.1.ts\"\n"),
                true,
            ),
            ("#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:9\n".to_owned(), false),
        ] {
            assert_eq!(media(&later).has_moved(&live), moved, "{later}");
        }
    }

    #[test]
    fn a_master_playlist_gives_its_first_variant() {
        let master = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,URI=\"a.m3u8\"\n\
            #EXT-X-STREAM-INF:BANDWIDTH=1\n\n#comment\nlow.m3u8?x=1\n#EXT-X-STREAM-INF:X=1\nhigh.m3u8\n";
        assert_eq!(
            parse(master.as_bytes()),
            Ok(Playlist::Master("low.m3u8?x=1".into()))
        );
        assert_eq!(
            parse(b"#EXTM3U\n#EXT-X-STREAM-INF:X=1\n"),
            Err(Bad::NoVariant)
        );
    }

    #[test]
    fn odd_numbers_are_taken_as_usual_ones() {
        for (text, seconds) in [
            ("0.5", 0.5),
            ("0", 6.0),
            ("-1", 6.0),
            ("NaN", 6.0),
            ("inf", 6.0),
            ("1e300", 6.0),
            ("99999999", 3600.0),
            ("x", 6.0),
        ] {
            assert_eq!(target(text), Duration::from_secs_f64(seconds), "{text}");
        }
        let far = "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:99999999999999999999999\nx\n";
        assert_eq!(media(far).sequence, 0);
    }

    #[test]
    fn other_things_are_no_playlists() {
        for bytes in [
            &b""[..],
            b"<html>",
            b"\0\0\0\x18ftyp",
            b"EXTM3U\n",
            b"#EXT\n",
        ] {
            assert_eq!(parse(bytes), Err(Bad::Signature));
        }
    }

    proptest! {
        #[test]
        fn never_panics(
            noise in prop::collection::vec(any::<u8>(), 0..2000),
            lines in prop::collection::vec(
                "(#EXT-X-(STREAM-INF|PART|ENDLIST|MEDIA-SEQUENCE|TARGETDURATION):?[0-9.e?-]{0,30}|.{0,20})\r?\n",
                0..40,
            ),
        ) {
            let _ = parse(&noise);
            let _ = parse(&[b"#EXTM3U\n", &noise[..]].concat());
            let whole = format!("#EXTM3U\n{}", lines.concat());
            for end in (0..whole.len()).step_by(7) {
                let _ = parse(&whole.as_bytes()[..end]);
            }
            if let Ok(Playlist::Media(media)) = parse(whole.as_bytes()) {
                prop_assert!(!media.has_moved(&media));
                prop_assert!(media.target <= LONGEST_TARGET && !media.target.is_zero());
            }
        }
    }
}

//! A player that reads everything and compares it with what was published, byte by byte.

use tidegate_media::flv::TagKind;
use tidegate_media::rtmp::client::{Event, Session};

use crate::curve::Curve;
use crate::media::{Source, marker, marker_offset};

/// What a checking player has found.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Findings {
    /// Frames that were right in kind, timestamp and every byte.
    pub(crate) right: u64,
    /// Frames that were not.
    pub(crate) wrong: u64,
    /// Frames that were left out between two that came.
    pub(crate) missing: u64,
}

/// Checks one player's stream.
pub(crate) struct Checker {
    wire: Wire,
    last: Option<u64>,
    source: Source,
    expected: Vec<u8>,
    pub(crate) findings: Findings,
}

/// How the stream is framed.
enum Wire {
    Flv(FlvReader),
    Rtmp(Box<Session>),
}

impl Checker {
    pub(crate) fn flv() -> Self {
        Self::new(Wire::Flv(FlvReader::default()))
    }

    pub(crate) fn rtmp(session: Box<Session>) -> Self {
        Self::new(Wire::Rtmp(session))
    }

    fn new(wire: Wire) -> Self {
        Self {
            wire,
            last: None,
            source: Source::new(),
            expected: Vec::new(),
            findings: Findings::default(),
        }
    }

    /// Takes in what was read from the socket.
    pub(crate) fn input(&mut self, bytes: &[u8], curve: &Curve) {
        let mut tags = Vec::new();
        let sound = match &mut self.wire {
            Wire::Flv(reader) => reader.read(bytes, &mut tags),
            Wire::Rtmp(session) => read_rtmp(session, bytes, &mut tags),
        };
        if !sound {
            self.findings.wrong += 1;
        }
        for tag in &tags {
            self.check(tag, curve);
        }
    }

    fn check(&mut self, tag: &Tag, curve: &Curve) {
        let marked = tag.body.get(marker_offset(tag.kind)..).and_then(marker);
        // Headers carry no marker.
        let Some(index) = marked else { return };
        let Some(sent) = curve.get(index) else {
            self.findings.wrong += 1;
            return;
        };
        self.source.body(sent.shape, index, &mut self.expected);
        let same = tag.kind == sent.shape.kind
            && tag.timestamp == sent.shape.timestamp
            && tag.body == self.expected;
        let in_order = self.last.is_none_or(|last| index > last);
        if same && in_order {
            self.findings.right += 1;
        } else {
            self.findings.wrong += 1;
        }
        if let Some(last) = self.last {
            self.findings.missing += index.saturating_sub(last + 1);
        }
        self.last = Some(index);
    }
}

struct Tag {
    kind: TagKind,
    timestamp: u32,
    body: Vec<u8>,
}

fn read_rtmp(session: &mut Session, bytes: &[u8], tags: &mut Vec<Tag>) -> bool {
    if session.handle_input(bytes).is_err() {
        return false;
    }
    loop {
        match session.poll_event() {
            Ok(Some(Event::Media(media))) => tags.push(Tag {
                kind: media.kind,
                timestamp: media.timestamp,
                body: media.payload.to_vec(),
            }),
            Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

/// Takes an HTTP answer apart: head, chunks if it is chunked, FLV tags. Its own, so that it can
/// disagree with the server.
#[derive(Default)]
struct FlvReader {
    raw: Vec<u8>,
    flv: Vec<u8>,
    head_seen: bool,
    chunked: bool,
    /// Bytes of the current chunk that are still to come, its line end included.
    chunk_left: usize,
    header_seen: bool,
}

impl FlvReader {
    fn read(&mut self, bytes: &[u8], tags: &mut Vec<Tag>) -> bool {
        self.raw.extend_from_slice(bytes);
        if !self.head_seen {
            let Some(end) = find(&self.raw, b"\r\n\r\n") else {
                return true;
            };
            let head: Vec<u8> = self.raw.drain(..end + 4).collect();
            let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
            self.chunked = head.contains("transfer-encoding: chunked");
            self.head_seen = true;
        }
        if self.chunked {
            if !self.dechunk() {
                return false;
            }
        } else {
            self.flv.append(&mut self.raw);
        }
        self.tags(tags)
    }

    fn dechunk(&mut self) -> bool {
        loop {
            if self.chunk_left > 2 {
                let take = (self.chunk_left - 2).min(self.raw.len());
                self.flv.extend(self.raw.drain(..take));
                self.chunk_left -= take;
                if self.chunk_left > 2 {
                    return true;
                }
            }
            if self.chunk_left == 2 {
                if self.raw.len() < 2 {
                    return true;
                }
                let end: Vec<u8> = self.raw.drain(..2).collect();
                self.chunk_left = 0;
                if end != b"\r\n" {
                    return false;
                }
            }
            let Some(end) = find(&self.raw, b"\r\n") else {
                return self.raw.len() < 32;
            };
            let line: Vec<u8> = self.raw.drain(..end + 2).collect();
            let size = std::str::from_utf8(line.get(..end).unwrap_or_default())
                .ok()
                .and_then(|text| usize::from_str_radix(text.trim(), 16).ok());
            match size {
                Some(size) => self.chunk_left = size + 2,
                None => return false,
            }
        }
    }

    fn tags(&mut self, tags: &mut Vec<Tag>) -> bool {
        if !self.header_seen {
            if self.flv.len() < 13 {
                return true;
            }
            let header: Vec<u8> = self.flv.drain(..13).collect();
            self.header_seen = true;
            if !header.starts_with(b"FLV\x01") {
                return false;
            }
        }
        let mut done = 0;
        while let Some((head, rest)) = self
            .flv
            .get(done..)
            .and_then(<[u8]>::split_first_chunk::<11>)
        {
            let [kind, l2, l1, l0, t2, t1, t0, t3, ..] = *head;
            let len = usize::from(l2) << 16 | usize::from(l1) << 8 | usize::from(l0);
            let Some(body) = rest.get(..len + 4).and_then(|tag| tag.get(..len)) else {
                break;
            };
            let Some(kind) = TagKind::from_type_id(kind) else {
                return false;
            };
            tags.push(Tag {
                kind,
                timestamp: u32::from_be_bytes([t3, t2, t1, t0]),
                body: body.to_vec(),
            });
            done += 11 + len + 4;
        }
        self.flv.drain(..done);
        true
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

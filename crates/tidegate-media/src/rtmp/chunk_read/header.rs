//! The header of one chunk.

use super::Error;

/// Basic header of 3, message header of 11, extended timestamp of 4.
pub(super) const MAX_HEADER: usize = 18;

const EXTENDED: u32 = 0xff_ffff;

/// What a chunk stream remembers for headers that leave things out.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Known {
    pub(super) msid: u32,
    pub(super) type_id: u8,
    pub(super) length: usize,
    /// Absolute.
    pub(super) timestamp: u32,
    /// The last timestamp field: what a message that starts with fmt 3 adds.
    field: u32,
    /// The field was too large for its 24 bits.
    extended: bool,
}

pub(super) struct ChunkHeader {
    pub(super) csid: u32,
    /// What the chunk stream knows from here on.
    pub(super) known: Known,
}

pub(super) enum Parsed {
    /// More bytes are needed.
    Incomplete,
    Header {
        header: ChunkHeader,
        /// Bytes it took.
        length: usize,
    },
}

/// Reads the header at the start of `bytes`, which is either [`MAX_HEADER`] long or all there is.
/// `known` gives what a chunk stream remembers, and whether a message of it has begun.
pub(super) fn parse(
    bytes: &[u8],
    known: impl FnOnce(u32) -> Option<(Known, bool)>,
) -> Result<Parsed, Error> {
    let mut cursor = Cursor { bytes, at: 0 };
    let Some((fmt, csid)) = cursor.basic_header() else {
        return Ok(Parsed::Incomplete);
    };
    let (mut stream, begun) = match known(csid) {
        Some(found) => found,
        // Some encoders begin a chunk stream with fmt 1; msid and base are then 0.
        None if fmt <= 1 => (Known::default(), false),
        None => return Err(Error::NoEarlierChunk { csid, fmt }),
    };
    if begun && fmt != 3 {
        return Err(Error::Interrupted { csid });
    }
    let complete = match fmt {
        3 => cursor.repeated_timestamp(&mut stream, begun),
        _ => cursor.message_header(&mut stream, fmt),
    };
    Ok(match complete {
        None => Parsed::Incomplete,
        Some(()) => Parsed::Header {
            header: ChunkHeader {
                csid,
                known: stream,
            },
            length: cursor.at,
        },
    })
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = *self.rest().first_chunk::<N>()?;
        self.at += N;
        Some(taken)
    }

    fn basic_header(&mut self) -> Option<(u8, u32)> {
        let [first] = self.take()?;
        let csid = match first & 0x3f {
            0 => {
                let [low] = self.take()?;
                u32::from(low) + 64
            }
            1 => {
                let [low, high] = self.take()?;
                u32::from_le_bytes([low, high, 0, 0]) + 64
            }
            csid => csid.into(),
        };
        Some((first >> 6, csid))
    }

    /// The message header of fmt 0, 1 or 2.
    fn message_header(&mut self, stream: &mut Known, fmt: u8) -> Option<()> {
        let [a, b, c] = self.take()?;
        let mut field = u32::from_be_bytes([0, a, b, c]);
        if fmt < 2 {
            let [a, b, c, type_id] = self.take()?;
            stream.length = u32::from_be_bytes([0, a, b, c]) as usize;
            stream.type_id = type_id;
        }
        if fmt == 0 {
            stream.msid = u32::from_le_bytes(self.take()?);
        }
        stream.extended = field == EXTENDED;
        if stream.extended {
            field = u32::from_be_bytes(self.take()?);
        }
        stream.field = field;
        stream.timestamp = match fmt {
            0 => field,
            _ => stream.timestamp.wrapping_add(field),
        };
        Some(())
    }

    /// The extended timestamp that a chunk of fmt 3 repeats. Some senders leave it out and some
    /// repeat the absolute time where a delta was sent; four bytes that are neither belong to the
    /// body.
    fn repeated_timestamp(&mut self, stream: &mut Known, begun: bool) -> Option<()> {
        if stream.extended {
            let rest = self.rest();
            let seen = rest.get(..4).unwrap_or(rest);
            let repeats = |time: u32| time.to_be_bytes().starts_with(seen);
            if repeats(stream.field) || repeats(stream.timestamp) {
                self.take::<4>()?;
            }
        }
        if !begun {
            stream.timestamp = stream.timestamp.wrapping_add(stream.field);
        }
        Some(())
    }
}

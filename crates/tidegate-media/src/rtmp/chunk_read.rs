//! Putting messages together from chunks.
//!
//! Set Chunk Size and Abort act here and are not seen above; every other message is handed up.
//! Memory grows with bytes that came, never with lengths that were declared.

mod header;
#[cfg(test)]
mod tests;

use bytes::Bytes;

use self::header::{ChunkHeader, Known, MAX_HEADER, Parsed};
use super::Error;

const SET_CHUNK_SIZE: u8 = 1;
const ABORT: u8 = 2;

/// What the protocol starts with.
const FIRST_CHUNK_SIZE: usize = 128;

/// A message starts with at most a 256th of the longest one allowed, or this.
const FIRST_ALLOCATION: usize = 4096;

/// A complete message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Message type.
    pub type_id: u8,
    /// Message stream.
    pub msid: u32,
    /// Absolute, in milliseconds.
    pub timestamp: u32,
    /// The body.
    pub payload: Bytes,
}

/// Reader of one direction of a connection.
#[derive(Debug)]
pub struct Reader {
    streams: Vec<Stream>,
    chunk_size: usize,
    max_message: usize,
    max_streams: usize,
    max_partial: usize,
    partial: usize,
    /// A header of which the rest has not come.
    header: [u8; MAX_HEADER],
    header_length: usize,
    /// Bytes held as the start of a repeated timestamp that turned out to be body.
    replay: Vec<u8>,
    /// The stream whose chunk is being read, and how much of the chunk is left.
    open: Option<(usize, usize)>,
}

#[derive(Debug)]
struct Stream {
    csid: u32,
    known: Known,
    /// A message has begun; its body so far.
    body: Option<Vec<u8>>,
}

impl Reader {
    /// A reader at the first byte after the handshake. Lengths in bytes.
    pub fn new(max_message: usize, max_streams: usize, max_partial: usize) -> Self {
        Self {
            streams: Vec::new(),
            chunk_size: FIRST_CHUNK_SIZE,
            max_message,
            max_streams,
            max_partial,
            partial: 0,
            header: [0; MAX_HEADER],
            header_length: 0,
            replay: Vec::new(),
            open: None,
        }
    }

    /// Changes the longest message allowed, from the next message header on.
    pub fn set_max_message(&mut self, bytes: usize) {
        self.max_message = bytes;
    }

    /// Takes bytes off `input` until a message is complete; `None` when all are taken. The reader
    /// is of no use after an error.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Error> {
        loop {
            if !self.replay.is_empty() {
                let replay = std::mem::take(&mut self.replay);
                let mut rest = &replay[..];
                let message = self.read_some(&mut rest)?;
                self.replay = rest.to_vec();
                if message.is_some() {
                    return Ok(message);
                }
            }
            let message = self.read_some(input)?;
            if message.is_some() || self.replay.is_empty() {
                return Ok(message);
            }
        }
    }

    fn read_some(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Error> {
        loop {
            if self.open.is_none() && !self.open_chunk(input)? {
                return Ok(None);
            }
            let Some(message) = self.read_chunk(input)? else {
                if input.is_empty() {
                    return Ok(None);
                }
                continue;
            };
            match message.type_id {
                SET_CHUNK_SIZE => self.set_chunk_size(&message)?,
                ABORT => self.abort(&message)?,
                _ => return Ok(Some(message)),
            }
        }
    }

    /// Reads a chunk header; false when the input ends first, or when what was held of it is to be
    /// read again.
    fn open_chunk(&mut self, input: &mut &[u8]) -> Result<bool, Error> {
        let mut bytes = self.header;
        let held = self.header_length;
        let room = bytes.get_mut(held..).unwrap_or_default();
        let copied = room.len().min(input.len());
        for (to, from) in room.iter_mut().zip(input.iter()) {
            *to = *from;
        }
        let seen = bytes.get(..held + copied).unwrap_or_default();
        let streams = &self.streams;
        let known = |csid| {
            let stream = streams.iter().find(|stream| stream.csid == csid)?;
            Some((stream.known, stream.body.is_some()))
        };
        match header::parse(seen, known)? {
            Parsed::Incomplete => {
                self.header = bytes;
                self.header_length = held + copied;
                *input = input.get(copied..).unwrap_or_default();
                Ok(false)
            }
            Parsed::Header { header, length } => {
                self.header_length = 0;
                self.begin(header)?;
                if let Some(extra) = bytes.get(length..held) {
                    self.replay.extend_from_slice(extra);
                }
                *input = input.get(length.saturating_sub(held)..).unwrap_or_default();
                Ok(self.replay.is_empty())
            }
        }
    }

    fn begin(&mut self, header: ChunkHeader) -> Result<(), Error> {
        let ChunkHeader { csid, known } = header;
        let at = match self.streams.iter().position(|stream| stream.csid == csid) {
            Some(at) => at,
            None if self.streams.len() >= self.max_streams => {
                return Err(Error::TooManyChunkStreams(self.max_streams));
            }
            None => {
                self.streams.push(Stream {
                    csid,
                    known,
                    body: None,
                });
                self.streams.len() - 1
            }
        };
        let Some(stream) = self.streams.get_mut(at) else {
            return Ok(());
        };
        stream.known = known;
        let length = known.length;
        let body = match &stream.body {
            Some(body) => body.len(),
            None if length > self.max_message => {
                return Err(Error::MessageTooLong {
                    length,
                    limit: self.max_message,
                });
            }
            None => {
                let first = FIRST_ALLOCATION.max(self.max_message >> 8).min(length);
                stream.body = Some(Vec::with_capacity(first));
                0
            }
        };
        self.open = Some((at, (length - body).min(self.chunk_size)));
        Ok(())
    }

    /// Reads on in the open chunk; gives the message when this completes it.
    fn read_chunk(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Error> {
        let Some((at, left)) = self.open else {
            return Ok(None);
        };
        let Some(stream) = self.streams.get_mut(at) else {
            return Ok(None);
        };
        let body = stream.body.get_or_insert_default();
        let (piece, rest) = input.split_at(left.min(input.len()));
        *input = rest;
        append(body, piece, stream.known.length);
        self.partial += piece.len();
        self.open = (piece.len() < left).then_some((at, left - piece.len()));
        if body.len() < stream.known.length {
            if self.partial > self.max_partial {
                return Err(Error::TooMuchUnfinished(self.max_partial));
            }
            return Ok(None);
        }
        self.partial -= body.len();
        self.open = None;
        Ok(Some(Message {
            type_id: stream.known.type_id,
            msid: stream.known.msid,
            timestamp: stream.known.timestamp,
            payload: stream.body.take().unwrap_or_default().into(),
        }))
    }

    fn set_chunk_size(&mut self, message: &Message) -> Result<(), Error> {
        let size = control_number(message)?;
        if size == 0 || size > 0x7fff_ffff {
            return Err(Error::ChunkSize(size));
        }
        self.chunk_size = size as usize;
        Ok(())
    }

    fn abort(&mut self, message: &Message) -> Result<(), Error> {
        let csid = control_number(message)?;
        let stream = self.streams.iter_mut().find(|stream| stream.csid == csid);
        if let Some(body) = stream.and_then(|stream| stream.body.take()) {
            self.partial -= body.len();
        }
        Ok(())
    }
}

/// The big-endian number that a protocol control message starts with.
pub(super) fn control_number(message: &Message) -> Result<u32, Error> {
    match message.payload.first_chunk::<4>() {
        Some(number) => Ok(u32::from_be_bytes(*number)),
        None => Err(Error::ShortControl {
            type_id: message.type_id,
            length: message.payload.len(),
            expected: 4,
        }),
    }
}

/// Appends with at most doubling, and never past `length`, so that a whole body holds no slack.
fn append(body: &mut Vec<u8>, piece: &[u8], length: usize) {
    let needed = body.len() + piece.len();
    if needed > body.capacity() {
        let target = (body.capacity() * 2).clamp(needed, length.max(needed));
        body.reserve_exact(target - body.len());
    }
    body.extend_from_slice(piece);
}

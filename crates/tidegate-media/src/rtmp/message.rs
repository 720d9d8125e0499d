//! Message types, and the bodies both ends understand alike: commands, script data, aggregates.

use bytes::{Buf, Bytes};

use super::chunk_read::Message;
use super::{Error, Media};
use crate::amf::{Decoder, Value};
use crate::flv::TagKind;

pub(super) const SET_CHUNK_SIZE: u8 = 1;
pub(super) const ACK: u8 = 3;
pub(super) const USER_CONTROL: u8 = 4;
pub(super) const WINDOW_ACK_SIZE: u8 = 5;
pub(super) const SET_PEER_BANDWIDTH: u8 = 6;
pub(super) const DATA_AMF3: u8 = 15;
pub(super) const COMMAND_AMF3: u8 = 17;
pub(super) const DATA: u8 = 18;
pub(super) const COMMAND: u8 = 20;
pub(super) const AGGREGATE: u8 = 22;

pub(super) const STREAM_BEGIN: u16 = 0;
pub(super) const STREAM_EOF: u16 = 1;
pub(super) const SET_BUFFER_LENGTH: [u8; 2] = [0, 3];
pub(super) const PING_REQUEST: [u8; 2] = [0, 6];
pub(super) const PING_RESPONSE: [u8; 2] = [0, 7];

/// A command, split into its usual parts.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) name: String,
    pub(super) transaction: f64,
    /// The command object, `Null` for most.
    pub(super) object: Value,
    pub(super) arguments: Vec<Value>,
}

impl Command {
    pub(super) fn read(message: &Message) -> Result<Self, Error> {
        let body = strip_amf3(message.type_id == COMMAND_AMF3, &message.payload);
        let mut decoder = Decoder::new(body);
        let missing = |missing| Error::Missing {
            command: "a command",
            missing,
        };
        let Some(Value::String(name)) = decoder.next_value()? else {
            return Err(missing("its name"));
        };
        let Some(Value::Number(transaction)) = decoder.next_value()? else {
            return Err(missing("its transaction number"));
        };
        let object = decoder.next_value()?.unwrap_or(Value::Null);
        let mut arguments = Vec::new();
        while let Some(value) = decoder.next_value()? {
            arguments.push(value);
        }
        Ok(Self {
            name,
            transaction,
            object,
            arguments,
        })
    }
}

/// AMF3 messages are AMF0 behind a zero byte. No command and no data starts with a number, whose
/// marker is zero as well.
fn strip_amf3(amf3: bool, body: &[u8]) -> &[u8] {
    match body.split_first() {
        Some((0, rest)) if amf3 => rest,
        _ => body,
    }
}

/// The information object of a status.
pub(super) fn info(level: &str, code: &str, description: &str) -> Value {
    Value::object([
        ("level", level.into()),
        ("code", code.into()),
        ("description", description.into()),
    ])
}

/// The media in an audio, video or data message; `None` when there is nothing in it that a player
/// could use.
pub(super) fn media(message: &Message) -> Option<Media> {
    let kind = match message.type_id {
        DATA_AMF3 => TagKind::Script,
        id => TagKind::from_type_id(id)?,
    };
    let payload = match kind {
        TagKind::Script => script(message)?,
        TagKind::Audio | TagKind::Video => message.payload.clone(),
    };
    (!payload.is_empty()).then_some(Media {
        msid: message.msid,
        kind,
        timestamp: message.timestamp,
        payload,
    })
}

/// Script data without AMF3's zero byte and without the `@setDataFrame` wrapper.
fn script(message: &Message) -> Option<Bytes> {
    let body = strip_amf3(message.type_id == DATA_AMF3, &message.payload);
    let (name, rest) = short_string(body)?;
    match name {
        b"@setDataFrame" => {
            short_string(rest)?;
            Some(message.payload.slice_ref(rest))
        }
        b"@clearDataFrame" | b"|RtmpSampleAccess" | b"onStatus" => None,
        _ => Some(message.payload.slice_ref(body)),
    }
}

fn short_string(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[2, high, low], rest) = body.split_first_chunk()? else {
        return None;
    };
    rest.split_at_checked(u16::from_be_bytes([high, low]).into())
}

/// The messages inside an aggregate message, one at a time.
#[derive(Debug)]
pub(super) struct Aggregate {
    msid: u32,
    /// What turns the time of a part into that of the stream.
    shift: u32,
    rest: Bytes,
}

impl Aggregate {
    pub(super) fn new(message: Message) -> Self {
        let first = match message.payload.first_chunk::<8>() {
            Some([_, _, _, _, b, c, d, a]) => u32::from_be_bytes([*a, *b, *c, *d]),
            None => 0,
        };
        Self {
            msid: message.msid,
            shift: message.timestamp.wrapping_sub(first),
            rest: message.payload,
        }
    }

    /// The next part; `None` at the end. Parts that are themselves aggregates come as they are.
    pub(super) fn next(&mut self) -> Result<Option<Message>, Error> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let Some([type_id, s0, s1, s2, t0, t1, t2, t3, ..]) = self.rest.first_chunk::<11>() else {
            return Err(Error::Aggregate);
        };
        let type_id = *type_id;
        let size = u32::from_be_bytes([0, *s0, *s1, *s2]) as usize;
        let timestamp = u32::from_be_bytes([*t3, *t0, *t1, *t2]);
        if self.rest.len() < 11 + size {
            return Err(Error::Aggregate);
        }
        self.rest.advance(11);
        let payload = self.rest.split_to(size);
        // The back pointer of the last part is sometimes left out.
        self.rest.advance(self.rest.len().min(4));
        Ok(Some(Message {
            type_id,
            msid: self.msid,
            timestamp: timestamp.wrapping_add(self.shift),
            payload,
        }))
    }
}

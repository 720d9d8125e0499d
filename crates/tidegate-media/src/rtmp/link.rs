//! What both ends of a connection share: handshake, protocol control messages,
//! acknowledgements, and the output.

use bytes::Bytes;

use super::chunk_read::{Message, Reader, control_number};
use super::chunk_write::{CHUNK_SIZE, Header, put_message};
use super::handshake::Handshake;
use super::{Error, Limits, message};
use crate::amf::{self, Value};

/// Acknowledge at this interval when the peer names none: many encoders stall without.
const ACK_WINDOW: u64 = 2_500_000;

/// The chunk size before one is announced.
const FIRST_CHUNK_SIZE: usize = 128;

pub(super) const CONTROL_CSID: u32 = 2;
pub(super) const COMMAND_CSID: u32 = 3;
pub(super) const STATUS_CSID: u32 = 5;

#[derive(Debug)]
pub(super) struct Link {
    /// `None` when complete.
    handshake: Option<Box<Handshake>>,
    pub(super) reader: Reader,
    pub(super) output: Vec<u8>,
    /// Bytes of `output` that the peer made this end write.
    answers: usize,
    max_answers: usize,
    chunk_size: usize,
    received: u64,
    acknowledged: u64,
    ack_window: u64,
}

impl Link {
    pub(super) fn new(handshake: Handshake, output: Vec<u8>, limits: &Limits) -> Self {
        Self {
            handshake: Some(Box::new(handshake)),
            reader: Reader::new(
                limits.message_before_publish,
                limits.chunk_streams,
                limits.partial,
            ),
            output,
            answers: 0,
            max_answers: limits.output,
            chunk_size: FIRST_CHUNK_SIZE,
            received: 0,
            acknowledged: 0,
            ack_window: ACK_WINDOW,
        }
    }

    pub(super) fn is_established(&self) -> bool {
        self.handshake.is_none()
    }

    pub(super) fn received(&self) -> u64 {
        self.received
    }

    pub(super) fn take_output(&mut self) -> Bytes {
        self.answers = 0;
        std::mem::take(&mut self.output).into()
    }

    /// Counts bytes that came from the socket, and acknowledges them when due.
    pub(super) fn count(&mut self, bytes: usize) {
        self.received += bytes as u64;
        if self.is_established() && self.received - self.acknowledged >= self.ack_window {
            self.acknowledged = self.received;
            let low = u32::try_from(self.received & 0xffff_ffff).unwrap_or_default();
            self.control(message::ACK, &low.to_be_bytes());
        }
    }

    /// The next message that is for the session to handle.
    pub(super) fn read(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Error> {
        if let Some(handshake) = &mut self.handshake {
            if !handshake.read(input, &mut self.output)? {
                return Ok(None);
            }
            self.handshake = None;
        }
        while let Some(message) = self.reader.read(input)? {
            match message.type_id {
                message::ACK | message::SET_PEER_BANDWIDTH => {}
                message::WINDOW_ACK_SIZE => {
                    self.ack_window = u64::from(control_number(&message)?.max(1));
                }
                message::USER_CONTROL if message.payload.starts_with(&message::PING_REQUEST) => {
                    let echo = message.payload.get(2..6).unwrap_or_default();
                    let pong = [&message::PING_RESPONSE[..], echo].concat();
                    self.control(message::USER_CONTROL, &pong);
                    self.check_answers()?;
                }
                _ => return Ok(Some(message)),
            }
        }
        Ok(None)
    }

    /// Whether the peer reads what it makes this end write.
    pub(super) fn check_answers(&self) -> Result<(), Error> {
        if self.answers > self.max_answers {
            return Err(Error::TooMuchOutput(self.max_answers));
        }
        Ok(())
    }

    pub(super) fn control(&mut self, type_id: u8, payload: &[u8]) {
        self.answer(CONTROL_CSID, type_id, 0, payload);
    }

    pub(super) fn user_control(&mut self, event: u16, number: u32) {
        let [a, b] = event.to_be_bytes();
        let [c, d, e, f] = number.to_be_bytes();
        self.control(message::USER_CONTROL, &[a, b, c, d, e, f]);
    }

    pub(super) fn announce_chunk_size(&mut self) {
        let size = u32::try_from(CHUNK_SIZE).unwrap_or(u32::MAX);
        self.control(message::SET_CHUNK_SIZE, &size.to_be_bytes());
        self.chunk_size = CHUNK_SIZE;
    }

    pub(super) fn command(&mut self, csid: u32, msid: u32, values: &[Value]) {
        self.values(csid, message::COMMAND, msid, values);
    }

    pub(super) fn data(&mut self, msid: u32, values: &[Value]) {
        self.values(STATUS_CSID, message::DATA, msid, values);
    }

    /// An `onStatus` on a message stream.
    pub(super) fn status(&mut self, msid: u32, level: &str, code: &str, description: &str) {
        let info = message::info(level, code, description);
        let values = ["onStatus".into(), 0.0.into(), Value::Null, info];
        self.command(STATUS_CSID, msid, &values);
    }

    fn values(&mut self, csid: u32, type_id: u8, msid: u32, values: &[Value]) {
        let mut body = Vec::with_capacity(256);
        for value in values {
            amf::encode(&mut body, value);
        }
        self.answer(csid, type_id, msid, &body);
    }

    fn answer(&mut self, csid: u32, type_id: u8, msid: u32, payload: &[u8]) {
        let before = self.output.len();
        let header = Header {
            csid,
            type_id,
            msid,
            timestamp: 0,
        };
        put_message(&mut self.output, header, payload, self.chunk_size);
        self.answers += self.output.len() - before;
    }
}

//! What the caller decides, and what the peer is told about it.

use super::{Pending, Session, Stage, Stream};
use crate::amf::Value;
use crate::rtmp::link::COMMAND_CSID;
use crate::rtmp::message;

/// The window that the peer is asked to acknowledge, and the bandwidth it is granted.
const WINDOW: u32 = 5_000_000;

/// Set Peer Bandwidth, limit type dynamic.
const DYNAMIC: u8 = 2;

/// Enhanced RTMP: every codec can be forwarded.
const CAN_FORWARD: f64 = 4.0;

/// Enhanced RTMP: multitrack (2) and ModEx (4) packets are forwarded.
const CAPABILITIES: f64 = 6.0;

impl Session {
    /// Answers the pending connect with `NetConnection.Connect.Success`. Without a pending
    /// connect this does nothing, and so for the other answers.
    pub fn accept_connect(&mut self) {
        let Some(Pending::Connect {
            transaction,
            amf3,
            enhanced,
        }) = self.pending
        else {
            return;
        };
        self.pending = None;
        self.stage = Stage::Connected;
        self.link
            .control(message::WINDOW_ACK_SIZE, &WINDOW.to_be_bytes());
        let [a, b, c, d] = WINDOW.to_be_bytes();
        self.link
            .control(message::SET_PEER_BANDWIDTH, &[a, b, c, d, DYNAMIC]);
        self.link.announce_chunk_size();
        let mut info = message::info(
            "status",
            "NetConnection.Connect.Success",
            "Connection succeeded.",
        );
        if let Value::Object(properties) = &mut info {
            let encoding = if amf3 { 3.0 } else { 0.0 };
            properties.push(("objectEncoding".to_owned(), encoding.into()));
            if enhanced {
                properties.append(&mut enhanced_properties());
            }
        }
        let values = ["_result".into(), transaction.into(), server(), info];
        self.link.command(COMMAND_CSID, 0, &values);
    }

    /// Answers the pending connect with `NetConnection.Connect.Rejected`; then close.
    pub fn refuse_connect(&mut self, description: &str) {
        let Some(Pending::Connect { transaction, .. }) = self.pending else {
            return;
        };
        self.pending = None;
        self.stage = Stage::Refused;
        let info = message::info("error", "NetConnection.Connect.Rejected", description);
        let values = ["_error".into(), transaction.into(), server(), info];
        self.link.command(COMMAND_CSID, 0, &values);
    }

    /// Answers the pending publish on `msid` with `NetStream.Publish.Start`.
    pub fn accept_publish(&mut self, msid: u32) {
        if self.pending != Some(Pending::Publish { msid }) {
            return;
        }
        self.pending = None;
        self.set_stream(msid, Stream::Publishing);
        self.link.reader.set_max_message(self.limits.message);
        let (code, description) = ("NetStream.Publish.Start", "publishing");
        if self.fc_publish {
            self.announce("onFCPublish", code, description);
        }
        self.link.status(msid, "status", code, description);
    }

    /// Answers the pending publish with a status of level error, such as
    /// `NetStream.Publish.BadName`. The message stream may publish again.
    pub fn refuse_publish(&mut self, msid: u32, code: &str, description: &str) {
        if self.pending != Some(Pending::Publish { msid }) {
            return;
        }
        self.pending = None;
        self.set_stream(msid, Stream::Ended);
        self.link.status(msid, "error", code, description);
    }

    /// Answers the pending play with stream begin, `NetStream.Play.Reset` and
    /// `NetStream.Play.Start`. Media may follow on the socket.
    pub fn accept_play(&mut self, msid: u32) {
        if self.pending != Some(Pending::Play { msid }) {
            return;
        }
        self.pending = None;
        self.set_stream(msid, Stream::Playing);
        self.link.user_control(message::STREAM_BEGIN, msid);
        let link = &mut self.link;
        link.status(
            msid,
            "status",
            "NetStream.Play.Reset",
            "playing and resetting",
        );
        link.status(msid, "status", "NetStream.Play.Start", "playing");
        // Flash players without it refuse access to raw samples.
        let access = "|RtmpSampleAccess".into();
        link.data(msid, &[access, Value::Boolean(true), Value::Boolean(true)]);
    }

    /// Answers the pending play with a status of level error, such as
    /// `NetStream.Play.StreamNotFound`.
    pub fn refuse_play(&mut self, msid: u32, code: &str, description: &str) {
        if self.pending != Some(Pending::Play { msid }) {
            return;
        }
        self.pending = None;
        self.set_stream(msid, Stream::Ended);
        self.link.status(msid, "error", code, description);
    }

    /// Cuts a running publisher: a status of level error with `code` and `description`. Media
    /// that still arrives is dropped; close once the output is written.
    pub fn end_publish(&mut self, msid: u32, code: &str, description: &str) {
        if self.stream(msid) == Some(Stream::Publishing) {
            self.set_stream(msid, Stream::Ended);
            self.link.status(msid, "error", code, description);
        }
    }

    /// Ends a running play: `NetStream.Play.UnpublishNotify` and stream EOF.
    pub fn end_play(&mut self, msid: u32, description: &str) {
        if self.stream(msid) == Some(Stream::Playing) {
            self.set_stream(msid, Stream::Ended);
            let code = "NetStream.Play.UnpublishNotify";
            self.link.status(msid, "status", code, description);
            self.link.user_control(message::STREAM_EOF, msid);
        }
    }

    /// `onFCPublish` and its like.
    pub(super) fn announce(&mut self, name: &str, code: &str, description: &str) {
        let info = message::info("status", code, description);
        let values = [name.into(), 0.0.into(), Value::Null, info];
        self.link.command(COMMAND_CSID, 0, &values);
    }
}

/// What clients expect a server to call itself; some compare the version.
fn server() -> Value {
    Value::object([
        ("fmsVer", "FMS/3,5,3,888".into()),
        ("capabilities", 31.0.into()),
        ("mode", 1.0.into()),
    ])
}

fn enhanced_properties() -> Vec<(String, Value)> {
    let any = || Value::object([("*", CAN_FORWARD.into())]);
    vec![
        ("capsEx".to_owned(), CAPABILITIES.into()),
        (
            "fourCcList".to_owned(),
            Value::StrictArray(vec!["*".into()]),
        ),
        ("videoFourCcInfoMap".to_owned(), any()),
        ("audioFourCcInfoMap".to_owned(), any()),
    ]
}

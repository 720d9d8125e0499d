//! What the client asks, and what it makes of the answers.

use super::{
    BUFFER_LENGTH, CONNECT, CREATE_STREAM, Event, FC_PUBLISH, Purpose, RELEASE_STREAM, Session,
    Stage, UNANSWERED,
};
use crate::amf::Value;
use crate::rtmp::Error;
use crate::rtmp::chunk_read::Message;
use crate::rtmp::link::{COMMAND_CSID, STATUS_CSID};
use crate::rtmp::message::{self, Aggregate, Command};

impl Session {
    pub(super) fn connect(&mut self) {
        let options = &self.options;
        let mut object = Value::object([
            ("app", options.app.as_str().into()),
            ("type", "nonprivate".into()),
            ("flashVer", options.flash_ver.as_str().into()),
            ("tcUrl", options.tc_url.as_str().into()),
        ]);
        if let (Purpose::Play, Value::Object(properties)) = (options.purpose, &mut object) {
            let more = [
                ("fpad", Value::Boolean(false)),
                ("capabilities", 15.0.into()),
                ("audioCodecs", 4071.0.into()),
                ("videoCodecs", 252.0.into()),
                ("videoFunction", 1.0.into()),
            ];
            properties.extend(more.map(|(name, value)| (name.to_owned(), value)));
        }
        let values = ["connect".into(), CONNECT.into(), object];
        self.link.command(COMMAND_CSID, 0, &values);
        self.link.announce_chunk_size();
    }

    pub(super) fn call(&mut self, name: &str, transaction: f64, argument: Value) {
        let values = [name.into(), transaction.into(), Value::Null, argument];
        self.link.command(COMMAND_CSID, 0, &values);
    }

    pub(super) fn handle_message(&mut self, message: Message) -> Result<(), Error> {
        match message.type_id {
            message::COMMAND | message::COMMAND_AMF3 => self.handle_command(&message),
            message::USER_CONTROL => {
                let ended = message
                    .payload
                    .starts_with(&message::STREAM_EOF.to_be_bytes());
                if ended && self.stage == Stage::Running {
                    self.events.push_back(Event::Ended);
                }
                Ok(())
            }
            message::AGGREGATE if self.aggregate.is_none() => {
                self.aggregate = Some(Aggregate::new(message));
                Ok(())
            }
            _ => {
                let wanted = self.options.purpose == Purpose::Play
                    && matches!(self.stage, Stage::Asked | Stage::Running);
                if let (true, Some(media)) = (wanted, message::media(&message)) {
                    self.events.push_back(Event::Media(media));
                }
                Ok(())
            }
        }
    }

    fn handle_command(&mut self, message: &Message) -> Result<(), Error> {
        let command = Command::read(message)?;
        match command.name.as_str() {
            "_result" => self.handle_result(&command),
            "_error" => {
                let fatal = [CONNECT, CREATE_STREAM].contains(&command.transaction);
                if fatal && self.stage != Stage::Over {
                    self.refused(&command);
                }
                Ok(())
            }
            "onStatus" => {
                self.handle_status(&command);
                Ok(())
            }
            "close" => {
                self.stage = Stage::Over;
                self.events.push_back(Event::Closed);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn handle_result(&mut self, command: &Command) -> Result<(), Error> {
        if self.stage == Stage::Connecting && command.transaction == CONNECT {
            self.stage = Stage::Creating;
            self.events.push_back(Event::Connected);
            if self.options.purpose == Purpose::Publish {
                let name = Value::from(self.options.name.as_str());
                self.call("releaseStream", RELEASE_STREAM, name.clone());
                self.call("FCPublish", FC_PUBLISH, name);
            }
            let values = ["createStream".into(), CREATE_STREAM.into(), Value::Null];
            self.link.command(COMMAND_CSID, 0, &values);
        } else if self.stage == Stage::Creating && command.transaction == CREATE_STREAM {
            let msid = command.arguments.first().and_then(message_stream);
            let msid = msid.ok_or(Error::Missing {
                command: "the answer to createStream",
                missing: "a message stream id",
            })?;
            self.msid = Some(msid);
            self.stage = Stage::Asked;
            self.ask(msid);
        }
        Ok(())
    }

    fn ask(&mut self, msid: u32) {
        let name = self.options.name.as_str().into();
        let (command, last) = match self.options.purpose {
            Purpose::Publish => ("publish", "live".into()),
            // -2 is live, or recorded where there is no live stream.
            Purpose::Play => ("play", Value::Number(-2.0)),
        };
        let values = [command.into(), UNANSWERED.into(), Value::Null, name, last];
        self.link.command(STATUS_CSID, msid, &values);
        if self.options.purpose == Purpose::Play {
            let [a, b] = message::SET_BUFFER_LENGTH;
            let [c, d, e, f] = msid.to_be_bytes();
            let [g, h, i, j] = BUFFER_LENGTH.to_be_bytes();
            let body = [a, b, c, d, e, f, g, h, i, j];
            self.link.control(message::USER_CONTROL, &body);
        }
    }

    fn handle_status(&mut self, command: &Command) {
        let (level, code, description) = status(command);
        let started = match self.options.purpose {
            Purpose::Publish => "NetStream.Publish.Start",
            Purpose::Play => "NetStream.Play.Start",
        };
        if level == "error" {
            self.refused(command);
        } else if code == started && self.stage == Stage::Asked {
            self.stage = Stage::Running;
            self.events.push_back(match self.options.purpose {
                Purpose::Publish => Event::Published,
                Purpose::Play => Event::Playing,
            });
        } else {
            self.events.push_back(Event::Status { code, description });
        }
    }

    fn refused(&mut self, command: &Command) {
        let (_, code, description) = status(command);
        self.stage = Stage::Over;
        self.events.push_back(Event::Refused { code, description });
    }
}

/// Level, code and description of a status or error; empty where not sent.
fn status(command: &Command) -> (String, String, String) {
    let info = command.arguments.first().unwrap_or(&command.object);
    let text = |name| {
        let text = info.get(name).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    (text("level"), text("code"), text("description"))
}

/// A message stream id, which AMF can only send as a double.
fn message_stream(value: &Value) -> Option<u32> {
    let number = value.as_number()?;
    if !(0.0..=4_294_967_295.0).contains(&number) {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range was checked and a fraction means nothing"
    )]
    let msid = number as u32;
    Some(msid)
}

//! The commands of a client, one function each.

use super::{Connect, Event, Pending, Play, Publish, Session, Stage, Stream};
use crate::amf::Value;
use crate::rtmp::Error;
use crate::rtmp::link::COMMAND_CSID;
use crate::rtmp::message::Command;

impl Session {
    pub(super) fn handle_command(&mut self, msid: u32, command: Command) -> Result<(), Error> {
        if command.name == "connect" {
            return self.connect(&command);
        }
        if self.stage == Stage::New {
            return Err(Error::OutOfOrder {
                what: "a command",
                when: "before connect",
            });
        }
        match command.name.as_str() {
            "createStream" => self.create_stream(&command),
            "publish" => self.publish(msid, &command),
            "play" => self.play(msid, &command),
            "closeStream" => {
                self.close_stream(msid, Stream::Ended);
                Ok(())
            }
            "deleteStream" => {
                self.delete_stream(&command);
                Ok(())
            }
            "FCPublish" => {
                self.fc_publish = true;
                self.answer(&command, Value::Undefined);
                Ok(())
            }
            "FCUnpublish" => {
                self.answer(&command, Value::Undefined);
                if let Some(msid) = self.first(|stream| *stream == Stream::Publishing) {
                    self.close_stream(msid, Stream::Ended);
                }
                Ok(())
            }
            "FCSubscribe" => {
                self.announce("onFCSubscribe", "NetStream.Play.Start", "subscribed");
                Ok(())
            }
            // A live stream has no length; players wait for the answer all the same.
            "getStreamLength" => {
                self.answer(&command, 0.0.into());
                Ok(())
            }
            "_result" | "_error" | "onStatus" => Ok(()),
            _ => {
                self.answer(&command, Value::Undefined);
                Ok(())
            }
        }
    }

    /// `_result`, for commands that want an answer: those with a transaction number.
    pub(super) fn answer(&mut self, command: &Command, value: Value) {
        if command.transaction != 0.0 {
            let transaction = command.transaction.into();
            let values = ["_result".into(), transaction, Value::Null, value];
            self.link.command(COMMAND_CSID, 0, &values);
        }
    }

    fn connect(&mut self, command: &Command) -> Result<(), Error> {
        if self.stage != Stage::New {
            return Err(Error::OutOfOrder {
                what: "connect",
                when: "a second time",
            });
        }
        let object = &command.object;
        let text = |name| object.get(name).and_then(Value::as_str).unwrap_or_default();
        let app = object.get("app").and_then(Value::as_str);
        let amf3 = object.get("objectEncoding").and_then(Value::as_number) == Some(3.0);
        self.pending = Some(Pending::Connect {
            transaction: command.transaction,
            amf3,
            enhanced: object.get("fourCcList").is_some() || object.get("capsEx").is_some(),
        });
        self.events.push_back(Event::Connect(Box::new(Connect {
            app: app
                .ok_or(Error::Missing {
                    command: "connect",
                    missing: "an app name in UTF-8",
                })?
                .to_owned(),
            tc_url: text("tcUrl").to_owned(),
            flash_ver: text("flashVer").to_owned(),
            swf_url: text("swfUrl").to_owned(),
            page_url: text("pageUrl").to_owned(),
            amf3,
        })));
        Ok(())
    }

    fn create_stream(&mut self, command: &Command) -> Result<(), Error> {
        let msid = match self.first(|stream| *stream == Stream::Free) {
            Some(msid) => {
                self.set_stream(msid, Stream::Idle);
                msid
            }
            None => {
                let count = u32::try_from(self.streams.len()).unwrap_or(u32::MAX);
                if count >= self.limits.message_streams {
                    return Err(Error::TooManyMessageStreams(self.limits.message_streams));
                }
                self.streams.push(Stream::Idle);
                count + 1
            }
        };
        self.answer(command, f64::from(msid).into());
        Ok(())
    }

    fn publish(&mut self, msid: u32, command: &Command) -> Result<(), Error> {
        let name = command.arguments.first();
        if let Some(Value::Boolean(false)) = name {
            self.close_stream(msid, Stream::Ended);
            return Ok(());
        }
        let msid = self.requested_stream("publish", msid)?;
        let Some(name) = name.and_then(Value::as_str) else {
            let description = nameless(name);
            self.set_stream(msid, Stream::Ended);
            self.link
                .status(msid, "error", "NetStream.Publish.BadName", description);
            return Ok(());
        };
        let kind = command.arguments.get(1).and_then(Value::as_str);
        self.pending = Some(Pending::Publish { msid });
        self.events.push_back(Event::Publish(Publish {
            msid,
            name: name.to_owned(),
            kind: kind.unwrap_or("live").to_owned(),
        }));
        Ok(())
    }

    fn play(&mut self, msid: u32, command: &Command) -> Result<(), Error> {
        let name = command.arguments.first();
        if let Some(Value::Boolean(false)) = name {
            self.close_stream(msid, Stream::Ended);
            return Ok(());
        }
        // A player may switch to another stream without closing the one at hand.
        if self.stream(msid) == Some(Stream::Playing) {
            self.close_stream(msid, Stream::Ended);
        }
        let msid = self.requested_stream("play", msid)?;
        let Some(name) = name.and_then(Value::as_str) else {
            let description = nameless(name);
            self.set_stream(msid, Stream::Ended);
            self.link
                .status(msid, "error", "NetStream.Play.Failed", description);
            return Ok(());
        };
        let start = command.arguments.get(1).and_then(Value::as_number);
        self.pending = Some(Pending::Play { msid });
        self.events.push_back(Event::Play(Play {
            msid,
            name: name.to_owned(),
            start: start.unwrap_or(-2.0),
        }));
        Ok(())
    }

    /// The message stream that a publish or play is for.
    fn requested_stream(&self, what: &'static str, msid: u32) -> Result<u32, Error> {
        let last = u32::try_from(self.streams.len()).unwrap_or_default();
        // Some encoders send everything on message stream 0.
        let msid = if msid == 0 { last } else { msid };
        match self.stream(msid) {
            Some(Stream::Idle | Stream::Ended) => Ok(msid),
            Some(Stream::Publishing | Stream::Playing) => Err(Error::OutOfOrder {
                what,
                when: "on a message stream that is in use",
            }),
            Some(Stream::Free) | None => Err(Error::OutOfOrder {
                what,
                when: "on a message stream that createStream did not give",
            }),
        }
    }

    fn delete_stream(&mut self, command: &Command) {
        let wanted = command.arguments.first().and_then(Value::as_number);
        let msid = self
            .streams
            .iter()
            .zip(1u32..)
            .map(|(_, msid)| msid)
            .find(|msid| Some(f64::from(*msid)) == wanted);
        if let Some(msid) = msid {
            self.close_stream(msid, Stream::Free);
        }
    }

    fn close_stream(&mut self, msid: u32, after: Stream) {
        match self.stream(msid) {
            Some(Stream::Publishing) => {
                let (code, description) = ("NetStream.Unpublish.Success", "publishing ended");
                if self.fc_publish {
                    self.announce("onFCUnpublish", code, description);
                }
                self.link.status(msid, "status", code, description);
                self.events.push_back(Event::Unpublish { msid });
            }
            Some(Stream::Playing) => self.events.push_back(Event::StopPlay { msid }),
            _ => {}
        }
        self.set_stream(msid, after);
    }
}

fn nameless(name: Option<&Value>) -> &'static str {
    match name {
        Some(Value::RawString(_)) => "the stream name is not UTF-8",
        Some(_) => "the stream name is not a text",
        None => "the stream name is missing",
    }
}

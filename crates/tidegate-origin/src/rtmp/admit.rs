//! What an RTMP connection is allowed: connect, publish, play.

use std::sync::Arc;

use tidegate_core::name::{MAX_TEXT, canonical};
use tidegate_core::text::printable;
use tidegate_media::rtmp::server::{Connect, Play, Publish};

use super::{Connection, DENIED, Published};
use crate::gate::{Refusal, host_of};
use crate::hub::Busy;
use crate::metrics::{Protocol, Reason};
use crate::stream::Ticket;

/// Code for a name that cannot be published, or is taken.
const BAD_NAME: &str = "NetStream.Publish.BadName";

/// Code for a stream that is not there.
const NOT_FOUND: &str = "NetStream.Play.StreamNotFound";

/// Code for a play that is not allowed.
const PLAY_FAILED: &str = "NetStream.Play.Failed";

/// Longest host of a `tcUrl` that is kept: a DNS name has no more. A longer one counts as none.
const MAX_HOST: usize = 253;

/// A refusal as the peer is told of it.
struct Refused {
    code: &'static str,
    words: String,
    reason: Reason,
}

impl Refused {
    fn new(code: &'static str, reason: Reason, words: impl Into<String>) -> Self {
        Self {
            code,
            words: words.into(),
            reason,
        }
    }

    fn publish(refusal: &Refusal) -> Self {
        let code = match refusal {
            Refusal::Name(_) => BAD_NAME,
            _ => DENIED,
        };
        Self::new(code, refusal.reason(), refusal.to_string())
    }

    fn play(refusal: &Refusal) -> Self {
        let code = match refusal {
            Refusal::Name(_) | Refusal::UnknownApp(_) => NOT_FOUND,
            _ => PLAY_FAILED,
        };
        Self::new(code, refusal.reason(), refusal.to_string())
    }
}

impl Connection {
    /// Whether an app exists is the gate's to say, and it is asked with the stream's name, which
    /// some encoders split between the two commands. Here only what can never be one is refused.
    pub(super) fn connect(&mut self, connect: &Connect) {
        if connect.app.len() > MAX_TEXT {
            let words = "the app name is too long";
            tracing::info!(peer = %self.peer, "RTMP connect refused: {words}");
            self.context.hub.shared.metrics.refuse(Reason::Name);
            self.session.refuse_connect(words);
            self.is_refused = true;
            return;
        }
        self.app.clone_from(&connect.app);
        let host = host_of(&connect.tc_url);
        if host.len() <= MAX_HOST {
            self.host = host.into();
        }
        self.session.accept_connect();
    }

    pub(super) fn publish(&mut self, publish: &Publish) {
        match self.admit_publish(publish) {
            Ok(published) => {
                let stream = &published.publication.stream.key;
                tracing::info!(%stream, peer = %self.peer, "publish started");
                self.publications.push(published);
                self.session.accept_publish(publish.msid);
            }
            Err(refused) => {
                self.report("publish", &publish.name, &refused);
                self.session
                    .refuse_publish(publish.msid, refused.code, &refused.words);
                self.is_refused = self.publications.is_empty();
            }
        }
    }

    fn admit_publish(&self, publish: &Publish) -> Result<Published, Refused> {
        let Publish { msid, name, .. } = publish;
        let hub = &self.context.hub;
        let most = hub.shared.options.publishes_per_connection;
        if self.publications.len() >= most || self.publications.iter().any(|p| p.msid == *msid) {
            let words =
                format!("one connection publishes at most {most} streams, one a message stream");
            return Err(Refused::new(BAD_NAME, Reason::Limit, words));
        }
        let named = canonical(&self.app, name).map_err(|e| Refused::publish(&e.into()))?;
        let gate = &self.context.gate;
        let key = gate
            .admit_publish_at(&named, &self.host, self.peer)
            .map_err(|r| Refused::publish(&r))?;
        let publication = hub
            .publish(key.clone(), self.peer, Arc::clone(&self.wake))
            .map_err(|busy| match busy {
                Busy::AlreadyLive => {
                    let words =
                        format!("{}/{} is already being published", named.app, named.stream);
                    Refused::new(BAD_NAME, Reason::AlreadyLive, words)
                }
                Busy::Closing => Refused::new(DENIED, Reason::Limit, "the server is stopping"),
            })?;
        // A forbid that ran since the first look has either cut this stream or is seen here.
        match gate.standing(&key) {
            Some(refusal) => Err(Refused::publish(&refusal)),
            None => Ok(Published {
                msid: *msid,
                publication,
            }),
        }
    }

    pub(super) fn start_play(&mut self, play: &Play) {
        match self.admit_play(play) {
            Ok(ticket) => {
                self.session.accept_play(play.msid);
                self.play = Some((ticket, play.msid));
            }
            Err(refused) => {
                self.report("play", &play.name, &refused);
                self.session
                    .refuse_play(play.msid, refused.code, &refused.words);
                self.is_refused = self.publications.is_empty();
            }
        }
    }

    fn admit_play(&self, play: &Play) -> Result<Ticket, Refused> {
        if !self.publications.is_empty() {
            let words = "this connection publishes a stream";
            return Err(Refused::new(PLAY_FAILED, Reason::Limit, words));
        }
        let named = canonical(&self.app, &play.name).map_err(|e| Refused::play(&e.into()))?;
        let gate = &self.context.gate;
        let key = gate
            .admit_play_at(&named, &self.host, self.peer)
            .map_err(|r| Refused::play(&r))?;
        let live = self.context.hub.live(&key);
        let ticket = live
            .and_then(|stream| stream.ticket(Protocol::Rtmp))
            .ok_or_else(|| {
                let words = format!("{}/{} is not live", named.app, named.stream);
                Refused::new(NOT_FOUND, Reason::NotLive, words)
            })?;
        match gate.standing(&key) {
            Some(refusal) => Err(Refused::play(&refusal)),
            None => Ok(ticket),
        }
    }

    /// The one line about a refusal. Players try again and again, so theirs is for debugging.
    fn report(&self, what: &str, name: &str, refused: &Refused) {
        self.context.hub.shared.metrics.refuse(refused.reason);
        let path = name.split('?').next().unwrap_or_default();
        let app = self.app.split('?').next().unwrap_or_default();
        let asked = printable(&format!("{app}/{path}"), 300);
        let peer = self.peer;
        if what == "publish" {
            tracing::info!(%peer, asked, "publish refused: {}", refused.words);
        } else {
            tracing::debug!(%peer, asked, "play refused: {}", refused.words);
        }
    }
}

//! One look at an RTMP URL: connect, play, and the first frame.

mod refusal;

use std::net::SocketAddr;
use std::time::Duration;

use tidegate_core::probe::Look;
use tidegate_media::rtmp::Limits;
use tidegate_media::rtmp::client::{Event, Options, Purpose, Session};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::timeout;

use crate::flv::is_frame;
use crate::http::size;
use crate::look::{Run, Verdict};
use crate::words::clean;

const DEFAULT_PORT: u16 = 1935;
/// One read.
const READ: usize = 8 << 10;
/// Kernel receive buffer asked for: what is on its way when a look ends was paid for in vain.
const RECEIVE_BUFFER: u32 = 64 << 10;
/// More than this since the last message is one that is still coming: pings and acknowledgements
/// come to less.
const UNFINISHED: u64 = 1 << 10;
/// A shorter stream name may be part of any word.
const SHORTEST_NAME: usize = 4;

/// A play URL taken apart.
#[derive(PartialEq, Eq, Debug)]
struct Address<'a> {
    host: &'a str,
    port: u16,
    app: &'a str,
    tc_url: &'a str,
    /// With its query.
    name: &'a str,
}

/// What is known of the play so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Connecting,
    /// Connected; the play is asked for.
    Asked,
    /// The server has accepted it.
    Playing,
}

/// One look at an RTMP URL.
pub(crate) async fn look(run: &mut Run, url: &str, connect_timeout: Duration) -> Verdict {
    let no_answer = |words: String| Verdict::new(Look::NoAnswer, words);
    let Some(address) = Address::parse(url) else {
        return no_answer("not looked: this is no rtmp://HOST/APP/NAME URL".to_owned());
    };
    let connecting = timeout(connect_timeout, connect(&address));
    let mut socket = match run.in_time(connecting).await {
        Some(Ok(Ok(socket))) => socket,
        Some(Ok(Err(error))) => return no_answer(format!("no connection: {error}")),
        _ => return no_answer("no connection in time".to_owned()),
    };
    let mut seed = [0; 32];
    if let Err(error) = getrandom::fill(&mut seed) {
        return no_answer(format!(
            "not looked: the system gave no random bytes: {error}"
        ));
    }
    let options = Options::new(Purpose::Play, address.app, address.tc_url, address.name);
    let mut play = Play {
        url,
        stream: address.name.split('?').next().unwrap_or_default(),
        session: Session::new(options, limits(run.left()), seed),
        stage: Stage::Connecting,
        since_message: 0,
    };
    loop {
        match play.judge() {
            Ok(None) => {}
            Ok(Some(verdict)) | Err(verdict) => return verdict,
        }
        let output = play.session.take_output();
        let read = exchange(run, &mut socket, &output);
        let bytes = match read.await {
            Ok(bytes) => bytes,
            Err(end) => return play.at_end(end),
        };
        run.spend(size(bytes.len()));
        play.since_message += size(bytes.len());
        if let Err(error) = play.session.handle_input(&bytes) {
            return play.protocol(&error);
        }
    }
}

fn limits(budget: u64) -> Limits {
    let budget = usize::try_from(budget).unwrap_or(usize::MAX);
    let usual = Limits::default();
    Limits {
        message: usual.message.min(budget),
        partial: usual.partial.min(budget),
        ..usual
    }
}

/// Why no more comes.
enum End {
    Late,
    Spent,
    Closed,
}

/// Writes `output`, then reads once.
async fn exchange(run: &Run, socket: &mut TcpStream, output: &[u8]) -> Result<Vec<u8>, End> {
    let room = usize::try_from(run.left()).unwrap_or(usize::MAX).min(READ);
    if room == 0 {
        return Err(End::Spent);
    }
    let mut bytes = vec![0; room];
    let step = async {
        // A server that has closed may have left words to be read.
        let _ = socket.write_all(output).await;
        socket.read(&mut bytes).await
    };
    match run.in_time(step).await {
        None => Err(End::Late),
        Some(Ok(0) | Err(_)) => Err(End::Closed),
        Some(Ok(count)) => {
            bytes.truncate(count);
            Ok(bytes)
        }
    }
}

async fn connect(address: &Address<'_>) -> std::io::Result<TcpStream> {
    let bare = address.host.trim_start_matches('[').trim_end_matches(']');
    let mut failure = std::io::Error::other("the host has no address");
    for at in lookup_host((bare, address.port)).await? {
        match open(at).await {
            Ok(socket) => return Ok(socket),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

async fn open(at: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = match at {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.connect(at).await
}

impl<'a> Address<'a> {
    fn parse(url: &'a str) -> Option<Self> {
        let scheme = "rtmp://";
        let rest = url.get(scheme.len()..)?;
        if !url.get(..scheme.len())?.eq_ignore_ascii_case(scheme) {
            return None;
        }
        let (authority, tail) = rest.split_once('/')?;
        let path = tail.split('?').next()?;
        let slash = path.rfind('/')?;
        let (app, name) = (path.get(..slash)?, tail.get(slash + 1..)?);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
            _ => (authority, DEFAULT_PORT),
        };
        let named = !host.is_empty() && !app.is_empty() && !name.is_empty();
        let tc_url = url.get(..url.len() - tail.len() + slash)?;
        (named && !authority.contains('@')).then_some(Self {
            host,
            port,
            app,
            tc_url,
            name,
        })
    }
}

/// A play under way.
struct Play<'a> {
    url: &'a str,
    stream: &'a str,
    session: Session,
    stage: Stage,
    since_message: u64,
}

impl Play<'_> {
    /// What the events so far come to.
    fn judge(&mut self) -> Result<Option<Verdict>, Verdict> {
        loop {
            let event = match self.session.poll_event() {
                Ok(Some(event)) => event,
                Ok(None) => return Ok(None),
                Err(error) => return Err(self.protocol(&error)),
            };
            self.since_message = 0;
            let verdict = match event {
                Event::Connected => {
                    self.stage = Stage::Asked;
                    continue;
                }
                Event::Playing => {
                    self.stage = Stage::Playing;
                    continue;
                }
                Event::Media(media) => {
                    if !is_frame(media.kind, &media.payload, media.payload.len()) {
                        continue;
                    }
                    Verdict::new(Look::Media, "frames over RTMP")
                }
                Event::Refused { code, description } => self.refused(&code, &description),
                Event::Status { code, description } if has_ended(&code) => {
                    Verdict::new(Look::Absent, format!("{code}: {description}"))
                }
                Event::Ended => Verdict::new(Look::Absent, "the stream has ended"),
                Event::Closed => self.at_end(End::Closed),
                _ => continue,
            };
            return Ok(Some(verdict));
        }
    }

    fn refused(&self, code: &str, description: &str) -> Verdict {
        // What the server echoes of the URL must not be taken for its own words.
        let mut words = clean(description, self.url);
        if self.stream.len() >= SHORTEST_NAME {
            words = words.replace(self.stream, "");
        }
        let look = match self.stage {
            Stage::Connecting => refusal::of_connect(code, &words),
            Stage::Asked | Stage::Playing => refusal::of_play(code, &words),
        };
        let code = if code.is_empty() { "an error" } else { code };
        Verdict::new(look, format!("{code}: {description}"))
    }

    fn at_end(&self, end: End) -> Verdict {
        let (look, words) = match (end, self.stage) {
            (End::Late, Stage::Connecting) => (
                Look::NoAnswer,
                "connected, and no answer to the RTMP connect in time",
            ),
            (End::Late, _) if self.since_message > UNFINISHED => (
                Look::NoAnswer,
                "media came too slowly to be sure: a message was not complete in time",
            ),
            (End::Late, Stage::Asked) => (Look::Absent, "no answer to the play in time"),
            (End::Late, Stage::Playing) => (Look::Absent, "play accepted, then no media in time"),
            (End::Spent, _) => return Verdict::spent(),
            (End::Closed, Stage::Connecting) => (
                Look::NoAnswer,
                "closed before the RTMP connect was answered",
            ),
            (End::Closed, _) => (Look::Absent, "closed by the server without media"),
        };
        Verdict::new(look, words)
    }

    fn protocol(&self, error: &tidegate_media::rtmp::Error) -> Verdict {
        Verdict::new(Look::NoAnswer, format!("not understood: {error}"))
    }
}

/// Status codes that say that nothing is or will be on the air.
fn has_ended(code: &str) -> bool {
    let ends = [
        "StreamNotFound",
        "FileNotFound",
        "Failed",
        "UnpublishNotify",
        "Stop",
        "Complete",
    ];
    let last = code.rsplit('.').next().unwrap_or_default();
    code.starts_with("NetStream.") && ends.contains(&last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let at = |url| Address::parse(url);
        let address = at("rtmp://play.example.com/live/cam-7?a=/b").unwrap();
        assert_eq!((address.host, address.port), ("play.example.com", 1935));
        assert_eq!((address.app, address.name), ("live", "cam-7?a=/b"));
        assert_eq!(address.tc_url, "rtmp://play.example.com/live");
        let address = at("RTMP://[::1]:19350/a/b/c").unwrap();
        assert_eq!((address.host, address.port), ("[::1]", 19350));
        assert_eq!((address.app, address.name), ("a/b", "c"));
        assert_eq!(address.tc_url, "RTMP://[::1]:19350/a/b");
        for url in [
            "",
            "rtmp://",
            "rtmp:/é/",
            "rtmp://h",
            "rtmp://h/live",
            "rtmp://h/live?x=/a",
            "rtmp://h//x",
            "rtmp://h/live/",
            "rtmp:///live/x",
            "rtmp://h:x/live/x",
            "rtmp://u@h/live/x",
            "http://h/live/x",
        ] {
            assert_eq!(at(url), None, "{url}");
        }
    }

    #[test]
    fn ends_are_told_from_other_statuses() {
        assert!(has_ended("NetStream.Play.UnpublishNotify"));
        assert!(!has_ended("NetStream.Play.Reset"));
        assert!(!has_ended("NetConnection.Call.Failed"));
    }
}

//! An RTMP client on a blocking socket, up to the point where media flows.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tidegate_media::rtmp::Limits;
use tidegate_media::rtmp::client::{Event, Options, Purpose, Session};

/// Longest wait for any answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection that publishes or plays.
pub(crate) struct Open {
    pub(crate) stream: TcpStream,
    pub(crate) session: Session,
}

/// How an attempt to publish or play ended.
pub(crate) enum Attempt {
    /// It may send, or will receive.
    Open(Box<Open>),
    /// The server said no.
    Refused {
        /// Its code and words.
        code: String,
        description: String,
        /// From the command written to its error status read.
        after: Duration,
    },
}

/// Where to publish or play.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) addr: SocketAddr,
    pub(crate) app: String,
    /// With its query.
    pub(crate) name: String,
}

impl Target {
    pub(crate) fn session(&self, purpose: Purpose) -> anyhow::Result<Session> {
        let url = format!("rtmp://{}/{}", self.addr, self.app);
        let options = Options::new(purpose, &self.app, &url, &self.name);
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|e| anyhow::anyhow!("no randomness: {e}"))?;
        Ok(Session::new(options, Limits::default(), seed))
    }
}

/// Connects and asks; returns when the server has answered.
pub(crate) fn ask(target: &Target, purpose: Purpose) -> anyhow::Result<Attempt> {
    let mut stream = TcpStream::connect(target.addr).context("connecting over RTMP")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut session = target.session(purpose)?;
    let mut asked_at = None;
    let mut room = vec![0; 16 << 10];
    loop {
        if session.has_output() {
            // The command for the stream goes out with the first output after its number came in.
            let output = session.take_output();
            if asked_at.is_none() && session.msid().is_some() {
                asked_at = Some(Instant::now());
            }
            stream.write_all(&output)?;
        }
        while let Some(event) = session.poll_event()? {
            match event {
                Event::Published | Event::Playing => {
                    return Ok(Attempt::Open(Box::new(Open { stream, session })));
                }
                Event::Refused { code, description } => {
                    let after = asked_at.map_or(Duration::ZERO, |at| at.elapsed());
                    return Ok(Attempt::Refused {
                        code,
                        description,
                        after,
                    });
                }
                _ => {}
            }
        }
        if session.has_output() {
            continue;
        }
        match stream.read(&mut room) {
            Ok(0) => bail!("the RTMP server closed without an answer"),
            Ok(len) => session.handle_input(room.get(..len).unwrap_or_default())?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context("waiting for the RTMP server's answer"),
        }
    }
}

/// Like [`ask`], for a publish that must succeed.
pub(crate) fn publish(target: &Target) -> anyhow::Result<Box<Open>> {
    match ask(target, Purpose::Publish)? {
        Attempt::Open(open) => Ok(open),
        Attempt::Refused {
            code, description, ..
        } => bail!("publish was refused: {code}: {description}"),
    }
}

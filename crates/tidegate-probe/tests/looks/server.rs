//! An HTTP server that does what a test tells it to, well-behaved or not.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidegate_media::flv::{TagKind, file_header, put_tag};
use tidegate_probe::{Kind, Looked, Looker, Options};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Longest that a test waits for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// A look for which nothing is too short.
pub(crate) const AMPLE: u64 = 1 << 20;

/// What a connection does once the request is there.
#[derive(Clone)]
pub(crate) enum Step {
    /// Sends bytes.
    Send(Vec<u8>),
    /// Sends the same for ever.
    Flood(Vec<u8>),
    /// Sends the same again and again, with pauses.
    Drip(Vec<u8>),
    /// Sends nothing more and keeps the connection.
    Hold,
}

/// A running server and the requests it got.
pub(crate) struct Server {
    pub(crate) at: SocketAddr,
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
}

/// Starts a server that answers the nth request, counted from 0, with `answer`'s steps.
pub(crate) async fn serve(
    answer: impl Fn(usize, &str) -> Vec<Step> + Send + Sync + 'static,
) -> Server {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let at = listener.local_addr().unwrap();
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&requests);
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
            tokio::spawn(async move {
                let Some(request) = head(&mut socket).await else {
                    return;
                };
                let steps = {
                    let mut seen = seen.lock().unwrap();
                    seen.push(request.clone());
                    answer(seen.len() - 1, &request)
                };
                let _ = run(&mut socket, steps).await;
            });
        }
    });
    Server { at, requests }
}

async fn head(socket: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(socket.read_u8().await.ok()?);
    }
    String::from_utf8(bytes).ok()
}

async fn run(socket: &mut TcpStream, steps: Vec<Step>) -> std::io::Result<()> {
    for step in steps {
        match step {
            Step::Send(bytes) => socket.write_all(&bytes).await?,
            Step::Flood(bytes) => loop {
                socket.write_all(&bytes).await?;
            },
            Step::Drip(bytes) => loop {
                socket.write_all(&bytes).await?;
                tokio::time::sleep(Duration::from_millis(10)).await;
            },
            Step::Hold => {
                let _ = socket.read(&mut [0]).await?;
            }
        }
    }
    socket.shutdown().await
}

impl Server {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.at)
    }
}

/// A response head without a length, as HTTP/1.0 servers send streams.
pub(crate) fn ok(kind: &str) -> Step {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n");
    Step::Send(head.into())
}

/// An answer without a body.
pub(crate) fn status(line: &str, fields: &str) -> Vec<Step> {
    let head = format!("HTTP/1.1 {line}\r\n{fields}Content-Length: 0\r\n\r\n");
    vec![Step::Send(head.into())]
}

/// A whole answer with a body.
pub(crate) fn body(kind: &str, body: &[u8]) -> Vec<Step> {
    vec![ok(kind), Step::Send(body.to_vec())]
}

/// FLV up to the first frame.
pub(crate) fn flv_prelude() -> Vec<u8> {
    let mut out = file_header(true, true).to_vec();
    put_tag(&mut out, TagKind::Script, 0, b"\x02\0\x0aonMetaData");
    put_tag(&mut out, TagKind::Video, 0, &[0x17, 0, 0, 0, 0, 1, 2]);
    put_tag(&mut out, TagKind::Audio, 0, &[0xaf, 0, 0x12, 0x10]);
    out
}

/// FLV with one frame at each of `times`.
pub(crate) fn flv(times: &[u32]) -> Vec<u8> {
    let mut out = flv_prelude();
    for at in times {
        put_tag(&mut out, TagKind::Video, *at, &[0x17, 1, 0, 0, 0, 9, 9, 9]);
    }
    out
}

/// Bounds so short that a deadline can be the subject.
pub(crate) fn hasty() -> Options {
    Options {
        total: Duration::from_millis(400),
        ..Options::default()
    }
}

pub(crate) async fn look_with(options: Options, url: &str, kind: Kind, budget: u64) -> Looked {
    let looker = Looker::new(options).unwrap();
    let look = looker.look(url, kind, budget);
    let looked = tokio::time::timeout(PATIENCE, look).await;
    let looked = looked.expect("a look ends by itself");
    assert!(looked.words.chars().count() <= 301, "{}", looked.words);
    assert!(!looked.words.chars().any(char::is_control));
    looked
}

pub(crate) async fn look(url: &str, kind: Kind) -> Looked {
    look_with(Options::default(), url, kind, AMPLE).await
}

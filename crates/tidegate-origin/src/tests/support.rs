//! A running origin, an RTMP peer and an HTTP player.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tidegate_core::name::Named;
use tidegate_core::{AppId, StreamId, StreamKey, UnixMs, Until};
use tidegate_media::flv::{self, Tag, TagKind};
use tidegate_media::rtmp::client::{self, Event, Purpose, Session};
use tidegate_media::rtmp::{Limits, Media};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{Addresses, Gate, Hub, Options, Origin, Refusal};

/// Longest that a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let result = tokio::time::timeout(PATIENCE, future).await;
    result.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

pub(super) fn key(stream: &str) -> StreamKey {
    StreamKey::new(AppId(1), StreamId::parse(stream).unwrap())
}

pub(super) fn forbidden() -> Refusal {
    Refusal::Forbidden(Until::At(
        UnixMs::parse_utc("2030-01-02T03:04:05Z").unwrap(),
    ))
}

/// App `live` is open to all, but for the streams forbidden.
#[derive(Default)]
pub(super) struct MemoryGate {
    pub(super) forbidden: Mutex<HashSet<StreamKey>>,
}

impl MemoryGate {
    fn admit(&self, named: &Named) -> Result<StreamKey, Refusal> {
        if named.app != "live" {
            return Err(Refusal::UnknownApp(named.app.clone()));
        }
        let key = StreamKey::new(AppId(1), named.stream.clone());
        self.standing(&key).map_or(Ok(key), Err)
    }
}

impl Gate for MemoryGate {
    fn admit_publish(&self, named: &Named, _: SocketAddr) -> Result<StreamKey, Refusal> {
        self.admit(named)
    }

    fn admit_play(&self, named: &Named, _: SocketAddr) -> Result<StreamKey, Refusal> {
        self.admit(named)
    }

    fn standing(&self, key: &StreamKey) -> Option<Refusal> {
        self.forbidden.lock().contains(key).then(forbidden)
    }
}

pub(super) struct Running {
    pub(super) hub: Hub,
    pub(super) gate: Arc<MemoryGate>,
    pub(super) addresses: Addresses,
    pub(super) stop: CancellationToken,
    pub(super) task: JoinHandle<()>,
}

pub(super) async fn start() -> Running {
    start_with(|_| {}).await
}

pub(super) async fn start_with(change: impl FnOnce(&mut Options)) -> Running {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut options = Options {
        rtmp: any,
        media: any,
        ..Options::default()
    };
    change(&mut options);
    let hub = Hub::new(&options);
    let gate = Arc::new(MemoryGate::default());
    let origin = Origin::bind(&options, hub.clone(), gate.clone())
        .await
        .unwrap();
    let stop = CancellationToken::new();
    Running {
        hub,
        gate,
        addresses: origin.addresses(),
        task: tokio::spawn(origin.run(stop.clone())),
        stop,
    }
}

impl Running {
    /// Forbids a stream as the engine does: the block first, then the cut.
    pub(super) fn forbid(&self, stream: &str) -> crate::Cut {
        self.gate.forbidden.lock().insert(key(stream));
        self.hub.cut(&key(stream), &forbidden())
    }

    /// A publisher on the air.
    pub(super) async fn publisher(&self, stream: &str) -> Peer {
        let mut peer = self.peer(Purpose::Publish, "live", stream).await;
        assert_eq!(
            peer.until(|e| *e == Event::Published).await,
            Some(Event::Published)
        );
        peer
    }

    /// A publisher that has sent headers, a key frame and two more.
    pub(super) async fn publisher_mid_gop(&self, stream: &str) -> Peer {
        let mut peer = self.publisher(stream).await;
        let frames = [
            (TagKind::Script, 0, metadata()),
            (TagKind::Video, 0, video_header(1)),
            (TagKind::Audio, 0, audio_header()),
            (TagKind::Video, 1000, key_frame(500)),
            (TagKind::Audio, 1010, audio(50)),
            (TagKind::Video, 1040, inter_frame(100)),
        ];
        let size: usize = frames.iter().map(|(_, _, p)| p.len()).sum();
        for (kind, at, payload) in &frames {
            peer.send(*kind, *at, payload).await;
        }
        self.received(stream, size as u64).await;
        peer
    }

    /// Waits until so many media bytes of a stream have come in.
    pub(super) async fn received(&self, stream: &str, bytes: u64) {
        let check = async {
            while self
                .hub
                .stream(&key(stream))
                .is_none_or(|s| s.bytes_in < bytes)
            {
                tokio::task::yield_now().await;
            }
        };
        soon("media to come in", check).await;
    }

    /// Waits until a stream has so many players.
    pub(super) async fn players(&self, stream: &str, players: u64) {
        let check = async {
            while self
                .hub
                .stream(&key(stream))
                .is_none_or(|s| s.players != players)
            {
                tokio::task::yield_now().await;
            }
        };
        soon("players", check).await;
    }

    pub(super) async fn peer(&self, purpose: Purpose, app: &str, name: &str) -> Peer {
        let socket = TcpStream::connect(self.addresses.rtmp).await.unwrap();
        let options = client::Options::new(purpose, app, "rtmp://host/live", name);
        Peer {
            socket,
            session: Session::new(options, Limits::default(), [7; 32]),
        }
    }

    pub(super) async fn get(&self, target: &str, fields: &str) -> Player {
        self.request(&format!(
            "GET {target} HTTP/1.1\r\nHost: here\r\n{fields}\r\n"
        ))
        .await
    }

    pub(super) async fn request(&self, request: &str) -> Player {
        let mut socket = TcpStream::connect(self.addresses.media).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        Player::read_head(socket).await
    }
}

pub(super) fn metadata() -> Bytes {
    Bytes::from_static(b"\x02\x00\x0aonMetaData\x08\x00\x00\x00\x00\x00\x00\x09")
}

pub(super) fn video_header(variant: u8) -> Bytes {
    Bytes::from(vec![0x17, 0, 0, 0, 0, 1, variant])
}

pub(super) fn audio_header() -> Bytes {
    Bytes::from_static(&[0xaf, 0, 0x12, 0x10])
}

fn filled(head: &[u8], size: usize) -> Bytes {
    let mut payload = head.to_vec();
    payload.resize(size, 0xab);
    payload.into()
}

pub(super) fn key_frame(size: usize) -> Bytes {
    filled(&[0x17, 1, 0, 0, 0], size)
}

pub(super) fn inter_frame(size: usize) -> Bytes {
    filled(&[0x27, 1, 0, 0, 0], size)
}

pub(super) fn audio(size: usize) -> Bytes {
    filled(&[0xaf, 1], size)
}

/// An RTMP client.
pub(super) struct Peer {
    pub(super) socket: TcpStream,
    pub(super) session: Session,
}

impl Peer {
    /// The next event, or `None` once the server has closed.
    pub(super) async fn event(&mut self) -> Option<Event> {
        soon("an RTMP event", async {
            loop {
                if let Some(event) = self.session.poll_event().unwrap() {
                    return Some(event);
                }
                let output = self.session.take_output();
                // The server may have closed already, with words still to be read.
                let _ = self.socket.write_all(&output).await;
                let mut bytes = [0; 4096];
                match self.socket.read(&mut bytes).await {
                    Ok(n) if n > 0 => self.session.handle_input(&bytes[..n]).unwrap(),
                    Ok(_) => return None,
                    Err(e) => panic!("the server reset the connection: {e}"),
                }
            }
        })
        .await
    }

    /// The first event that fits, or `None` if the server closed before.
    pub(super) async fn until(&mut self, fits: impl Fn(&Event) -> bool) -> Option<Event> {
        loop {
            let event = self.event().await?;
            if fits(&event) {
                return Some(event);
            }
        }
    }

    /// Code and words of the refusal, after which the server must close.
    pub(super) async fn refused(&mut self) -> (String, String) {
        let event = self.until(|e| matches!(e, Event::Refused { .. })).await;
        let Some(Event::Refused { code, description }) = event else {
            panic!("closed without a word");
        };
        while self.event().await.is_some() {}
        (code, description)
    }

    pub(super) async fn media(&mut self) -> Media {
        match self.until(|e| matches!(e, Event::Media(_))).await {
            Some(Event::Media(media)) => media,
            other => panic!("no media: {other:?}"),
        }
    }

    pub(super) async fn send(&mut self, kind: TagKind, timestamp: u32, payload: &[u8]) {
        assert!(self.session.send_media(kind, timestamp, payload));
        let output = self.session.take_output();
        self.socket.write_all(&output).await.unwrap();
    }
}

/// What an HTTP player got.
pub(super) struct Player {
    pub(super) socket: TcpStream,
    pub(super) head: String,
    rest: Vec<u8>,
    flv: flv::Reader,
}

impl Player {
    async fn read_head(mut socket: TcpStream) -> Self {
        let mut bytes = Vec::new();
        let read = async {
            while !bytes.ends_with(b"\r\n\r\n") {
                match socket.read_u8().await {
                    Ok(byte) => bytes.push(byte),
                    Err(_) => break,
                }
            }
        };
        soon("a response head", read).await;
        Self {
            socket,
            head: String::from_utf8(bytes).unwrap(),
            rest: Vec::new(),
            flv: flv::Reader::default(),
        }
    }

    pub(super) fn status(&self) -> u16 {
        let code = self.head.split(' ').nth(1).unwrap_or_default();
        code.parse().unwrap_or(0)
    }

    /// All that comes until the close.
    pub(super) async fn body(&mut self) -> Vec<u8> {
        let mut body = std::mem::take(&mut self.rest);
        let read = self.socket.read_to_end(&mut body);
        soon("the end of the body", read)
            .await
            .expect("a FIN, not a reset");
        body
    }

    async fn more(&mut self) -> usize {
        let mut bytes = [0; 4096];
        let n = soon("more of the body", self.socket.read(&mut bytes)).await;
        let n = n.expect("a FIN, not a reset");
        self.rest.extend_from_slice(&bytes[..n]);
        n
    }

    /// The payload of the next HTTP chunk; `None` after the final one and a FIN.
    pub(super) async fn chunk(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.rest.windows(2).position(|w| w == b"\r\n") {
                let line = std::str::from_utf8(&self.rest[..at]).unwrap();
                let length = usize::from_str_radix(line, 16).expect("a chunk size");
                let end = at + 2 + length + 2;
                if self.rest.len() >= end {
                    assert_eq!(&self.rest[end - 2..end], b"\r\n");
                    let chunk = self.rest[at + 2..end - 2].to_vec();
                    self.rest.drain(..end);
                    if length > 0 {
                        return Some(chunk);
                    }
                    assert_eq!(self.more().await, 0, "nothing may follow the final chunk");
                    return None;
                }
            }
            assert!(self.more().await > 0, "closed without the final chunk");
        }
    }

    /// The next FLV tag; `None` after a proper end.
    pub(super) async fn tag(&mut self) -> Option<Tag> {
        loop {
            if let Some(tag) = self.flv.poll_tag().unwrap() {
                return Some(tag);
            }
            let chunk = self.chunk().await?;
            self.flv.handle_input(&chunk);
        }
    }

    /// One unmasked WebSocket frame: its first byte and payload.
    pub(super) async fn frame(&mut self) -> (u8, Vec<u8>) {
        let socket = &mut self.socket;
        soon("a WebSocket frame", async {
            let first = socket.read_u8().await.unwrap();
            let length = match socket.read_u8().await.unwrap() {
                126 => usize::from(socket.read_u16().await.unwrap()),
                127 => usize::try_from(socket.read_u64().await.unwrap()).unwrap(),
                short => usize::from(short),
            };
            let mut payload = vec![0; length];
            socket.read_exact(&mut payload).await.unwrap();
            (first, payload)
        })
        .await
    }
}

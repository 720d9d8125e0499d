//! Looks at the real media server: live, not live, forbidden, gone.
use std::net::SocketAddr;
use std::sync::Arc;

use crate::server::{PATIENCE, look};
use tidegate_core::name::Named;
use tidegate_core::probe::Look;
use tidegate_core::{AppId, StreamId, StreamKey, UnixMs, Until};
use tidegate_media::flv::TagKind;
use tidegate_media::rtmp::Limits;
use tidegate_media::rtmp::client::{Event, Options as Play, Purpose, Session};
use tidegate_origin::{Addresses, Gate, Hub, Options, Origin, Refusal};
use tidegate_probe::{Kind, Template};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// Open to all in the app `live`, but for streams that begin with `bad`.
struct Door;

impl Door {
    fn admit(named: &Named) -> Result<StreamKey, Refusal> {
        if named.app != "live" {
            return Err(Refusal::UnknownApp(named.app.clone()));
        }
        let key = key(named.stream.as_str());
        Self.standing(&key).map_or(Ok(key), Err)
    }
}

impl Gate for Door {
    fn admit_publish(&self, named: &Named, _: SocketAddr) -> Result<StreamKey, Refusal> {
        Self::admit(named)
    }

    fn admit_play(&self, named: &Named, _: SocketAddr) -> Result<StreamKey, Refusal> {
        Self::admit(named)
    }

    fn standing(&self, key: &StreamKey) -> Option<Refusal> {
        let until = UnixMs::parse_utc("2030-01-02T03:04:05Z").unwrap();
        let bad = key.stream.as_str().starts_with("bad");
        bad.then_some(Refusal::Forbidden(Until::At(until)))
    }
}

fn key(stream: &str) -> StreamKey {
    StreamKey::new(AppId(1), StreamId::parse(stream).unwrap())
}

async fn start() -> (Hub, Addresses, CancellationToken) {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let options = Options {
        rtmp: any,
        media: any,
        ..Options::default()
    };
    let hub = Hub::new(&options);
    let origin = Origin::bind(&options, hub.clone(), Arc::new(Door))
        .await
        .unwrap();
    let (addresses, stop) = (origin.addresses(), CancellationToken::new());
    tokio::spawn(origin.run(stop.clone()));
    (hub, addresses, stop)
}

/// Publishes a stream with a group of pictures and keeps the connection.
async fn publish(at: SocketAddr, stream: &str) -> TcpStream {
    let mut socket = TcpStream::connect(at).await.unwrap();
    let options = Play::new(Purpose::Publish, "live", "rtmp://host/live", stream);
    let mut session = Session::new(options, Limits::default(), [7; 32]);
    let mut bytes = [0; 4096];
    while session.poll_event().unwrap() != Some(Event::Published) {
        let output = session.take_output();
        socket.write_all(&output).await.unwrap();
        if session.has_output() {
            continue;
        }
        let count = socket.read(&mut bytes).await.unwrap();
        assert!(count > 0, "the origin refused the publisher");
        session.handle_input(&bytes[..count]).unwrap();
        if let Some(Event::Published) = drain(&mut session) {
            break;
        }
    }
    let frames: [(TagKind, u32, &[u8]); 5] = [
        (TagKind::Video, 0, &[0x17, 0, 0, 0, 0, 1, 2]),
        (TagKind::Audio, 0, &[0xaf, 0, 0x12, 0x10]),
        (TagKind::Video, 0, &[0x17, 1, 0, 0, 0, 9]),
        (TagKind::Audio, 23, &[0xaf, 1, 9, 9]),
        (TagKind::Video, 40, &[0x27, 1, 0, 0, 0, 9]),
    ];
    for (kind, at, payload) in frames {
        assert!(session.send_media(kind, at, payload));
    }
    socket.write_all(&session.take_output()).await.unwrap();
    socket
}

fn drain(session: &mut Session) -> Option<Event> {
    let mut last = None;
    while let Some(event) = session.poll_event().unwrap() {
        last = Some(event);
    }
    last
}

async fn until(what: &str, check: impl Fn() -> bool) {
    let wait = async {
        while !check() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test]
async fn the_origin_is_seen_as_it_is() {
    let (hub, at, stop) = start().await;
    let publisher = publish(at.rtmp, "cam-7").await;
    until("media to come in", || {
        hub.stream(&key("cam-7")).is_some_and(|s| s.bytes_in >= 27)
    })
    .await;
    let templates = [
        format!("http://{}/live/{{stream}}.flv", at.media),
        format!("rtmp://{}/live/{{stream}}", at.rtmp),
    ];
    for text in &templates {
        let template = Template::parse(text).unwrap();
        for (stream, want) in [
            ("cam-7", Look::Media),
            ("cam-8", Look::Absent),
            ("bad-1", Look::Refused),
        ] {
            let url = template.url(&StreamId::parse(stream).unwrap(), None, UnixMs(0));
            let looked = look(&url, template.kind()).await;
            assert_eq!(looked.look, want, "{url}: {}", looked.words);
        }
    }
    let unknown = look(&format!("rtmp://{}/other/cam-7", at.rtmp), Kind::Rtmp).await;
    assert_eq!(unknown.look, Look::Absent, "{}", unknown.words);
    drop(publisher);
    until("the stream to end", || hub.stream(&key("cam-7")).is_none()).await;
    for text in &templates {
        let template = Template::parse(text).unwrap();
        let url = template.url(&StreamId::parse("cam-7").unwrap(), None, UnixMs(0));
        let looked = look(&url, template.kind()).await;
        assert_eq!(looked.look, Look::Absent, "{url}: {}", looked.words);
    }
    stop.cancel();
}

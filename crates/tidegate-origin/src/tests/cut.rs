//! The cut: who is told what, and that no race gets past it.

use tidegate_media::amf::{self, Value};
use tidegate_media::flv::TagKind;
use tidegate_media::rtmp::client::{Event, Purpose};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::support::*;
use crate::Cut;

#[tokio::test]
async fn a_cut_ends_publisher_and_players_each_in_its_own_way() {
    let origin = start().await;
    let mut publisher = origin.publisher_mid_gop("demo").await;
    let mut http = origin.get("/live/demo.flv", "").await;
    let mut rtmp = origin.peer(Purpose::Play, "live", "demo").await;
    http.tag().await.expect("media");
    rtmp.media().await;
    let cut = origin.forbid("demo");
    assert_eq!(
        cut,
        Cut {
            publishers: 1,
            players: 2
        }
    );
    let (code, words) = publisher.refused().await;
    assert_eq!(code, "NetStream.Publish.Denied");
    assert_eq!(words, "this stream is forbidden until 2030-01-02T03:04:05Z");
    // Ends with the final chunk and a FIN, or `tag` panics.
    while http.tag().await.is_some() {}
    let mut codes = Vec::new();
    let mut ended = false;
    while let Some(event) = rtmp.event().await {
        ended |= event == Event::Ended;
        if let Event::Status { code, .. } = event {
            codes.push(code);
        }
    }
    assert!(
        codes.iter().any(|c| c == "NetStream.Play.UnpublishNotify"),
        "{codes:?}"
    );
    assert!(ended);
    assert!(origin.hub.streams(None).is_empty());
    let metrics = origin.hub.metrics();
    assert_eq!(
        metrics.cut_to_publisher_closed.counts().iter().sum::<u64>(),
        1
    );
    assert_eq!(
        metrics.cut_to_players_closed.counts().iter().sum::<u64>(),
        1
    );
}

/// A command as one chunk.
fn command(msid: u8, values: &[Value]) -> Vec<u8> {
    let mut body = Vec::new();
    for value in values {
        amf::encode(&mut body, value);
    }
    let length = u8::try_from(body.len()).unwrap();
    let head = [3, 0, 0, 0, 0, 0, length, 20, msid, 0, 0, 0];
    [&head[..], &body].concat()
}

#[tokio::test]
async fn a_cut_says_forbidden_of_the_forbidden_stream_alone() {
    let origin = start().await;
    let mut peer = origin.publisher("one").await;
    let create = ["createStream".into(), 7.0.into(), Value::Null];
    let publish = ["publish".into(), 8.0.into(), Value::Null, "two".into()];
    let both = [command(0, &create), command(2, &publish)].concat();
    peer.socket.write_all(&both).await.unwrap();
    soon("the second publish", async {
        while origin.hub.stream(&key("two")).is_none() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    origin.forbid("two");
    let mut rest = Vec::new();
    peer.socket.read_to_end(&mut rest).await.unwrap();
    let count = |words: &str| {
        let words = words.as_bytes();
        rest.windows(words.len()).filter(|w| *w == words).count()
    };
    assert_eq!(count(&forbidden().to_string()), 1);
    assert_eq!(count("another stream of this connection"), 1);
}

#[tokio::test]
async fn a_cut_empties_the_gop_cache() {
    let origin = start().await;
    let _publisher = origin.publisher_mid_gop("demo").await;
    let stream = origin.hub.live(&key("demo")).expect("live");
    assert!(stream.cached_frames() > 0);
    origin.forbid("demo");
    assert_eq!(stream.cached_frames(), 0);
    assert!(
        !stream.push(crate::frame::Frame::new(tidegate_media::rtmp::Media {
            msid: 1,
            kind: TagKind::Video,
            timestamp: 0,
            payload: key_frame(9),
        }))
    );
    assert_eq!(stream.cached_frames(), 0);
}

#[tokio::test]
async fn a_publisher_that_keeps_sending_still_gets_the_words() {
    let origin = start().await;
    let mut publisher = origin.publisher("demo").await;
    for at in 0..20 {
        publisher.send(TagKind::Video, at, &key_frame(50_000)).await;
    }
    origin.forbid("demo");
    let (_, words) = publisher.refused().await;
    assert_eq!(words, forbidden().to_string());
}

#[tokio::test]
async fn a_disabled_app_loses_all_its_streams() {
    let origin = start().await;
    let mut one = origin.publisher("one").await;
    let mut two = origin.publisher("two").await;
    let none = origin
        .hub
        .cut_app(tidegate_core::AppId(2), &crate::Refusal::Disabled);
    assert_eq!(none, Cut::default());
    let cut = origin
        .hub
        .cut_app(tidegate_core::AppId(1), &crate::Refusal::Disabled);
    assert_eq!(cut.publishers, 2);
    assert_eq!(one.refused().await.1, "this app is disabled");
    assert_eq!(two.refused().await.1, "this app is disabled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_that_races_the_forbid_is_never_left_on_the_air() {
    let origin = start().await;
    let mut met = [0_u32; 2];
    for round in 0..200_u32 {
        let name = format!("s{round}");
        let mut peer = origin.peer(Purpose::Publish, "live", &name).await;
        assert_eq!(peer.event().await, Some(Event::Connected));
        let output = peer.session.take_output();
        tokio::io::AsyncWriteExt::write_all(&mut peer.socket, &output)
            .await
            .unwrap();
        for _ in 0..round % 40 {
            tokio::task::yield_now().await;
        }
        let cut = origin.forbid(&name);
        met[usize::from(cut.publishers > 0)] += 1;
        // Whichever came first, the publisher is told and closed.
        let (_, words) = peer.refused().await;
        assert_eq!(words, forbidden().to_string());
        assert!(origin.hub.stream(&key(&name)).is_none());
    }
    assert_eq!(origin.hub.metrics().publishers.get(), 0, "{met:?}");
}

#[tokio::test]
async fn the_second_look_sees_a_forbid_that_came_between_the_two() {
    use crate::{Gate, Hub, Options, Origin, Refusal};
    use std::sync::Arc;
    use tidegate_core::StreamKey;
    use tidegate_core::name::Named;

    /// Admits, and is forbidden right after: the cut has run before the registration.
    struct Late;

    impl Gate for Late {
        fn admit_publish(
            &self,
            named: &Named,
            _: std::net::SocketAddr,
        ) -> Result<StreamKey, Refusal> {
            Ok(key(named.stream.as_str()))
        }

        fn admit_play(&self, named: &Named, _: std::net::SocketAddr) -> Result<StreamKey, Refusal> {
            Ok(key(named.stream.as_str()))
        }

        fn standing(&self, _: &StreamKey) -> Option<Refusal> {
            Some(forbidden())
        }
    }

    let mut origin = start().await;
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let options = Options {
        rtmp: any,
        media: any,
        ..Options::default()
    };
    let hub = Hub::new(&options);
    let late = Origin::bind(&options, hub.clone(), Arc::new(Late))
        .await
        .unwrap();
    origin.addresses = late.addresses();
    tokio::spawn(late.run(origin.stop.clone()));
    let mut peer = origin.peer(Purpose::Publish, "live", "demo").await;
    assert_eq!(peer.refused().await.1, forbidden().to_string());
    assert!(hub.streams(None).is_empty());
}

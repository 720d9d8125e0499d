//! Who may publish, and how a publisher is told that it may not.

use tidegate_media::flv::TagKind;
use tidegate_media::rtmp::client::{Event, Purpose};

use super::support::*;

#[tokio::test]
async fn a_second_publisher_is_told_that_the_name_is_taken() {
    let origin = start().await;
    let mut first = origin.publisher("demo").await;
    let mut second = origin.peer(Purpose::Publish, "live", "flv:demo").await;
    let (code, words) = second.refused().await;
    assert_eq!(code, "NetStream.Publish.BadName");
    assert!(words.contains("already being published"), "{words}");
    first.send(TagKind::Video, 0, &key_frame(9)).await;
    origin.received("demo", 9).await;
}

#[tokio::test]
async fn no_alias_of_a_forbidden_name_gets_on_the_air() {
    let origin = start().await;
    origin.forbid("demo");
    for (app, name) in [
        ("live", "demo"),
        ("live/", "demo/"),
        ("live", "//demo?x=1"),
        ("live?x", "mp4:demo"),
        ("live", "flv:/de%6do"),
        ("", "live/demo"),
        ("live/demo", ""),
    ] {
        let mut peer = origin.peer(Purpose::Publish, app, name).await;
        let mut published = false;
        let mut refusal = None;
        while let Some(event) = peer.event().await {
            published |= event == Event::Published;
            if let Event::Refused { code, description } = event {
                refusal = Some((code, description));
            }
        }
        assert!(!published, "{app} {name}");
        let (code, words) = refusal.unwrap_or_else(|| panic!("{app} {name}: no word"));
        assert_eq!(code, "NetStream.Publish.Denied", "{app} {name}");
        assert_eq!(words, forbidden().to_string(), "{app} {name}");
    }
    assert!(origin.hub.streams(None).is_empty());
}

#[tokio::test]
async fn an_unknown_app_and_a_bad_name_are_refused_in_words() {
    let origin = start().await;
    for (app, name, code, part) in [
        (
            "dead",
            "demo",
            "NetStream.Publish.Denied",
            "no app \"dead\"",
        ),
        (
            "live",
            "a.b",
            "NetStream.Publish.BadName",
            "not a stream id",
        ),
        ("live", "a/b", "NetStream.Publish.BadName", "live/demo"),
    ] {
        let mut peer = origin.peer(Purpose::Publish, app, name).await;
        let (got, words) = peer.refused().await;
        assert_eq!(got, code, "{app}/{name}");
        assert!(words.contains(part), "{words}");
    }
}

#[tokio::test]
async fn a_name_is_free_again_once_its_publisher_has_left() {
    let origin = start().await;
    drop(origin.publisher("demo").await);
    let gone = async {
        while origin.hub.stream(&key("demo")).is_some() {
            tokio::task::yield_now().await;
        }
    };
    soon("the stream to end", gone).await;
    origin.publisher("demo").await;
}

#[tokio::test]
async fn a_silent_publisher_is_dropped() {
    let origin =
        start_with(|o| o.publish_read_timeout = std::time::Duration::from_millis(50)).await;
    let mut peer = origin.publisher("demo").await;
    let (_, words) = peer.refused().await;
    assert!(words.contains("sent nothing"), "{words}");
    assert!(origin.hub.streams(None).is_empty());
}

#[tokio::test]
async fn a_stop_ends_publishers_and_players_politely() {
    let origin = start().await;
    let mut publisher = origin.publisher_mid_gop("demo").await;
    let mut player = origin.get("/live/demo.flv", "").await;
    player.tag().await.expect("media");
    origin.stop.cancel();
    while player.tag().await.is_some() {}
    let (_, words) = publisher.refused().await;
    assert!(words.contains("stopping"), "{words}");
    soon("the end of the server", origin.task).await.unwrap();
    assert_eq!(origin.hub.metrics().connections.get(), 0);
}

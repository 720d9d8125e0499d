//! Templates taken and refused, and the URLs they give.

use tidegate_core::Secret;

use super::*;
use crate::recipe::PlayRecipe;

fn stream() -> StreamId {
    StreamId::parse("cam-7").unwrap()
}

#[test]
fn templates_give_the_urls_of_streams() {
    for (text, kind, host, url) in [
        (
            "http://play.example.com/live/{stream}.flv",
            Kind::Flv,
            "play.example.com",
            "http://play.example.com/live/cam-7.flv",
        ),
        (
            "HTTPS://Play.Example.com:8443/live/{stream}_720p.m3u8?app=1",
            Kind::Hls,
            "play.example.com",
            "HTTPS://Play.Example.com:8443/live/cam-7_720p.m3u8?app=1",
        ),
        (
            "http://[::1]:8080/{stream}/playlist.m3u8",
            Kind::Hls,
            "[::1]",
            "http://[::1]:8080/cam-7/playlist.m3u8",
        ),
        (
            "https://10.0.0.7/play.flv?id={stream}&again={stream}",
            Kind::Flv,
            "10.0.0.7",
            "https://10.0.0.7/play.flv?id=cam-7&again=cam-7",
        ),
        (
            "rtmp://play.example.com/live/{stream}",
            Kind::Rtmp,
            "play.example.com",
            "rtmp://play.example.com/live/cam-7",
        ),
    ] {
        let template = Template::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!((template.kind(), template.host()), (kind, host), "{text}");
        assert_eq!(template.text(), text);
        assert_eq!(template.url(&stream(), None, UnixMs(0)), url);
    }
}

#[test]
fn what_is_no_template_is_refused_with_words() {
    for (text, words) in [
        ("", "begins with http://"),
        ("play.example.com/{stream}.flv", "begins with http://"),
        ("ftp://h/{stream}.flv", "begins with http://"),
        ("rtmps://h/live/{stream}", "begins with http://"),
        ("http://u:hunter2@h/{stream}.flv", "user name or password"),
        ("u:hunter2@h/{stream}.flv", "user name or password"),
        ("ftp://u:hunter2@h/{stream}.flv", "user name or password"),
        ("http:///{stream}.flv", "not a host name"),
        ("http://h:0/{stream}.flv", "not a host name"),
        ("http://h:x/{stream}.flv", "not a host name"),
        ("http://h:65536/{stream}.flv", "not a host name"),
        ("http://[::1/{stream}.flv", "not a host name"),
        ("http://a..b/{stream}.flv", "not a host name"),
        ("http://a%2eb/{stream}.flv", "not a host name"),
        ("http://1.2.3.999/{stream}.flv", "not a host name"),
        ("http://{stream}.h/live/x.flv", "not in its host"),
        ("http://h/live/x.flv", "no {stream}"),
        ("http://h/live/{Stream}.flv", "a brace"),
        ("http://h/live/{stream}}.flv", "a brace"),
        ("http://h/live/{stream}.flv#x", "has a #"),
        ("http://h/live/{stream}", "ends in .flv or .m3u8"),
        ("http://h/live/{stream}.FLV", "ends in .flv or .m3u8"),
        ("http://h/live?x={stream}.flv", "ends in .flv or .m3u8"),
        ("http://h/a/../{stream}.flv", "would be sent as"),
        ("http://h/a\"b/{stream}.flv", "would be sent as"),
        ("http://h/a b/{stream}.flv", "' ' at byte 10"),
        ("http://h/直播/{stream}.flv", "percent-encoded"),
        ("rtmp://h/{stream}", "an app and a name"),
        ("rtmp://h/live/{stream}/", "an app and a name"),
        ("rtmp://h", "no {stream}"),
    ] {
        let error = Template::parse(text).unwrap_err().to_string();
        assert!(error.contains(words), "{text}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    let long = format!("http://h/{}/{{stream}}.flv", "a".repeat(3000));
    assert!(matches!(
        Template::parse(&long),
        Err(TemplateError::TooLong(_))
    ));
}

#[test]
fn signatures_cover_what_each_vendor_signs() {
    let key = Secret::new("PLAYKEY0123456789".into());
    let now = UnixMs::from_seconds(1_700_000_000);
    for (word, text, tail) in [
        (
            "tencent",
            "http://h/live/{stream}_720p.flv",
            "cam-7_720p.flv?txSecret=4239f30d125908a0cccb2b7b3eb975c8&txTime=6553f358",
        ),
        (
            "aliyun",
            "http://h/live/{stream}.m3u8?a=b",
            "?a=b&auth_key=1700000600-0-0-b1ffa7f6adf52674b0d7521754aee6d5",
        ),
        (
            "aliyun",
            "rtmp://h/live/{stream}",
            "cam-7?auth_key=1700000600-0-0-a1b07ee0b2d880d31789d7b52da6de97",
        ),
        (
            "ws",
            "https://h/live/{stream}/playlist.m3u8",
            "?wsSecret=3d8677a31db09036234164b996fc327a&wsABStime=6553f358",
        ),
        (
            "tencent",
            "https://h/live/{stream}/playlist.m3u8",
            "?txSecret=a7a00eab057490b221714c2fb2f95985&txTime=6553f358",
        ),
        (
            "tencent",
            "https://h/play.flv?id={stream}",
            "?id=cam-7&txSecret=a7a00eab057490b221714c2fb2f95985&txTime=6553f358",
        ),
    ] {
        let recipe = PlayRecipe::of_word(word).unwrap();
        let signing = Signing { recipe, key: &key };
        let url = Template::parse(text)
            .unwrap()
            .url(&stream(), Some(signing), now);
        assert!(url.ends_with(tail), "{url}");
    }
}

#[test]
fn parsing_never_panics() {
    use proptest::prelude::*;
    proptest!(|(text in "(https?|rtmp)?(://)?[\\[\\]@:a-z0-9./?#{}é%]{0,40}(\\{stream\\})?.{0,8}")| {
        if let Ok(template) = Template::parse(&text) {
            let url = template.url(&stream(), None, UnixMs(0));
            prop_assert!(Url::parse(&url).is_ok(), "{}", url);
        }
    });
}

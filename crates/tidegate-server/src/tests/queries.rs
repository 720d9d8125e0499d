//! `QueryForbidCDNLiveStream`.

use serde_json::json;
use tidegate_core::{Block, Generation, StreamId, StreamKey, UnixMs, Until};

use super::site::{Site, code, message};

const QUERY: &str = "QueryForbidCDNLiveStream";

#[tokio::test]
async fn the_vendor_is_one_of_five_words() {
    let site = Site::start().await;
    for rest in ["", "&Vendor=", "&Vendor=Ws", "&Vendor=hw", "&Vendor=all"] {
        let answer = site.call(QUERY, rest).await;
        assert_eq!(code(&answer), 2, "{answer}");
        assert!(message(&answer).starts_with("Vendor "), "{answer}");
    }
    for (vendor, key) in [
        ("ws", "Ws"),
        ("aliyun", "Aliyun"),
        ("tencent", "Tencent"),
        ("huawei", "Huawei"),
        ("origin", "Origin"),
    ] {
        let answer = site.call(QUERY, &format!("&Vendor={vendor}")).await;
        assert_eq!(code(&answer), 0, "{answer}");
        assert_eq!(answer["Data"], json!({ key: { "ResultDetail": [] } }));
    }
}

#[tokio::test]
async fn rows_have_the_documented_shape() {
    let site = Site::start().await;
    let end = "2999-05-01T00:00:00Z";
    let before = site.seconds();
    site.call(
        "ForbidCDNLiveStream",
        &format!("&StreamId=cam-7&ResumeTime={end}"),
    )
    .await;
    site.v1(
        "POST",
        &format!("apps/{}/streams/ever/forbid", site.app.id),
        json!({}),
    )
    .await;
    let query = site.signed(QUERY, "&Vendor=origin");
    let answer = site.get(&query).await;
    let rows = answer["Data"]["Origin"]["ResultDetail"]
        .as_array()
        .expect("rows");
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["Channel"], "127.0.0.1");
    assert_eq!(rows[0]["Url"], "rtmp://127.0.0.1/live/cam-7");
    assert_eq!(rows[0]["EndTime"], end);
    assert_eq!(rows[0]["Ip"], "");
    let start = UnixMs::parse_utc(rows[0]["StartTime"].as_str().expect("text")).expect("UTC");
    assert!((before - 1..before + 60).contains(&start.seconds()));
    assert_eq!(rows[1]["EndTime"], "9999-12-31T23:59:59Z");
    assert_eq!(code(&site.get(&query).await), 0, "a query binds no nonce");
}

#[tokio::test]
async fn at_most_ten_thousand_rows_are_shown() {
    let site = Site::start().await;
    for n in 0..10_001u64 {
        let stream = StreamId::parse(&format!("s{n}")).expect("an id");
        let block = Block {
            generation: Generation(1),
            since: UnixMs(i64::try_from(n).expect("small")),
            until: Until::Lifted,
            held_resume: None,
        };
        let key = StreamKey::new(site.app.id, stream);
        site.engine.blocks().load(&key, &block);
    }
    let answer = site.call(QUERY, "&Vendor=origin").await;
    let rows = answer["Data"]["Origin"]["ResultDetail"]
        .as_array()
        .expect("rows");
    assert_eq!(rows.len(), 10_000);
    assert!(
        message(&answer).contains("10000 of 10001"),
        "{}",
        message(&answer)
    );
}

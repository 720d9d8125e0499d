//! `/healthz`, `/readyz`, `/metrics`, and the time before the engine is there.

use tidegate_engine::AlarmKind;

use super::site::{Site, bare, options, raw};

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").into_bytes()
}

#[tokio::test]
async fn before_the_engine_is_attached_only_health_is_good() {
    let (address, _handle, _shutdown) = bare(options()).await;
    let healthy = raw(address, &get("/healthz")).await;
    assert!(healthy.starts_with("HTTP/1.1 200"), "{healthy}");
    let ready = raw(address, &get("/readyz")).await;
    assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
    assert!(ready.contains("blocks are being loaded"), "{ready}");
    let call = raw(address, &get("/?Action=x")).await;
    assert!(call.starts_with("HTTP/1.1 503"), "{call}");
    assert!(call.contains("{\"Code\":1,\"Message\":\"starting: blocks are being loaded\""));
    let v1 = raw(address, &get("/v1/status")).await;
    assert!(
        v1.starts_with("HTTP/1.1 503") && v1.contains("unavailable"),
        "{v1}"
    );
    let metrics = raw(address, &get("/metrics")).await;
    assert!(metrics.contains("tidegate_ready 0"), "{metrics}");
}

#[tokio::test]
async fn alarms_are_shown_and_do_not_make_it_unready() {
    let site = Site::start().await;
    let ready = raw(site.address, &get("/readyz")).await;
    assert!(
        ready.starts_with("HTTP/1.1 200") && ready.contains("\"ready\":true"),
        "{ready}"
    );
    let now = site.engine.now();
    site.engine
        .alarms()
        .raise(AlarmKind::ResumesHeld, now, "held for a test");
    let ready = raw(site.address, &get("/readyz")).await;
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    assert!(ready.contains("held for a test"), "{ready}");
    let metrics = raw(site.address, &get("/metrics")).await;
    assert!(
        metrics.contains("tidegate_alarm{kind=\"resumes_held\"} 1"),
        "{metrics}"
    );
}

#[tokio::test]
async fn metrics_count_calls_and_name_no_stream() {
    let site = Site::start().await;
    site.call("ForbidCDNLiveStream", "&StreamId=very-secret-name")
        .await;
    site.call("ForbidCDNLiveStream", "&StreamId=a/b").await;
    site.call("very-secret-action", "&StreamId=very-secret-name")
        .await;
    let metrics = raw(site.address, &get("/metrics")).await;
    for line in [
        "tidegate_api_calls_total{action=\"ForbidCDNLiveStream\",code=\"0\"} 1",
        "tidegate_api_calls_total{action=\"ForbidCDNLiveStream\",code=\"2\"} 1",
        "tidegate_api_calls_total{action=\"other\",code=\"100000007\"} 1",
        "tidegate_api_call_seconds_count{action=\"ForbidCDNLiveStream\"} 2",
        "tidegate_decisions_total{verb=\"forbid\"} 1",
        "tidegate_blocks 1",
        "tidegate_ready 1",
        "tidegate_cut_publisher_seconds_bucket{le=\"0.003\"} 0",
        "tidegate_origin_players{protocol=\"http_flv\"} 0",
        "# EOF",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    assert!(!metrics.contains("very-secret"), "{metrics}");
}

//! Adapters, and servers on loopback for them to call.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use tidegate_cdn::{
    Account, AccountSpec, Adapter, ClientOptions, HttpClient, Matching, Site, Vendor, VendorObject,
};
use tidegate_core::{Secret, StreamId, UnixMs};
use tokio::net::TcpListener;

pub(crate) const SECRET: &str = "hunter2-hunter2";

pub(crate) fn now() -> UnixMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    UnixMs(since.as_millis().try_into().unwrap())
}

pub(crate) fn spec(vendor: Vendor, endpoint: &str) -> AccountSpec {
    AccountSpec {
        name: "main".into(),
        vendor,
        access_key_id: "AKID0001".into(),
        secret: Secret::new(SECRET.into()),
        security_token: None,
        scheme: None,
        region: None,
        project_id: (vendor == Vendor::Huawei).then(|| "0123abcd".into()),
        endpoint: Some(endpoint.into()),
        matching: Matching::NameOnly,
    }
}

pub(crate) fn account(vendor: Vendor, endpoint: &str) -> Account {
    Account::new(spec(vendor, endpoint)).unwrap()
}

pub(crate) fn adapter(vendor: Vendor, endpoint: &str) -> (Adapter, VendorObject) {
    let account = account(vendor, endpoint);
    let object = account.object(&site(), &StreamId::parse("room1001").unwrap());
    let options = ClientOptions {
        total_timeout: Duration::from_secs(20),
        read_timeout: Duration::from_secs(20),
        max_response_bytes: 10_000,
        ..ClientOptions::default()
    };
    let client = HttpClient::new(options).unwrap();
    (Adapter::new(account, client, now), object)
}

pub(crate) fn site() -> Site {
    Site::new("push.example.com", Some("play.example.com"), "live").unwrap()
}

/// Serves one answer to every request, and counts them.
pub(crate) async fn serve<R: IntoResponse + 'static>(
    answer: impl Fn(&Request) -> R + Clone + Send + Sync + 'static,
) -> (String, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = count.clone();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let handler = move |request: Request| {
        seen.fetch_add(1, Ordering::SeqCst);
        let response: Response = answer(&request).into_response();
        async move { response }
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(handler)).await });
    (endpoint, count)
}

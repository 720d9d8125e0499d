//! Four simulated vendors on free ports, for clients that are not written in Rust.
//!
//! Prints one line of JSON, `{"ws": {"api": "127.0.0.1:1", "admin": "127.0.0.1:2"}, ...}`, and runs
//! until its standard input ends. Credentials and domains are the ones in `config` below.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use serde_json::json;
use tidegate_core::{Secret, UnixMs};
use tidegate_sim::{
    Account, Config, Domain, Key, Media, Online, Permission, Simulator, StreamName, SystemClock,
    Vendor, serve,
};

/// One stream that is always on the air.
struct OneStream;

impl Media for OneStream {
    fn cut(&self, _name: &StreamName, _until: Option<UnixMs>) {}

    fn online(&self) -> Vec<Online> {
        vec![Online {
            name: StreamName::new("push.example.com", "live", "onair"),
            since: UnixMs::from_seconds(1_772_698_150),
            client_ip: "192.0.2.7".to_owned(),
        }]
    }
}

fn config(vendor: Vendor) -> Config {
    let mut full = Account::new("full", "full-key", "full-secret");
    full.api_key = Some(Secret::new("full-api-key".to_owned()));
    full.project_id = Some("0123456789abcdef0123456789abcdef".to_owned());
    full.keys.push(Key {
        token: Some(Secret::new("sts/token+==".to_owned())),
        ..Key::new("sts-key", "sts-secret")
    });
    full.keys.push(Key {
        expired: true,
        ..Key::new("old-key", "old-secret")
    });
    let mut reader = Account::new("reader", "reader-key", "reader-secret");
    reader.permission = Permission::Read;
    reader.project_id.clone_from(&full.project_id);
    Config {
        accounts: vec![full, reader],
        domains: vec![Domain::new("push.example.com", Some("play.example.com"))],
        ..Config::new(vendor)
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut running = Vec::new();
    let mut places = serde_json::Map::new();
    for vendor in Vendor::ALL {
        let simulator = Simulator::new(config(vendor), Arc::new(SystemClock), Arc::new(OneStream));
        let serving = serve(simulator, any, Some(any)).await?;
        let place = json!({"api": serving.api(), "admin": serving.admin()});
        places.insert(vendor.name().to_owned(), place);
        running.push(serving);
    }
    writeln!(std::io::stdout(), "{}", serde_json::Value::Object(places))?;
    tokio::task::spawn_blocking(|| {
        let mut rest = Vec::new();
        std::io::stdin().read_to_end(&mut rest)
    })
    .await??;
    Ok(())
}

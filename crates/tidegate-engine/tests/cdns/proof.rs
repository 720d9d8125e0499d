//! Accepted is one thing, dark another: somebody has to look.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tidegate_core::AskKind;
use tidegate_core::placement::Evidence;
use tidegate_engine::CdnOptions;
use tidegate_ledger::{AttemptResult, Ledger as _, Vendor};
use tidegate_sim::{Fault, Rule, Simulator, StreamName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::rig::{Box, FOREVER, Rig};

async fn observed(rig: &Rig, stream: &str, vendor: Vendor) -> Option<Evidence> {
    let status = rig.ledger.status(&rig.key(stream)).await.expect("status");
    let placed = status.placements.iter().find(|p| p.target.vendor == vendor);
    placed.and_then(|p| p.observed).map(|seen| seen.evidence)
}

async fn sees(rig: &Rig, stream: &str, vendor: Vendor, evidence: Evidence) {
    rig.eventually(&format!("{stream} is not seen {evidence:?}"), async |rig| {
        observed(rig, stream, vendor).await == Some(evidence)
    })
    .await;
}

fn alarms(rig: &Rig) -> Vec<&'static str> {
    let alarms = rig.engine.alarms().list();
    alarms.iter().map(|alarm| alarm.kind.word()).collect()
}

#[tokio::test]
async fn the_vendors_own_word_makes_a_stream_dark_and_live_again() {
    for vendor in [Vendor::Aliyun, Vendor::Tencent, Vendor::Huawei] {
        let rig = Rig::start().await;
        let at = Box::start(vendor, |_| {}).await;
        rig.connect(&at).await;
        at.reel.live.lock().push(at.name("cam-7"));
        rig.decide("cam-7", FOREVER).await;
        sees(&rig, "cam-7", vendor, Evidence::Dark).await;
        at.reel.live.lock().push(at.name("cam-7"));
        rig.decide("cam-7", AskKind::Resume).await;
        sees(&rig, "cam-7", vendor, Evidence::Live).await;
        rig.eventually("nothing in the history", async |rig| {
            let status = rig.ledger.status(&rig.key("cam-7")).await.expect("status");
            let seen: Vec<_> = status.attempts.iter().map(|a| a.result).collect();
            seen.contains(&AttemptResult::Dark) && seen.contains(&AttemptResult::Live)
        })
        .await;
        assert_eq!(alarms(&rig), [""; 0]);
    }
}

#[tokio::test]
async fn a_stream_that_goes_on_after_the_ban_is_an_alarm_until_it_is_dark() {
    let rig = Rig::with(CdnOptions {
        alarm_after: Duration::from_secs(2),
        ..CdnOptions::default()
    })
    .await;
    let at = Box::start(Vendor::Tencent, |_| {}).await;
    rig.connect(&at).await;
    at.reel.immortal.store(true, Ordering::SeqCst);
    at.reel.live.lock().push(at.name("cam-7"));
    // The vendor shows a banned stream as banned; this one lapses unnoticed and goes on.
    at.sim
        .set_faults(vec![Rule::always(Fault::LapseEarly { ms: 0 })]);
    rig.decide("cam-7", FOREVER).await;
    rig.eventually("no alarm", async |rig| alarms(rig) == ["still_live"])
        .await;
    assert_eq!(
        observed(&rig, "cam-7", Vendor::Tencent).await,
        Some(Evidence::Live)
    );
    assert_eq!(rig.engine.stats().still_live.get(), 1);
    at.reel.live.lock().clear();
    sees(&rig, "cam-7", Vendor::Tencent, Evidence::Dark).await;
    rig.eventually("the alarm stays", async |rig| alarms(rig).is_empty())
        .await;
}

#[tokio::test]
async fn a_play_url_counts_once_it_was_seen_live() {
    let rig = Rig::start().await;
    let at = Box::start(Vendor::Ws, |_| {}).await;
    let edge = Edge::start(&at).await;
    let account = rig.account(&at, |_| {}).await;
    rig.target_with(rig.app, &at, account, |target| {
        target.play_urls = vec![edge.template("right"), edge.template("wrong")];
    })
    .await;
    // Until the ban takes effect the stream plays: that is when the right URL proves itself.
    let mut slow = Rule::always(Fault::Latency {
        ms: 1500,
        after_effect: false,
    });
    slow.count = Some(1);
    at.sim.set_faults(vec![slow]);
    rig.decide("cam-7", FOREVER).await;
    sees(&rig, "cam-7", Vendor::Ws, Evidence::Dark).await;
    let status = rig.ledger.status(&rig.key("cam-7")).await.expect("status");
    assert!(status.block.is_some());
}

#[tokio::test]
async fn a_play_url_that_never_played_proves_nothing() {
    let rig = Rig::with(CdnOptions {
        alarm_after: Duration::from_secs(1),
        ..CdnOptions::default()
    })
    .await;
    let at = Box::start(Vendor::Ws, |_| {}).await;
    let edge = Edge::start(&at).await;
    let account = rig.account(&at, |_| {}).await;
    rig.target_with(rig.app, &at, account, |target| {
        target.play_urls = vec![edge.template("wrong")];
    })
    .await;
    rig.decide("cam-7", FOREVER).await;
    sees(&rig, "cam-7", Vendor::Ws, Evidence::Unknown).await;
    rig.eventually("it is looked at once only", async |_| {
        edge.asked.load(Ordering::SeqCst) >= 3
    })
    .await;
    assert_eq!(
        observed(&rig, "cam-7", Vendor::Ws).await,
        Some(Evidence::Unknown)
    );
    assert_eq!(alarms(&rig), [""; 0]);
}

/// A CDN's edge: plays what the simulated vendor does not ban, under one of two paths.
struct Edge {
    address: SocketAddr,
    asked: Arc<std::sync::atomic::AtomicU32>,
}

impl Edge {
    async fn start(at: &Box) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a socket");
        let address = listener.local_addr().expect("bound");
        let asked = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let (sim, name, counter) = (at.sim.clone(), at.name("cam-7"), asked.clone());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(play(socket, sim.clone(), name.clone()));
            }
        });
        Self { address, asked }
    }

    fn template(&self, path: &str) -> String {
        format!("http://{}/{path}/{{stream}}.flv", self.address)
    }
}

async fn play(mut socket: TcpStream, sim: Arc<Simulator>, name: StreamName) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.ok()?);
    }
    let right = head.starts_with(b"GET /right/cam-7.flv ");
    if !right || sim.is_forbidden(&name) {
        let gone = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        return socket.write_all(gone).await.ok();
    }
    socket
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\nConnection: close\r\n\r\n")
        .await
        .ok()?;
    socket
        .write_all(b"FLV\x01\x05\0\0\0\x09\0\0\0\0")
        .await
        .ok()?;
    for frame in 0_u8..200 {
        // An AVC frame of a few bytes, 40 ms after the last.
        let payload = [0x17, 1, 0, 0, 0, 0, 0, 0, 1, 9];
        let time = u32::from(frame) * 40;
        let [_, t2, t1, t0] = time.to_be_bytes();
        let mut tag = vec![9, 0, 0, 10, t2, t1, t0, 0, 0, 0, 0];
        tag.extend_from_slice(&payload);
        tag.extend_from_slice(&21_u32.to_be_bytes());
        socket.write_all(&tag).await.ok()?;
    }
    Some(())
}

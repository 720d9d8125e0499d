//! A simulated CDN from the command line, with a real encoder: the vendor's call, made by the
//! adapter, cuts and refuses what ffmpeg publishes, and lets it back.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

#[path = "common/encoder.rs"]
mod encoder;
#[path = "common/harness.rs"]
mod harness;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tidegate_cdn::{
    Account, AccountSpec, Adapter, Cdn, ClientOptions, Done, HttpClient, Matching, Page, Site,
    StreamState, Vendor, VendorObject,
};
use tidegate_core::{Secret, StreamId, UnixMs};

use encoder::{Encoder, H264_AAC, probe};
use harness::{DEADLINE, Place, finish, get, tidegate, wait_for};

/// A running simulated CDN and everything that its state directory tells of it.
struct Sim {
    place: Place,
    child: Child,
    listen: Value,
    account: Value,
}

fn wall() -> UnixMs {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UnixMs(0).plus(since.expect("a clock"))
}

impl Sim {
    fn start(place: &Place, args: &[&str]) -> Self {
        let dir = place.beside("sim");
        let output = std::fs::File::create(place.beside("sim.out")).expect("a file");
        let log = std::fs::File::create(place.beside("sim.log")).expect("a file");
        let mut child = tidegate()
            .args(["sim", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .arg("--state-dir")
            .arg(&dir)
            .args(args)
            .stdout(output)
            .stderr(log)
            .spawn()
            .expect("the program runs");
        let read = |name: &str| -> Option<Value> {
            serde_json::from_str(&std::fs::read_to_string(dir.join(name)).ok()?).ok()
        };
        let listen = wait_for("the start of the simulated CDN", || {
            let ended = child.try_wait().expect("a child");
            let log = || std::fs::read_to_string(place.beside("sim.log")).unwrap_or_default();
            assert!(ended.is_none(), "it ended with {ended:?}: {}", log());
            read("listen.json")
        });
        Self {
            place: place.clone(),
            child,
            listen,
            account: read("account.json").unwrap_or_default(),
        }
    }

    fn at(&self, what: &str) -> &str {
        self.listen[what].as_str().expect(what)
    }

    fn account(&self, what: &str) -> Option<String> {
        self.account[what].as_str().map(str::to_owned)
    }

    fn adapter(&self, vendor: Vendor, id: &str, secret: &str) -> Adapter {
        let spec = AccountSpec {
            name: "main".into(),
            vendor,
            access_key_id: id.into(),
            secret: Secret::new(secret.into()),
            security_token: None,
            scheme: None,
            region: None,
            project_id: self.account("project_id"),
            endpoint: Some(format!("http://{}", self.at("api"))),
            matching: Matching::NameOnly,
        };
        let account = Account::new(spec).expect("an account");
        let client = HttpClient::new(ClientOptions::default()).expect("a client");
        Adapter::new(account, client, wall)
    }

    /// An adapter with the key from `account.json`.
    fn customer(&self, vendor: Vendor) -> Adapter {
        let part = |name: &str| self.account(name).expect(name);
        self.adapter(vendor, &part("access_key_id"), &part("secret"))
    }

    fn publish_url(&self, stream: &str) -> String {
        format!("rtmp://{}/live/{stream}", self.at("rtmp"))
    }

    fn flv(&self, stream: &str) -> String {
        format!("http://{}/live/{stream}.flv", self.at("media"))
    }

    fn stop(mut self) -> ExitStatus {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a pid"), Signal::TERM).expect("signalled");
        wait_for("the end of the simulated CDN", || {
            self.child.try_wait().expect("a child")
        })
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn object(vendor: Vendor, domain: &str, stream: &str) -> VendorObject {
    let stream = StreamId::parse(stream).expect("a stream id");
    VendorObject::new(
        vendor,
        "main",
        site(vendor, domain),
        stream,
        Matching::NameOnly,
    )
}

fn site(vendor: Vendor, domain: &str) -> Site {
    let play = format!("play.{vendor}.test");
    Site::new(domain, Some(&play), "live").expect("a site")
}

async fn wait_state(adapter: &Adapter, object: &VendorObject, want: StreamState) {
    let begun = std::time::Instant::now();
    while adapter.stream_state(object).await.expect("a state").value != want {
        assert!(begun.elapsed() < DEADLINE, "{want:?} did not come in time");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Plays until the server ends it; gives what was received.
fn play_to_the_end(address: &str, path: &str) -> std::thread::JoinHandle<usize> {
    let mut socket = TcpStream::connect(address).expect("connected");
    socket.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    socket.write_all(head.as_bytes()).expect("sent");
    std::thread::spawn(move || {
        let mut received = Vec::new();
        socket.read_to_end(&mut received).expect("an end");
        received.len()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendors_ban_cuts_a_real_stream_and_its_resume_brings_it_back() {
    let place = Place::new();
    let sim = Sim::start(&place, &["--vendor", "aliyun"]);
    let vendor = Vendor::Aliyun;
    let adapter = sim.customer(vendor);
    let (domain, site) = ("push.aliyun.test", site(vendor, "push.aliyun.test"));
    let demo = object(vendor, domain, "demo");
    let encoder = Encoder::start(&place, "publisher", &sim.publish_url("demo"));
    wait_state(&adapter, &demo, StreamState::Live).await;
    let ffprobe = Path::new("ffprobe");
    assert_eq!(probe(ffprobe, &sim.flv("demo")), ["aac", "h264"]);
    let player = play_to_the_end(sim.at("media"), "/live/demo.flv");

    let end = wall().plus(Duration::from_secs(7200));
    let made = adapter.forbid(&demo, Some(end)).await.expect("accepted");
    assert!(matches!(made.value, Done::Accepted { .. }));
    let words = encoder.wait();
    assert!(
        words.contains("this stream is forbidden until 2"),
        "{words}"
    );
    assert!(player.join().expect("the player") > 10_000);
    let state = adapter.stream_state(&demo).await.expect("a state").value;
    assert_eq!(state, StreamState::Idle);
    let online = adapter
        .online(&site, Page::FIRST)
        .await
        .expect("a list")
        .value;
    assert_eq!(online.entries, []);
    let banned = adapter.list_forbidden(&site, Page::FIRST).await;
    assert!(banned.expect("a list").value.entries[0].fits(&demo));

    let again = Encoder::start(&place, "refused", &sim.publish_url("demo")).wait();
    assert!(
        again.contains("this stream is forbidden until 2"),
        "{again}"
    );
    let (status, words) = get(sim.at("media"), "/live/demo.flv");
    assert_eq!(
        (status, words.contains("forbidden")),
        (403, true),
        "{words}"
    );

    adapter.resume(&demo).await.expect("lifted");
    let mut encoder = Encoder::start(&place, "again", &sim.publish_url("demo"));
    wait_state(&adapter, &demo, StreamState::Live).await;
    assert_eq!(probe(ffprobe, &sim.flv("demo")), ["aac", "h264"]);
    assert!(encoder.is_running());

    adapter.kick(&demo).await.expect("cut");
    let words = encoder.wait();
    assert!(words.contains("it may be published again"), "{words}");
    let _encoder = Encoder::start(&place, "third", &sim.publish_url("demo"));
    wait_state(&adapter, &demo, StreamState::Live).await;
    assert_eq!(sim.stop().code(), Some(0));
    assert!(!place.beside("sim/listen.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn domains_are_told_by_address_and_a_ban_by_name_alone_hits_them_all() {
    let place = Place::new();
    let config = place.beside("sim.toml");
    let text = r#"
        vendor = "tencent"
        [[accounts]]
        name = "main"
        keys = [{ id = "AKID1", secret = "hush" }]
        [[domains]]
        publish = "push.tencent.test"
        play = "play.tencent.test"
        [[domains]]
        publish = "push2.tencent.test"
    "#;
    std::fs::write(&config, text).expect("written");
    let faults = place.beside("faults.toml");
    let slow = "[[fault]]\nkind = \"slow-propagation\"\nms = 1500\noperations = [\"forbid\"]\n";
    std::fs::write(&faults, slow).expect("written");
    let args = ["--config", config.to_str().expect("text")];
    let sim = Sim::start(
        &place,
        &[args[0], args[1], "--faults", faults.to_str().expect("text")],
    );
    let vendor = Vendor::Tencent;
    let adapter = sim.adapter(vendor, "AKID1", "hush");
    let first = object(vendor, "push.tencent.test", "demo");
    let second = object(vendor, "push2.tencent.test", "demo");
    let one = Encoder::start(&place, "one", &sim.publish_url("demo"));
    // As an encoder whose resolver sends the second domain to this port.
    let named = ["-rtmp_tcurl", "rtmp://push2.tencent.test/live"];
    let codecs = [H264_AAC, &named].concat();
    let ffmpeg = Path::new("ffmpeg");
    let two = Encoder::start_with(ffmpeg, &place, "two", &sim.publish_url("demo"), &codecs);
    wait_state(&adapter, &first, StreamState::Live).await;
    wait_state(&adapter, &second, StreamState::Live).await;
    let path = "/live/demo.flv?vhost=push2.tencent.test";
    let player = play_to_the_end(sim.at("media"), path);

    let banned_at = std::time::Instant::now();
    adapter.forbid(&first, None).await.expect("accepted");
    let state = adapter.stream_state(&second).await.expect("a state").value;
    assert_eq!(state, StreamState::Forbidden);
    for encoder in [one, two] {
        let words = encoder.wait();
        assert!(
            words.contains("this stream is forbidden until 2"),
            "{words}"
        );
    }
    player.join().expect("the player");
    // It spreads slowly, and never sooner than that.
    assert!(banned_at.elapsed() >= Duration::from_millis(1500));
    let unknown = format!("{}?vhost=push3.tencent.test", sim.publish_url("other"));
    let words = Encoder::start(&place, "unknown", &unknown).wait();
    assert!(words.contains("there is no app"), "{words}");

    let (status, journal) = get(sim.at("admin"), "/journal");
    assert_eq!(status, 200);
    assert!(journal.contains("slow-propagation"), "{journal}");
}

#[test]
fn a_key_is_made_once_and_kept_from_other_eyes() {
    let place = Place::new();
    let sim = Sim::start(&place, &["--vendor", "huawei", "--json"]);
    let first = sim.account.clone();
    for (name, part) in [("account.json", "access_key_id"), ("secret", "secret")] {
        let path = place.beside("sim").join(name);
        let mode = path.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
        let text = std::fs::read_to_string(path).expect("text");
        assert!(text.contains(&sim.account(part).expect(part)));
    }
    assert_eq!(sim.account("project_id").expect("a project").len(), 32);
    let secret = sim.account("secret").expect("a secret");
    for name in ["sim.out", "sim.log"] {
        let text = std::fs::read_to_string(sim.place.beside(name)).expect("text");
        assert!(!text.contains(&secret), "{name}");
    }
    assert_eq!(sim.stop().code(), Some(0));
    let again = Sim::start(&place, &["--vendor", "huawei"]);
    assert_eq!(again.account["secret"], first["secret"]);
    assert_eq!(again.account["project_id"], first["project_id"]);
}

#[test]
fn what_cannot_be_simulated_is_refused_in_words() {
    let place = Place::new();
    let file = |name: &str, text: &str| {
        let path = place.beside(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("text").to_owned()
    };
    let empty = file("empty.toml", "vendor = \"ws\"\n");
    let odd = file("odd.toml", "vendor = \"ws\"\ncolour = 1\n");
    let faults = file("faults.toml", "[[fault]]\nkind = \"meteor\"\n");
    for (args, part) in [
        (&["--vendor", "akamai"] as &[&str], "use ws, aliyun"),
        (&[], "name a vendor"),
        (&["--vendor", "ws"], "nobody would learn the new key"),
        (&["--vendor", "ws", "--access-key-id", "x"], "--secret-file"),
        (&["--vendor", "ws", "--json", "--faults", &faults], "meteor"),
        (&["--config", &odd], "colour"),
        (&["--config", &empty], "[[domains]]"),
        (
            &["--config", &empty, "--vendor", "aliyun"],
            "its vendor is ws",
        ),
    ] {
        let mut command = tidegate();
        command.args(["sim", "--listen", "127.0.0.1:0"]).args(args);
        let ran = finish(command);
        assert_eq!(ran.code, 2, "{args:?}: {ran:?}");
        assert!(ran.stderr.contains(part), "{args:?}: {ran:?}");
    }
}

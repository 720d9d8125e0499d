//! A simulated CDN as its own process, for tests that drive it through the server.
//!
//! Use it beside the harness: `#[path = "common/simulated.rs"] mod simulated;`.
#![allow(
    dead_code,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "shared by several test binaries, each of which uses a part of it"
)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Child;

use serde_json::Value;

use crate::harness::{DEADLINE, Place, get, tidegate, wait_for};

/// A running simulated CDN and everything that its state directory tells of it.
pub(crate) struct Simulated {
    pub(crate) vendor: String,
    pub(crate) place: Place,
    pub(crate) account: Value,
    listen: Value,
    child: Child,
}

impl Simulated {
    /// With a key of its own and one pair of domains, in `sim-VENDOR` beside the data directory.
    pub(crate) fn start(place: &Place, vendor: &str) -> Self {
        Self::start_with(place, vendor, &["--vendor", vendor])
    }

    pub(crate) fn start_with(place: &Place, vendor: &str, args: &[&str]) -> Self {
        let dir = place.beside(&format!("sim-{vendor}"));
        let log = place.beside(&format!("sim-{vendor}.log"));
        let file = std::fs::File::create(&log).expect("a file");
        let mut child = tidegate()
            .args(["sim", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .arg("--state-dir")
            .arg(&dir)
            .args(args)
            .stdout(std::process::Stdio::null())
            .stderr(file)
            .spawn()
            .expect("the program runs");
        let read = |name: &str| -> Option<Value> {
            serde_json::from_str(&std::fs::read_to_string(dir.join(name)).ok()?).ok()
        };
        let listen = wait_for("the start of the simulated CDN", || {
            let ended = child.try_wait().expect("a child");
            let log = || std::fs::read_to_string(&log).unwrap_or_default();
            assert!(ended.is_none(), "it ended with {ended:?}: {}", log());
            read("listen.json")
        });
        Self {
            vendor: vendor.to_owned(),
            place: place.clone(),
            account: read("account.json").unwrap_or_default(),
            listen,
            child,
        }
    }

    /// `api`, `rtmp`, `media` or `admin` as host and port.
    pub(crate) fn at(&self, what: &str) -> &str {
        self.listen[what].as_str().expect(what)
    }

    /// A part of `account.json`.
    pub(crate) fn part(&self, name: &str) -> &str {
        self.account[name].as_str().expect(name)
    }

    /// The file with the secret.
    pub(crate) fn secret_file(&self) -> PathBuf {
        self.place.beside(&format!("sim-{}/secret", self.vendor))
    }

    /// Arguments of `account add` for its account, called like the vendor.
    pub(crate) fn account_args(&self) -> Vec<String> {
        let endpoint = format!("http://{}", self.at("api"));
        let file = self.secret_file();
        let mut args = vec![
            "account",
            "add",
            "--vendor",
            &self.vendor,
            "--name",
            &self.vendor,
        ];
        args.extend(["--access-key-id", self.part("access_key_id")]);
        args.extend(["--endpoint", &endpoint, "--secret-file"]);
        args.push(file.to_str().expect("text"));
        if self.account.get("project_id").is_some() {
            args.extend(["--project-id", self.part("project_id")]);
        }
        args.into_iter().map(str::to_owned).collect()
    }

    /// Arguments of `target add` for its pair of domains.
    pub(crate) fn target_args(&self) -> Vec<String> {
        let mut args = vec![
            "target",
            "add",
            "--vendor",
            &self.vendor,
            "--account",
            &self.vendor,
        ];
        args.extend(["--publish-domain", self.part("publish_domain")]);
        args.extend(["--play-domain", self.part("play_domain")]);
        args.into_iter().map(str::to_owned).collect()
    }

    /// The bans that stand.
    pub(crate) fn bans(&self) -> Value {
        let (status, body) = get(self.at("admin"), "/bans");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).expect("JSON")
    }

    /// Replaces the faults by those of a TOML text; an empty one clears them.
    pub(crate) fn set_faults(&self, toml: &str) {
        let at = self.at("admin");
        let mut socket = TcpStream::connect(at).expect("connected");
        socket.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        let method = if toml.is_empty() { "DELETE" } else { "PUT" };
        let request = format!(
            "{method} /faults HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\nContent-Length: \
             {}\r\n\r\n{toml}",
            toml.len()
        );
        socket.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

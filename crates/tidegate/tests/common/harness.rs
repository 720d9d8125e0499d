//! Runs the real program on ports of its own in a directory of its own, and calls it as an
//! integrator would: the signature and the HTTP here are written for the tests alone.
//!
//! Use it with `#[path = "common/harness.rs"] mod harness;`.
#![allow(
    dead_code,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "shared by several test binaries, each of which uses a part of it"
)]

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use md5::{Digest, Md5};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// Longest wait for anything that has to happen.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Waits until `ready` gives something; fails with `what` when it never does.
pub(crate) fn wait_for<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(begun.elapsed() < DEADLINE, "{what} did not happen in time");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What a command printed and ended with.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// The output as JSON; fails unless the command ended with 0.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        self.json_whatever_the_code()
    }

    pub(crate) fn json_whatever_the_code(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// The program with nothing of the caller's environment, on free ports.
pub(crate) fn tidegate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.env_clear().stdin(Stdio::null());
    for listener in ["RTMP", "MEDIA", "API"] {
        command.env(format!("TIDEGATE__LISTEN__{listener}"), "127.0.0.1:0");
    }
    command
}

/// Runs a command to its end.
pub(crate) fn finish(mut command: Command) -> Ran {
    let output = command.output().expect("the program runs");
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

/// Runs the program on a data directory that may have no server.
pub(crate) fn run(data_dir: &Path, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Ran {
    let mut command = tidegate();
    command.arg("--data-dir").arg(data_dir).args(args);
    finish(command)
}

/// A temporary directory with a data directory inside.
#[derive(Clone)]
pub(crate) struct Place {
    root: Arc<TempDir>,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            root: Arc::new(tempfile::tempdir().expect("a temporary directory")),
        }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    /// A path beside the data directory.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }
}

/// Addresses and ids of a running server.
pub(crate) struct Server {
    pub(crate) place: Place,
    pub(crate) rtmp: String,
    pub(crate) media: String,
    pub(crate) api: String,
    child: Child,
}

impl Server {
    /// On a new data directory.
    pub(crate) fn start() -> Self {
        Self::start_in(&Place::new(), &[])
    }

    /// On this data directory, with these variables, once it is ready.
    pub(crate) fn start_in(place: &Place, env: &[(&str, &str)]) -> Self {
        let _ = std::fs::remove_file(place.data().join("listen.json"));
        let mut child = Self::launch(place, env);
        let log = place.beside("log");
        let listening = wait_for("the start of the server", || {
            let text = std::fs::read_to_string(place.data().join("listen.json")).ok();
            if text.is_none()
                && let Some(status) = child.try_wait().expect("a child")
            {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                panic!("the server ended with {status}: {log}");
            }
            text
        });
        let listening: Value = serde_json::from_str(&listening).expect("listen.json");
        let address = |name: &str| listening[name].as_str().expect(name).to_owned();
        Self {
            place: place.clone(),
            rtmp: address("rtmp"),
            media: address("media"),
            api: address("api"),
            child,
        }
    }

    /// Starts the program without waiting; output goes to files beside the data directory.
    pub(crate) fn launch(place: &Place, env: &[(&str, &str)]) -> Child {
        let open = |name: &str| {
            let path = place.beside(name);
            let file = std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(path);
            file.expect("an output file")
        };
        let mut command = tidegate();
        command
            .arg("serve")
            .arg("--data-dir")
            .arg(place.data())
            .envs(env.iter().copied())
            .stdout(open("out"))
            .stderr(open("log"));
        command.spawn().expect("the server starts")
    }

    /// Runs a command against this server.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        run(&self.place.data(), args)
    }

    /// Runs a command with `--json` and reads its output.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let mut all = args.to_vec();
        all.push("--json");
        self.run(&all).json()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a pid"), signal).expect("signalled");
    }

    /// Waits for the end of the server.
    pub(crate) fn wait(mut self) -> ExitStatus {
        wait_for("the end of the server", || {
            self.child.try_wait().expect("a child")
        })
    }

    /// Stops it in order.
    pub(crate) fn stop(self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.place.beside("log")).expect("the log")
    }

    /// AppId and ServerSecret of the App that the first start made.
    pub(crate) fn first_app(&self) -> (u64, String) {
        let path = self.place.data().join("first-app.json");
        let text = std::fs::read_to_string(path).expect("first-app.json");
        let app: Value = serde_json::from_str(&text).expect("JSON");
        let secret = app["server_secret"].as_str().expect("a secret").to_owned();
        (app["app_id"].as_u64().expect("a number"), secret)
    }

    /// A signed call of the Server API.
    pub(crate) fn call(&self, app: u64, secret: &str, action: &str, params: &str) -> Value {
        let query = signed_query(app, secret, action, params);
        let (status, body) = get(&self.api, &format!("/?{query}"));
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).expect("JSON")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The query of a signed call, by the published recipe: MD5 over AppId, nonce, secret, time.
pub(crate) fn signed_query(app: u64, secret: &str, action: &str, params: &str) -> String {
    static NONCE: AtomicU64 = AtomicU64::new(0);
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock");
    let nonce = format!(
        "{:08x}{:08x}",
        since.subsec_nanos(),
        NONCE.fetch_add(1, Ordering::Relaxed)
    );
    let time = since.as_secs();
    let digest = Md5::digest(format!("{app}{nonce}{secret}{time}"));
    let signature = digest.iter().map(|byte| format!("{byte:02x}"));
    format!(
        "Action={action}&{params}&AppId={app}&SignatureNonce={nonce}&Timestamp={time}\
         &SignatureVersion=2.0&Signature={}",
        signature.collect::<String>()
    )
}

/// `GET`, by hand. Status and body.
pub(crate) fn get(address: &str, path: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(address).expect("connected");
    socket.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    socket.write_all(head.as_bytes()).expect("sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    (status.expect("a status"), body.to_owned())
}

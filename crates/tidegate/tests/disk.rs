//! A full and a read-only disk: alarm, stay up, blocks in force. The data directory is a small
//! file system of its own, in a mount namespace that the test makes.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

#[path = "common/harness.rs"]
mod harness;

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use harness::{Place, get, signed_query, wait_for};
use serde_json::Value;

struct SmallDisk {
    /// Keeps the mount namespace.
    holder: Child,
    server: Child,
    /// The data directory as the namespace shows it.
    data: PathBuf,
    inside: PathBuf,
    place: Place,
}

impl SmallDisk {
    fn start() -> Self {
        let place = Place::new();
        let inside = place.data();
        std::fs::create_dir(&inside).expect("a directory");
        let script = r#"mount -t tmpfs -o size=4m,mode=700 tidegate "$0" && echo && exec cat"#;
        let mut holder = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
            .arg(&inside)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare is part of Debian");
        let mut mounted = [0];
        let pipe = holder.stdout.as_mut().expect("a pipe");
        pipe.read_exact(&mut mounted)
            .expect("the small file system is mounted");
        let data = PathBuf::from(format!("/proc/{}/root{}", holder.id(), inside.display()));
        let server = Self::serve(&holder, &place, &inside);
        let disk = Self {
            holder,
            server,
            data,
            inside,
            place,
        };
        disk.wait_ready();
        disk
    }

    fn enter(holder: &Child, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--target={}", holder.id()))
            .args(["--user", "--preserve-credentials", "--mount"])
            .arg(program);
        command
    }

    fn serve(holder: &Child, place: &Place, inside: &Path) -> Child {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(place.beside("log"));
        let mut command = Self::enter(holder, harness::tidegate().get_program());
        for (name, value) in harness::tidegate().get_envs() {
            command.env(name, value.expect("set"));
        }
        command
            .args(["serve", "--data-dir"])
            .arg(inside)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.expect("a log"))
            .spawn()
            .expect("nsenter is part of Debian")
    }

    /// The log lines that say where a server is.
    fn ready_lines(&self) -> Vec<Value> {
        let log = std::fs::read_to_string(self.place.beside("log")).expect("the log");
        let lines = log
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["message"] == "ready").collect()
    }

    fn wait_ready(&self) {
        wait_for("the start of the server", || {
            std::fs::metadata(self.data.join("listen.json")).ok()
        });
    }

    fn read(&self, file: &str) -> Value {
        let text = std::fs::read_to_string(self.data.join(file)).expect(file);
        serde_json::from_str(&text).expect("JSON")
    }

    fn address(&self, listener: &str) -> String {
        self.read("listen.json")[listener]
            .as_str()
            .expect("an address")
            .to_owned()
    }

    fn call(&self, action: &str, stream: &str) -> Value {
        let app = self.read("first-app.json");
        let (id, secret) = (
            app["app_id"].as_u64().expect("id"),
            app["server_secret"].as_str().expect("secret"),
        );
        let query = signed_query(id, secret, action, &format!("StreamId={stream}"));
        serde_json::from_str(&get(&self.address("api"), &format!("/?{query}")).1).expect("JSON")
    }

    fn is_blocked(&self, stream: &str) -> bool {
        get(&self.address("media"), &format!("/live/{stream}.flv")).0 == 403
    }

    fn has_alarm(&self, kind: &str) -> bool {
        get(&self.address("api"), "/readyz").1.contains(kind)
    }

    /// Takes every free byte.
    fn fill(&self) -> PathBuf {
        let path = self.data.join("filler");
        let mut file = std::fs::File::create(&path).expect("a file");
        let mut size = 64 * 1024;
        while size > 0 {
            if file.write_all(&vec![0; size]).is_err() {
                size /= 2;
            }
        }
        path
    }

    fn remount(&self, how: &str) {
        let status = Self::enter(&self.holder, "mount")
            .args(["-o", &format!("remount,{how}")])
            .arg(&self.inside)
            .status()
            .expect("mount is part of Debian");
        assert!(status.success(), "remount {how}");
    }

    fn kill(&mut self) {
        self.server.kill().expect("killed");
        self.server.wait().expect("ended");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        for child in [&mut self.server, &mut self.holder] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn a_full_disk_cuts_and_says_so() {
    let disk = SmallDisk::start();
    assert_eq!(disk.call("ForbidCDNLiveStream", "before")["Code"], 0);
    let filler = disk.fill();
    let mut n = 0;
    let refused = wait_for("a write that fails", || {
        n += 1;
        let answer = disk.call("ForbidCDNLiveStream", &format!("cam{n}"));
        (answer["Code"] != 0).then_some(answer)
    });
    let stream = format!("cam{n}");
    assert_eq!(refused["Code"], 1, "{refused}");
    let words = refused["Message"].as_str().expect("words");
    assert!(
        words.contains("not recorded") && words.contains("call again"),
        "{words}"
    );
    assert!(disk.is_blocked("before"), "recorded blocks stay in force");
    assert!(
        disk.is_blocked(&stream),
        "an unrecorded forbid is in force too"
    );
    assert!(disk.has_alarm("ledger_unavailable") && disk.has_alarm("forbid_unrecorded"));
    assert_eq!(disk.call("ResumeCDNLiveStream", "before")["Code"], 1);
    assert!(
        disk.is_blocked("before"),
        "a resume that is not recorded has no effect"
    );

    std::fs::remove_file(filler).expect("removed");
    wait_for("the end of the alarm", || {
        (!disk.has_alarm("ledger_unavailable")).then_some(())
    });
    assert_eq!(disk.call("ForbidCDNLiveStream", &stream)["Code"], 0);
    assert!(!disk.has_alarm("forbid_unrecorded"));
    assert_eq!(disk.call("ResumeCDNLiveStream", "before")["Code"], 0);
    assert!(!disk.is_blocked("before"));
}

#[test]
fn a_server_that_starts_on_a_read_only_disk_has_its_blocks_in_force() {
    let mut disk = SmallDisk::start();
    assert_eq!(disk.call("ForbidCDNLiveStream", "cam")["Code"], 0);
    disk.kill();
    disk.remount("ro");
    // The killed server may not have got to write its own.
    let earlier = disk.ready_lines().len();
    disk.server = SmallDisk::serve(&disk.holder, &disk.place, &disk.inside);
    // `listen.json` cannot be written either; the log says where the server is.
    let ready = wait_for("the second start", || {
        disk.ready_lines().into_iter().nth(earlier)
    });
    let address = |name: &str| {
        let url = ready[name].as_str().expect("a URL");
        url.trim_start_matches("http://").to_owned()
    };
    assert_eq!(get(&address("media"), "/live/cam.flv").0, 403);
    let (status, words) = get(&address("api"), "/readyz");
    assert_eq!(status, 200);
    assert!(words.contains("ledger_unavailable"), "{words}");
}

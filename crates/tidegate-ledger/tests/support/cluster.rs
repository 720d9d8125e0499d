//! PostgreSQL for tests: Debian's server, on a private port, in a directory under /tmp.
//!
//! One cluster serves all test processes of a run: each holds a shared lock for as long as it
//! lives, and a shell that waits for the lock alone stops the server after the last of them. A
//! test that harms its server starts one of its own.
#![allow(
    dead_code,
    clippy::expect_used,
    clippy::panic,
    reason = "shared by several test binaries, each of which uses a part of it"
)]

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

const SETTINGS: &str = "listen_addresses = '127.0.0.1'\nmax_connections = 300\n\
    shared_buffers = 64MB\nfsync = on\nsynchronous_commit = on\nlogging_collector = off\n";
/// Ends up in URLs; tests look for it where it must not be.
pub(crate) const PASSWORD: &str = "s3cret-of-tests";

/// A running server.
pub(crate) struct Cluster {
    dir: PathBuf,
    port: u16,
    /// Held as long as the cluster is wanted.
    _wanted: Option<File>,
    own: bool,
}

/// Server programs of Debian's package, or those on the path.
fn program(name: &str) -> PathBuf {
    let mut versions: Vec<_> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin").join(name))
        .filter(|path| path.exists())
        .collect();
    versions.sort();
    let on_path = std::env::var_os("PATH").into_iter().flat_map(|path| {
        let all: Vec<_> = std::env::split_paths(&path).collect();
        all
    });
    versions
        .pop()
        .or_else(|| on_path.map(|dir| dir.join(name)).find(|path| path.exists()))
        .unwrap_or_else(|| {
            panic!("PostgreSQL's {name} is not here: ./scripts/test installs it (Debian's package postgresql)")
        })
}

/// PostgreSQL refuses to run as root.
fn unprivileged(program: &Path) -> Command {
    if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"])
            .arg(program);
        command
    } else {
        Command::new(program)
    }
}

fn run(command: &mut Command) {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

impl Cluster {
    /// The cluster that the tests of this run share.
    pub(crate) fn shared() -> Self {
        let place = shared_place();
        // Not in /tmp itself, where some systems let nobody open what another user made.
        let locks = place.with_extension("locks");
        fs::create_dir_all(&locks).expect("made");
        let lock_path = locks.join("wanted");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .expect("a lock file");
        // Whoever starts the server does so alone; the others find it running.
        let starting = File::create(locks.join("starting")).expect("a lock file");
        starting.lock().expect("locked");
        lock.lock_shared().expect("locked");
        let port = place.join("port");
        let running = fs::read_to_string(&port)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .filter(|_| postmaster(&place).is_some_and(|pid| test_kill_process(pid).is_ok()));
        let port = running.unwrap_or_else(|| {
            let _ = fs::remove_dir_all(&place);
            make(&place);
            let number = start(&place);
            fs::write(&port, number.to_string()).expect("written");
            stop_after_the_last(&place, &lock_path);
            number
        });
        drop(starting);
        Self {
            dir: place,
            port,
            _wanted: Some(lock),
            own: false,
        }
    }

    /// A cluster for one test, stopped when it is dropped.
    pub(crate) fn own() -> Self {
        let place = PathBuf::from(format!("/tmp/tidegate-pg-own-{}", unique()));
        make(&place);
        let port = start(&place);
        Self {
            dir: place,
            port,
            _wanted: None,
            own: true,
        }
    }

    /// Makes a database and returns its URL.
    pub(crate) fn database(&self) -> String {
        let name = format!("t{}", unique());
        let make = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'");
        run(Command::new(program("psql"))
            .args(["-X", "-q", "-U", "tests", "-d", "postgres", "-c", &make])
            .args(["-p", &self.port.to_string(), "-h"])
            .arg(&self.dir));
        self.url(&name)
    }

    fn url(&self, database: &str) -> String {
        format!(
            "postgres://tests:{PASSWORD}@127.0.0.1:{}/{database}",
            self.port
        )
    }

    /// Kills every process of the server at once, as a power cut would.
    pub(crate) fn kill(&self) {
        let pid = postmaster(&self.dir).expect("running");
        kill_process(pid, Signal::KILL).expect("killed");
        // Its children notice and go; a new server starts only when they have.
        let until = Instant::now() + Duration::from_secs(30);
        while test_kill_process(pid).is_ok() && !is_zombie(pid) && Instant::now() < until {
            std::thread::yield_now();
        }
    }

    /// Starts it again on the same port.
    pub(crate) fn start_again(&self) {
        let _ = fs::remove_file(self.dir.join("data/postmaster.pid"));
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            if try_start(&self.dir, self.port) {
                return;
            }
            assert!(
                Instant::now() < until,
                "the server does not start again: {}",
                log(&self.dir)
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.own {
            let _ = unprivileged(&program("pg_ctl"))
                .args(["stop", "-m", "immediate", "-D"])
                .arg(self.dir.join("data"))
                .stdin(Stdio::null())
                .output();
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

fn is_zombie(pid: Pid) -> bool {
    fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()))
        .is_ok_and(|stat| stat.contains(") Z "))
}

/// One directory for each build directory, so that runs of different checkouts do not meet.
fn shared_place() -> PathBuf {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in env!("CARGO_TARGET_TMPDIR").bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    PathBuf::from(format!("/tmp/tidegate-pg-{hash:016x}"))
}

fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock");
    format!(
        "{}_{}_{}",
        std::process::id(),
        since.as_nanos(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

fn make(place: &Path) {
    fs::create_dir_all(place).expect("made");
    let password = place.join("password");
    fs::write(&password, PASSWORD).expect("written");
    if rustix::process::geteuid().is_root() {
        run(Command::new("chown")
            .arg("-R")
            .arg("nobody:nogroup")
            .arg(place));
    }
    run(unprivileged(&program("initdb"))
        .args(["-U", "tests", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"])
        .args(["--auth-host=scram-sha-256", "--auth-local=trust"])
        .arg(format!("--pwfile={}", password.display()))
        .arg("-D")
        .arg(place.join("data"))
        .current_dir("/"));
    let file = place.join("data/postgresql.conf");
    let sockets = format!("unix_socket_directories = '{}'\n", place.display());
    let mut text = fs::read_to_string(&file).expect("read");
    text.push_str(SETTINGS);
    text.push_str(&sockets);
    fs::write(&file, text).expect("written");
}

fn start(place: &Path) -> u16 {
    for _ in 0..10 {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        if try_start(place, port) {
            return port;
        }
    }
    panic!("PostgreSQL does not start: {}", log(place));
}

fn log(place: &Path) -> String {
    fs::read_to_string(place.join("log")).unwrap_or_default()
}

fn try_start(place: &Path, port: u16) -> bool {
    unprivileged(&program("pg_ctl"))
        .args(["start", "-w", "-t", "60", "-o"])
        .arg(format!("-p {port}"))
        .arg("-l")
        .arg(place.join("log"))
        .arg("-D")
        .arg(place.join("data"))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .status()
        .expect("pg_ctl runs")
        .success()
}

fn postmaster(place: &Path) -> Option<Pid> {
    let text = fs::read_to_string(place.join("data/postmaster.pid")).ok()?;
    Pid::from_raw(text.lines().next()?.trim().parse().ok()?)
}

/// Leaves a shell behind that stops the server once no test process is left for a while.
fn stop_after_the_last(place: &Path, lock: &Path) {
    let script = "{ sleep 20; flock -x \"$1\" sh -c \
                  '\"$0\" stop -m immediate -D \"$1/data\"; rm -rf \"$1\"' \"$2\" \"$3\"; } &";
    let mut shell = unprivileged(Path::new("setsid"));
    shell
        .args(["sh", "-c", script, "sh"])
        .arg(lock)
        .arg(program("pg_ctl"))
        .arg(place)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .status()
        .expect("a shell");
}

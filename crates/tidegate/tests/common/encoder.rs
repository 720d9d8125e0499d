//! ffmpeg as a publisher, ffprobe and VLC as players: programs that nobody here wrote.
#![allow(
    dead_code,
    clippy::expect_used,
    clippy::panic,
    reason = "shared by several test binaries, each of which uses a part of it"
)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::harness::{Place, wait_for};

/// H.264 and AAC, as any encoder sends them.
pub(crate) const H264_AAC: &[&str] = &[
    "-c:v",
    "libx264",
    "-preset",
    "ultrafast",
    "-tune",
    "zerolatency",
    "-g",
    "25",
    "-pix_fmt",
    "yuv420p",
    "-c:a",
    "aac",
];

/// A running ffmpeg that publishes a test picture in real time.
pub(crate) struct Encoder {
    child: Child,
    log: PathBuf,
}

impl Encoder {
    /// Debian's ffmpeg with H.264 and AAC.
    pub(crate) fn start(place: &Place, name: &str, url: &str) -> Self {
        Self::start_with(Path::new("ffmpeg"), place, name, url, H264_AAC)
    }

    pub(crate) fn start_with(
        ffmpeg: &Path,
        place: &Place,
        name: &str,
        url: &str,
        codecs: &[&str],
    ) -> Self {
        let log = place.beside(&format!("{name}.log"));
        let child = Command::new(ffmpeg)
            .args(["-hide_banner", "-nostdin", "-nostats", "-re"])
            .args(["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25"])
            .args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"])
            .args(codecs)
            .args(["-t", "120", "-f", "flv", url])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).expect("a log"))
            .spawn()
            .expect("ffmpeg is installed (scripts/test does it)");
        Self { child, log }
    }

    /// Waits until ffmpeg gives up, and returns what it said.
    pub(crate) fn wait(mut self) -> String {
        wait_for("the end of ffmpeg", || {
            self.child.try_wait().expect("a child")
        });
        std::fs::read_to_string(&self.log).expect("the log of ffmpeg")
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The names of the codecs that ffprobe finds, sorted; empty while there is nothing to play.
pub(crate) fn probe(ffprobe: &Path, url: &str) -> Vec<String> {
    let output = Command::new(ffprobe)
        .args(["-v", "error", "-rw_timeout", "5000000"])
        .args(["-show_entries", "stream=codec_name", "-of", "csv=p=0", url])
        .stdin(Stdio::null())
        .output()
        .expect("ffprobe is installed (scripts/test does it)");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut names: Vec<String> = text
        .lines()
        .map(|l| l.trim_matches(',').to_owned())
        .collect();
    names.sort();
    names
}

/// An ffmpeg that speaks enhanced RTMP. `scripts/test` installs one and names it.
pub(crate) fn ffmpeg_new() -> PathBuf {
    let named = std::env::var_os("TIDEGATE_FFMPEG_NEW").map(PathBuf::from);
    named.unwrap_or_else(|| {
        panic!("TIDEGATE_FFMPEG_NEW is not set: run ./scripts/test, which installs it")
    })
}

/// Plays `url` for a few seconds with VLC into a file; returns how many bytes it wrote.
pub(crate) fn play_with_vlc(place: &Place, url: &str) -> u64 {
    let file = place.beside("vlc.ts");
    let sout = format!("#std{{access=file,mux=ts,dst={}}}", file.display());
    // VLC refuses to run as root unless it is told that it may not be geteuid() == 0.
    let user = if rustix::process::geteuid().is_root() {
        "nobody"
    } else {
        ""
    };
    let mut command = if user.is_empty() {
        Command::new("cvlc")
    } else {
        std::fs::File::create(&file).expect("a file");
        allow_all(&file);
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "cvlc"]);
        command
    };
    let status = command
        .env("HOME", "/nonexistent")
        .args([
            "-q",
            "--no-dbus",
            "--run-time=4",
            "--play-and-exit",
            "--sout",
            &sout,
            url,
        ])
        .args(["vlc://quit"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("VLC is installed (scripts/test does it)");
    assert!(status.success(), "VLC ended with {status}");
    std::fs::metadata(&file).map_or(0, |meta| meta.len())
}

fn allow_all(file: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let open = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("mode set");
    };
    open(file, 0o666);
    open(file.parent().expect("a directory"), 0o755);
}

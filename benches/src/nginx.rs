//! Debian's nginx as a peer: its rtmp module for live fan-out, and a static file for what serving
//! bytes costs at all.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::TempDir;

use crate::player::Source;
use crate::process::Server;
use crate::rtmp::Target;

const BINARY: &str = "/usr/sbin/nginx";
const RTMP_MODULE: &str = "/usr/lib/nginx/modules/ngx_rtmp_module.so";

/// Bytes of the static file: more than any player takes in a run.
const FILE: u64 = 1 << 30;

/// A running nginx with one worker.
pub(crate) struct Nginx {
    pub(crate) server: Server,
    _dir: TempDir,
    rtmp: SocketAddr,
    http: SocketAddr,
}

/// Whether Debian's packages are there.
pub(crate) fn is_installed() -> bool {
    Path::new(BINARY).exists() && Path::new(RTMP_MODULE).exists()
}

impl Nginx {
    pub(crate) fn start(scratch: &Path) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("tidegate-bench-nginx-")
            .tempdir_in(scratch)?;
        let (rtmp, http) = (free_port()?, free_port()?);
        let root = dir.path().join("root");
        std::fs::create_dir(&root)?;
        // A hole costs no disk, and once read it is pages in the cache like any other.
        std::fs::File::create(root.join("media.flv"))?.set_len(FILE)?;
        let configuration = dir.path().join("nginx.conf");
        std::fs::write(&configuration, configure(dir.path(), rtmp, http))?;
        let log = dir.path().join("out");
        let mut server = Server::start(&PathBuf::from(BINARY), &log, |command| {
            command.arg("-p").arg(dir.path());
            command.arg("-c").arg(&configuration);
            command.arg("-e").arg(dir.path().join("error.log"));
        })?;
        server.wait_for(|| TcpStream::connect(rtmp).and(TcpStream::connect(http)).ok())?;
        Ok(Self {
            server,
            _dir: dir,
            rtmp,
            http,
        })
    }

    /// Where to publish or play over RTMP.
    pub(crate) fn target(&self, stream: &str) -> Target {
        Target {
            addr: self.rtmp,
            app: "live".to_owned(),
            name: stream.to_owned(),
        }
    }

    /// The static file, at the stream's rate for each player or as fast as it goes.
    pub(crate) fn file(&self, paced: bool) -> Source {
        let folder = if paced { "paced" } else { "fast" };
        Source::Http {
            addr: self.http,
            path: format!("/{folder}/media.flv"),
            live: false,
        }
    }
}

fn configure(dir: &Path, rtmp: SocketAddr, http: SocketAddr) -> String {
    let dir = dir.display();
    format!(
        "load_module {RTMP_MODULE};
user root;
worker_processes 1;
worker_rlimit_nofile 100000;
daemon off;
pid {dir}/pid;
events {{ worker_connections 50000; }}
rtmp {{
  server {{
    listen {rtmp};
    application live {{ live on; }}
  }}
}}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
  server {{
    listen {http};
    location /paced/ {{ alias {dir}/root/; limit_rate 312500; }}
    location /fast/ {{ alias {dir}/root/; }}
  }}
}}
"
    )
}

/// A port that was free a moment ago.
fn free_port() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("looking for a free port")?;
    Ok(listener.local_addr()?)
}

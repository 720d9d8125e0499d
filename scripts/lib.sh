# Shared by the scripts: where the project is, and how what is missing gets installed.
# Sourced, not run. Debian 12 with a Rust toolchain is all that is assumed.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
NEXTEST_VERSION=0.9.143

say() { printf '%s\n' "$*"; }
die() { printf '%s\n' "$*" >&2; exit 1; }

# need COMMAND PACKAGE: installs PACKAGE from Debian when COMMAND is not there.
need() {
  command -v "$1" >/dev/null 2>&1 || install_debian "$2"
  command -v "$1" >/dev/null 2>&1 || die "$1 is needed and Debian's package $2 did not bring it"
}

install_debian() {
  command -v apt-get >/dev/null 2>&1 || die "missing $*: install it (apt-get is not here to do it)"
  local as_root=()
  [ "$(id -u)" = 0 ] || as_root=(sudo)
  say "installing $* from Debian" >&2
  if [ -z "${APT_UPDATED:-}" ]; then
    "${as_root[@]}" apt-get update -qq >&2
    APT_UPDATED=1
  fi
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "$@" >&2
}

need_rust() {
  [ -x "${HOME}/.cargo/bin/cargo" ] && PATH="${HOME}/.cargo/bin:$PATH"
  command -v cargo >/dev/null 2>&1 || die "a Rust toolchain (1.95 or newer) is needed: see https://rustup.rs"
  need cc build-essential
}

need_nextest() {
  cargo nextest --version >/dev/null 2>&1 && return
  say "installing cargo-nextest $NEXTEST_VERSION" >&2
  cargo install --locked cargo-nextest --version "$NEXTEST_VERSION"
}

# need_postgres: PostgreSQL's server programs, for tests that start servers of their own. Debian's
# package would also make a cluster and start it on the usual port; that is turned off beforehand,
# where the machine has not been set up for PostgreSQL already.
need_postgres() {
  ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && return
  command -v initdb >/dev/null 2>&1 && return
  local as_root=()
  [ "$(id -u)" = 0 ] || as_root=(sudo)
  if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    "${as_root[@]}" mkdir -p /etc/postgresql-common
    echo "create_main_cluster = false" |
      "${as_root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
  fi
  install_debian postgresql
  ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 ||
    die "Debian's package postgresql did not bring initdb"
}

# ffmpeg_new: prints the path of an ffmpeg that speaks enhanced RTMP (HEVC, AV1, Opus), which
# Debian 12's does not. It comes from PyPI into a private environment.
ffmpeg_new() {
  local env="$ROOT/target/ffmpeg-new"
  if ! ls "$env"/lib/python3*/site-packages/imageio_ffmpeg/binaries/ffmpeg-* >/dev/null 2>&1; then
    need python3 python3
    python3 -c 'import ensurepip, venv' 2>/dev/null || install_debian python3-venv
    python3 -m venv "$env" >&2
    "$env/bin/pip" install -q 'imageio-ffmpeg==0.8.1' >&2
  fi
  ls "$env"/lib/python3*/site-packages/imageio_ffmpeg/binaries/ffmpeg-* | head -n 1
}

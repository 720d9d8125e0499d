# Shared by the demonstrations: the timeline, what it observes, and a server to show. Sourced by
# scripts/demo after lib.sh; `dir` is a directory of its own, `bin` the program.

data=$dir/data
pids=()
cleanup() {
  trap - EXIT
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

now() { printf '%s\n' "${EPOCHREALTIME/[.,]/}"; }
began=$(now)
# step WHAT [MICROSECONDS]: a line of the timeline.
step() {
  local at=$(( ($(now) - began) / 1000 ))
  if [ -n "${2:-}" ]; then
    printf '%4d.%03d s  %s (%d.%03d ms)\n' $((at / 1000)) $((at % 1000)) "$1" $(($2 / 1000)) $(($2 % 1000))
  else
    printf '%4d.%03d s  %s\n' $((at / 1000)) $((at % 1000)) "$1"
  fi
}
fail() {
  printf '\nNOT SHOWN: %s\n' "$*" >&2
  for log in "$dir"/*.log; do
    [ -s "$log" ] && { printf -- '-- %s\n' "$(basename "$log" .log)" >&2; tail -n 8 "$log" >&2; }
  done
  exit 1
}
# wait_for SECONDS WHAT COMMAND...: runs COMMAND until it succeeds.
wait_for() {
  local deadline=$(( $(now) + $1 * 1000000 )) what=$2
  shift 2
  until "$@"; do
    [ "$(now)" -lt "$deadline" ] || fail "$what did not happen in time"
    sleep 0.02
  done
}
field() { sed -n "s/.*\"$2\": *\"\{0,1\}\([^\",}]*\).*/\1/p" "$1" | head -n 1; }
tidegate() { "$bin" --data-dir "$data" "$@"; }

# Signs by the published recipe, with nothing of ours: md5(AppId + nonce + ServerSecret + time).
signed_url() {
  local nonce time
  nonce=$(head -c 8 /dev/urandom | od -An -tx1 | tr -d ' \n')
  time=$(date +%s)
  printf 'http://%s/?Action=%s&StreamId=demo&AppId=%s&SignatureNonce=%s&Timestamp=%s&SignatureVersion=2.0&Signature=%s' \
    "$api" "$1" "$app_id" "$nonce" "$time" \
    "$(printf '%s%s%s%s' "$app_id" "$nonce" "$secret" "$time" | md5sum | cut -d' ' -f1)"
}
# in_background NAME COMMAND...: with its output in NAME.log; when it ends, NAME.ended holds the
# instant.
in_background() {
  local name=$1
  shift
  rm -f "$dir/$name.ended"
  { "$@" >"$dir/$name.log" 2>&1 &
    echo $! >"$dir/$name.pid"
    wait $! || true
    now >"$dir/$name.ended"; } &
  pids+=($!)
}
running() { [ ! -e "$dir/$1.ended" ]; }
ended() { ! running "$1"; }
# took NAME SINCE: how long after SINCE it ended.
took() { echo $(( $(cat "$dir/$1.ended") - $2 )); }
http_status() { curl -s -o "${2:-/dev/null}" -m 1 -w '%{http_code}' "$1" || true; }
on_air() { [ "$(http_status "$1")" = 200 ]; }
codecs_of() { ffprobe -v error -show_entries stream=codec_name -of csv=p=0 "$1" | sort | tr '\n' ' '; }
bytes_at_least() { [ "$(stat -c %s "$1" 2>/dev/null || echo 0)" -ge "$2" ]; }

# Starts a server on a new data directory, and reads what a client has to know of it.
start_server() {
  "$bin" serve --data-dir "$data" >"$dir/server.out" 2>"$dir/server.log" &
  server=$!
  pids+=("$server")
  wait_for 30 "the start of the server" server_ready
  api=$(field "$data/listen.json" api)
  media=$(field "$data/listen.json" media)
  app_id=$(field "$data/first-app.json" app_id)
  secret=$(field "$data/first-app.json" server_secret)
  [ -n "$app_id" ] && [ -n "$secret" ] || fail "the first App"
  publish_url=$(tidegate publish-url demo --json | sed -n 's/.*"url": *"\([^"]*\)".*/\1/p' | head -n 1)
  [ -n "$publish_url" ] || fail "its publish URL"
  step "server up: API http://$api, media http://$media, App $app_id"
}
server_ready() { kill -0 "$server" 2>/dev/null || fail "the server did not start"; [ -s "$data/listen.json" ]; }

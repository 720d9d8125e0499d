# Four simulated CDNs and the built-in origin carry one stream; one call acts on all of them.
# Sourced by scripts/demo. The CDNs speak the vendors' APIs and front real media servers.

cdns="ws aliyun tencent huawei"
# The CDN whose API is down while the others are called.
down=huawei

at() { field "$dir/sim-$1/listen.json" "$2"; }
of() { field "$dir/sim-$1/account.json" "$2"; }
play_at() { if [ "$1" = origin ]; then echo "http://$media/live/demo.flv"; else echo "http://$(at "$1" media)/live/demo.flv"; fi; }
push_to() { if [ "$1" = origin ]; then echo "$publish_url"; else echo "rtmp://$(at "$1" rtmp)/live/demo"; fi; }
# said COMMAND...: runs a command of the manual and shows it.
said() {
  printf '            $ tidegate %s\n' "$*"
  tidegate "$@" >"$dir/said" 2>&1 || { cat "$dir/said" >&2; fail "tidegate $1 $2"; }
}
# publish_at CDN: the same H.264 and AAC, from a file that was encoded once.
publish_at() {
  in_background "publisher-$1" ffmpeg -hide_banner -nostdin -loglevel info -re -stream_loop -1 \
    -i "$dir/picture.flv" -c copy -f flv "$(push_to "$1")"
}
sim_ready() { [ -s "$dir/sim-$1/listen.json" ]; }
# answer_of CALL: the whole answer, checked to be recorded, and one line for each CDN.
answer_of() {
  local call asked
  call=$(signed_url "$1")
  asked=$(now)
  answer=$(curl -s -m 10 "$call")
  step "$1 answered" $(( $(now) - asked ))
  case "$answer" in *'"Code":0'*) ;; *) fail "a recorded $1: $answer" ;; esac
  printf '%s' "$answer" | sed 's/{"CdnType"/\n{"CdnType"/g' |
    sed -n 's/.*"CdnType":"\([^"]*\)".*"CdnResult":"\([^"]*\)".*/            \1: \2/p'
  echo
}
# result_of CDN: the first word of its CdnResult.
result_of() {
  printf '%s' "$answer" | sed 's/{"CdnType"/\n{"CdnType"/g' |
    sed -n "s/.*\"CdnType\":\"$1\".*\"CdnResult\":\"\([a-z]*\).*/\1/p"
}
shows() { tidegate status demo --json >"$dir/status.json" 2>/dev/null && [ "$(tr -d ' \n' <"$dir/status.json" | grep -o "\"$1\":\"\{0,1\}$2" | wc -l)" -ge "$3" ]; }
show_status() {
  printf '            $ tidegate status demo\n'
  tidegate status demo >"$dir/said" || fail "tidegate status"
  sed 's/^/            /' "$dir/said"
}
faults() { curl -sf -X "$1" --data-binary "${2:-}" "http://$(at "$down" admin)/faults" || fail "the faults of $down"; }

ffmpeg -hide_banner -nostdin -loglevel error -f lavfi -i "testsrc2=size=320x180:rate=25" \
  -f lavfi -i "sine=frequency=440:sample_rate=44100" -t 10 -c:v libx264 -preset ultrafast -g 25 \
  -pix_fmt yuv420p -c:a aac -b:a 64k "$dir/picture.flv" || fail "a test picture"
start_server
for cdn in $cdns; do
  "$bin" sim --vendor "$cdn" --listen 127.0.0.1:0 --admin 127.0.0.1:0 --state-dir "$dir/sim-$cdn" \
    >"$dir/sim-$cdn.out" 2>"$dir/sim-$cdn.log" &
  pids+=($!)
done
for cdn in $cdns; do wait_for 20 "the start of the simulated CDN $cdn" sim_ready "$cdn"; done
step "four simulated CDNs are up; to the server they are accounts and targets like any others"
for cdn in $cdns; do
  project=()
  [ "$cdn" = huawei ] && project=(--project-id "$(of huawei project_id)")
  said account add --vendor "$cdn" --name "$cdn" --access-key-id "$(of "$cdn" access_key_id)" \
    --secret-file "$dir/sim-$cdn/secret" --endpoint "$(of "$cdn" endpoint)" "${project[@]}"
  said target add --vendor "$cdn" --account "$cdn" --publish-domain "$(of "$cdn" publish_domain)" \
    --play-domain "$(of "$cdn" play_domain)" --play-url "http://$(at "$cdn" media)/live/{stream}.flv"
done
step "$(tidegate target list --json | tr -d ' \n' | grep -o '"vendor"' | wc -l) targets: four CDNs and the origin"

for cdn in $cdns origin; do publish_at "$cdn"; done
for cdn in $cdns origin; do
  wait_for 20 "the publish to $cdn" on_air "$(play_at "$cdn")"
  codecs=$(codecs_of "$(play_at "$cdn")")
  [ "$codecs" = "aac h264 " ] || fail "ffprobe saw '$codecs' at $cdn and not H.264 with AAC"
done
step "ffmpeg publishes to all five, and ffprobe plays H.264 and AAC from all five"

faults PUT '{"fault": [{"kind": "server-error", "status": 503}]}'
step "$down's API is down from here on: it answers 503"
asked=$(now)
answer_of ForbidCDNLiveStream
for cdn in ws aliyun tencent origin; do
  [ "$(result_of "$cdn")" = success ] || fail "success at $cdn: $answer"
  wait_for 10 "the cut at $cdn" ended "publisher-$cdn"
  step "$cdn cut the publisher: ffmpeg exited" "$(took "publisher-$cdn" "$asked")"
  status=$(http_status "$(play_at "$cdn")")
  [ "$status" = 403 ] || fail "$cdn refuses players (it was $status)"
done
step "the play URLs of ws, aliyun, tencent and origin are dark: 403 to a player from outside"
[ "$(result_of "$down")" = pending ] || fail "pending at $down: $answer"
running "publisher-$down" && on_air "$(play_at "$down")" || fail "a stream that is still live at $down"
step "$down did not hear of it: its publisher is on the air and its play URL plays"
show_status

faults DELETE
healed=$(now)
step "$down's API is back; nobody asks again"
wait_for 60 "the cut at $down" ended "publisher-$down"
step "$down cut the publisher by itself" "$(took "publisher-$down" "$healed")"
status=$(http_status "$(play_at "$down")")
[ "$status" = 403 ] || fail "$down refuses players (it was $status)"
step "the play URL of $down is dark as well: 403"
wait_for 40 "the server's own look at all five" shows observed dark 5
step "the server has looked for itself: dark at all five"
show_status

answer_of ResumeCDNLiveStream
for cdn in $cdns origin; do
  [ "$(result_of "$cdn")" = success ] || fail "success at $cdn: $answer"
  publish_at "$cdn"
done
for cdn in $cdns origin; do
  wait_for 20 "the publish to $cdn after the resume" on_air "$(play_at "$cdn")"
  codecs=$(codecs_of "$(play_at "$cdn")")
  [ "$codecs" = "aac h264 " ] || fail "the stream back on the air at $cdn"
done
step "back on the air: ffmpeg publishes to all five, ffprobe plays from all five"
verdict=$(tidegate audit verify) || fail "an audit chain that verifies"
step "$verdict"

if [ -n "$once" ]; then
  say "every step was observed"
  exit 0
fi
cat <<EOT

Server and CDNs go on until Ctrl-C. In another terminal:

  alias tidegate='$bin --data-dir $data'
  ffplay $(play_at aliyun)
  curl "\$(tidegate sign ForbidCDNLiveStream StreamId=demo)"
  curl -X PUT --data-binary '{"fault": [{"kind": "drop-after", "count": 1}]}' http://$(at aliyun admin)/faults
  curl http://$(at aliyun admin)/journal
  tidegate status demo
  tidegate account list

EOT
wait "$server"

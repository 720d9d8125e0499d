# One machine: forbid, cut, refuse, resume. Sourced by scripts/demo.

# publish NAME: an H.264/AAC test picture.
publish() {
  in_background "$1" ffmpeg -hide_banner -nostdin -loglevel info -re \
    -f lavfi -i "testsrc2=size=640x360:rate=25" -f lavfi -i "sine=frequency=440:sample_rate=44100" \
    -c:v libx264 -preset ultrafast -tune zerolatency -g 50 -b:v 800k -pix_fmt yuv420p \
    -c:a aac -b:a 64k -f flv "$publish_url"
}

start_server
play_url=http://$media/live/demo.flv

publish publisher
wait_for 20 "the publish" on_air "$play_url"
step "ffmpeg publishes to ${publish_url%%\?*}"
codecs=$(codecs_of "$play_url")
[ "$codecs" = "aac h264 " ] || fail "ffprobe saw '$codecs' and not H.264 with AAC"
in_background player curl -sN "$play_url" -o "$dir/player.flv"
wait_for 10 "playing over HTTP-FLV" bytes_at_least "$dir/player.flv" 100000
step "a player takes $play_url: H.264 and AAC, $(stat -c %s "$dir/player.flv") bytes so far"

running publisher && running player || fail "publisher and player on the air before the forbid"
call=$(signed_url ForbidCDNLiveStream)
asked=$(now)
answer=$(curl -s "$call")
step "ForbidCDNLiveStream answered: $answer" $(( $(now) - asked ))
case "$answer" in *'"Code":0'*'success'*) ;; *) fail "a recorded forbid" ;; esac
wait_for 5 "the cut of the publisher" ended publisher
wait_for 5 "the end of the player" ended player
step "the publisher was cut: ffmpeg exited" "$(took publisher "$asked")"
step "the player's connection ended" "$(took player "$asked")"

status=$(http_status "$play_url" "$dir/refusal")
[ "$status" = 403 ] || fail "players are told 403 (it was $status)"
step "players are told 403: $(cat "$dir/refusal")"
asked=$(now)
publish republisher
wait_for 10 "the refusal of the re-publish" ended republisher
grep -q "forbidden until" "$dir/republisher.log" || fail "the words of the refusal"
! grep -q '^frame=' "$dir/republisher.log" || fail "a refusal before publish start (media was taken)"
step "a re-publish was refused before publish start: $(grep -o 'this stream is forbidden[^"]*' "$dir/republisher.log" | head -n 1)" "$(took republisher "$asked")"

call=$(signed_url ResumeCDNLiveStream)
asked=$(now)
answer=$(curl -s "$call")
step "ResumeCDNLiveStream answered: $answer" $(( $(now) - asked ))
case "$answer" in *'"Code":0'*'success'*) ;; *) fail "a recorded resume" ;; esac
publish publisher2
wait_for 20 "the publish after the resume" on_air "$play_url"
running publisher2 || fail "a publisher that stays"
codecs=$(codecs_of "$play_url")
[ "$codecs" = "aac h264 " ] || fail "the stream back on the air"
step "back on the air: ffmpeg publishes again, ffprobe reads H.264 and AAC"
verdict=$(tidegate audit verify) || fail "an audit chain that verifies"
step "$verdict"

if [ -n "$once" ]; then
  say "every step was observed"
  exit 0
fi
cat <<EOT

The server goes on until Ctrl-C. In another terminal:

  alias tidegate='$bin --data-dir $data'
  ffplay $play_url
  curl "\$(tidegate sign ForbidCDNLiveStream StreamId=demo)"
  curl "\$(tidegate sign ResumeCDNLiveStream StreamId=demo)"
  tidegate status demo
  ffmpeg -re -f lavfi -i testsrc2 -c:v libx264 -tune zerolatency -f flv "\$(tidegate publish-url demo)"

EOT
wait "$server"

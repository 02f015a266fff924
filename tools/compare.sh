#!/usr/bin/env bash
# Dozor beside another server that takes remote write: the same load, in turns, in one run.
#
#   tools/compare.sh /path/to/prometheus            # needs: cargo build --release --workspace
#   REPETITIONS=5 SCRAPES=480 tools/compare.sh /path/to/prometheus
#
# Each turn is a fresh server on an empty folder and a free loopback port, and `loadgen` with NODES x 40 series over
# CONNECTIONS connections. Nothing is fetched; what was started is ended, by its id. The peer is started with the flags
# of Prometheus. Judge by instructions (counted if `perf` may) and by ratios: times on a shared machine vary by half.
set -euo pipefail
cd "$(dirname "$0")/.."

peer=${1:?usage: tools/compare.sh PEER_BINARY}
repetitions=${REPETITIONS:-3} nodes=${NODES:-1000} scrapes=${SCRAPES:-300} connections=${CONNECTIONS:-2}
servers=${SERVERS:-dozor dozor-rules peer}
binaries=${BINARIES:-target/release}
for binary in "$peer" "$binaries/dozor" "$binaries/loadgen"; do
  [ -x "$binary" ] || { echo "$binary is no program; build with: cargo build --release --workspace" >&2; exit 2; }
done

work=$(mktemp -d "${WORK:-target}/compare.XXXXXX")
server_id=
finish() {
  [ -z "$server_id" ] || { kill -TERM "$server_id" && wait "$server_id"; } 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

# A port at which nobody answers.
free_port() {
  local port
  while port=$((20000 + RANDOM % 10000)); (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
  echo "$port"
}

# start NAME PORT FOLDER: sets server_id.
start() {
  case $1 in
    dozor) exec "$binaries/dozor" serve --listen "127.0.0.1:$2" --data-dir "$3/data" --retention 30d ;;
    dozor-rules)
      exec "$binaries/dozor" serve --listen "127.0.0.1:$2" --data-dir "$3/data" --retention 30d \
        --rules src/demo/shop-rules.yml ;;
    peer)
      echo 'global: {}' >"$3/peer.yml"
      exec "$peer" --config.file="$3/peer.yml" --web.listen-address="127.0.0.1:$2" --web.enable-remote-write-receiver \
        --storage.tsdb.path="$3/data" --storage.tsdb.retention.time=30d ;;
  esac >"$3/out" 2>&1 &
  server_id=$!
  for _ in $(seq 300); do
    if ready "$2"; then return; fi
    sleep 0.1
  done
  echo "$1 is not ready after 30 s:" >&2
  tail -n 5 "$3/out" >&2
  exit 1
}

ready() {
  {
    exec 3<>"/dev/tcp/127.0.0.1/$1" || return 1
    printf 'GET /-/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
    head -n 1 <&3 | grep -q ' 200 '
  } 2>/dev/null
}

# The number that loadgen's report has under a name, to so many digits.
figure() { sed -n "s/^ *\"$2\": \([0-9.eE+-]*\),*$/\1/p" "$1" | awk -v digits="$3" '{ printf "%.*f", digits, $1 }'; }

# turn NAME: one line of figures.
turn() {
  local folder=$work/$1 port counter=
  mkdir "$folder"
  port=$(free_port)
  start "$1" "$port" "$folder"
  if perf stat -e instructions:u true >/dev/null 2>&1; then
    perf stat -x, -e instructions:u -p "$server_id" -o "$folder/perf" >/dev/null 2>&1 &
    counter=$!
  fi
  local from_s=$((scrapes * 15 + 60))
  "$binaries/loadgen" --url "http://127.0.0.1:$port/api/v1/write" --pid "$server_id" --nodes "$nodes" \
    --scrapes "$scrapes" --connections "$connections" --start "now-${from_s}s" --json "$folder/json" >"$folder/load" ||
    { cat "$folder/load" >&2; exit 1; }
  if [ -n "$counter" ]; then kill -INT "$counter" && wait "$counter" || true; fi
  local samples instructions disk_bytes
  samples=$(figure "$folder/json" samples 0)
  instructions=$(awk -F, -v samples="$samples" '/instructions/ { printf "%.0f", $1 / samples }' "$folder/perf" 2>/dev/null)
  disk_bytes=$(du -sb "$folder/data" | cut -f 1)
  echo "$1 $(figure "$folder/json" samples_per_s 0) $(figure "$folder/json" server_cpu_us_per_sample 3)" \
    "${instructions:--} $(figure "$folder/json" p50 0) $(figure "$folder/json" p99 0)" \
    "$(figure "$folder/json" server_peak_bytes 0 | awk '{ printf "%.0f", $1 / 1048576 }')" \
    "$(awk -v bytes="$disk_bytes" -v samples="$samples" 'BEGIN { printf "%.2f", bytes / samples }')"
  kill -TERM "$server_id" && wait "$server_id" || true
  server_id=
  rm -rf "$folder"
}

layout='%-12s %12s %12s %16s %9s %9s %9s %12s\n'
# shellcheck disable=SC2059
{
  echo "$nodes nodes x 40 series x $scrapes scrapes, 2,000 samples a request, $connections connections"
  printf "$layout" server samples/s 'CPU µs' instructions 'p50 µs' 'p99 µs' 'peak MiB' 'disk bytes'
  for _ in $(seq "$repetitions"); do
    for server in $servers; do
      turn "$server" >"$work/line"
      cat "$work/line" >>"$work/all"
      printf "$layout" $(cat "$work/line")
    done
  done
  echo 'medians, and as shares of the peer:'
  for server in $servers; do
    line=$server
    for column in 2 3 4 5 6 7 8; do
      line+=" $(awk -v server="$server" -v column="$column" '$1 == server { print $column }' "$work/all" |
        sort -g | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }')"
    done
    printf "$layout" $line
    echo "$line" >>"$work/medians"
  done
  awk '{ name[NR] = $1; for (i = 2; i <= NF; i++) figure[NR, i] = $i; if ($1 == "peer") peer = NR }
    END { if (peer) for (row = 1; row <= NR; row++) if (row != peer) { line = name[row] " / peer"
      for (i = 2; i <= NF; i++) line = line sprintf(" %.3f", figure[row, i] / figure[peer, i]); print line } }' \
    "$work/medians"
}

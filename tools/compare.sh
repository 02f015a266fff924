#!/usr/bin/env bash
# Dozor beside other servers that take the same: the same load, in turns, in one run.
#
#   tools/compare.sh /path/to/prometheus /path/to/victoria-metrics      # needs: cargo build --release --workspace
#   REPETITIONS=5 SCRAPES=480 PROTOCOL=2.0 tools/compare.sh /path/to/prometheus
#
# Each turn is a fresh server on an empty folder and a free loopback port, and `loadgen` with NODES x 40 series over
# CONNECTIONS connections, by PROTOCOL: remote write 1.0 or 2.0, or text. Nothing is fetched; what was started is ended, by
# its id. A peer is started with the flags of VictoriaMetrics if that is its name, else with those of Prometheus. Judge by instructions (counted if `perf` may) and by ratios: times on a shared machine vary by half.
set -euo pipefail
cd "$(dirname "$0")/.."

peers=("${@:?usage: tools/compare.sh PEER_BINARY...}")
repetitions=${REPETITIONS:-3} nodes=${NODES:-1000} scrapes=${SCRAPES:-300} connections=${CONNECTIONS:-2}
servers=${SERVERS:-dozor dozor-rules ${peers[*]}} protocol=${PROTOCOL:-1.0}
binaries=${BINARIES:-target/release}
path=/api/v1/write
if [ "$protocol" = text ]; then path=/api/v1/import/prometheus; fi
. tools/servers.sh

# turn NAME: one line of figures.
turn() {
  local name=${1##*/} port counter=
  local folder=$work/$name
  mkdir "$folder"
  port=$(free_port)
  start "$1" "$port" "$folder"
  if perf stat -e instructions:u true >/dev/null 2>&1; then
    perf stat -x, -e instructions:u -p "$server_id" -o "$folder/perf" >/dev/null 2>&1 &
    counter=$!
  fi
  local from_s=$((scrapes * 15 + 60))
  "$binaries/loadgen" --url "http://127.0.0.1:$port$path" --protocol "$protocol" --pid "$server_id" --nodes "$nodes" \
    --scrapes "$scrapes" --connections "$connections" --start "now-${from_s}s" --json "$folder/json" >"$folder/load" ||
    { cat "$folder/load" >&2; exit 1; }
  if [ -n "$counter" ]; then kill -INT "$counter" && wait "$counter" || true; fi
  local samples instructions disk_bytes
  samples=$(figure "$folder/json" samples 0)
  instructions=$(awk -F, -v samples="$samples" '/instructions/ { printf "%.0f", $1 / samples }' "$folder/perf" 2>/dev/null)
  disk_bytes=$(du -sb "$folder/data" | cut -f 1)
  echo "$name $(figure "$folder/json" samples_per_s 0) $(figure "$folder/json" server_cpu_us_per_sample 3)" \
    "${instructions:--} $(figure "$folder/json" p50 0) $(figure "$folder/json" p99 0)" \
    "$(figure "$folder/json" server_peak_bytes 0 | awk '{ printf "%.0f", $1 / 1048576 }')" \
    "$(awk -v bytes="$disk_bytes" -v samples="$samples" 'BEGIN { printf "%.2f", bytes / samples }')"
  kill -TERM "$server_id" && wait "$server_id" || true
  server_id=
  rm -rf "$folder"
}

layout='%-28s %12s %12s %16s %9s %9s %9s %12s\n'
# shellcheck disable=SC2059
{
  echo "$nodes nodes x 40 series x $scrapes scrapes, 2,000 samples a request, $connections connections, $protocol"
  printf "$layout" server samples/s 'CPU µs' instructions 'p50 µs' 'p99 µs' 'peak MiB' 'disk bytes'
  for _ in $(seq "$repetitions"); do
    for server in $servers; do
      turn "$server" >"$work/line"
      cat "$work/line" >>"$work/all"
      printf "$layout" $(cat "$work/line")
    done
  done
  echo 'medians, and as shares of each peer:'
  for server in $servers; do
    server=${server##*/} line=${server##*/}
    for column in 2 3 4 5 6 7 8; do
      line+=" $(awk -v server="$server" -v column="$column" '$1 == server { print $column }' "$work/all" |
        sort -g | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }')"
    done
    printf "$layout" $line
    echo "$line" >>"$work/medians"
  done
  awk '{ name[NR] = $1; for (i = 2; i <= NF; i++) figure[NR, i] = $i }
    END { for (peer = 1; peer <= NR; peer++) if (name[peer] !~ /^dozor/) for (row = 1; row <= NR; row++) if (name[row] ~ /^dozor/) {
      line = name[row] " / " name[peer]
      for (i = 2; i <= NF; i++) line = line sprintf(" %.3f", figure[row, i] / figure[peer, i]); print line } }' \
    "$work/medians"
}

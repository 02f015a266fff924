#!/usr/bin/env bash
# What the database leaves on disk and how soon it is ready again, beside a Prometheus: the same load, one after the other.
#
#   tools/storage.sh /path/to/prometheus            # needs: cargo build --release --workspace
#   NODES=1000 SCRAPES=1440 tools/storage.sh /path/to/prometheus
#
# Each server takes NODES x 40 series x SCRAPES scrapes of past time, is killed (-9), the page cache is dropped (as root;
# else it says that it could not), and is started again; ours then compacts. Sizes are exact; times are for ratios.
# Nothing is fetched; what was started is ended, by its id.
set -euo pipefail
cd "$(dirname "$0")/.."

peers=("${1:?usage: tools/storage.sh PEER_BINARY}")
nodes=${NODES:-1000} scrapes=${SCRAPES:-1440} connections=${CONNECTIONS:-2}
binaries=${BINARIES:-target/release}
. tools/servers.sh

per_sample() { awk -v bytes="$1" -v samples="$samples" 'BEGIN { printf "%.4f", bytes / samples }'; }
bytes_of() { du -sb --apparent-size "$1" 2>/dev/null | cut -f 1; }
metric() { curl -sf "http://127.0.0.1:$port/metrics" | awk -v name="$1" '$1 == name { print $2 }'; }
resident_mib() { awk '/^VmRSS/ { printf "%.0f", $2 / 1024 }' "/proc/$server_id/status"; }
cpu_s() { awk -v hz="$(getconf CLK_TCK)" '{ print ($14 + $15) / hz }' "/proc/$server_id/stat"; }

# CPU of the threads of this name, in seconds.
thread_cpu_s() {
  cat "/proc/$server_id/task/"*/stat | awk -v hz="$(getconf CLK_TCK)" -v name="($1)" '$2 == name { sum += $14 + $15 } END { print sum / hz }'
}

drop_caches() {
  sync
  if ! { echo 3 >/proc/sys/vm/drop_caches; } 2>/dev/null; then echo '  (page cache not dropped: not root)'; fi
}

load() {
  local from_s=$((scrapes * 15 + 60))
  "$binaries/loadgen" --url "http://127.0.0.1:$port/api/v1/write" --pid "$server_id" --nodes "$nodes" \
    --scrapes "$scrapes" --connections "$connections" --start "now-${from_s}s" --json "$work/json" >"$work/load" ||
    { cat "$work/load" >&2; exit 1; }
  samples=$(figure "$work/json" samples 0)
}

# restart NAME: kill -9, cold cache, start; prints seconds from exec to ready.
restart() {
  kill -KILL "$server_id" && wait "$server_id" 2>/dev/null || true
  drop_caches
  local began ended
  began=$(date +%s%N)
  start "$1" "$port" "$folder"
  ended=$(date +%s%N)
  ready_s=$(awk -v ns=$((ended - began)) 'BEGIN { printf "%.2f", ns / 1e9 }')
}

for server in dozor "${peers[0]}"; do
  folder=$work/${server##*/}
  mkdir "$folder"
  port=$(free_port)
  start "$server" "$port" "$folder"
  load
  echo "${server##*/}: $samples samples, $(resident_mib) MiB resident"
  echo "  folder as it is:        $(per_sample "$(bytes_of "$folder/data")") bytes a sample"
  if [ "$server" = dozor ]; then
    written=$(metric dozor_log_bytes_total)
    echo "  log written:            $(per_sample "${written:-0}") bytes a sample"
    sealing_s=$(thread_cpu_s maintain)
  fi
  restart "$server"
  echo "  ready after kill -9:    $ready_s s"
  if [ "$server" = dozor ]; then
    before_s=$(cpu_s)
    curl -sf -X POST "http://127.0.0.1:$port/api/v1/admin/tsdb/compact"
    echo
    after_s=$(cpu_s)
    echo "  sealing and compaction: $(awk -v s="$sealing_s" -v a="$before_s" -v b="$after_s" -v n="$samples" 'BEGIN { printf "%.1f", (s + b - a) / n * 1e9 }') ns of CPU a sample: under load $sealing_s s, the rest $(awk -v a="$before_s" -v b="$after_s" 'BEGIN { print b - a }') s"
    echo "  blocks, index included: $(per_sample "$(bytes_of "$folder/data/blocks")") bytes a sample"
    restart "$server"
    echo "  ready, all in blocks:   $ready_s s"
  fi
  kill -TERM "$server_id" && wait "$server_id" || true
  server_id=
  echo "  folder after a stop:    $(per_sample "$(bytes_of "$folder/data")") bytes a sample"
  rm -rf "$folder"
done

#!/usr/bin/env bash
# What three times the load that a server can take does to it: the goodput, and the queries beside.
#
#   tools/overload.sh                               # needs: cargo build --release --workspace, curl
#   SENDERS="6 60 256" SECONDS_EACH=30 tools/overload.sh
#
# The capacity is what two connections drive, flat out, on a fresh server. Then, each on a fresh server again, as many
# connections as SENDERS says, which send flat out too and come back when they are told to. All the while a dashboard
# asks QUERIES_PER_S instant queries, each a rate over 1,000 series, and somebody asks whether the server is healthy.
# To reach: a goodput of 90 % of the capacity, and 99 of 100 queries within 0.5 s. Judge by ratios: times on a shared
# machine vary by half. Nothing is fetched; what was started is ended, by its id.
set -euo pipefail
cd "$(dirname "$0")/.."

nodes=${NODES:-1000} seconds=${SECONDS_EACH:-20} rate=${QUERIES_PER_S:-10}
binaries=${BINARIES:-target/release}
peers=()
. tools/servers.sh

# ask NAME PATH: asks until the load is over, a line of seconds and status each.
ask() {
  exec stdbuf -oL curl -s --max-time 10 --rate "$rate/s" -o "$work/answer" -w '%{time_total} %{http_code}\n' \
    "http://127.0.0.1:$port$2#[1-$((seconds * rate))]" >"$work/$1"
}

# quantile FILE SHARE: milliseconds.
quantile() {
  sort -g "$1" | awk -v share="$2" '{ all[NR] = $1 } END { i = int(NR * share + 0.999); printf "%.0f", all[i ? i : 1] * 1000 }'
}

# Event time begins so early that no speed brings it to the present; the queries look at its first five minutes.
start_ms=$((($(date +%s) - 360000) * 1000))

# turn CONNECTIONS: one line of figures.
turn() {
  local folder=$work/$1
  mkdir "$folder"
  port=$(free_port)
  start dozor "$port" "$folder"
  "$binaries/loadgen" --url "http://127.0.0.1:$port/api/v1/write" --pid "$server_id" --nodes "$nodes" \
    --duration "$seconds" --connections "$1" --start "$start_ms" --interval 15 --json "$folder/json" >"$folder/load" 2>&1 &
  local load_id=$!
  sleep 2
  ask queries "/api/v1/query?query=sum(rate(shop_orders_total%5B5m%5D))&time=$((start_ms / 1000 + 300))" &
  local queries_id=$!
  ask health '/-/healthy' &
  local health_id=$!
  wait "$load_id" || { cat "$folder/load" >&2; exit 1; }
  kill "$queries_id" "$health_id" 2>/dev/null || true
  wait "$queries_id" "$health_id" 2>/dev/null || true
  local refused
  refused=$(grep -vc ' 200$' "$work/queries" || true)
  echo "$1 $(figure "$folder/json" samples_per_s 0) $(figure "$folder/json" p50 0) $(figure "$folder/json" p99 0)" \
    "$(figure "$folder/json" 503 0) $(wc -l <"$work/queries") $refused $(quantile "$work/queries" 0.5)" \
    "$(quantile "$work/queries" 0.99) $(quantile "$work/health" 0.99)" \
    "$(figure "$folder/json" server_peak_bytes 0 | awk '{ printf "%.0f", $1 / 1048576 }')"
  kill -TERM "$server_id" && wait "$server_id" || true
  server_id=
  rm -rf "$folder"
}

layout='%-12s %12s %9s %9s %6s %8s %8s %10s %10s %11s %9s %7s\n'
# shellcheck disable=SC2059
{
  echo "$nodes nodes x 40 series, 2,000 samples a request, $seconds s each, $rate queries/s beside"
  printf "$layout" connections samples/s 'ack p50µs' 'p99 µs' 503s queries refused 'query p50' 'p99 ms' 'healthy p99' 'peak MiB' share
  capacity=
  for connections in 2 ${SENDERS:-6 60 256}; do
    turn "$connections" >"$work/line"
    line=$(cat "$work/line")
    goodput=$(echo "$line" | cut -d ' ' -f 2)
    capacity=${capacity:-$goodput}
    printf "$layout" $line "$(awk -v now="$goodput" -v all="$capacity" 'BEGIN { printf "%.2f", now / all }')"
  done
}

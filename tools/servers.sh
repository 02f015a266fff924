# Servers side by side: what tools/compare.sh and tools/storage.sh have in common. Sourced, not run.
#
# Expects: peers (binaries of others), binaries (folder of ours). Sets: work (a folder), server_id.

for binary in "${peers[@]}" "$binaries/dozor" "$binaries/loadgen"; do
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

# start NAME PORT FOLDER: NAME is dozor, dozor-rules, or a peer's binary. Sets server_id.
start() {
  case $1 in
    dozor) exec "$binaries/dozor" serve --listen "127.0.0.1:$2" --data-dir "$3/data" --retention 30d ;;
    dozor-rules)
      exec "$binaries/dozor" serve --listen "127.0.0.1:$2" --data-dir "$3/data" --retention 30d \
        --rules tests/e2e/shop-rules.yml ;;
    *victoria-metrics*)
      exec "$1" -storageDataPath="$3/data" -httpListenAddr="127.0.0.1:$2" -retentionPeriod=12 -loggerLevel=WARN ;;
    *)
      echo 'global: {}' >"$3/peer.yml"
      exec "$1" --config.file="$3/peer.yml" --web.listen-address="127.0.0.1:$2" --web.enable-remote-write-receiver \
        --storage.tsdb.path="$3/data" --storage.tsdb.retention.time=30d ;;
  esac >"$3/out" 2>&1 &
  server_id=$!
  for _ in $(seq 3000); do
    if ready "$2"; then return; fi
    sleep 0.01
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

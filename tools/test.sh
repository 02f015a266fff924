#!/usr/bin/env bash
# Installs what the tests need, then runs all tests of the workspace. From any working directory:
#
#     tools/test.sh                    everything
#     tools/test.sh agent_             what follows goes to the test runner: only tests with this in their name
#
# The end-to-end tests run against real programs from Debian. Missing ones are installed when this is run by root;
# anybody else is told what to install. No test is skipped: without its program a test fails and says so.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# program:package
needed=(
    prometheus:prometheus
    prometheus-node-exporter:prometheus-node-exporter
    curl:curl
    vmagent:victoria-metrics
    prometheus-pushgateway:prometheus-pushgateway
    python3:python3
    vmctl:victoria-metrics
    script:bsdutils
)

missing_packages() {
    local pair
    for pair in "${needed[@]}"; do
        command -v "${pair%%:*}" >/dev/null || echo "${pair##*:}"
    done
    # Part of Python, and on Debian a package of its own.
    python3 -c 'import ensurepip' 2>/dev/null || echo python3-venv
}

# Debian starts a service when it is installed, unless this file says no. The tests start their own, on free ports.
policy=/usr/sbin/policy-rc.d
policy_is_ours=no
remove_policy() {
    if [[ $policy_is_ours == yes ]]; then rm -f "$policy"; fi
}
trap remove_policy EXIT

install_packages() {
    if [[ ! -e $policy ]]; then
        policy_is_ours=yes
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update
    apt-get install -y --no-install-recommends "$@"
    remove_policy
    policy_is_ours=no
}

mapfile -t missing < <(missing_packages)
if ((${#missing[@]} > 0)); then
    command="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
    if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
        echo "== installing ${missing[*]}"
        install_packages "${missing[@]}"
        mapfile -t missing < <(missing_packages)
        if ((${#missing[@]} > 0)); then
            echo "error: ${missing[*]}: installed, and the program is still not found" >&2
            exit 1
        fi
    else
        echo "error: the tests need Debian's ${missing[*]}, and only root can install them: run as root" >&2
        echo "    $command" >&2
        exit 1
    fi
fi

# Clients that are Python packages live in an environment of their own, made again when the list of them changes.
python=target/python
clients=tests/e2e/requirements.txt
if ! cmp -s "$clients" "$python/installed.txt"; then
    echo "== installing the clients of $clients into $python"
    mkdir -p target
    python3 -m venv "$python"
    "$python/bin/pip" install --quiet --disable-pip-version-check -r "$clients"
    cp "$clients" "$python/installed.txt"
fi

# Senders that the system's release does not have yet.
peers=target/peers
if [[ ! -x $peers/usr/bin/promtool || ! -x $peers/usr/bin/prometheus || ! -x $peers/usr/bin/prometheus-alertmanager ||
      ! -x $peers/usr/bin/amtool || ! -x $peers/usr/bin/vmagent ]]; then
    tools/peers.sh "$peers"
fi

if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --workspace --no-fail-fast "$@"
else
    cargo test --workspace --no-fail-fast --lib --bins --tests -- "$@"
fi
if (($# == 0)); then
    cargo test --workspace --doc
fi

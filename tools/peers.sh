#!/usr/bin/env bash
# Unpacks newer senders than the system's own release has, beside the system: nothing is installed, root is not needed.
#
#     tools/peers.sh DIR           their programs are then in DIR/usr/bin
#
# They come from Debian's unstable suite, by the mirror that this system's sources name, signed by the keys that it trusts.
set -euo pipefail

packages=(prometheus promtool prometheus-alertmanager victoria-metrics)
programs=(prometheus promtool prometheus-alertmanager amtool vmagent)

folder=${1:?usage: tools/peers.sh DIR}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)

# Both ways to write sources: "URIs: ADDRESS ..." and "deb [OPTIONS] ADDRESS ...". Security updates have a mirror of their own.
mirror=$(
    cat /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list /etc/apt/sources.list 2>/dev/null |
        sed -nE 's/^(URIs:|deb (\[[^]]*\] )?) *([^ ]+).*/\3/p' | grep -v security | head -n 1 || true
)
[[ -n $mirror ]] || { echo "error: this system's sources name no Debian mirror" >&2; exit 1; }

# An apt of its own: its lists, archives and caches are in here, and the system's stay as they are.
apt=$(mktemp -d "$folder/.apt.XXXXXX")
trap 'rm -rf "$apt"' EXIT
mkdir -p "$apt"/{state/lists/partial,cache/archives/partial,packages}
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror unstable main" >"$apt/sources.list"
options=(
    -qq
    -o "Dir::Etc::SourceList=$apt/sources.list" -o "Dir::Etc::SourceParts=-"
    -o "Dir::State=$apt/state" -o "Dir::State::status=/dev/null" -o "Dir::Cache=$apt/cache"
    -o "APT::Sandbox::User=root" -o "Acquire::Languages=none"
)
echo "== unpacking ${packages[*]} of Debian's unstable suite into $folder"
apt-get "${options[@]}" update
(cd "$apt/packages" && apt-get "${options[@]}" download "${packages[@]}")
for package in "$apt"/packages/*.deb; do
    dpkg -x "$package" "$folder"
done
for program in "${programs[@]}"; do
    [[ -x $folder/usr/bin/$program ]] || { echo "error: $program is in none of ${packages[*]}" >&2; exit 1; }
done

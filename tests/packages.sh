#!/bin/sh
# Installs the Debian packages that the lab, the tests and the demo need.
# The services these packages bring are neither started nor enabled: the four helpers that maintainer scripts
# call for that are shadowed on PATH for the length of this one apt run, and nothing of the shadow remains.
set -eu
packages="
  python3 python3-venv python3-nftables nftables iproute2 iputils-ping procps
  dhcpcd-base kea-dhcp4-server kea-dhcp6-server radvd mosquitto mosquitto-clients
  conntrack tcpdump iperf3 bind9 bind9-dnsutils kea-dhcp-ddns-server ulogd2 libfaketime
"
# Further groups are arguments: `sh tests/packages.sh engine`.
for group in "$@"; do
    case $group in
    engine) packages="$packages mmdebstrap runc iptables" ;;
    vm) packages="$packages mmdebstrap e2fsprogs" ;;
    *) echo "no group of packages is named $group; there are: engine, vm" >&2; exit 2 ;;
    esac
done
missing=
for package in $packages; do
    [ "$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)" = "install ok installed" ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
[ "$(id -u)" = 0 ] || { echo "packages missing:$missing; run 'make packages' as root" >&2; exit 1; }
echo "installing:$missing"
shadow=$(mktemp -d)
trap 'rm -rf "$shadow"' EXIT
trap 'exit 130' INT TERM
for helper in deb-systemd-helper deb-systemd-invoke invoke-rc.d update-rc.d; do
    printf '#!/bin/sh\nexit 0\n' >"$shadow/$helper"
    chmod 755 "$shadow/$helper"
done
log=$(mktemp)
trap 'rm -rf "$shadow" "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
# dpkg gets its PATH from this option alone, not from the environment.
path="$shadow:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# shellcheck disable=SC2086
{ apt-get update -q && apt-get -o DPkg::Path="$path" install -qy --no-install-recommends $missing; } >"$log" 2>&1 </dev/null || {
    tail -n 30 "$log" >&2
    echo "apt-get failed: its last lines are above; mend the package sources and run 'make packages' again" >&2
    exit 1
}

"""The wires of `firewall_world`, and ingresses that are fixed rules and say that all is well."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, IPv6Network

from agent.model import Peer, PrefixMapping, UplinkIPv4, UplinkIPv6, UplinkLink
from tests.lab.netns import Namespace

SITE = "fd00:1:2::/48"
HOST_BITS = "::ffff:ffff:ffff:ffff:ffff"
NET4, NET6 = "203.0.113.7", "2001:db8:f::7"
UPLINKS = {"kpn": ("a", "192.0.2"), "odido": ("b", "198.51.100")}
MACS = {"kpn": "02:00:00:00:99:0a", "odido": "02:00:00:00:99:0b"}

INGRESS = """
table inet i {{
  chain raw {{ type filter hook prerouting priority raw;
    ip6 daddr 2001:db8:{x}100::/48 notrack ip6 daddr set ip6 daddr & {host} | fd00:1:2:: accept
    ip6 saddr fd00:1:2::/48 notrack
  }}
  chain pre {{ type nat hook prerouting priority dstnat; ip daddr {v4}.2 tcp dport 443 dnat ip to 10.10.0.5; }}
  chain post {{ type nat hook postrouting priority srcnat;
    oifname "wan" snat ip to {v4}.2
    iifname "dmz" oifname "dmz" ct status dnat snat ip to {v4}.2
  }}
  chain npt {{ type filter hook postrouting priority srcnat + 10;
    oifname "wan" ip6 saddr fd00:1:2::/48 ip6 saddr set ip6 saddr & {host} | {out}
    iifname dmz ip6 saddr {site} ip6 daddr {site} ip6 saddr set ip6 saddr & {host} | {out}
  }}
}}
"""


def wire(spaces: Mapping[str, Namespace]) -> None:
    """Connect the namespaces."""
    name = {key: space.name for key, space in spaces.items()}

    def veth(first: str, device: str, second: str, other: str) -> None:
        spaces[first].sh(
            f"ip link add {device} type veth peer name {other} netns {name[second]}; ip link set {device} up"
        )
        spaces[second].sh(f"ip link set {other} up")

    quiet = "net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 net.ipv4.conf.all.rp_filter=0"
    for space in spaces:
        spaces[space].sh(f"sysctl -qw {quiet} net.ipv4.conf.default.rp_filter=0")
    # Errors are what some tests look for: all of them, not one a second.
    spaces["fw"].sh("sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0")
    for bridge in ("dmz", "home"):
        spaces["sw"].sh(f"ip link add {bridge} type bridge mcast_snooping 0; ip link set {bridge} up")
    for space, device, port, bridge in (
        ("kpn", "dmz", "d0", "dmz"),
        ("odido", "dmz", "d1", "dmz"),
        ("fw", "dmz", "d2", "dmz"),
        ("fw", "home", "h0", "home"),
        ("host", "eth0", "h1", "home"),
        ("nas", "eth0", "h2", "home"),
    ):
        veth(space, device, "sw", port)
        spaces["sw"].sh(f"ip link set {port} master {bridge}")
    veth("fw", "iot", "cam", "eth0")
    veth("fw", "backstage", "node", "eth0")
    spaces["fw"].sh("ip addr add 10.98.0.1/24 dev backstage")
    spaces["node"].sh("ip addr add 10.98.0.2/24 dev eth0")
    for uplink, (letter, v4) in UPLINKS.items():
        _ingress(spaces[uplink], uplink, letter, v4)
        veth(uplink, "wan", "net", f"n{letter}")
        spaces[uplink].sh(
            f"ip addr add {v4}.2/24 dev wan; ip addr add 2001:db8:{letter}::2/64 dev wan nodad\n"
            f"ip route add default via {v4}.1; ip route add default via 2001:db8:{letter}::1",
        )
        spaces["net"].sh(
            f"ip addr add {v4}.1/24 dev n{letter}; ip addr add 2001:db8:{letter}::1/64 dev n{letter} nodad\n"
            f"ip route add 2001:db8:{letter}100::/48 via 2001:db8:{letter}::2",
        )
    spaces["net"].sh(f"ip addr add {NET4}/32 dev lo; ip addr add {NET6}/128 dev lo")
    for space, own4, own6 in (
        ("host", "10.10.0.100", "10::100"),
        ("nas", "10.10.0.5", "10::5"),
        ("cam", "10.30.0.50", "30::50"),
    ):
        gateway4, gateway6 = own4.rsplit(".", 1)[0] + ".1", own6.split("::")[0] + "::1"
        spaces[space].sh(
            f"ip addr add {own4}/24 dev eth0; ip addr add fd00:1:2:{own6}/64 dev eth0 nodad\n"
            f"ip route add default via {gateway4}; ip route add default via fd00:1:2:{gateway6}",
        )


def _ingress(space: Namespace, uplink: str, letter: str, v4: str) -> None:
    number = "10" if uplink == "kpn" else "11"
    space.sh(
        "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.send_redirects=0"
        " net.ipv4.conf.dmz.send_redirects=0\n"
        f"ip link set dmz down; ip link set dmz address {MACS[uplink]}; ip link set dmz up\n"
        f"ip addr add 10.99.0.{number}/24 dev dmz; ip addr add fe80::{letter}/64 dev dmz nodad\n"
        "ip route add 10.0.0.0/8 via 10.99.0.1; ip route add fd00:1:2::/48 via fe80::1 dev dmz",
    )
    rules = INGRESS.format(x=letter, v4=v4, site=SITE, host=HOST_BITS, out=f"2001:db8:{letter}100::")
    space.sh(f"nft -f - <<'END'\n{rules}\nEND")


def peer(name: str) -> Peer:
    """What an ingress says when all is well."""
    letter, v4 = UPLINKS[name]
    number = "10" if name == "kpn" else "11"
    external = IPv6Network(f"2001:db8:{letter}100::/48")
    own = IPv6Interface(f"2001:db8:{letter}::2/64")
    return Peer(
        link=UplinkLink(
            carrier=True,
            mtu=1500,
            ipv4=IPv4Address(f"10.99.0.{number}"),
            link_local=IPv6Address(f"fe80::{letter}"),
            mac=MACS[name],
        ),
        ipv4=UplinkIPv4(IPv4Interface(f"{v4}.2/24")),
        ipv6=UplinkIPv6("prefix", (own,), mappings=(PrefixMapping(IPv6Network(SITE), external),)),
    )

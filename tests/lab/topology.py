"""The lab's one topology, declared.

             internet 203.0.113.7, 2001:db8:f::7
                |
         ===== core =====
           |          |
        kpn-isp    odido-isp         Kea DHCPv4 and DHCPv6, radvd
           | line     | line
           | wan      | wan
          kpn       odido            ingresses; also on backstage: .2, .3
           | dmz      | dmz
         ====== dmz =====
                |
             firewall                also on backstage: 10.98.0.1, the broker
           |    |    |     |
         home guest iot management   bridges
         |  |    |    |
    laptop nas phone lamp

Every bridge lives in the node `switch`. All addresses of the emulators are documentation prefixes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["switch", "emulator", "ingress", "firewall", "client"]

INTERNET4 = "203.0.113.7"
INTERNET6 = "2001:db8:f::7"
# The resolver of the reference configuration; the internet host is it.
RESOLVER4 = "9.9.9.9"
RESOLVER6 = "2620:fe::fe"
_RESOLVER = (f"{RESOLVER4} via {INTERNET4}", f"{RESOLVER6} via {INTERNET6}")
KPN_PREFIX = "2001:db8:a100::/48"
KPN_NEXT_PREFIX = "2001:db8:a200::/48"
NAS4 = "10.10.0.5"


@dataclass(frozen=True)
class Port:
    """An interface `name`, plugged into the bridge `switch` of the node `switch`; `addresses` are set by hand."""

    name: str
    switch: str
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True)
class NodeSpec:
    """A node: `sysctls` and `routes` (arguments of `ip route add`) are those a machine of its kind is given by hand."""

    name: str
    kind: Kind
    ports: tuple[Port, ...] = ()
    routes: tuple[str, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()


# No duplicate address detection where nobody tests it; router nodes keep the kernel's second of it, as in a container.
_QUICK: tuple[tuple[str, str], ...] = (
    ("net.ipv6.conf.all.accept_dad", "0"),
    ("net.ipv6.conf.default.accept_dad", "0"),
    ("net.ipv6.conf.default.dad_transmits", "0"),
    ("net.ipv6.conf.default.router_solicitation_delay", "0"),
)
_FORWARD = (
    *_QUICK,
    ("net.ipv4.ip_forward", "1"),
    ("net.ipv6.conf.all.forwarding", "1"),
    ("net.ipv4.conf.all.rp_filter", "0"),
    ("net.ipv4.conf.default.rp_filter", "0"),
)

NODES: tuple[NodeSpec, ...] = (
    NodeSpec("switch", "switch", sysctls=(("net.ipv6.conf.default.disable_ipv6", "1"),)),
    NodeSpec(
        "internet",
        "emulator",
        (Port("eth0", "core", (f"{INTERNET4}/24", f"{INTERNET6}/64", f"{RESOLVER4}/32", f"{RESOLVER6}/128")),),
        (
            "192.0.2.0/24 via 203.0.113.1",
            "198.51.100.0/24 via 203.0.113.2",
            "2001:db8:a000::/36 via 2001:db8:f::1",  # what kpn delegates
            "2001:db8:a::/64 via 2001:db8:f::1",
            "2001:db8:b::/64 via 2001:db8:f::2",
        ),
        _QUICK,
    ),
    NodeSpec(
        "kpn-isp",
        "emulator",
        (
            Port("core", "core", ("203.0.113.1/24", "2001:db8:f::1/64")),
            Port("line", "", ("192.0.2.1/24", "2001:db8:a::1/64")),
        ),
        ("unreachable 2001:db8:a000::/36", *_RESOLVER),
        _FORWARD,
    ),
    NodeSpec(
        "odido-isp",
        "emulator",
        (
            Port("core", "core", ("203.0.113.2/24", "2001:db8:f::2/64")),
            Port("line", "", ("198.51.100.1/24", "2001:db8:b::1/64")),
        ),
        _RESOLVER,
        _FORWARD,
    ),
    NodeSpec("kpn", "ingress", (Port("dmz", "dmz"), Port("backstage", "backstage", ("10.98.0.2/24",)))),
    NodeSpec("odido", "ingress", (Port("dmz", "dmz"), Port("backstage", "backstage", ("10.98.0.3/24",)))),
    NodeSpec(
        "firewall",
        "firewall",
        (
            Port("dmz", "dmz"),
            Port("home", "home"),
            Port("guest", "guest"),
            Port("iot", "iot"),
            Port("management", "management"),
            Port("backstage", "backstage", ("10.98.0.1/24",)),
        ),
    ),
    NodeSpec("laptop", "client", (Port("eth0", "home"),), sysctls=_QUICK),
    # The nas has its IPv4 address by hand, since the lab's configuration knows no MACs; its IPv6 suffix is `::5`.
    NodeSpec("nas", "client", (Port("eth0", "home", (f"{NAS4}/24",)),), ("default via 10.10.0.1",), _QUICK),
    NodeSpec("phone", "client", (Port("eth0", "guest"),), sysctls=_QUICK),
    NodeSpec("lamp", "client", (Port("eth0", "iot"),), sysctls=_QUICK),
)

# The uplinks: (ingress, ISP). The ISP's end, `port`, is the only port of its bridge `line`: setting it down takes the
# carrier from the ingress's `wan` and leaves the ISP's addresses, routes and daemons alone.
LINES: tuple[tuple[str, str], ...] = (("kpn", "kpn-isp"), ("odido", "odido-isp"))

SPECS = {spec.name: spec for spec in NODES}
ROUTERS = tuple(spec.name for spec in NODES if spec.kind in {"ingress", "firewall"})
ISPS = tuple(isp for _, isp in LINES)
CLIENTS = tuple(spec.name for spec in NODES if spec.kind == "client")
_INDEX = {spec.name: number for number, spec in enumerate(NODES, 1)}


def mac(node: str, interface: str) -> str:
    """The MAC that `interface` of `node` has in every lab: captures of two runs compare."""
    names = [port.name for port in SPECS[node].ports] + ["wan", "port"]
    return f"02:00:00:00:{_INDEX[node]:02x}:{names.index(interface) + 1:02x}"

"""The KPN story's network, declared: PPPoE on VLAN 6, one trunk that carries five networks, MACs as in the example.

           internet 203.0.113.7, 2001:db8:f::7, and the probe targets of the example
              |
       ===== core =====
              |
             isp          pppoe-server on VLAN 6 of its line; Kea and radvd on each session
              |
       ===== line =====   what crosses the uplink is seen here
              | uplink
             kpn          also on backstage: .2
              | trunk, VLAN 99
       ==== trunk =====   VLANs 5, 10, 20, 30, 99
        |         |  |  |
     firewall     laptop (10), nas (10), phone (20), lamp (30), admin (5)

Every bridge lives in the node `switch`.
"""

from __future__ import annotations

from tests.lab.topology import INTERNET4, INTERNET6, NodeSpec, Port

PREFIX = "2001:db8:a100::/48"
NEXT_PREFIX = "2001:db8:a200::/48"
ADDRESS = "192.0.2.100"
NEXT_ADDRESS = "192.0.2.150"
ISP4 = "192.0.2.1"
VLAN = 6
PROBES = ("1.1.1.1", "8.8.8.8", "9.9.9.9", "2606:4700:4700::1111", "2001:4860:4860::8888", "2620:fe::fe")

ADMIN4 = "10.5.0.9"  # by hand: the example serves no DHCP there

_QUICK: tuple[tuple[str, str], ...] = (
    ("net.ipv6.conf.all.accept_dad", "0"),
    ("net.ipv6.conf.default.accept_dad", "0"),
    ("net.ipv6.conf.default.dad_transmits", "0"),
    ("net.ipv6.conf.default.router_solicitation_delay", "0"),
)
_FORWARD = (("net.ipv4.ip_forward", "1"), ("net.ipv6.conf.all.forwarding", "1"))

NODES: tuple[NodeSpec, ...] = (
    NodeSpec("switch", "switch", sysctls=(("net.ipv6.conf.default.disable_ipv6", "1"),)),
    NodeSpec(
        "internet",
        "emulator",
        (Port("eth0", "core", (f"{INTERNET4}/24", f"{INTERNET6}/64")),),
        ("192.0.2.0/24 via 203.0.113.1", "2001:db8:a000::/36 via 2001:db8:f::1"),
        _QUICK,
    ),
    NodeSpec(
        "isp",
        "emulator",
        (Port("core", "core", ("203.0.113.1/24", "2001:db8:f::1/64")), Port("line", "line")),
        (f"default via {INTERNET4}", f"default via {INTERNET6}", "unreachable 2001:db8:a000::/36"),
        _QUICK + _FORWARD,
    ),
    NodeSpec(
        "kpn",
        "ingress",
        (Port("uplink", "line"), Port("trunk", "trunk"), Port("backstage", "backstage", ("10.98.0.2/24",))),
    ),
    NodeSpec("firewall", "firewall", (Port("trunk", "trunk"), Port("backstage", "backstage", ("10.98.0.1/24",)))),
    NodeSpec("laptop", "client", (Port("eth0", "trunk"),), sysctls=_QUICK),
    NodeSpec("nas", "client", (Port("eth0", "trunk"),), sysctls=_QUICK),
    NodeSpec("phone", "client", (Port("eth0", "trunk"),), sysctls=_QUICK),
    NodeSpec("lamp", "client", (Port("eth0", "trunk"),), sysctls=_QUICK),
    NodeSpec("admin", "client", (Port("eth0", "trunk"),), sysctls=_QUICK),
)
SPECS = {spec.name: spec for spec in NODES}
CLIENT_VLANS = {"laptop": 10, "nas": 10, "phone": 20, "lamp": 30, "admin": 5}

# Those of the example configuration; every other interface has one that the kernel chose.
MACS = {
    ("kpn", "uplink"): "f0:00:00:00:00:03",
    ("kpn", "trunk"): "f0:00:00:00:02:03",
    ("firewall", "trunk"): "f0:00:00:00:02:04",
    ("nas", "eth0"): "02:00:00:00:10:05",
}

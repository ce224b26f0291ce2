"""A small network around one ingress, for packets: no daemons, no firewall rules, addresses by hand.

    net --- (isp | wan) ingress (dmz | dmz) fw --- home: host 10.10.0.100, fd00:1:2:10::100
     |                                       `---- guest: nas  10.20.0.5,  fd00:1:2:20::5
     203.0.113.7, 2001:db8:f::7

The ingress is `kpn` of CONFIG; what the rules are made from is the plan for the state that `SmallNet.state` describes.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path
from typing import Any

from agent.config import Settings
from agent.config.loader import load
from agent.desired import Plan, Ruleset
from agent.desired.ingress import IngressTable
from agent.drivers.nft import Nft
from agent.model import PROTOCOL_DHCP, PROTOCOL_RA, Address, Link, Memory, Route, State
from agent.plan.ingress import plan_ingress
from agent.render import render_ruleset
from tests.lab.netns import Namespace
from tests.lab.packets import Wire

CONFIG = """\
site: { name: small, prefix: "fd00:1:2::/48" }
bus: { host: 10.98.0.1, password_file: pw, users_file: users }
networks:
  home: { subnet: 0x10, ipv4: 10.10.0.0/24, priority: 10 }
  guest: { subnet: 0x20, ipv4: 10.20.0.0/24, priority: 20 }
  dmz: { subnet: 0x99, ipv4: 10.99.0.0/24, transit: true, dhcp4: { pool: 10.99.0.10-10.99.0.19 } }
uplinks:
  kpn: { kind: dhcp, ipv6: { delegation: 48 } }
hosts:
  host: { network: home, ipv4: 10.10.0.100 }
  nas: { network: guest, ipv4: 10.20.0.5 }
rules: []
forwards:
  web: { tcp: 443, to: nas }
  game: { udp: 27000-27050, to: nas }
  other: { tcp: 8000-8003, to: nas, to_port: 9000 }
  some: { tcp: 8022, to: nas, to_port: 22, from: [198.51.100.0/24, guest] }
  few: { udp: 500-510, to: nas, from: 203.0.113.7 }
"""
HOST4, NAS4, FAR4, WAN4 = "10.10.0.100", "10.20.0.5", "203.0.113.7", "192.0.2.2"
HOST6, NAS6, FAR6, WAN6 = "fd00:1:2:10::100", "fd00:1:2:20::5", "2001:db8:f::7", "2001:db8:a::2"
NOW = 1000.0
NOTHING = Memory()
_numbers = itertools.count()
_WIRES = (
    ("net", "isp", "ingress", "wan"),
    ("ingress", "dmz", "fw", "dmz"),
    ("fw", "home", "host", "eth0"),
    ("fw", "guest", "nas", "eth0"),
    ("ingress", "backstage", "net", "backstage"),
)
_ADDRESSES = {
    ("net", "isp"): ("192.0.2.1/24", "2001:db8:a::1/64", "fe80::f/64"),
    ("net", "lo"): (f"{FAR4}/32", f"{FAR6}/128"),
    ("net", "backstage"): ("10.98.0.1/24",),
    ("ingress", "wan"): (f"{WAN4}/24", f"{WAN6}/64"),
    ("ingress", "dmz"): ("10.99.0.2/24", "fd00:1:2:99::2/64", "fe80::a/64"),
    ("ingress", "backstage"): ("10.98.0.2/24",),
    ("fw", "dmz"): ("10.99.0.1/24", "fd00:1:2:99::1/64", "fe80::1/64"),
    ("fw", "home"): ("10.10.0.1/24", "fd00:1:2:10::1/64"),
    ("fw", "guest"): ("10.20.0.1/24", "fd00:1:2:20::1/64"),
    ("host", "eth0"): (f"{HOST4}/24", f"{HOST6}/64"),
    ("nas", "eth0"): (f"{NAS4}/24", f"{NAS6}/64"),
}
_ROUTES = {
    "net": ("2001:db8:a100::/40 via 2001:db8:a::2", "2001:db8:b100::/40 via 2001:db8:a::2"),
    "ingress": (
        "default via 192.0.2.1",
        "default via 2001:db8:a::1",
        "10.10.0.0/24 via 10.99.0.1",
        "10.20.0.0/24 via 10.99.0.1",
        "fd00:1:2::/48 via fe80::1 dev dmz",
        "unreachable fd00:1:2:77::/64",
        "unreachable 2001:db8:a100::/40",
    ),
    "fw": ("default via 10.99.0.2", "default via fe80::a dev dmz"),
    "host": ("default via 10.10.0.1", "default via fd00:1:2:10::1"),
    "nas": ("default via 10.20.0.1", "default via fd00:1:2:20::1"),
}
_ROUTERS = ("net", "ingress", "fw")


def settings(directory: Path, text: str = CONFIG) -> Settings:
    """The configuration of the small network."""
    path = directory / "router.yaml"
    path.write_text(text)
    return load(path, {})


@dataclass
class SmallNet:
    """The namespaces by name, and what was configured."""

    spaces: dict[str, Namespace]
    settings: Settings
    index: dict[str, int] = field(default_factory=dict)
    added: set[str] = field(default_factory=set)

    def state(self, *prefixes: str, wan6: str | None = f"{WAN6}/64", memory: Memory = NOTHING) -> State:
        """What netlink would show of the ingress with these delegated prefixes."""
        links = {n: Link(n, name, up=True, carrier=True) for name, n in self.index.items()}
        wan, dmz = self.index["wan"], self.index["dmz"]
        found = [Address(wan, ip_interface(f"{WAN4}/24")), Address(dmz, ip_interface("10.99.0.2/24"))]
        found.append(Address(dmz, ip_interface("fe80::a/64"), scope=253))
        if wan6 is not None:
            found.append(Address(wan, ip_interface(wan6)))
        routes = {
            Route(ip_network("0.0.0.0/0"), wan, ip_address("192.0.2.1"), protocol=PROTOCOL_DHCP),
            Route(ip_network("::/0"), wan, ip_address("2001:db8:a::1"), protocol=PROTOCOL_RA),
            *(Route(ip_network(p), 1, kind="unreachable", protocol=PROTOCOL_DHCP) for p in prefixes),
        }
        addresses = {(address.index, address.ip): address for address in found}
        return State(True, links, addresses, frozenset(routes), memory=memory)

    def plan(self, *prefixes: str, **more: Any) -> Plan:
        """The plan for these delegated prefixes."""
        return plan_ingress(self.settings, "kpn", self.state(*prefixes, **more), NOW)

    def ruleset(self, *prefixes: str, **more: Any) -> Ruleset:
        """The rules for these delegated prefixes."""
        return render_ruleset(self.plan(*prefixes, **more).nft)

    def apply(self, *prefixes: str, **more: Any) -> Plan:
        """Load the rules into the ingress's kernel, with the addresses that the plan adds, and no old flows."""
        plan = self.plan(*prefixes, **more)
        assert isinstance(plan.nft, IngressTable)
        self.load(plan.nft)
        names = {number: name for name, number in self.index.items()}
        wanted = {f"{one.ip} dev {names[one.index]}" for one in plan.addresses}
        lines = ["conntrack -F 2>/dev/null", "ip -6 route flush cache"]
        lines += [f"ip addr del {one}" for one in self.added - wanted]
        lines += [f"ip addr add {one} nodad" for one in wanted - self.added]
        self.spaces["ingress"].sh("\n".join(lines))
        self.added = wanted
        return plan

    def load(self, table: IngressTable) -> None:
        """Load rules into the ingress's kernel."""

        async def load_rules() -> None:
            nft = Nft()
            await nft.apply(render_ruleset(table))
            await nft.aclose()

        self.spaces["ingress"].call(lambda: asyncio.run(load_rules()))

    def wire(self, node: str, device: str) -> Wire:
        """The wire at a node's device, to listen and to send."""
        return self.spaces[node].call(lambda: Wire(device))

    def wires(self, *places: tuple[str, str]) -> list[Wire]:
        """The wires at these (node, device)."""
        return [self.wire(node, device) for node, device in places]


@contextmanager
def smallnet(directory: Path, text: str = CONFIG) -> Iterator[SmallNet]:
    """Build it, and remove it."""
    run = f"rn{os.getpid()}s{next(_numbers)}"
    nodes = ("net", "ingress", "fw", "host", "nas")
    spaces = {node: Namespace(f"{run}{node}") for node in nodes}
    try:
        for space in spaces.values():
            subprocess.run(["ip", "netns", "add", space.name], check=True)
            space.sh("ip link set lo up; sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0")
        for node in _ROUTERS:
            spaces[node].sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
        for space in spaces.values():  # errors are to be seen, all of them
            space.sh("sysctl -qw net.ipv6.icmp.ratelimit=0 net.ipv4.icmp_ratelimit=0 net.ipv4.icmp_msgs_per_sec=100000")
        _wire(spaces)
        built = SmallNet(spaces, settings(directory, text))
        for line in spaces["ingress"].sh("ip -o link").splitlines():
            number, name = line.split(":")[:2]
            built.index[name.strip().split("@")[0]] = int(number)
        plan = built.plan("2001:db8:a100::/48")
        spaces["ingress"].sh("\n".join(f"echo {value} > /proc/sys/{key}" for key, value in plan.sysctls))
        yield built
    finally:
        for space in spaces.values():
            subprocess.run(["ip", "netns", "delete", space.name], check=False)


def _wire(spaces: dict[str, Namespace]) -> None:
    lines = [
        f"link add {here_dev} netns {spaces[here].name} type veth peer name {there_dev} netns {spaces[there].name}"
        for here, here_dev, there, there_dev in _WIRES
    ]
    subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True)
    for node, space in spaces.items():
        mine = [(device, ips) for (where, device), ips in _ADDRESSES.items() if where == node]
        script = [f"ip link set {device} up" for device, _ in mine]
        script += [f"ip addr add {ip} dev {device}" for device, ips in mine for ip in ips]
        script += [f"ip {'-6' if ':' in route else '-4'} route add {route}" for route in _ROUTES.get(node, ())]
        space.sh("\n".join(script))

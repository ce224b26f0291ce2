"""What an ingress sees in a few situations: the configuration of each, and a state made by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from ipaddress import IPv6Network, ip_address, ip_interface, ip_network
from types import MappingProxyType

from agent.config import Settings
from agent.desired import Plan
from agent.model import (
    PROTOCOL_DHCP,
    PROTOCOL_RA,
    SCOPE_LINK,
    Address,
    Delegation,
    Lease,
    Link,
    Memory,
    Route,
    State,
)
from agent.plan.ingress import plan_ingress
from tests.golden.firewall_cases import HOME, HOSTER, LAB, settings

NOW = 100.0
WAN, DMZ = 2, 3
PREFIX = "2001:db8:a100::/48"
WAN6 = "2001:db8:a::2/64"
PLAIN = (
    Link(WAN, "wan", mac="02:00:00:00:00:02", up=True, carrier=True, kind="veth"),
    Link(DMZ, "dmz", mac="02:00:00:00:00:03", up=True, carrier=True, kind="veth"),
)
NOTHING = Memory()


def delegated(prefix: str) -> Route:
    """The sign of a delegation that netlink shows."""
    return Route(ip_network(prefix), 1, kind="unreachable", protocol=PROTOCOL_DHCP, metric=1024)


def state(
    *prefixes: str,
    links: Iterable[Link] = PLAIN,
    addresses: Mapping[str, int] = MappingProxyType({"192.0.2.2/24": WAN, WAN6: WAN}),
    created: float = 5.0,
    leases: Iterable[Lease] = (),
    memory: Memory = NOTHING,
) -> State:
    """A state with these delegated prefixes; `addresses` and the DMZ's on their links, and default routes."""
    found = [Address(index, ip_interface(ip), created=created) for ip, index in addresses.items()]
    found += [Address(DMZ, ip_interface("10.99.0.10/24")), Address(DMZ, ip_interface("fe80::a/64"), scope=SCOPE_LINK)]
    known = {1: Link(1, "lo", up=True, carrier=True), **{link.index: link for link in links}}
    routes = {
        Route(ip_network("0.0.0.0/0"), WAN, ip_address("192.0.2.1"), protocol=PROTOCOL_DHCP),
        Route(ip_network("::/0"), WAN, ip_address("fe80::f"), protocol=PROTOCOL_RA, metric=1024),
    }
    return State(
        synced=True,
        links=known,
        addresses={(a.index, a.ip): a for a in found if a.index in known},
        routes=frozenset({*(r for r in routes if WAN in known), *map(delegated, prefixes)}),
        leases={(lease.interface, lease.family): lease for lease in leases},
        memory=memory,
    )


def lease(prefix: str, preferred: float, valid: float) -> Lease:
    """A DHCPv6 lease on `wan` with one delegation."""
    dns = (ip_address("2001:db8:f::53"),)
    return Lease("wan", 6, dns, delegations=(Delegation(IPv6Network(prefix), preferred, valid),))


@dataclass(frozen=True)
class Case:
    """A configuration, a node and a state."""

    settings: Settings
    node: str
    state: State

    @property
    def plan(self) -> Plan:
        """The plan at NOW."""
        return plan_ingress(self.settings, self.node, self.state, NOW)


def _vlans(uplink: int, mac: str) -> tuple[Link, ...]:
    """Two NICs with their VLANs, as home.yaml has them; `uplink` is the VLAN towards the ISP."""
    isp = Link(4, "eth0", mac=mac, permanent_mac=mac, up=True, carrier=True)
    trunk = "f0:00:00:00:02:" + mac[-2:]
    return (
        isp,
        Link(5, "eth1", mac=trunk, permanent_mac=trunk, up=True, carrier=True),
        Link(DMZ, "dmz", mac=trunk, up=True, carrier=True, kind="vlan", parent=5, vlan=99),
        Link(WAN, "wan", mac=mac, up=True, carrier=True, kind="vlan", parent=4, vlan=uplink),
    )


def cases() -> dict[str, Case]:
    """All situations by name."""
    lab, home, hoster = settings(LAB), settings(HOME), settings(HOSTER)
    ppp = Link(WAN, "wan", mtu=1492, up=True, carrier=True, kind="ppp")
    kpn = tuple(link for link in _vlans(6, "f0:00:00:00:00:03") if link.index != WAN)
    below = Link(6, "wan-ether", mac=kpn[0].mac, up=True, carrier=True, kind="vlan", parent=4, vlan=6)
    static = {"192.0.2.136/26": WAN, "2001:db8:77:1:10::1/76": WAN}
    return {
        "prefix": Case(lab, "kpn", state(PREFIX, leases=[lease(PREFIX, NOW + 500, NOW + 1000)])),
        "no-address": Case(lab, "kpn", state(PREFIX, addresses={"192.0.2.2/24": WAN})),
        "networks": Case(lab, "kpn", state("2001:db8:a100:ab00::/56", memory=Memory(npt={"guest": 0xEE}))),
        "one-network": Case(lab, "kpn", state("2001:db8:a100:7::/64")),
        "one-network-no-address": Case(lab, "kpn", state("2001:db8:a100:7::/64", addresses={})),
        "nat66": Case(lab, "odido", state()),
        "waiting": Case(lab, "kpn", state(created=NOW - 1)),
        "no-wan": Case(lab, "kpn", state(links=PLAIN[1:])),
        "no-links": Case(lab, "kpn", state(links=())),
        "hoster": Case(hoster, "hetzner", state(addresses=static)),
        "home-pppoe": Case(home, "kpn", state(PREFIX, links=(*kpn, below, ppp))),
        "home-pppoe-first": Case(home, "kpn", state(links=kpn[:2], addresses={})),
        "home-dhcp-vlan": Case(home, "odido", state(links=_vlans(300, "f0:00:00:00:00:13"))),
        "home-wireguard": Case(
            home,
            "vpn",
            state(
                links=(Link(WAN, "wan", mtu=1420, up=True, carrier=True, kind="wireguard"), PLAIN[1]),
                addresses={"10.64.0.2/32": WAN, "fd64::2/128": WAN},
            ),
        ),
    }


def told(plan: Plan) -> str:
    """What is not in a file: one value to a line, sorted within its kind."""
    lines: list[str] = []
    for kind in ("links", "addresses", "routes", "neighbours", "sysctls", "services", "flows", "facts", "memory"):
        value = getattr(plan, kind)
        lines += [f"# {kind}", *([shown(one) for one in value] if isinstance(value, tuple) else [shown(value)])]
    lines += ["# problems", *(shown(problem) for problem in plan.problems), f"# again_at {plan.again_at}"]
    return "\n".join(lines) + "\n"


def shown(value: object) -> str:
    """A value as text, the same on every run: sets in order, fields that have a value only."""
    if isinstance(value, frozenset):
        return "\n".join(sorted(map(shown, value)))
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {shown(one)}" for key, one in value.items())
    if isinstance(value, tuple):
        return " ".join(map(shown, value))
    if is_dataclass(value):
        named = ((field.name, getattr(value, field.name)) for field in fields(value))
        return f"{type(value).__name__} " + " ".join(
            f"{name}={shown(one)}" for name, one in named if one not in (None, (), "")
        )
    return str(value)

"""What the firewall knows in a few situations: the configuration of each, and a state made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, IPv6Network, ip_network
from pathlib import Path
from types import MappingProxyType

from agent.config import Settings, load
from agent.model import (
    Binding,
    Delegated,
    Delegation,
    FamilyHealth,
    Link,
    ListContent,
    Peer,
    PrefixMapping,
    State,
    UplinkHealth,
    UplinkIPv4,
    UplinkIPv6,
    UplinkLink,
)

ROOT = Path(__file__).parents[2]
HOME = ROOT / "compose" / "router-home.yaml"
HOSTER = ROOT / "compose" / "router-hoster.yaml"
FORMS = ROOT / "tests" / "golden" / "firewall-forms.yaml"
FLAT = ROOT / "tests" / "golden" / "flat.yaml"
OFFICE = ROOT / "tests" / "golden" / "office.yaml"
LAB = ROOT / "tests" / "lab" / "router.yaml"
NOW = 100.0
DOWNSTREAM = IPv6Network("fd42:1000:2000:ff10::/60")
TRUNK = Link(2, "eth1", mac="f0:00:00:00:02:04", permanent_mac="f0:00:00:00:02:04", up=True, carrier=True)


@cache
def settings(path: Path) -> Settings:
    """A configuration file of the repository."""
    return load(path, {})


def links(*names: str, trunk: Link | None = None, vlans: dict[str, int] | None = None) -> dict[int, Link]:
    """Loopback, `trunk`, and links of those names, as VLANs of the trunk where `vlans` says so."""
    found = {1: Link(1, "lo", mac="00:00:00:00:00:00", up=True, carrier=True, kind="")}
    if trunk is not None:
        found[trunk.index] = trunk
    for index, name in enumerate(names, 10):
        found[index] = Link(
            index,
            name,
            mac=f"02:00:00:00:00:{index:02x}",
            up=True,
            carrier=True,
            kind="vlan" if vlans else "veth",
            parent=trunk.index if vlans and trunk is not None else None,
            vlan=vlans.get(name) if vlans else None,
        )
    return found


def kpn(mac: str, site: IPv6Network) -> Peer:
    """A /48 mapped onto the plan, a lease for another 500 s."""
    outside = IPv6Network("2001:db8:a100::/48")
    return Peer(
        link=UplinkLink(
            carrier=True, mtu=1492, ipv4=IPv4Address("10.99.0.10"), link_local=IPv6Address("fe80::a"), mac=mac
        ),
        ipv4=UplinkIPv4(IPv4Interface("192.0.2.2/24"), valid_until=NOW + 500),
        ipv6=UplinkIPv6(
            "prefix",
            (IPv6Interface("2001:db8:a::2/64"),),
            mappings=(PrefixMapping(site, outside),),
            valid_until=NOW + 3000,
        ),
        health=UplinkHealth(FamilyHealth(up=True), FamilyHealth(up=True), valid_until=NOW + 30),
        delegations=MappingProxyType({48: Delegation(outside, NOW + 1000, NOW + 3000)}),
    )


def odido(mac: str) -> Peer:
    """IPv4 and one IPv6 address: NAT66."""
    own = IPv6Interface("2001:db8:b::2/64")
    return Peer(
        link=UplinkLink(
            carrier=True, mtu=1500, ipv4=IPv4Address("10.99.0.11"), link_local=IPv6Address("fe80::b"), mac=mac
        ),
        ipv4=UplinkIPv4(IPv4Interface("198.51.100.2/24")),
        ipv6=UplinkIPv6("nat66", (own,), nat66=own.ip),
    )


def hetzner() -> Peer:
    """A hoster's routed prefix, the same inside and outside."""
    return Peer(
        link=UplinkLink(
            carrier=True,
            mtu=1500,
            ipv4=IPv4Address("10.99.0.10"),
            link_local=IPv6Address("fe80::c"),
            mac="02:00:00:00:99:0c",
        ),
        ipv4=UplinkIPv4(IPv4Interface("192.0.2.136/26")),
        ipv6=UplinkIPv6("routed", (IPv6Interface("2001:db8:77:1:10::1/76"),)),
    )


@dataclass(frozen=True)
class Case:
    """A configuration and a state."""

    config: Path
    links: dict[int, Link]
    peers: dict[str, Peer]
    lists: Mapping[str, ListContent] = field(default_factory=dict)
    bindings: tuple[Binding, ...] = ()
    delegated: tuple[Delegated, ...] = ()

    @property
    def settings(self) -> Settings:
        """The configuration."""
        return settings(self.config)

    @property
    def state(self) -> State:
        """The state."""
        return State(
            synced=True,
            links=MappingProxyType(self.links),
            peers=MappingProxyType(self.peers),
            lists=self.lists,
            bindings=self.bindings,
            delegated=self.delegated,
        )


def cases() -> dict[str, Case]:
    """All situations by name."""
    vlans = {"home": 10, "guest": 20, "iot": 30, "management": 5, "dmz": 99}
    site = settings(HOME).site.prefix
    both = {"kpn": kpn("f0:00:00:00:02:03", site), "odido": odido("f0:00:00:00:02:13")}
    made = links(*vlans, trunk=TRUNK, vlans=vlans)
    down = replace(both["kpn"], link=replace(both["kpn"].link, carrier=False))  # type: ignore[type-var]
    lab, office = settings(LAB), settings(OFFICE)
    return {
        "home": Case(HOME, made, both),
        "home-first": Case(HOME, links(trunk=TRUNK), {}),
        "home-kpn-down": Case(HOME, made, {**both, "kpn": down}),
        "lab": Case(
            LAB,
            links(*lab.networks),
            {"kpn": kpn("02:00:00:00:99:0a", lab.site.prefix), "odido": odido("02:00:00:00:99:0b")},
        ),
        "forms": Case(FORMS, links(*settings(FORMS).networks), {}),
        "flat": Case(FLAT, links(*settings(FLAT).networks), {}),
        "office": Case(
            OFFICE,
            links(*office.networks),
            {
                "fibre": kpn("f0:00:00:00:02:03", office.site.prefix),
                "cable": odido("f0:00:00:00:02:13"),
            },
            lists={
                "blocked": ListContent((ip_network("192.0.2.66"), ip_network("2001:db8:bad::/48"))),
                "updates": ListContent((ip_network("203.0.113.80"),), "security.example.org does not resolve"),
            },
            bindings=(
                Binding(IPv4Address("10.20.8.200"), "02:00:00:00:08:01", "bench.office.example"),
                Binding(DOWNSTREAM, "02:00:00:00:08:02", duid="00:03:00:01:02:00:00:00:08:02"),
            ),
            delegated=(Delegated(DOWNSTREAM, IPv6Address("fe80::8:2")),),
        ),
        "hoster": Case(HOSTER, links("dmz", "vms", "lan"), {"hetzner": hetzner()}),
    }

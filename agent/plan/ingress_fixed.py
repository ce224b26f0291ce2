"""What an ingress's plan takes from the configuration alone: made once, used at every event."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv6Address, IPv6Interface, IPv6Network
from typing import Literal

from agent.config import AnyUplink, DhcpUplink, Network, PppoeUplink, Settings, StaticUplink, WireguardUplink
from agent.desired import Document
from agent.desired.ingress import (
    DhcpcdConfig,
    DhcpcdUplink,
    Forward,
    IngressStatic,
    PppPeer,
    PppSecrets,
    WireguardConfig,
)
from agent.model import Delegation, IPAddress, IPNetwork, Route
from agent.plan.addressing import addressing, internal_uses
from agent.plan.forwards import sources
from agent.plan.ingress_static import public4, shared4
from agent.plan.interface import Role
from agent.plan.ipv6_mode import Wish

# Behind every other route of the same prefix, also the metric that dhcpcd and the kernel give theirs.
LAST_METRIC = 4294967295
# Below a PPP session: pppd names its own link `wan`.
UNDERLAY = "wan-ether"
PPPOE_MTU = 1492


@dataclass(frozen=True, slots=True)
class Fixed:
    """An uplink's share of the configuration.

    `delegations`: the prefixes of a static uplink. `unreachable`: where packets to unused internal and external
    addresses end. `firewall`: its DMZ addresses; `firewall_mac` is empty where the configuration has none.
    """

    node: str
    uplink: AnyUplink
    transit_name: str
    transit: Network
    static: IngressStatic
    wish: Wish
    hint: int | None
    delegations: tuple[Delegation, ...]
    unreachable: frozenset[Route]
    firewall: tuple[IPAddress, ...]
    firewall_mac: str

    @property
    def mtu(self) -> int:
        """Bytes that a packet on the uplink may have, as far as the configuration says."""
        return self.uplink.mtu or (PPPOE_MTU if isinstance(self.uplink, PppoeUplink) else 1500)

    def with_links(self, wan: Role, dmz: Role, routed: tuple[IPv6Network, ...], *, flowtable: bool) -> IngressStatic:
        """The static part of the rules for the links that exist."""
        return replace(
            self.static,
            wan=wan.link.name if wan.link else None,
            wan_index=wan.link.index if wan.link else 0,
            dmz=dmz.link.name if dmz.link else None,
            routed6=routed,
            flowtable=flowtable,
        )

    def files(self, settings: Settings, wan: Role, dmz: Role, underlay: Role | None) -> tuple[Document, ...]:
        """The files of this uplink's daemons."""
        uplink = self.uplink
        client = None
        more: tuple[Document, ...] = ()
        if isinstance(uplink, WireguardUplink):
            peer = uplink.peer
            keepalive = None if peer.keepalive is None else max(1, round(peer.keepalive))
            key = str(settings.path(uplink.private_key_file))
            more = (
                WireguardConfig("wan", key, peer.public_key, str(peer.endpoint), keepalive),
            )  # fmt: skip
        elif isinstance(uplink, PppoeUplink):
            client = DhcpcdUplink("wan", ipv4=False, delegation=self.hint)
            password = str(settings.path(uplink.password_file))
            nic = underlay.ifname if underlay else UNDERLAY
            methods: tuple[Literal["chap", "pap"], ...] = ("chap", "pap")
            secrets = (PppSecrets(method, uplink.username, password) for method in methods)
            more = (PppPeer(nic, "wan", uplink.username, self.mtu), *secrets)
        elif not isinstance(uplink, StaticUplink):
            client = DhcpcdUplink(wan.ifname, delegation=self.hint)
        return (DhcpcdConfig(dmz.ifname, self.node, client), *more)


def fixed(settings: Settings, node: str) -> Fixed:
    """An uplink's share of the configuration. LookupError where there is no such uplink or no transit network."""
    uplink = settings.uplinks[node]
    name, transit = settings.transit_name, settings.transit
    if name is None or transit is None:
        raise LookupError("no network has `transit: true`: an ingress needs the network it reaches the firewall by")
    site = settings.site.prefix
    networks = {network.ipv4_network for network in settings.networks.values() if network.ipv4_network is not None}
    internal4 = tuple(sorted(networks))
    delegations = _static_delegations(uplink)
    external = tuple(one.prefix for one in delegations if not site.subnet_of(one.prefix))
    mac = _firewall_mac(settings, transit)
    ways: list[IPAddress] = [IPv6Address("fe80::1")]
    if transit.ipv4 is not None:
        ways.append(transit.ipv4.ip)
    return Fixed(
        node,
        uplink,
        name,
        transit,
        IngressStatic(
            internal4=internal4,
            internal6=(site,),
            forwards=_forwards(settings, node),
            firewall_mac=mac,
            private=isinstance(uplink, WireguardUplink),
            mac=uplink.set_mac or "" if isinstance(uplink, StaticUplink | DhcpUplink) else "",
            public4=public4(settings, uplink),
            shared4=shared4(settings, uplink),
            lends=bool(addressing(settings)),
        ),
        _wish(settings, uplink, settings.delegation_hint(node)),
        settings.delegation_hint(node),
        delegations,
        frozenset({*map(_unreachable, internal4), *map(_unreachable, (site, *external))}),
        tuple(ways),
        mac,
    )


def _wish(settings: Settings, uplink: AnyUplink, hint: int | None) -> Wish:
    networks = tuple(
        (name, prefix) for name in settings.networks_by_priority() if (prefix := settings.network_prefix(name))
    )
    written: frozenset[IPv6Address] = frozenset()
    if isinstance(uplink, StaticUplink) and uplink.ipv6:
        written = frozenset({uplink.ipv6.address.ip})
    elif isinstance(uplink, WireguardUplink):
        written = frozenset(address.ip for address in uplink.addresses if isinstance(address, IPv6Interface))
    nat66 = uplink.ipv6 is not None and uplink.ipv6.nat66 == "auto"
    kinds, uses = addressing(settings), internal_uses(settings)
    return Wish(settings.site.prefix, networks, hint is not None, nat66, written, kinds, uses)


def _static_delegations(uplink: AnyUplink) -> tuple[Delegation, ...]:
    if isinstance(uplink, StaticUplink) and uplink.ipv6 and uplink.ipv6.prefix:
        return (Delegation(uplink.ipv6.prefix),)
    return ()


def _forwards(settings: Settings, node: str) -> tuple[Forward, ...]:
    found = []
    for forward in settings.forwards_of(node).values():
        to = settings.host_address4(forward.to)
        if to is not None:  # the configuration's check says so first
            who = sources(settings, forward)
            found += [Forward(_protocol(m.protocol), m.first, m.last, to, m.to_first, who) for m in forward.mapped]
    return tuple(sorted(found, key=lambda f: (f.protocol, f.first, f.last)))


def _protocol(name: str) -> Literal["tcp", "udp"]:
    return "udp" if name == "udp" else "tcp"


def _firewall_mac(settings: Settings, transit: Network) -> str:
    nic = transit.interface or settings.firewall.trunk
    return nic.mac or "" if nic is not None else ""


def _unreachable(prefix: IPNetwork) -> Route:
    return Route(prefix, metric=LAST_METRIC, kind="unreachable")

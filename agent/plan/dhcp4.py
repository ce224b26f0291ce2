"""What DHCPv4 serves on each network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from agent.config.dhcp_options import ROUTES, encode_routes, parse_option
from agent.config.settings import Settings
from agent.desired.dhcp4 import Dhcp4Subnet, KeaDhcp4Config, Reservation
from agent.model import Link
from agent.plan.dns import ddns_domain, servers4
from agent.plan.firewall_claims import reserved

_DEFAULT = IPv4Network("0.0.0.0/0")


def _hosts(settings: Settings, name: str) -> tuple[Reservation, ...]:
    found = (
        Reservation(host.ipv4, mac=host.mac, hostname=host_name)
        for host_name, host in sorted(settings.hosts.items())
        if host.network == name and host.mac is not None and host.ipv4 is not None
    )
    return tuple(found)


def _ingresses(settings: Settings, marks: Mapping[str, int]) -> tuple[Reservation, ...]:
    """Each ingress's address on the DMZ, by its client id (the node's name) and by its MAC where one is configured."""
    found: list[Reservation] = []
    uplinks = {name: mark for name, mark in marks.items() if name in settings.uplinks}
    for name, address in sorted(reserved(settings, uplinks).items()):
        found.append(Reservation(address, client_id=name))
        trunk = settings.uplinks[name].trunk
        if trunk is not None and trunk.mac is not None:
            found.append(Reservation(address, mac=trunk.mac))
    return tuple(found)


def _options(settings: Settings, name: str, router: IPv4Address) -> tuple[tuple[int, bytes], ...]:
    """The options of the configuration. A client that is given routes heeds no other router (RFC 3442 section 4)."""
    dhcp = settings.networks[name].dhcp4
    if dhcp is None:
        return ()
    found = {option.code: option.data for option in (parse_option(*entry) for entry in dhcp.options.items())}
    default = encode_routes([(_DEFAULT, router)])
    if ROUTES in found and not _has_default(found[ROUTES]):
        found[ROUTES] += default
    return tuple(sorted(found.items()))


def _has_default(routes: bytes) -> bool:
    """Whether option 121 says a default route: a prefix length of 0."""
    place = 0
    while place < len(routes):
        if routes[place] == 0:
            return True
        place += 1 + (routes[place] + 7) // 8 + 4
    return False


def _subnet(settings: Settings, name: str, link: Link, marks: Mapping[str, int]) -> Dhcp4Subnet | None:
    network = settings.networks[name]
    if network.dhcp4 is None or network.ipv4 is None:
        return None
    own = network.ipv4
    first, *more = ((pool.first, pool.last) for pool in network.dhcp4.pool)
    common = Dhcp4Subnet(
        # Kea refers to a subnet by its number in leases. Its first address stays when networks come and go.
        number=int(own.network.network_address),
        device=link.name,
        index=link.index,
        network=own.network,
        pool=first,
        more_pools=tuple(more),
        lease=max(1, int(network.dhcp4.lease)),
        options=_options(settings, name, own.ip),
    )
    if network.transit:
        others = (n.ipv4.network for n in settings.networks.values() if n.ipv4 is not None and not n.transit)
        routes = tuple((internal, own.ip) for internal in sorted(others))
        return replace(common, routes=routes, reservations=(*_ingresses(settings, marks), *_hosts(settings, name)))
    return replace(
        common,
        router=own.ip,
        dns=servers4(settings, name),
        domain=settings.site.domain,
        ddns=ddns_domain(settings),
        reservations=_hosts(settings, name),
    )


def kea_dhcp4(settings: Settings, links: Mapping[str, Link], marks: Mapping[str, int]) -> KeaDhcp4Config:
    """DHCPv4 of each network that has `dhcp4` and a link. On the DMZ: routes to the networks, no default router."""
    found = (_subnet(settings, name, link, marks) for name, link in links.items())
    return KeaDhcp4Config(tuple(subnet for subnet in found if subnet is not None))

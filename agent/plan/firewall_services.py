"""What the firewall's daemons serve: router advertisements and DHCPv4."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

from agent.config.settings import Settings
from agent.desired.advertise import AdvertisedPrefix, RadvdConfig, RadvdInterface
from agent.desired.dhcp4 import Dhcp4Subnet, KeaDhcp4Config, Reservation
from agent.desired.firewall import FIREWALL_LINK_LOCAL
from agent.model import Choice, Link
from agent.plan.choice import Order
from agent.plan.firewall_claims import reserved
from agent.plan.firewall_uplinks import UplinkView

# Seconds. The router lifetime is three advertisement intervals (RFC 4861 section 6.2.1). The internal prefix is ours
# for good: hosts keep it over a day of a firewall that is off.
ROUTER_LIFETIME = 1800
PREFERRED_LIFETIME = 14400
VALID_LIFETIME = 86400
MINIMUM_MTU = 1280  # RFC 8200 section 5
MAXIMUM_MTU = 65535


def _mtus(settings: Settings, orders: Mapping[str, Order], uplinks: Mapping[str, UplinkView]) -> dict[int, int]:
    """The smallest MTU of the uplinks of each order, by its number."""
    known = {name: settings.uplinks[name].mtu or uplink.mtu for name, uplink in uplinks.items()}
    known |= {name: uplink.mtu for name, uplink in settings.uplinks.items() if name not in uplinks}
    found: dict[int, int] = {}
    for order in orders.values():
        if order.number not in found:
            found[order.number] = min((size for name in order.names if (size := known[name])), default=MAXIMUM_MTU)
    return found


def radvd(
    settings: Settings,
    links: Mapping[str, Link],
    uplinks: Mapping[str, UplinkView],
    orders: Mapping[str, Order],
    choices: Iterable[Choice],
) -> RadvdConfig:
    """Advertisements of each network that has a link and a /64, and of the DMZ.

    A network without a usable IPv6 uplink gets router lifetime 0 (RFC 7084 G-4, G-5; RFC 4861 section 6.2.5). On the
    DMZ the firewall is no default router, it tells the way to `site.prefix` (RFC 4191). No M and O flags: there is no
    DHCPv6.
    """
    dns = tuple(f.address for f in settings.dns.forwarders if isinstance(f.address, IPv6Address))
    chosen = {choice.network: choice.ipv6.uplink for choice in choices}
    mtus = _mtus(settings, orders, uplinks)
    interfaces = []
    for name, link in links.items():
        prefix = settings.network_prefix(name)
        prefixes = (AdvertisedPrefix(prefix, PREFERRED_LIFETIME, VALID_LIFETIME),) if prefix is not None else ()
        if settings.networks[name].transit:
            source = FIREWALL_LINK_LOCAL.ip
            interfaces.append(RadvdInterface(link.name, 0, prefixes, (settings.site.prefix,), source=source))
        elif prefixes:
            lifetime = ROUTER_LIFETIME if chosen.get(name) is not None else 0
            # A host that knows the smallest MTU on the way out needs no packet-too-big from afar.
            mtu = max(MINIMUM_MTU, min(link.mtu, mtus[orders[name].number]))
            search = (settings.site.domain,)
            interfaces.append(RadvdInterface(link.name, lifetime, prefixes, dns=dns, search=search, mtu=mtu))
    return RadvdConfig(tuple(interfaces))


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


def _subnet(settings: Settings, name: str, link: Link, marks: Mapping[str, int]) -> Dhcp4Subnet | None:
    network = settings.networks[name]
    if network.dhcp4 is None or network.ipv4 is None:
        return None
    own = network.ipv4
    common = Dhcp4Subnet(
        # Kea refers to a subnet by its number in leases. Its first address stays when networks come and go.
        number=int(own.network.network_address),
        device=link.name,
        index=link.index,
        network=own.network,
        pool=(network.dhcp4.pool.first, network.dhcp4.pool.last),
        lease=max(1, int(network.dhcp4.lease)),
    )
    if network.transit:
        others = (n.ipv4.network for n in settings.networks.values() if n.ipv4 is not None and not n.transit)
        routes = tuple((internal, own.ip) for internal in sorted(others))
        return replace(common, routes=routes, reservations=(*_ingresses(settings, marks), *_hosts(settings, name)))
    return replace(
        common,
        router=own.ip,
        dns=tuple(f.address for f in settings.dns.forwarders if isinstance(f.address, IPv4Address)),
        domain=settings.site.domain,
        reservations=_hosts(settings, name),
    )


def kea_dhcp4(settings: Settings, links: Mapping[str, Link], marks: Mapping[str, int]) -> KeaDhcp4Config:
    """DHCPv4 of each network that has `dhcp4` and a link. On the DMZ: routes to the networks, no default router."""
    found = (_subnet(settings, name, link, marks) for name, link in links.items())
    return KeaDhcp4Config(tuple(subnet for subnet in found if subnet is not None))

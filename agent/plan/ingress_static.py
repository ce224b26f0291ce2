"""What the configuration writes of an uplink itself: addresses, routes, further IPv4 addresses and whose they are."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Interface, IPv6Network

from agent.config import AnyUplink, Settings, StaticUplink, WireguardUplink
from agent.model import IPInterface, IPNetwork, Route

# What the kernel makes of an IPv6 route without a metric (IP6_RT_PRIO_USER): said, so that the route is recognised.
METRIC = {4: 0, 6: 1024}


def static_addresses(uplink: StaticUplink) -> tuple[IPInterface, ...]:
    """The addresses of a static uplink, further ones as /32."""
    written: tuple[IPInterface, ...] = tuple(f.address for f in (uplink.ipv4, uplink.ipv6) if f is not None)
    more = uplink.ipv4.extra if uplink.ipv4 is not None else ()
    return (*written, *(IPv4Interface((extra.address, 32)) for extra in more))


def within(address: IPInterface, site: IPv6Network) -> bool:
    """Whether an address's network is part of the plan: its addresses are then inside, not on the uplink's link."""
    return isinstance(address, IPv6Interface) and address.network.overlaps(site)


def static_routes(uplink: AnyUplink, wan: int, site: IPv6Network) -> frozenset[Route]:
    """The routes that the configuration writes, through the link `wan` (ifindex): default, and to a lone gateway."""
    if isinstance(uplink, WireguardUplink):
        families = {address.version for address in uplink.addresses}
        defaults: dict[int, IPNetwork] = {4: IPv4Network("0.0.0.0/0"), 6: IPv6Network("::/0")}
        return frozenset(Route(defaults[family], wan, metric=METRIC[family]) for family in families)
    if not isinstance(uplink, StaticUplink):
        return frozenset()
    routes: set[Route] = set()
    if uplink.ipv4:
        near = uplink.ipv4.gateway in uplink.ipv4.address.network
        routes.add(Route(IPv4Network("0.0.0.0/0"), wan, uplink.ipv4.gateway, metric=METRIC[4], onlink=not near))
    if uplink.ipv6:
        gateway, address = uplink.ipv6.gateway, uplink.ipv6.address
        alone = within(address, site)
        near = gateway.is_link_local or (gateway in address.network and not alone)
        routes.add(Route(IPv6Network("::/0"), wan, gateway, metric=METRIC[6], onlink=not near))
        if alone and not gateway.is_link_local:
            routes.add(Route(IPv6Network(gateway), wan, metric=METRIC[6]))
    return frozenset(routes)


def public4(settings: Settings, uplink: AnyUplink) -> tuple[tuple[IPv4Address, IPv4Address], ...]:
    """(address of the uplink, host) that are mapped 1:1."""
    if not isinstance(uplink, StaticUplink) or uplink.ipv4 is None:
        return ()
    return tuple(
        (extra.address, host)
        for extra in uplink.ipv4.extra
        if extra.host is not None and (host := settings.host_address4(extra.host)) is not None
    )


def shared4(settings: Settings, uplink: AnyUplink) -> tuple[tuple[IPv4Network, IPv4Address], ...]:
    """(network, address of the uplink) of the networks that go out by a further address."""
    if not isinstance(uplink, StaticUplink) or uplink.ipv4 is None:
        return ()
    return tuple(
        (network, extra.address)
        for extra in uplink.ipv4.extra
        for name in extra.networks
        if (network := settings.networks[name].ipv4_network) is not None
    )

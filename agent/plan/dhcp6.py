"""What DHCPv6 serves on each network: options, addresses, prefixes for routers downstream, and the ways to those."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv6Address

from agent.config.settings import Settings
from agent.desired.dhcp6 import Dhcp6Subnet, KeaDhcp6Config, Reservation6
from agent.model import Delegated, Link, Route
from agent.plan.dns import ddns_domain, servers6

# Low 64 bits of what is leased where the configuration names no pool: none of SLAAC's (they look random), none of those
# that people write by hand (they are short).
FIRST, LAST = IPv6Address("::1:0"), IPv6Address("::1:ffff")


def _hosts(settings: Settings, name: str) -> Iterable[Reservation6]:
    for host_name, host in sorted(settings.hosts.items()):
        address = settings.host_address6(host_name) if host.network == name else None
        if address is None:
            continue
        if host.duid is not None:
            yield Reservation6(address, duid=host.duid, hostname=host_name)
        elif host.mac is not None:
            yield Reservation6(address, mac=host.mac, hostname=host_name)


def _subnet(settings: Settings, name: str, link: Link) -> Dhcp6Subnet | None:
    dhcp, prefix = settings.networks[name].dhcp6, settings.network_prefix(name)
    if prefix is None or not settings.networks[name].serves_dhcp6:
        return None
    pool = None
    if dhcp.mode == "stateful":
        first, last = (dhcp.pool.first, dhcp.pool.last) if dhcp.pool is not None else (FIRST, LAST)
        pool = (prefix.network_address + int(first), prefix.network_address + int(last))
    return Dhcp6Subnet(
        number=_number(settings, name),
        device=link.name,
        index=link.index,
        network=prefix,
        lease=max(1, int(dhcp.lease)),
        pool=pool,
        delegation=settings.delegation_pool(name),
        delegated_length=dhcp.delegate or 0,
        dns=servers6(settings, name),
        search=(settings.site.domain,),
        ddns=ddns_domain(settings) if pool is not None else "",
        reservations=tuple(_hosts(settings, name)) if pool is not None else (),
    )


def _number(settings: Settings, name: str) -> int:
    """Kea's number of a subnet, 1 to 2^32 - 2: it stays when other networks come and go."""
    return 1 + (settings.networks[name].subnet or 0) % 0xFFFFFFFE


def kea_dhcp6(settings: Settings, links: Mapping[str, Link]) -> tuple[KeaDhcp6Config, ...]:
    """DHCPv6 of each network that has it, and a link; nothing where there is none."""
    found = (_subnet(settings, name, link) for name, link in links.items())
    subnets = tuple(subnet for subnet in found if subnet is not None)
    return (KeaDhcp6Config(subnets),) if subnets else ()


def delegated_routes(settings: Settings, links: Mapping[str, Link], found: Iterable[Delegated]) -> frozenset[Route]:
    """The way to each delegated prefix: by the link-local address of the router that holds it.

    A lease outside of the pools of the configuration is one of an earlier configuration: it leads nowhere.
    """
    pools = {name: pool for name, pool in settings.delegation_pools.items() if name in links}
    return frozenset(
        Route(lease.prefix, index=links[name].index, gateway=lease.router)
        for lease in found
        if lease.router is not None
        for name, pool in pools.items()
        if lease.prefix.subnet_of(pool)
    )

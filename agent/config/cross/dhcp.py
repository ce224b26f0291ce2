"""`dhcp4` and `dhcp6` of each network."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from agent.config.addresses import AddressRange
from agent.config.base import MendError
from agent.config.dhcp import Dhcp4, Dhcp6
from agent.config.dhcp_options import ROUTERS, ROUTES, parse_option
from agent.config.finding import Complaint, KeyPath
from agent.config.network import Network
from agent.config.plan6 import NETWORK_LENGTH
from agent.config.settings import Settings

_LONGEST_LEASE = 0xFFFFFFFE  # RFC 2131 section 3.3, RFC 8415 section 7.7: all ones is infinity
_DELEGATIONS = 16  # bits: more than 65536 prefixes are a mistake


def check(settings: Settings) -> Iterator[Complaint]:
    """Each network's DHCP."""
    for name, network in settings.networks.items():
        path: KeyPath = ("networks", name)
        if network.dhcp4 is not None:
            yield from _dhcp4((*path, "dhcp4"), network, network.dhcp4)
        yield from _dhcp6(settings, name, (*path, "dhcp6"), network.dhcp6)
    yield from _overlaps(settings)


def _dhcp4(path: KeyPath, network: Network, dhcp: Dhcp4) -> Iterator[Complaint]:
    if network.ipv4 is None:
        yield Complaint(path, "DHCPv4 without an IPv4 network", "add `ipv4: …`, or delete `dhcp4`", at_key=True)
        return
    for pool in dhcp.pool:
        yield from _pool((*path, "pool"), network, pool)
    ordered = sorted(dhcp.pool, key=lambda pool: pool.first)
    for one, other in pairwise(ordered):
        if other.first <= one.last:
            yield Complaint((*path, "pool"), f"the pools {one} and {other} overlap", "give each its own addresses")
    if network.transit and len(dhcp.pool) > 1:
        yield Complaint((*path, "pool"), "the transit network has one pool", "write one FIRST-LAST")
    yield from _lease(path, dhcp.lease)
    yield from _options(path, network, dhcp)


def _pool(path: KeyPath, network: Network, pool: AddressRange) -> Iterator[Complaint]:
    if (ipv4 := network.ipv4) is None:
        return
    net = ipv4.network
    if pool.first not in net or pool.last not in net:
        yield Complaint(path, f"the pool {pool} is not inside {net}", f"choose addresses of {net}")
    elif pool.first == net.network_address or pool.last == net.broadcast_address:
        mend = f"stay between {net[1]} and {net[-2]}"
        yield Complaint(path, f"the pool {pool} holds the network's own or its broadcast address", mend)
    elif ipv4.ip in pool:
        mend = (
            f"leave {ipv4.ip} out of the pool, or give the firewall another address (`ipv4: ADDRESS/{net.prefixlen}`)"
        )
        yield Complaint(path, f"the pool {pool} holds {ipv4.ip}, the firewall's address", mend)


def _lease(path: KeyPath, seconds: float) -> Iterator[Complaint]:
    if not 1 <= seconds <= _LONGEST_LEASE:
        yield Complaint((*path, "lease"), "a lease that no client can hold", "write 1s to 49710d, like 12h")


def _options(path: KeyPath, network: Network, dhcp: Dhcp4) -> Iterator[Complaint]:
    seen: dict[int, str] = {}
    for name, value in dhcp.options.items():
        at = (*path, "options", name)
        try:
            option = parse_option(name, value)
        except MendError as error:
            yield Complaint(at, error.message, error.mend)
            continue
        if option.code in seen:
            yield Complaint(at, f"option {option.code} is there already, as `{seen[option.code]}`", "delete one")
        if network.transit and option.code in {ROUTERS, ROUTES}:
            message = "on the transit network the router itself says the routes"
            yield Complaint(at, message, "delete it", at_key=True)
        seen.setdefault(option.code, name)


def _dhcp6(settings: Settings, name: str, path: KeyPath, dhcp: Dhcp6) -> Iterator[Complaint]:
    network, site = settings.networks[name], settings.site.prefix
    if network.transit and (dhcp.mode != "none" or dhcp.delegate is not None):
        message = "no DHCPv6 is needed on the transit network: the ingresses take router advertisements"
        yield Complaint(path, message, "delete it", at_key=True)
        return
    if dhcp.mode == "stateful" and network.subnet is None:
        mend = "add `subnet: 0x…`, or take `mode: stateless`"
        yield Complaint((*path, "mode"), "stateful DHCPv6 without an IPv6 prefix", mend)
    if dhcp.mode != "stateful" and dhcp.pool is not None:
        yield Complaint((*path, "pool"), "a pool is for `mode: stateful`", "delete it, or write `mode: stateful`")
    if not dhcp.slaac and dhcp.mode != "stateful":
        yield Complaint((*path, "slaac"), "hosts would get no IPv6 address", "write `mode: stateful`, or delete it")
    if network.addressing == "both" and not dhcp.slaac:
        message = "hosts would get no global address: DHCPv6 has one for each, here the internal one"
        yield Complaint((*path, "slaac"), message, "delete `slaac`, or write `addressing: global`")
    yield from _lease(path, dhcp.lease)
    yield from _delegation(settings, name, path, dhcp)
    if dhcp.delegate_from is not None and not dhcp.delegate_from.subnet_of(site):
        message = f"{dhcp.delegate_from} is not a part of {site}"
        yield Complaint((*path, "delegate_from"), message, f"write a part of {site} that no network uses")


def _delegation(settings: Settings, name: str, path: KeyPath, dhcp: Dhcp6) -> Iterator[Complaint]:
    network, site = settings.networks[name], settings.site.prefix
    if dhcp.delegate is None:
        if dhcp.delegate_from is not None:
            yield Complaint((*path, "delegate_from"), "nothing is delegated", "add `delegate: 60`, or delete it")
        return
    at = (*path, "delegate")
    if dhcp.delegate <= site.prefixlen:
        message = f"a /{dhcp.delegate} cannot be delegated out of {site}"
        mend = f"write {site.prefixlen + 1} to {NETWORK_LENGTH}" if site.prefixlen < NETWORK_LENGTH else "delete it"
        yield Complaint(at, message, mend)
        return
    if network.subnet is None:
        yield Complaint(at, "a network without an IPv6 prefix delegates none", "add `subnet: 0x…`, or delete it")
    pool = settings.delegation_pool(name)
    if pool is None:
        mend = "delete it, or free some numbers of `subnet`"
        yield Complaint(at, f"no part of {site} is left for a /{dhcp.delegate}", mend)
    elif not pool.prefixlen <= dhcp.delegate <= pool.prefixlen + _DELEGATIONS:
        mend = f"write a part of {site} of /{max(site.prefixlen + 1, dhcp.delegate - _DELEGATIONS)} to /{dhcp.delegate}"
        yield Complaint((*path, "delegate_from"), f"{pool} does not do for prefixes of /{dhcp.delegate}", mend)


def _overlaps(settings: Settings) -> Iterator[Complaint]:
    """What is chosen by hand may be somebody's already."""
    pools = settings.delegation_pools
    for name, pool in pools.items():
        if settings.networks[name].dhcp6.delegate_from is None:
            continue
        path = ("networks", name, "dhcp6", "delegate_from")
        owned = {**{f"network `{n}`": settings.network_prefix(n) for n in settings.networks}}
        owned |= {f"docker host `{n}`": settings.docker_prefix(n) for n in settings.docker_hosts}
        owned |= {f"`delegate_from` of `{n}`": other for n, other in pools.items() if n != name}
        for whose, prefix in owned.items():
            if prefix is not None and prefix.overlaps(pool):
                yield Complaint(path, f"{pool} holds {prefix} of {whose}", "choose a part that nothing else uses")

"""Docker hosts (VMs): their addresses, the routes to them, and what is accepted from them.

On the shared segment nothing is on link but the VMs' own addresses: a host route and a permanent neighbour for each,
and its containers by way of it. The rest of the prefix is unreachable, so nobody is asked about an address that does
not exist (RFC 6583: no exhaustion of the neighbour table), and no packet goes in circles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv6Interface, IPv6Network, collapse_addresses
from types import MappingProxyType

from agent.config import plan6
from agent.config.settings import Settings
from agent.desired import WantedAddress
from agent.desired.docker_hosts import Machines
from agent.model import Link, Neighbour, Route

_HOST = 128
# What the kernel makes of an IPv6 route without a metric: said, so that the route is recognised.
_METRIC = 1024
LAST_METRIC = 4294967295


@dataclass(frozen=True, slots=True)
class Fleet:
    """All docker hosts of a configuration: name → network, MAC and addresses; network → its prefixes, made few."""

    machines: tuple[tuple[str, str, str, plan6.Machine], ...]
    prefixes: Mapping[str, tuple[IPv6Network, ...]]


_memo: list[tuple[Settings, Fleet]] = []


def fleet(settings: Settings) -> Fleet:
    """The docker hosts, worked out once per configuration: there may be thousands, and plans are made often."""
    for known, found in _memo:
        if known is settings:
            return found
    machines = tuple(
        (name, host.network, host.mac, machine)
        for name, host in settings.docker_hosts.items()
        if (machine := settings.docker_machine(name)) is not None
    )
    lists: dict[str, list[IPv6Network]] = {}
    for _, network, _, machine in machines:
        lists.setdefault(network, []).append(machine.prefix)
    found = Fleet(machines, MappingProxyType({name: tuple(collapse_addresses(own)) for name, own in lists.items()}))
    _memo[:] = [(settings, found), *_memo[:3]]
    return found


def addresses(settings: Settings, links: Mapping[str, Link]) -> set[WantedAddress]:
    """The firewall's addresses towards the docker hosts. It has them at once: who else says so has no right to."""
    return {
        WantedAddress(links[network].index, IPv6Interface((machine.gateway.ip, _HOST)), nodad=True, alone=True)
        for _, network, _, machine in fleet(settings).machines
        if network in links
    }


def routes(settings: Settings, links: Mapping[str, Link]) -> set[Route]:
    """To each docker host, and by way of it to its containers."""
    found = set()
    for _, network, _, machine in fleet(settings).machines:
        if network in links:
            index = links[network].index
            found.add(Route(IPv6Network(machine.address), index, metric=_METRIC))
            found.add(Route(machine.containers, index, machine.address, metric=_METRIC))
            if settings.network_prefix(network) is not None:  # else `site.prefix` ends there
                found.add(Route(machine.prefix, metric=LAST_METRIC, kind="unreachable"))
    return found


def neighbours(settings: Settings, links: Mapping[str, Link]) -> frozenset[Neighbour]:
    """Permanent entries: no docker host answers for another's address."""
    return frozenset(
        Neighbour(links[network].index, machine.address, mac)
        for _, network, mac, machine in fleet(settings).machines
        if network in links
    )


def lengths(settings: Settings, network: str) -> tuple[int, ...]:
    """The lengths of the prefixes that docker hosts have in a network, longest first."""
    found = {machine.prefix.prefixlen for _, name, _, machine in fleet(settings).machines if name == network}
    return tuple(sorted(found, reverse=True))


def sources(settings: Settings) -> tuple[Machines, ...]:
    """Who may use which prefix as a source, by network."""
    found: dict[str, list[tuple[IPv6Network, str]]] = {}
    for _, network, mac, machine in fleet(settings).machines:
        found.setdefault(network, []).append((machine.prefix, mac))
    return tuple(Machines(network, tuple(pairs)) for network, pairs in found.items())

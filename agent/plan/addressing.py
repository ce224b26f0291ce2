"""`addressing` of the networks: whose hosts have global addresses, and what of the internal plan hosts use."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv6Network
from types import MappingProxyType

from agent.config.settings import Settings
from agent.plan.npt import Addressing


def addressing(settings: Settings) -> Mapping[str, Addressing]:
    """The networks that are not `internal`. One with docker hosts has internal addresses whatever it says: theirs."""
    machines = {docker.network for docker in settings.docker_hosts.values()}
    found: dict[str, Addressing] = {
        name: "both" if name in machines else network.addressing
        for name, network in settings.networks.items()
        if network.addressing != "internal" and network.subnet is not None and not network.transit
    }
    return MappingProxyType(found)


def internal_uses(settings: Settings) -> tuple[IPv6Network, ...]:
    """The parts of `site.prefix` that hosts may have addresses of: what these are outside is translated."""
    only = {name for name, kind in addressing(settings).items() if kind == "global"}
    networks = (settings.network_prefix(name) for name in settings.networks if name not in only)
    machines = map(settings.docker_prefix, settings.docker_hosts)
    return tuple(prefix for prefix in (*networks, *machines, *settings.delegation_pools.values()) if prefix is not None)

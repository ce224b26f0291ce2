"""What our DHCP servers have leased: told on the bus where the configuration wishes it, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network

from agent.config.settings import Settings
from agent.desired import Problem, Publication
from agent.model import Binding, Held, NetworkLeases, State
from agent.plan.same import Same

# A document on the bus has at most 64 KiB.
MOST = 400


def network_of(settings: Settings, binding: Binding, held: Iterable[Held] = ()) -> str | None:
    """The network that a lease belongs to, None for one of an earlier configuration. `held`: global prefixes."""
    leased = binding.leased
    if isinstance(leased, IPv6Address) and leased not in settings.site.prefix:
        return next((one.network for one in held if leased in one.prefix), None)
    for name, network in settings.networks.items():
        if isinstance(leased, IPv4Address):
            if network.ipv4 is not None and leased in network.ipv4.network:
                return name
        elif isinstance(leased, IPv6Network):
            pool = settings.delegation_pool(name)
            if pool is not None and leased.subnet_of(pool):
                return name
        elif (prefix := settings.network_prefix(name)) is not None and leased in prefix:
            return name
    return None


@lru_cache(maxsize=4)
def _facts(
    same: Same[Settings], bindings: Same[tuple[Binding, ...]], held: tuple[Held, ...]
) -> tuple[Publication, ...]:
    settings = same.value
    found: dict[str, list[Binding]] = {name: [] for name, n in settings.networks.items() if n.publish_leases}
    for binding in bindings.value:
        name = network_of(settings, binding, held)
        if name in found:
            found[name].append(binding)
    return tuple(
        Publication(f"leases/{name}", NetworkLeases(name, tuple(some[:MOST]), max(0, len(some) - MOST)))
        for name, some in found.items()
    )


def facts(settings: Settings, state: State) -> tuple[Publication, ...]:
    """`leases/<network>` of each network with `publish_leases`."""
    return _facts(Same(settings), Same(state.bindings), state.memory.held)


def problems(state: State) -> Iterator[Problem]:
    """What is wrong with the lease files."""
    for message, hint in state.lease_errors:
        yield Problem("leases", message, hint)

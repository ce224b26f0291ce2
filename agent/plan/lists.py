"""Lists of addresses: what their sets hold, and what went wrong with reading them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from agent.config.settings import Settings
from agent.desired import Problem
from agent.desired.firewall import AddressSet
from agent.model import IPNetwork, State
from agent.plan.rule_ends import joined, listed


@lru_cache(maxsize=64)
def _written(addresses: tuple[IPNetwork, ...]) -> tuple[IPNetwork, ...]:
    return joined(addresses)


def sets(settings: Settings, state: State) -> tuple[AddressSet, ...]:
    """The lists that rules name. One that was never read is empty: what it would accept or drop goes on."""
    found = []
    for name in listed(settings):
        written = settings.lists[name].addresses
        read = state.lists.get(name)
        networks = _written(written) if written else read.networks if read is not None else ()
        found.append(AddressSet(name, networks))
    return tuple(found)


def problems(settings: Settings, state: State) -> Iterator[Problem]:
    """Lists that could not be read, or not as a whole."""
    for name in listed(settings):
        read = state.lists.get(name)
        if read is not None and read.error:
            kept = f"; the last {len(read.networks)} addresses stay" if read.networks else "; it is empty"
            yield Problem(f"list/{name}", f"{read.error}{kept}", read.hint)

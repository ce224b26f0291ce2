"""Folds many events at once: what one event changes costs as much as the table it is in, and thousands come together.

When the agent puts in the addresses, routes and neighbours of thousands of docker hosts, the kernel tells it of each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from types import MappingProxyType

from agent import events as ev
from agent.model import Route, State
from agent.reduce import identity, reduce

# Fewer are folded one by one.
MANY = 8
_KINDS: Mapping[type, str] = MappingProxyType(
    {
        ev.RouteChanged: "routes",
        ev.RouteGone: "routes",
        ev.AddressChanged: "addresses",
        ev.AddressGone: "addresses",
        ev.NeighbourChanged: "neighbours",
        ev.NeighbourGone: "neighbours",
    }
)


def fold(state: State, events: Iterable[ev.Event], now: float) -> State:
    """The state after all events, in order: as `reduce` makes it of one after the other."""
    for kind, group in groupby(events, key=lambda event: _KINDS.get(type(event), "")):
        run = list(group)
        if kind and len(run) >= MANY:
            state = _FOLDS[kind](state, run)
        else:
            for event in run:
                state = reduce(state, event, now)
    return state


def _routes(state: State, run: Sequence[ev.Event]) -> State:
    held: dict[tuple[object, ...], set[Route]] = {}
    for route in state.routes:
        held.setdefault(identity(route), set()).add(route)
    before, after = set[Route](), set[Route]()
    for event in run:
        if not isinstance(event, ev.RouteChanged | ev.RouteGone):
            continue
        route = event.route
        known = held.setdefault(identity(route), set())
        dropped = {route} if route in known else set(known)
        known -= dropped
        before |= dropped
        after -= dropped
        if isinstance(event, ev.RouteChanged):
            known.add(route)
            after.add(route)
    return replace(state, routes=(state.routes - before) | after)


def _addresses(state: State, run: Sequence[ev.Event]) -> State:
    found = dict(state.addresses)
    for event in run:
        if isinstance(event, ev.AddressChanged):
            found[event.address.index, event.address.ip] = event.address
        elif isinstance(event, ev.AddressGone):
            found.pop((event.index, event.ip), None)
    return replace(state, addresses=MappingProxyType(found))


def _neighbours(state: State, run: Sequence[ev.Event]) -> State:
    found = dict(state.neighbours)
    for event in run:
        if isinstance(event, ev.NeighbourChanged):
            found[event.neighbour.index, event.neighbour.ip] = event.neighbour
        elif isinstance(event, ev.NeighbourGone):
            found.pop((event.index, event.ip), None)
    return replace(state, neighbours=MappingProxyType(found))


_FOLDS: Mapping[str, Callable[[State, Sequence[ev.Event]], State]] = MappingProxyType(
    {"routes": _routes, "addresses": _addresses, "neighbours": _neighbours}
)

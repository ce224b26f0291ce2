"""Makes links, addresses, routes, rules and neighbours true: first what is wanted is put in, later what is ours goes.

The comparison is with the observed state, never with a memory of one's own, so the driver converges from any start:
after a restart, or when somebody else changed things. Ours is what bears our protocol (routes, rules, addresses,
neighbours) or our alias (links). Kernels before 5.18 keep no protocol of an address: there an address of ours that is
no longer wanted stays, since nothing tells it from a foreign one; wanted ones are recognised by being the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal, TypeAlias, TypeVar

from agent.desired import Problem, WantedLink
from agent.drivers.route import message
from agent.drivers.route import wanted as compare
from agent.drivers.route.message import CREATE, DELETE, REPLACE
from agent.drivers.route.request import Request, Requests, RouteError
from agent.drivers.route.wanted import Wanted
from agent.model import LINK_OURS, Link, State

W = TypeVar("W")
T = TypeVar("T")
Kind: TypeAlias = Literal["routes", "addresses", "neighbours"]


class RouteDriver:
    """One request socket for all of it. `add` first, `remove` when the new way is in use."""

    def __init__(self) -> None:
        self._requests = Requests()
        self._lock = asyncio.Lock()
        # What was wanted and what there was when the two were found to agree, by kind: with thousands of each,
        # comparing them again at every event would take most of it.
        self._agreed: dict[tuple[Kind, str], tuple[object, object]] = {}

    async def add(self, wanted: Wanted, state: State) -> None:
        """Add and replace what is wanted and not there; a changed route is replaced, with no moment without one.

        Raises:
            RouteError: what could not be done, after everything else was.
            OSError: the socket failed; the next call opens it anew.
        """
        differ = partial(self._differ, wanted, state)
        steps = differ("routes", compare.route_steps)
        problems = [
            Problem(
                "route",
                f"route {step.route.destination} in table {step.route.table}, metric {step.route.metric} is already "
                f"there, of protocol {step.foreign.protocol} and not ours",
                "remove it, or keep the other program from setting it",
            )
            for step in steps
            if step.foreign is not None
        ]
        addresses = differ("addresses", compare.addresses_to_add)
        neighbours = differ("neighbours", compare.neighbours_to_put)
        requests = [*self._links(wanted, state, problems)]
        requests += [
            message.address(a.index, a.ip, _name(state, a.index), CREATE, nodad=a.nodad, alone=a.alone)
            for a in addresses
        ]
        requests += [message.neighbour(n, _name(state, n.index), REPLACE) for n in neighbours]
        requests += [
            message.route(step.route, REPLACE if step.mode == "replace" else CREATE)
            for step in steps
            if step.mode != "blocked"
        ]
        requests += [message.rule(rule, CREATE) for rule in compare.rules_to_add(wanted.rules, state)]
        await self._carry_out(requests, problems)

    async def remove(self, wanted: Wanted, state: State) -> None:
        """Delete what is ours and not wanted. `state` is the one that `add` got, or a newer one.

        Raises:
            RouteError, OSError: as for `add`.
        """
        differ = partial(self._differ, wanted, state)
        routes = differ("routes", compare.routes_to_remove)
        neighbours = differ("neighbours", compare.neighbours_to_remove)
        addresses = differ("addresses", compare.addresses_to_remove)
        requests = [message.rule(rule, DELETE) for rule in compare.rules_to_remove(wanted.rules, state)]
        requests += [message.route(route, DELETE) for route in routes]
        requests += [message.neighbour(n, _name(state, n.index), DELETE) for n in neighbours]
        requests += [message.address(a.index, a.ip, _name(state, a.index), DELETE) for a in addresses]
        requests += [message.link_gone(link.index, link.name) for link in compare.links_to_remove(wanted.links, state)]
        await self._carry_out(requests, [])

    async def aclose(self) -> None:
        """Close the socket. What was applied stays."""
        self._requests.close()

    def _differ(
        self, wanted: Wanted, state: State, kind: Kind, find: Callable[[frozenset[W], State], list[T]]
    ) -> list[T]:
        """What `find` says differs; nothing where both are as they were when they agreed."""
        shall: frozenset[W] = getattr(wanted, kind)
        there = getattr(state, kind)
        known = self._agreed.get((kind, find.__name__))
        if known is not None and known[1] is there and known[0] == shall:
            return []
        found = find(shall, state)
        if found:
            self._agreed.pop((kind, find.__name__), None)
        else:
            self._agreed[kind, find.__name__] = (shall, there)
        return found

    async def _carry_out(self, requests: list[Request], problems: list[Problem]) -> None:
        if requests:
            async with self._lock:
                problems = problems + await self._requests.send(requests)
        if problems:
            raise RouteError(problems)

    def _links(self, wanted: Wanted, state: State, problems: list[Problem]) -> Iterator[Request]:
        by_name = {link.name: link for link in state.links.values()}
        for want in wanted.links:
            link = by_name.get(want.name)
            if want.vlan is None:
                if link is not None:
                    yield from _settings(want, link)
            elif link is None:
                yield message.vlan(want)
            elif compare.is_vlan(want, link):
                yield from _settings(want, link)
            elif link.alias == LINK_OURS:
                yield message.link_gone(link.index, link.name)
                yield message.vlan(want)
            else:
                problems.append(
                    Problem(
                        "route",
                        f"link {want.name} exists and is not VLAN {want.vlan} of {_name(state, want.parent)}",
                        f"rename or delete {want.name}, or leave `vlan` out to use it as it is",
                    )
                )


def _settings(want: WantedLink, link: Link) -> Iterator[Request]:
    """What to change on a link that exists. The order: down, MAC, up, for the link-local address follows the MAC."""
    up = link.up
    if want.mac is not None and want.mac.lower() != link.mac:
        if up:
            yield message.link(link.index, f"set {link.name} down", up=False)
            up = False
        yield message.link(link.index, f"set the MAC of {link.name} to {want.mac}", mac=want.mac.lower())
    if want.mtu is not None and want.mtu != link.mtu:
        yield message.link(link.index, f"set the MTU of {link.name} to {want.mtu}", mtu=want.mtu)
    if want.up != up:
        yield message.link(link.index, f"set {link.name} {'up' if want.up else 'down'}", up=want.up)


def _name(state: State, index: int | None) -> str:
    link = state.links.get(index) if index is not None else None
    return link.name if link is not None else f"interface {index}"

"""What shall be, compared with what is: pure, so that the driver only sends."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from agent.desired import WantedAddress, WantedLink
from agent.model import (
    LINK_OURS,
    PROTOCOL_OURS,
    Address,
    IPNetwork,
    Link,
    Neighbour,
    PolicyRule,
    Route,
    State,
)

IP6_METRIC: Final = 1024  # IP6_RT_PRIO_USER: what the kernel makes of metric 0
NO_DEVICE: Final = frozenset({"blackhole", "unreachable", "prohibit", "throw"})
RouteKey: TypeAlias = tuple[IPNetwork, int, int]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The part of a plan that is rtnetlink's."""

    links: tuple[WantedLink, ...] = ()
    addresses: frozenset[WantedAddress] = frozenset()
    routes: frozenset[Route] = frozenset()
    rules: frozenset[PolicyRule] = frozenset()
    neighbours: frozenset[Neighbour] = frozenset()


@dataclass(frozen=True, slots=True)
class RouteStep:
    """A route to put in: `replace` puts it in the place of ours with the same destination, table and metric.

    `foreign` is a route of somebody else that holds that place: it stays, and ours cannot be.
    """

    route: Route
    mode: Literal["add", "replace", "blocked"]
    foreign: Route | None = None


def normal(route: Route) -> Route:
    """A desired route as the kernel will show it."""
    metric = IP6_METRIC if route.destination.version == 6 and route.metric == 0 else route.metric  # noqa: PLR2004
    index = None if route.kind in NO_DEVICE else route.index
    if (metric, index, route.protocol) == (route.metric, route.index, PROTOCOL_OURS):
        return route
    return replace(route, metric=metric, index=index, protocol=PROTOCOL_OURS)


def normal_rule(rule: PolicyRule) -> PolicyRule:
    """A desired rule as the kernel will show it: a mark without a mask means all bits."""
    mask = 0xFFFFFFFF if rule.fwmark is not None and rule.fwmask is None else rule.fwmask
    return replace(rule, fwmask=mask, protocol=PROTOCOL_OURS)


def key(route: Route) -> RouteKey:
    """The place of a route in the kernel: a replacement takes the place, whatever else it says."""
    return (route.destination, route.table, route.metric)


def same(wanted: Route, observed: Route) -> bool:
    """Whether an observed route is the wanted one; without a device, the kernel chose it by the gateway."""
    return wanted == observed or (wanted.index is None and wanted == replace(observed, index=None))


def route_steps(wanted: Iterable[Route], state: State) -> list[RouteStep]:
    """What to put in, in a stable order."""
    held = _by_key(state.routes)
    steps: list[RouteStep] = []
    missing = [r for r in map(normal, wanted) if not any(same(r, other) for other in held.get(key(r), ()))]
    for route in sorted(missing, key=_order):
        here = held.get(key(route), [])
        foreign = next((other for other in here if other.protocol != PROTOCOL_OURS), None)
        if foreign is not None:
            steps.append(RouteStep(route, "blocked", foreign))
        else:
            steps.append(RouteStep(route, "replace" if here else "add"))
    return steps


def routes_to_remove(wanted: Iterable[Route], state: State) -> list[Route]:
    """Ours and no longer wanted, without those that a replacement has already taken away.

    IPv6 deletes by less than the whole route: the deletion of a replaced route could hit its successor.
    """
    keep = _by_key(map(normal, wanted))
    ours = [route for route in state.routes if route.protocol == PROTOCOL_OURS]
    held = _by_key(ours)
    return sorted(
        (
            route
            for route in ours
            if not any(same(other, route) for other in keep.get(key(route), ()))
            and (key(route) not in keep or len(held[key(route)]) > 1)
        ),
        key=_order,
    )


def addresses_to_add(wanted: Iterable[WantedAddress], state: State) -> list[WantedAddress]:
    """Addresses that the link does not have."""
    missing = (address for address in wanted if (address.index, address.ip) not in state.addresses)
    return sorted(missing, key=lambda a: (a.index, a.ip.version, int(a.ip.ip)))


def addresses_to_remove(wanted: Iterable[WantedAddress], state: State) -> list[Address]:
    """Addresses that bear our protocol (IFA_PROTO) and are no longer wanted."""
    keep = {(address.index, address.ip) for address in wanted}
    return [a for k, a in state.addresses.items() if a.protocol == PROTOCOL_OURS and k not in keep]


def rules_to_add(wanted: Iterable[PolicyRule], state: State) -> list[PolicyRule]:
    """Rules that do not exist as ours."""
    missing = {normal_rule(rule) for rule in wanted} - state.rules
    return sorted(missing, key=lambda r: (r.family, r.priority, r.table))


def rules_to_remove(wanted: Iterable[PolicyRule], state: State) -> list[PolicyRule]:
    """Rules of ours that are no longer wanted."""
    keep = {normal_rule(rule) for rule in wanted}
    return [rule for rule in state.rules if rule.protocol == PROTOCOL_OURS and rule not in keep]


def neighbours_to_put(wanted: Iterable[Neighbour], state: State) -> list[Neighbour]:
    """Permanent entries that are missing, learned only, or say another MAC."""

    def right(neighbour: Neighbour) -> bool:
        known = state.neighbours.get((neighbour.index, neighbour.ip))
        return known is not None and (known.state, known.mac) == ("permanent", neighbour.mac.lower())

    return [neighbour for neighbour in wanted if not right(neighbour)]


def neighbours_to_remove(wanted: Iterable[Neighbour], state: State) -> list[Neighbour]:
    """Permanent entries that bear our protocol (NDA_PROTOCOL) and are no longer wanted."""
    keep = {(neighbour.index, neighbour.ip) for neighbour in wanted}
    return [
        n
        for k, n in state.neighbours.items()
        if n.protocol == PROTOCOL_OURS and n.state == "permanent" and k not in keep
    ]


def links_to_remove(wanted: Iterable[WantedLink], state: State) -> list[Link]:
    """Links that we made (by their alias) and no longer want, or want otherwise."""
    by_name = {link.name: link for link in wanted}

    def wrong(link: Link) -> bool:
        want = by_name.get(link.name)
        return want is None or (want.vlan is not None and not is_vlan(want, link))

    return [link for link in state.links.values() if link.alias == LINK_OURS and wrong(link)]


def is_vlan(wanted: WantedLink, link: Link) -> bool:
    """Whether a link is the VLAN that is wanted."""
    return (link.kind, link.parent, link.vlan) == ("vlan", wanted.parent, wanted.vlan)


def _by_key(routes: Iterable[Route]) -> dict[RouteKey, list[Route]]:
    held: dict[RouteKey, list[Route]] = defaultdict(list)
    for route in routes:
        held[key(route)].append(route)
    return held


def _order(route: Route) -> tuple[int, int, bool, int, int, int]:
    """Routes of a link before routes by a gateway: the gateway may need them."""
    network = route.destination
    return (
        network.version, route.table, route.gateway is not None,
        -network.prefixlen, int(network.network_address), route.metric,
    )  # fmt: skip

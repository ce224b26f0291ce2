"""Routing of the firewall: a table per uplink, chosen by mark, and the ingresses as permanent neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network

from agent.desired.probe import Watch, Watched
from agent.model import TABLE_MAIN, Choice, Family, Link, Neighbour, PolicyRule, Route
from agent.plan.firewall_uplinks import UplinkView
from agent.plan.marks import MASK, table
from agent.plan.networks import LAST_METRIC

DEFAULT4 = IPv4Network("0.0.0.0/0")
DEFAULT6 = IPv6Network("::/0")
_FAMILIES: tuple[Family, ...] = (4, 6)
# What is inside is found in main; its default route, which another may have put there, is never taken by these.
MAIN_PRIORITY = 100
MARK_PRIORITY = 200
OWN_PRIORITY = 500


def rules(marks: Iterable[int]) -> frozenset[PolicyRule]:
    """The policy rules: main without a default route first, then each mark's own table."""
    found = {PolicyRule(family, MAIN_PRIORITY, TABLE_MAIN, suppress_prefixlength=0) for family in _FAMILIES}
    found |= {
        PolicyRule(family, MARK_PRIORITY + mark, table(mark), fwmark=mark, fwmask=MASK)
        for mark in marks
        for family in _FAMILIES
    }
    return frozenset(found)


def own(transit: str | None, found: Iterable[Choice], uplinks: Mapping[str, UplinkView]) -> frozenset[PolicyRule]:
    """The router's own packets (names it resolves, time) go out as the transit network does; its replies bear marks."""
    rules = set()
    for choice in found:
        picked: tuple[tuple[Family, str | None], ...] = ((4, choice.ipv4.uplink), (6, choice.ipv6.uplink))
        for family, name in picked if choice.network == transit else ():
            if name is not None and name in uplinks:
                rules.add(PolicyRule(family, OWN_PRIORITY, table(uplinks[name].mark), iif="lo"))
    return frozenset(rules)


def routes(uplinks: Iterable[UplinkView], dmz: Link | None) -> frozenset[Route]:
    """Each uplink's table: its default route while packets can be sent there, and an end below that always.

    Failing probes do not take the route away: flows that have no better uplink stay on it.
    """
    found = set()
    for uplink in uplinks:
        number = table(uplink.mark)
        found.add(Route(DEFAULT4, table=number, metric=LAST_METRIC, kind="unreachable"))
        found.add(Route(DEFAULT6, table=number, metric=LAST_METRIC, kind="unreachable"))
        if dmz is None:
            continue
        if not uplink.unreachable4:
            found.add(Route(DEFAULT4, index=dmz.index, gateway=uplink.ipv4, table=number))
        if not uplink.unreachable6:
            found.add(Route(DEFAULT6, index=dmz.index, gateway=uplink.link_local, table=number))
    return frozenset(found)


def neighbours(uplinks: Iterable[UplinkView], dmz: Link | None) -> frozenset[Neighbour]:
    """Permanent entries: no ingress answers for another's address."""
    if dmz is None:
        return frozenset()
    return frozenset(
        Neighbour(dmz.index, address, uplink.mac)
        for uplink in uplinks
        if uplink.mac
        for address in (uplink.ipv4, uplink.link_local)
        if address is not None
    )


def watch(uplinks: Iterable[UplinkView], dmz: Link | None) -> Watch | None:
    """The ingresses to ask directly: those that we know on the DMZ."""
    if dmz is None:
        return None
    known = tuple(Watched(uplink.name, uplink.link_local) for uplink in uplinks if uplink.link_local is not None)
    return Watch(dmz.name, dmz.index, known) if known else None

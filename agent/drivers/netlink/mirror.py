"""What was told of the kernel so far: filters what says nothing new, and knows what a message leaves unsaid."""

from __future__ import annotations

from ipaddress import IPv4Interface
from typing import Final

from pyroute2.netlink import rtnl

from agent import events as ev
from agent.drivers.netlink import message, routing
from agent.drivers.netlink.layout import Message
from agent.model import Address, AddressKey, IPAddress, IPNetwork, Link, Neighbour, PolicyRule, Route

NLM_F_REPLACE: Final = 0x100
RouteKey = tuple[IPNetwork, int, int]


class Mirror:
    """The kernel's tables as the events told so far describe them.

    `doubtful`: something may have changed without a message; only a new dump can tell.
    """

    def __init__(self) -> None:
        self.doubtful = False
        self._links: dict[int, Link] = {}
        self._addresses: dict[AddressKey, Address] = {}
        self._routes: dict[RouteKey, set[Route]] = {}
        self._rules: set[PolicyRule] = set()
        self._neighbours: dict[tuple[int, IPAddress], Neighbour] = {}

    def dump(self) -> ev.Dump:
        """All of it as one event."""
        return ev.Dump(
            links=tuple(self._links.values()),
            addresses=tuple(self._addresses.values()),
            routes=tuple(route for routes in self._routes.values() for route in routes),
            rules=tuple(self._rules),
            neighbours=tuple(self._neighbours.values()),
        )

    def take(  # noqa: PLR0911 - one case per kind of message
        self, received: Message, data: bytes, clock: message.Clock
    ) -> list[ev.Event]:
        """Take one message in; what it changed, in order.

        Raises:
            MalformedError, ValueError, struct.error: the message does not fit its layout.
        """
        kind, flags, start, end = received
        match kind:
            case rtnl.RTM_NEWROUTE:
                return self._routes_new(routing.routes(data, start, end), replaced=bool(flags & NLM_F_REPLACE))
            case rtnl.RTM_DELROUTE:
                return self._routes_gone(routing.routes(data, start, end))
            case rtnl.RTM_NEWADDR | rtnl.RTM_DELADDR:
                address = message.address(data, start, end, clock)
                return [] if address is None else self._address(address, gone=kind == rtnl.RTM_DELADDR)
            case rtnl.RTM_NEWLINK | rtnl.RTM_DELLINK:
                link = message.link(data, start, end)
                return [] if link is None else self._link(link, gone=kind == rtnl.RTM_DELLINK)
            case rtnl.RTM_NEWNEIGH | rtnl.RTM_DELNEIGH:
                neighbour = message.neighbour(data, start, end)
                return [] if neighbour is None else self._neighbour(neighbour, gone=kind == rtnl.RTM_DELNEIGH)
            case rtnl.RTM_NEWRULE | rtnl.RTM_DELRULE:
                rule = routing.rule(data, start, end)
                return [] if rule is None else self._rule(rule, gone=kind == rtnl.RTM_DELRULE)
            case _:
                return []

    def _link(self, link: Link, *, gone: bool) -> list[ev.Event]:
        known = self._links.get(link.index)
        if gone:
            if known is None:
                return []
            del self._links[link.index]
            self._addresses = {key: a for key, a in self._addresses.items() if a.index != link.index}
            self._neighbours = {key: n for key, n in self._neighbours.items() if n.index != link.index}
            for key, routes in tuple(self._routes.items()):
                self._set(key, {route for route in routes if route.index != link.index})
            return [ev.LinkGone(link.index)]
        if link == known:
            return []
        if known is not None and known.up and not link.up:
            self.doubtful = True
        if any(other.name == link.name and other.index != link.index for other in self._links.values()):
            self.doubtful = True
        self._links[link.index] = link
        return [ev.LinkChanged(link)]

    def _address(self, address: Address, *, gone: bool) -> list[ev.Event]:
        key = (address.index, address.ip)
        if not gone:
            if self._addresses.get(key) == address:
                return []
            self._addresses[key] = address
            return [ev.AddressChanged(address)]
        if isinstance(address.ip, IPv4Interface) or self._is_source(address.ip.ip):
            self.doubtful = True
        return [] if self._addresses.pop(key, None) is None else [ev.AddressGone(*key)]

    def _is_source(self, ip: IPAddress) -> bool:
        return any(route.source == ip for routes in self._routes.values() for route in routes)

    def _routes_new(self, routes: tuple[Route, ...], *, replaced: bool) -> list[ev.Event]:
        changes: list[ev.Event] = []
        for route in routes:
            key = (route.destination, route.table, route.metric)
            known = self._routes.get(key, set())
            if replaced and known - set(routes):
                if len(known) > 1:
                    self.doubtful = True  # which of them?
                else:
                    changes += [ev.RouteGone(old) for old in known]
                    known = set()
            if route not in known:
                self._set(key, known | {route})
                changes.append(ev.RouteChanged(route))
        return changes

    def _routes_gone(self, routes: tuple[Route, ...]) -> list[ev.Event]:
        changes: list[ev.Event] = []
        for route in routes:
            key = (route.destination, route.table, route.metric)
            known = self._routes.get(key, set())
            if route in known:
                self._set(key, known - {route})
                changes.append(ev.RouteGone(route))
            elif known:
                self.doubtful = True  # told otherwise than it came
        return changes

    def _set(self, key: RouteKey, routes: set[Route]) -> None:
        if routes:
            self._routes[key] = routes
        else:
            self._routes.pop(key, None)

    def _rule(self, rule: PolicyRule, *, gone: bool) -> list[ev.Event]:
        if (rule in self._rules) != gone:
            return []
        if gone:
            self._rules.discard(rule)
            # Two foreign rules may differ in a selector that we do not read: the other may still be there.
            self.doubtful = True
            return [ev.RuleGone(rule)]
        self._rules.add(rule)
        return [ev.RuleChanged(rule)]

    def _neighbour(self, neighbour: Neighbour, *, gone: bool) -> list[ev.Event]:
        key = (neighbour.index, neighbour.ip)
        if gone:
            return [] if self._neighbours.pop(key, None) is None else [ev.NeighbourGone(*key)]
        if not neighbour.state or self._neighbours.get(key) == neighbour:
            return []
        self._neighbours[key] = neighbour
        return [ev.NeighbourChanged(neighbour)]

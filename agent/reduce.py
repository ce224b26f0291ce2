"""Folds events into a new `State`. Pure: the caller passes the time (CLOCK_BOOTTIME, seconds)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TypeVar

from agent import events as ev
from agent.model import (
    Containers,
    Deadline,
    Delegation,
    Fact,
    FamilyHealth,
    Memory,
    NodeInfo,
    NodeState,
    Peer,
    Reach,
    Route,
    State,
    UplinkHealth,
    UplinkIPv4,
    UplinkIPv6,
    UplinkLink,
    Wish,
    WishKind,
)

K = TypeVar("K")
V = TypeVar("V")

_PEER_FIELDS = {
    "state": "state",
    "info": "info",
    "uplink/link": "link",
    "uplink/ipv4": "ipv4",
    "uplink/ipv6": "ipv6",
    "uplink/health": "health",
    "containers": "containers",
}


def reduce(state: State, event: ev.Event, now: float) -> State:  # noqa: C901, PLR0911, PLR0912 - one case per event
    """The state after one event."""
    match event:
        case ev.Dump():
            return _dump(state, event)
        case ev.LinkChanged(link):
            return replace(state, links=_with(state.links, link.index, link))
        case ev.LinkGone(index):
            return _link_gone(state, index)
        case ev.AddressChanged(address):
            return replace(state, addresses=_with(state.addresses, (address.index, address.ip), address))
        case ev.AddressGone(index, ip):
            return replace(state, addresses=_without(state.addresses, (index, ip)))
        case ev.RouteChanged(route):
            return replace(state, routes=_drop_route(state.routes, route) | {route})
        case ev.RouteGone(route):
            return replace(state, routes=_drop_route(state.routes, route))
        case ev.RuleChanged(rule):
            return replace(state, rules=state.rules | {rule})
        case ev.RuleGone(rule):
            return replace(state, rules=state.rules - {rule})
        case ev.NeighbourChanged(neighbour):
            key = (neighbour.index, neighbour.ip)
            return replace(state, neighbours=_with(state.neighbours, key, neighbour))
        case ev.NeighbourGone(index, neighbour_ip):
            return replace(state, neighbours=_without(state.neighbours, (index, neighbour_ip)))
        case ev.Leases(leases):
            return replace(state, leases=MappingProxyType({(le.interface, le.family): le for le in leases}))
        case ev.Served(bindings, delegated, errors):
            return replace(state, bindings=bindings, delegated=delegated, lease_errors=errors)
        case ev.FactReceived(node, _, fact, until):
            peer = _learn(state.peers.get(node, Peer()), fact, until)
            return replace(state, peers=_with(state.peers, node, peer))
        case ev.FactWithdrawn(node, topic):
            return _withdrawn(state, node, topic)
        case ev.BusChanged(connected):
            return replace(state, bus_connected=connected)
        case ev.Remembered(memory, peers):
            # What the bus said in this life is newer than what an earlier life wrote down.
            known = {**dict(peers), **state.peers}
            # A plan may be older than the last wish: only `Wished` changes wishes.
            memory = replace(memory, wishes=state.memory.wishes or memory.wishes)
            return expire(replace(state, memory=memory, peers=MappingProxyType(known)), now)
        case ev.Wished(uplink, kind):
            return replace(state, memory=_wished(state.memory, uplink, kind, now))
        case ev.HealthChanged(health):
            return replace(state, health=health)
        case ev.ReachChanged(reach):
            return _reached(state, reach)
        case ev.ListsRead(lists):
            return replace(state, lists=MappingProxyType(dict(lists)))
        case ev.EngineSeen(engine):
            return replace(state, engine=engine, synced=True)
        case ev.LocalTime(utc_offset):
            return replace(state, utc_offset=utc_offset)
        case ev.Tick():
            return expire(state, now)


def _reached(state: State, reach: Mapping[str, Reach]) -> State:
    """An ingress that says that a family carries packets again is right, also where the bus has not told it yet."""
    peers = dict(state.peers)
    for name, said in reach.items():
        before, peer = state.reach.get(name, Reach()), peers.get(name)
        four, six = (said.ipv4 == "up" != before.ipv4), (said.ipv6 == "up" != before.ipv6)
        if peer is not None and (four or six):
            peers[name] = _back(peer, four=four, six=six)
    return replace(state, reach=MappingProxyType(dict(reach)), peers=MappingProxyType(peers))


def _back(peer: Peer, *, four: bool, six: bool) -> Peer:
    link, health = peer.link, peer.health
    if link is not None and not link.carrier:
        link = replace(link, carrier=True)
    if health is not None:
        health = replace(health, ipv4=_unless_down(health.ipv4, four), ipv6=_unless_down(health.ipv6, six))
    return replace(peer, link=link, health=health)


def _unless_down(health: FamilyHealth | None, back: bool) -> FamilyHealth | None:
    """Unknown where it was down and is back."""
    return None if back and health is not None and not health.up else health


def _wished(memory: Memory, uplink: str, kind: WishKind, now: float) -> Memory:
    """One uplink at most is preferred."""
    kept = {name: wish for name, wish in memory.wishes.items() if not (kind == wish.kind == "prefer")}
    return replace(memory, wishes=MappingProxyType({**kept, uplink: Wish(kind, now)}))


def expire(state: State, now: float) -> State:
    """The state without the facts of other nodes whose deadline has come."""
    if not any(deadline <= now for deadline in _deadlines(state)):
        return state
    peers = {node: _expire_peer(peer, now) for node, peer in state.peers.items()}
    return replace(state, peers=MappingProxyType(peers))


def next_deadline(state: State) -> Deadline:
    """When `expire` will next change something, None for never."""
    return min(_deadlines(state), default=None)


def _dump(state: State, dump: ev.Dump) -> State:
    return replace(
        state,
        synced=True,
        links=MappingProxyType({link.index: link for link in dump.links}),
        addresses=MappingProxyType({(a.index, a.ip): a for a in dump.addresses}),
        routes=frozenset(dump.routes),
        rules=frozenset(dump.rules),
        neighbours=MappingProxyType({(n.index, n.ip): n for n in dump.neighbours}),
    )


def _link_gone(state: State, index: int) -> State:
    """The kernel sends no word of its own for all that goes with a link."""
    return replace(
        state,
        links=_without(state.links, index),
        addresses=MappingProxyType({k: a for k, a in state.addresses.items() if a.index != index}),
        routes=frozenset(route for route in state.routes if route.index != index),
        neighbours=MappingProxyType({k: n for k, n in state.neighbours.items() if n.index != index}),
    )


def identity(route: Route) -> tuple[object, ...]:
    """What the kernel tells a route by when it says that it is gone."""
    return (route.destination, route.table, route.metric, route.index, route.gateway, route.kind)


def _drop_route(routes: frozenset[Route], route: Route) -> frozenset[Route]:
    if route in routes:
        return routes - {route}
    same = identity(route)
    return frozenset(other for other in routes if identity(other) != same)


def _learn(peer: Peer, fact: Fact, until: Deadline) -> Peer:  # noqa: PLR0911 - one case per fact
    match fact:
        case NodeState():
            known = peer.state
            stale = fact.state == "lost" and known is not None and known.session != fact.session
            return peer if stale else replace(peer, state=fact)
        case NodeInfo():
            return replace(peer, info=fact)
        case UplinkLink():
            return replace(peer, link=fact)
        case UplinkIPv4():
            return replace(peer, ipv4=replace(fact, valid_until=_sooner(fact.valid_until, until)))
        case UplinkIPv6():
            return replace(peer, ipv6=replace(fact, valid_until=_sooner(fact.valid_until, until)))
        case UplinkHealth():
            return replace(peer, health=replace(fact, valid_until=_sooner(fact.valid_until, until)))
        case Containers():
            return replace(peer, containers=replace(fact, valid_until=_sooner(fact.valid_until, until)))
        case Delegation():
            fact = replace(fact, valid_until=_sooner(fact.valid_until, until))
            return replace(peer, delegations=_with(peer.delegations, fact.prefix.prefixlen, fact))
        case _:
            return peer  # a choice or a status: for people


def _withdrawn(state: State, node: str, topic: str) -> State:
    peer = state.peers.get(node)
    if peer is None:
        return state
    if topic.startswith("uplink/prefix/"):
        # Compared as text: a topic is anybody's, and int() is not for what isdigit() lets pass.
        length = topic.removeprefix("uplink/prefix/")
        left = {known: delegation for known, delegation in peer.delegations.items() if str(known) != length}
        peer = replace(peer, delegations=MappingProxyType(left))
    elif topic in _PEER_FIELDS:
        # mypy cannot see that the names are those of Peer
        peer = replace(peer, **{_PEER_FIELDS[topic]: None})  # type: ignore[arg-type]
    return replace(state, peers=_with(state.peers, node, peer))


def _expire_peer(peer: Peer, now: float) -> Peer:
    def alive(deadline: Deadline) -> bool:
        return deadline is None or deadline > now

    return replace(
        peer,
        ipv4=peer.ipv4 if peer.ipv4 and alive(peer.ipv4.valid_until) else None,
        ipv6=peer.ipv6 if peer.ipv6 and alive(peer.ipv6.valid_until) else None,
        health=peer.health if peer.health and alive(peer.health.valid_until) else None,
        containers=peer.containers if peer.containers and alive(peer.containers.valid_until) else None,
        delegations=MappingProxyType({k: d for k, d in peer.delegations.items() if alive(d.valid_until)}),
    )


def _deadlines(state: State) -> Iterable[float]:
    for peer in state.peers.values():
        # Plain loops: there may be thousands of nodes, and this is looked at after every event.
        for fact in (peer.ipv4, peer.ipv6, peer.health, peer.containers):
            if fact is not None and fact.valid_until is not None:
                yield fact.valid_until
        if peer.delegations:
            yield from (d.valid_until for d in peer.delegations.values() if d.valid_until is not None)


def _sooner(one: Deadline, other: Deadline) -> Deadline:
    return min((deadline for deadline in (one, other) if deadline is not None), default=None)


def _with(mapping: Mapping[K, V], key: K, value: V) -> Mapping[K, V]:
    return MappingProxyType({**mapping, key: value})


def _without(mapping: Mapping[K, V], key: K) -> Mapping[K, V]:
    return MappingProxyType({k: v for k, v in mapping.items() if k != key})

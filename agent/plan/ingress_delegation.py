"""Delegated prefixes of an uplink: recognised from netlink alone, whoever asked for them; the lease adds lifetimes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv6Interface, IPv6Network

from agent.model import PROTOCOL_DHCP, PROTOCOL_OURS, Deadline, Delegation, State

_HOST = 128
_NEVER = float("inf")
ULA = IPv6Network("fc00::/7")
LINK_LOCAL = IPv6Network("fe80::/10")


def delegations(state: State, internal: IPv6Network, downstream: frozenset[int]) -> tuple[Delegation, ...]:
    """All delegated prefixes that netlink shows, in order of the prefix.

    A delegated prefix is the destination of an unreachable route of protocol dhcp, or the prefix of a global address
    that somebody else put on a link of `downstream` (ifindexes of the DMZ and lo). Prefixes within the internal plan
    are none: they would translate the plan to itself.
    """
    found: dict[IPv6Network, Delegation] = {}
    for seen in (*_routes(state), *_addresses(state, internal, downstream)):
        inner = seen.prefix.subnet_of(internal) and seen.prefix != internal
        if not inner and not seen.prefix.subnet_of(ULA) and not seen.prefix.subnet_of(LINK_LOCAL):
            found.setdefault(seen.prefix, seen)
    known = {lent.prefix: lent for lease in state.leases.values() for lent in lease.delegations}
    return tuple(known.get(prefix, found[prefix]) for prefix in sorted(found))


def live(found: Iterable[Delegation], now: float) -> tuple[Delegation, ...]:
    """Those whose valid lifetime has not ended, the best first: the one to translate to.

    Preferred ones before deprecated ones, the longest-lived first, then the shorter prefix, then the lower one. The
    others are not used: translation is stateless, so a flow cannot keep the prefix it began with.
    """
    left = [one for one in found if _until(one.valid_until) > now]
    return tuple(
        sorted(
            left,
            key=lambda one: (
                _until(one.preferred_until) <= now,
                -_until(one.valid_until),
                one.prefix.prefixlen,
                one.prefix,
            ),
        )
    )


def next_expiry(found: Iterable[Delegation], now: float) -> float | None:
    """The next moment when time alone changes which prefix is the best."""
    moments = (moment for one in found for moment in (one.preferred_until, one.valid_until))
    return min((moment for moment in moments if moment is not None and moment > now), default=None)


def _routes(state: State) -> Iterator[Delegation]:
    for route in state.routes:
        destination = route.destination
        if route.kind == "unreachable" and route.protocol == PROTOCOL_DHCP and isinstance(destination, IPv6Network):
            yield Delegation(destination)


def _addresses(state: State, internal: IPv6Network, downstream: frozenset[int]) -> Iterator[Delegation]:
    for address in state.addresses.values():
        ip = address.ip
        if address.index not in downstream or not isinstance(ip, IPv6Interface) or ip in internal:
            continue
        if address.protocol != PROTOCOL_OURS and address.scope == 0 and ip.network.prefixlen < _HOST:
            yield Delegation(ip.network, address.preferred_until, address.valid_until)


def _until(deadline: Deadline) -> float:
    return _NEVER if deadline is None else deadline

"""The prefixes that an ingress was delegated, as the firewall knows them."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network

from agent.model import Delegation, Peer, UplinkIPv6

_NEVER = float("inf")


def delegations(peer: Peer, external6: tuple[IPv6Network, ...], now: float) -> tuple[Delegation, ...]:
    """Those whose claim holds, in `external6`: preferred ones first, then the longest-lived."""

    def order(one: Delegation) -> tuple[bool, float, IPv6Network]:
        deprecated = one.preferred_until is not None and one.preferred_until <= now
        return deprecated, -(_NEVER if one.valid_until is None else one.valid_until), one.prefix

    live = (
        one
        for one in peer.delegations.values()
        if (one.valid_until is None or one.valid_until > now)
        and any(one.prefix.subnet_of(prefix) for prefix in external6)
    )
    return tuple(sorted(live, key=order))


def own6(ipv6: UplinkIPv6 | None) -> tuple[IPv6Address, ...]:
    """The addresses that are the ingress's own."""
    if ipv6 is None:
        return ()
    nat66 = () if ipv6.nat66 is None else (ipv6.nat66,)
    return (*(address.ip for address in ipv6.addresses), *nat66)

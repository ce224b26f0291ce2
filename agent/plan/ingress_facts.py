"""What an ingress says of itself on the bus: from what is, never from what was wished."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

from agent.desired import Publication
from agent.model import Address, Delegation, UplinkHealth, UplinkIPv4, UplinkIPv6, UplinkLink
from agent.plan.ingress_delegation import LINK_LOCAL
from agent.plan.ingress_seen import Seen


def facts(seen: Seen, health: UplinkHealth | None) -> tuple[Publication, ...]:
    """The retained facts of the uplink, `health` among them where it is known.

    A family is a gateway only with a default route (RFC 7084 G-4): without one, IPv4 is not said and IPv6 is `none`.
    They are told in this order: what is there but not verified yet is known to be so before it can be used.
    """
    found = [Publication("uplink/health", health)] if health is not None else []
    found += [Publication("uplink/link", _link(seen)), Publication("uplink/ipv6", _ipv6(seen))]
    has_route, gateway = seen.default_route(4)
    if seen.own4 and has_route:
        lease = seen.lease(4)
        address, until = seen.own4[0]
        next_hop = gateway if isinstance(gateway, IPv4Address) else None
        fact = UplinkIPv4(address, next_hop, lease.dns if lease is not None else (), until)
        found.append(Publication("uplink/ipv4", fact))
    delegation = seen.ladder.delegation
    if delegation is not None and seen.wan.link is not None and _timed(seen, delegation):
        found.append(Publication(f"uplink/prefix/{delegation.prefix.prefixlen}", delegation))
    return tuple(found)


def _timed(seen: Seen, delegation: Delegation) -> bool:
    """Whether its lifetimes are known, where hosts are given parts of it: netlink shows a prefix before its lease.

    What hosts were once promised for too long they keep (RFC 4862 section 5.5.3, the two hours).
    """
    if not seen.share.wish.addressing or delegation.valid_until is not None:
        return True
    leased = (one.prefix for lease in seen.state.leases.values() for one in lease.delegations)
    return delegation.prefix in {*leased, *(one.prefix for one in seen.share.delegations)}


def _link(seen: Seen) -> UplinkLink:
    wan, dmz = seen.wan.link, seen.dmz.link
    return UplinkLink(
        carrier=wan is not None and wan.up and wan.carrier,
        mtu=wan.mtu if wan is not None else seen.share.mtu,
        ipv4=next((a.ip.ip for a in seen.near if isinstance(a.ip, IPv4Interface)), None),
        link_local=_link_local(seen.near),
        mac=dmz.mac if dmz is not None else "",
    )


def _ipv6(seen: Seen) -> UplinkIPv6:
    if seen.wan.link is None:
        return UplinkIPv6("none")
    ladder, lease = seen.ladder, seen.lease(6)
    dns = lease.dns if lease is not None else ()
    added = () if ladder.added is None else (IPv6Interface((ladder.added, 128)),)
    addresses = (*ladder.addresses, *added)
    has_route, gateway = seen.default_route(6)
    if not has_route:
        return UplinkIPv6("none", addresses, dns=dns)
    next_hop = gateway if isinstance(gateway, IPv6Address) else None
    until = ladder.delegation.valid_until if ladder.delegation is not None else None
    return UplinkIPv6(ladder.mode, addresses, next_hop, ladder.mappings, ladder.nat66, dns, until)


def _link_local(near: Sequence[Address]) -> IPv6Address | None:
    usable = (a.ip.ip for a in near if isinstance(a.ip, IPv6Interface) and not a.tentative and not a.failed)
    return next((ip for ip in usable if ip in LINK_LOCAL), None)

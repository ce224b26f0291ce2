"""rtnetlink(7) messages about routes and policy rules → values of `agent.model`. Pure, as `message`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv6Network
from socket import AF_INET, AF_INET6
from typing import Final

from agent.drivers.netlink.layout import (
    FOREVER,
    FRA,
    NEXTHOP,
    RTA,
    RTMSG,
    RULE,
    U16,
    Attributes,
    MalformedError,
    attributes,
)  # fmt: skip
from agent.drivers.netlink.values import ip_of, network_of, u32
from agent.model import PROTOCOL_KERNEL, PROTOCOL_OURS, IPAddress, PolicyRule, Route

TABLE_LOCAL: Final = 255
CLONED: Final = 0x200
ONLINK: Final = 4
KINDS: Final = {
    1: "unicast", 2: "local", 3: "broadcast", 4: "anycast", 5: "multicast", 6: "blackhole", 7: "unreachable",
    8: "prohibit", 9: "throw",
}  # fmt: skip
NO_DEVICE: Final = frozenset({"blackhole", "unreachable", "prohibit", "throw"})
LINK_LOCAL: Final = IPv6Network("fe80::/10")
MULTICAST: Final = IPv6Network("ff00::/8")


def routes(data: bytes, start: int, end: int) -> tuple[Route, ...]:
    """RTM_NEWROUTE or RTM_DELROUTE: one route per next hop; none where it is the kernel's own business.

    That is: other families, cached entries, the local table, IPv6 link-local and multicast routes of the kernel.
    """
    family, length, _, _, table, protocol, _, kind_number, flags = RTMSG.unpack_from(data, start)
    if family not in (AF_INET, AF_INET6) or flags & CLONED:
        return ()
    found = attributes(data, start + RTMSG.size, end)
    table = u32(found[RTA.TABLE]) if RTA.TABLE in found else table
    destination = network_of(family, found.get(RTA.DST), length)
    if protocol != PROTOCOL_OURS:
        if table == TABLE_LOCAL:
            return ()
        if (
            protocol == PROTOCOL_KERNEL
            and isinstance(destination, IPv6Network)
            and length
            and (destination.subnet_of(LINK_LOCAL) or destination.subnet_of(MULTICAST))
        ):
            return ()
    kind = KINDS.get(kind_number, str(kind_number))
    metric = u32(found[RTA.PRIORITY]) if RTA.PRIORITY in found else 0
    source = ip_of(family, found[RTA.PREFSRC]) if RTA.PREFSRC in found else None
    hops: Iterable[tuple[int | None, int, Attributes]] = (
        _hops(found[RTA.MULTIPATH])
        if RTA.MULTIPATH in found
        else ((u32(found[RTA.OIF]) if RTA.OIF in found else None, flags, found),)
    )
    return tuple(
        Route(
            destination=destination,
            index=None if kind in NO_DEVICE else index,  # the kernel says `dev lo` for IPv6
            gateway=_gateway(family, hop),
            table=table,
            metric=metric,
            protocol=protocol,
            kind=kind,
            source=source,
            onlink=bool(hop_flags & ONLINK),
        )
        for index, hop_flags, hop in hops
    )


def _hops(value: bytes) -> Iterator[tuple[int | None, int, Attributes]]:
    offset = 0
    while offset + NEXTHOP.size <= len(value):
        length, flags, _, index = NEXTHOP.unpack_from(value, offset)
        if length < NEXTHOP.size or offset + length > len(value):
            raise MalformedError(f"next hop of {length} bytes at offset {offset} of {len(value)}")
        yield index, flags, attributes(value, offset + NEXTHOP.size, offset + length)
        offset += (length + 3) & ~3


def _gateway(family: int, hop: Attributes) -> IPAddress | None:
    if RTA.GATEWAY in hop:
        return ip_of(family, hop[RTA.GATEWAY])
    if RTA.VIA in hop:  # an IPv4 route by an IPv6 next hop (RFC 5549)
        via = int(U16.unpack_from(hop[RTA.VIA])[0])
        return ip_of(via, hop[RTA.VIA][2:])
    return None


def rule(data: bytes, start: int, end: int) -> PolicyRule | None:
    """RTM_NEWRULE or RTM_DELRULE. None for another family than IPv4 and IPv6."""
    family, _, source_length, _, table, _, _ = RULE.unpack_from(data, start)
    if family not in (AF_INET, AF_INET6):
        return None
    found = attributes(data, start + RULE.size, end)
    suppress = u32(found[FRA.SUPPRESS_PREFIXLEN]) if FRA.SUPPRESS_PREFIXLEN in found else FOREVER
    return PolicyRule(
        family=4 if family == AF_INET else 6,
        priority=u32(found[FRA.PRIORITY]) if FRA.PRIORITY in found else 0,
        table=u32(found[FRA.TABLE]) if FRA.TABLE in found else table,
        fwmark=u32(found[FRA.FWMARK]) if FRA.FWMARK in found else None,
        fwmask=u32(found[FRA.FWMASK]) if FRA.FWMASK in found else None,
        suppress_prefixlength=None if suppress == FOREVER else suppress,
        source=network_of(family, found[FRA.SRC], source_length) if FRA.SRC in found else None,
        protocol=found[FRA.PROTOCOL][0] if FRA.PROTOCOL in found else 0,
        iif=bytes(found[FRA.IIFNAME]).rstrip(b"\0").decode() if FRA.IIFNAME in found else "",
    )

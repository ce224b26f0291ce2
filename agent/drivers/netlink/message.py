"""rtnetlink(7) messages of the kernel → values of `agent.model`. Pure: bytes and a clock reading in, values out.

Only the attributes that the router uses are read. A message that does not fit its layout raises `MalformedError`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from socket import AF_INET, AF_INET6, AF_UNSPEC
from typing import Final

from agent.drivers.netlink.layout import (
    CACHEINFO,
    FOREVER,
    FRA,
    IFA,
    IFADDR,
    IFINFO,
    IFLA,
    NDA,
    NDMSG,
    NEXTHOP,
    RTA,
    RTMSG,
    RULE,
    U16,
    U32,
    Attributes,
    MalformedError,
    attributes,
)  # fmt: skip
from agent.model import (
    PROTOCOL_KERNEL,
    PROTOCOL_OURS,
    Address,
    Deadline,
    IPAddress,
    IPInterface,
    IPNetwork,
    Link,
    Neighbour,
    PolicyRule,
    Route,
)

WRAP: Final = 1 << 32
TABLE_LOCAL: Final = 255
CLONED: Final = 0x200
ONLINK: Final = 4
IFF_UP: Final = 0x1
IFF_LOWER_UP: Final = 0x10000
OPERSTATE_CARRIER: Final = (0, 6)  # unknown (drivers that never say), up
NTF_PROXY: Final = 8
MAC_LENGTH: Final = 6

KINDS: Final = {
    1: "unicast", 2: "local", 3: "broadcast", 4: "anycast", 5: "multicast", 6: "blackhole", 7: "unreachable",
    8: "prohibit", 9: "throw",
}  # fmt: skip
NO_DEVICE: Final = frozenset({"blackhole", "unreachable", "prohibit", "throw"})
# `delay` and `probe` are the kernel verifying a stale entry: a flood that says nothing new.
STATES: Final = {1: "incomplete", 2: "reachable", 4: "stale", 8: "stale", 16: "stale", 32: "failed", 128: "permanent"}
STACKED: Final = frozenset({"vlan", "macvlan", "macvtap"})
LINK_LOCAL: Final = IPv6Network("fe80::/10")
MULTICAST: Final = IPv6Network("ff00::/8")


@dataclass(frozen=True, slots=True)
class Clock:
    """One reading of CLOCK_BOOTTIME and CLOCK_MONOTONIC, seconds. The kernel stamps addresses by the second."""

    boottime: float
    monotonic: float

    def stamp(self, hundredths: int) -> float:
        """A kernel time stamp (1/100 s of monotonic time, wrapping after 497 days) on CLOCK_BOOTTIME.

        The time spent in suspend is rounded, so that two readings of one stamp are equal.
        """
        now = int(self.monotonic * 100)
        age = (now - hundredths) % WRAP
        if age > WRAP - 6000:  # a stamp some seconds in the future: the clocks are read one after the other
            age -= WRAP
        return (now - age) / 100 + round(self.boottime - self.monotonic, 1)


def _u32(value: bytes) -> int:
    return int(U32.unpack_from(value)[0])


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode("utf-8", "surrogateescape")


def _mac(value: bytes | None) -> str:
    return value.hex(":") if value and len(value) == MAC_LENGTH and any(value) else ""


def _address(family: int, value: bytes) -> IPAddress:
    return IPv4Address(value) if family == AF_INET else IPv6Address(value)


def _interface(family: int, value: bytes, length: int) -> IPInterface:
    return IPv4Interface((value, length)) if family == AF_INET else IPv6Interface((value, length))


def _network(family: int, value: bytes | None, length: int) -> IPNetwork:
    if family == AF_INET:
        return IPv4Network((value or bytes(4), length))
    return IPv6Network((value or bytes(16), length))


def link(data: bytes, start: int, end: int) -> Link | None:
    """RTM_NEWLINK or RTM_DELLINK. None for a bridge's or a wireless extension's view of a link."""
    family, _, index, flags, _ = IFINFO.unpack_from(data, start)
    found = attributes(data, start + IFINFO.size, end)
    if family != AF_UNSPEC or IFLA.WIRELESS in found:  # the latter is a partial message
        return None
    info = found.get(IFLA.LINKINFO, b"")
    details = attributes(info, 0, len(info))
    kind = _text(details.get(IFLA.INFO_KIND, b""))
    parent = vlan = None
    if kind in STACKED and IFLA.LINK in found and IFLA.LINK_NETNSID not in found:  # else the parent is elsewhere
        parent = _u32(found[IFLA.LINK])
    if kind == "vlan":
        data = details.get(IFLA.INFO_DATA, b"")
        settings = attributes(data, 0, len(data))
        vlan = int(U16.unpack_from(settings[IFLA.VLAN_ID])[0]) if IFLA.VLAN_ID in settings else None
    mac = _mac(found.get(IFLA.ADDRESS))
    operstate = found.get(IFLA.OPERSTATE, b"\0")[0]
    return Link(
        index=index,
        name=_text(found.get(IFLA.IFNAME, b"")),
        mac=mac,
        permanent_mac=_mac(found.get(IFLA.PERM_ADDRESS)) or mac,
        mtu=_u32(found[IFLA.MTU]) if IFLA.MTU in found else 0,
        up=bool(flags & IFF_UP),
        carrier=bool(flags & IFF_LOWER_UP) and operstate in OPERSTATE_CARRIER,
        kind=kind,
        parent=parent,
        vlan=vlan,
        alias=_text(found.get(IFLA.IFALIAS, b"")),
    )


def address(data: bytes, start: int, end: int, clock: Clock) -> Address | None:
    """RTM_NEWADDR or RTM_DELADDR. None for another family than IPv4 and IPv6."""
    family, length, flags, scope, index = IFADDR.unpack_from(data, start)
    if family not in (AF_INET, AF_INET6):
        return None
    found = attributes(data, start + IFADDR.size, end)
    value = found.get(IFA.LOCAL) or found.get(IFA.ADDRESS)  # the latter is the peer's on a point-to-point link
    if value is None:
        raise MalformedError("an address without IFA_LOCAL and IFA_ADDRESS")
    flags = _u32(found[IFA.FLAGS]) if IFA.FLAGS in found else flags
    created = 0.0
    preferred: Deadline = None
    valid: Deadline = None
    if IFA.CACHEINFO in found:
        left_preferred, left_valid, born, updated = CACHEINFO.unpack_from(found[IFA.CACHEINFO])
        created = clock.stamp(born)
        # The kernel subtracts whole seconds since the update: add them to the stamp, so that every reading of the
        # same lifetime gives the same deadline.
        since = clock.stamp(updated)
        reference = since + max(0, int(clock.boottime - since))
        preferred = None if left_preferred == FOREVER else reference + left_preferred
        valid = None if left_valid == FOREVER else reference + left_valid
    return Address(
        index=index,
        ip=_interface(family, value, length),
        scope=scope,
        tentative=bool(flags & IFA.F_TENTATIVE) and not flags & IFA.F_OPTIMISTIC,  # an optimistic address is usable
        failed=bool(flags & IFA.F_DADFAILED),
        deprecated=bool(flags & IFA.F_DEPRECATED),
        protocol=found[IFA.PROTO][0] if IFA.PROTO in found else 0,
        created=created,
        preferred_until=preferred,
        valid_until=valid,
    )


def routes(data: bytes, start: int, end: int) -> tuple[Route, ...]:
    """RTM_NEWROUTE or RTM_DELROUTE: one route per next hop; none where it is the kernel's own business.

    That is: other families, cached entries, the local table, IPv6 link-local and multicast routes of the kernel.
    """
    family, length, _, _, table, protocol, _, kind_number, flags = RTMSG.unpack_from(data, start)
    if family not in (AF_INET, AF_INET6) or flags & CLONED:
        return ()
    found = attributes(data, start + RTMSG.size, end)
    table = _u32(found[RTA.TABLE]) if RTA.TABLE in found else table
    destination = _network(family, found.get(RTA.DST), length)
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
    metric = _u32(found[RTA.PRIORITY]) if RTA.PRIORITY in found else 0
    source = _address(family, found[RTA.PREFSRC]) if RTA.PREFSRC in found else None
    hops: Iterable[tuple[int | None, int, Attributes]] = (
        _hops(found[RTA.MULTIPATH])
        if RTA.MULTIPATH in found
        else ((_u32(found[RTA.OIF]) if RTA.OIF in found else None, flags, found),)
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
        return _address(family, hop[RTA.GATEWAY])
    if RTA.VIA in hop:  # an IPv4 route by an IPv6 next hop (RFC 5549)
        via = int(U16.unpack_from(hop[RTA.VIA])[0])
        return _address(via, hop[RTA.VIA][2:])
    return None


def rule(data: bytes, start: int, end: int) -> PolicyRule | None:
    """RTM_NEWRULE or RTM_DELRULE. None for another family than IPv4 and IPv6."""
    family, _, source_length, _, table, _, _ = RULE.unpack_from(data, start)
    if family not in (AF_INET, AF_INET6):
        return None
    found = attributes(data, start + RULE.size, end)
    suppress = _u32(found[FRA.SUPPRESS_PREFIXLEN]) if FRA.SUPPRESS_PREFIXLEN in found else FOREVER
    return PolicyRule(
        family=4 if family == AF_INET else 6,
        priority=_u32(found[FRA.PRIORITY]) if FRA.PRIORITY in found else 0,
        table=_u32(found[FRA.TABLE]) if FRA.TABLE in found else table,
        fwmark=_u32(found[FRA.FWMARK]) if FRA.FWMARK in found else None,
        fwmask=_u32(found[FRA.FWMASK]) if FRA.FWMASK in found else None,
        suppress_prefixlength=None if suppress == FOREVER else suppress,
        source=_network(family, found[FRA.SRC], source_length) if FRA.SRC in found else None,
        protocol=found[FRA.PROTOCOL][0] if FRA.PROTOCOL in found else 0,
        iif=bytes(found[FRA.IIFNAME]).rstrip(b"\0").decode() if FRA.IIFNAME in found else "",
    )


def neighbour(data: bytes, start: int, end: int) -> Neighbour | None:
    """RTM_NEWNEIGH or RTM_DELNEIGH. None for a bridge's table and proxies; state "" if it needs none."""
    family, index, state, flags, _ = NDMSG.unpack_from(data, start)
    if family not in (AF_INET, AF_INET6) or flags & NTF_PROXY:
        return None
    found = attributes(data, start + NDMSG.size, end)
    if NDA.DST not in found:
        return None
    return Neighbour(
        index=index,
        ip=_address(family, found[NDA.DST]),
        mac=_mac(found.get(NDA.LLADDR)),
        state=STATES.get(state, ""),
        protocol=found[NDA.PROTOCOL][0] if NDA.PROTOCOL in found else 0,
    )

"""rtnetlink(7) messages of the kernel → values of `agent.model`. Pure: bytes and a clock reading in, values out.

Only the attributes that the router uses are read. A message that does not fit its layout raises `MalformedError`.
"""

from __future__ import annotations

from dataclasses import dataclass
from socket import AF_INET, AF_INET6, AF_UNSPEC
from typing import Final

from agent.drivers.netlink.layout import (
    CACHEINFO,
    FOREVER,
    IFA,
    IFADDR,
    IFINFO,
    IFLA,
    NDA,
    NDMSG,
    U16,
    MalformedError,
    attributes,
)  # fmt: skip
from agent.drivers.netlink.values import interface_of, ip_of, mac_of, text, u32
from agent.model import (
    Address,
    Deadline,
    Link,
    Neighbour,
)

WRAP: Final = 1 << 32
IFF_UP: Final = 0x1
IFF_LOWER_UP: Final = 0x10000
OPERSTATE_CARRIER: Final = (0, 6)  # unknown (drivers that never say), up
NTF_PROXY: Final = 8

# `delay` and `probe` are the kernel verifying a stale entry: a flood that says nothing new.
STATES: Final = {1: "incomplete", 2: "reachable", 4: "stale", 8: "stale", 16: "stale", 32: "failed", 128: "permanent"}
STACKED: Final = frozenset({"vlan", "macvlan", "macvtap"})


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


def link(data: bytes, start: int, end: int) -> Link | None:
    """RTM_NEWLINK or RTM_DELLINK. None for a bridge's or a wireless extension's view of a link."""
    family, _, index, flags, _ = IFINFO.unpack_from(data, start)
    found = attributes(data, start + IFINFO.size, end)
    if family != AF_UNSPEC or IFLA.WIRELESS in found:  # the latter is a partial message
        return None
    info = found.get(IFLA.LINKINFO, b"")
    details = attributes(info, 0, len(info))
    kind = text(details.get(IFLA.INFO_KIND, b""))
    parent = vlan = None
    if kind in STACKED and IFLA.LINK in found and IFLA.LINK_NETNSID not in found:  # else the parent is elsewhere
        parent = u32(found[IFLA.LINK])
    if kind == "vlan":
        data = details.get(IFLA.INFO_DATA, b"")
        settings = attributes(data, 0, len(data))
        vlan = int(U16.unpack_from(settings[IFLA.VLAN_ID])[0]) if IFLA.VLAN_ID in settings else None
    mac = mac_of(found.get(IFLA.ADDRESS))
    operstate = found.get(IFLA.OPERSTATE, b"\0")[0]
    return Link(
        index=index,
        name=text(found.get(IFLA.IFNAME, b"")),
        mac=mac,
        permanent_mac=mac_of(found.get(IFLA.PERM_ADDRESS)) or mac,
        mtu=u32(found[IFLA.MTU]) if IFLA.MTU in found else 0,
        up=bool(flags & IFF_UP),
        carrier=bool(flags & IFF_LOWER_UP) and operstate in OPERSTATE_CARRIER,
        kind=kind,
        parent=parent,
        vlan=vlan,
        alias=text(found.get(IFLA.IFALIAS, b"")),
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
    flags = u32(found[IFA.FLAGS]) if IFA.FLAGS in found else flags
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
        ip=interface_of(family, value, length),
        scope=scope,
        tentative=bool(flags & IFA.F_TENTATIVE) and not flags & IFA.F_OPTIMISTIC,  # an optimistic address is usable
        failed=bool(flags & IFA.F_DADFAILED),
        deprecated=bool(flags & IFA.F_DEPRECATED),
        protocol=found[IFA.PROTO][0] if IFA.PROTO in found else 0,
        created=created,
        preferred_until=preferred,
        valid_until=valid,
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
        ip=ip_of(family, found[NDA.DST]),
        mac=mac_of(found.get(NDA.LLADDR)),
        state=STATES.get(state, ""),
        protocol=found[NDA.PROTOCOL][0] if NDA.PROTOCOL in found else 0,
    )

"""The layout of rtnetlink(7) messages: linux/rtnetlink.h, if_link.h, if_addr.h, fib_rules.h and neighbour.h."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, TypeAlias

HEADER: Final = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
IFINFO: Final = struct.Struct("=BxHiII")  # family, device type, index, flags, change
IFADDR: Final = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, index
RTMSG: Final = struct.Struct("=BBBBBBBBI")  # family, dst, src, tos, table, protocol, scope, type, flags
RULE: Final = struct.Struct("=BBBBBxxBI")  # family, dst, src, tos, table, action, flags
NDMSG: Final = struct.Struct("=BxxxiHBB")  # family, index, state, flags, type
ATTRIBUTE: Final = struct.Struct("=HH")
NEXTHOP: Final = struct.Struct("=HBBi")
U16: Final = struct.Struct("=H")
U32: Final = struct.Struct("=I")
CACHEINFO: Final = struct.Struct("=IIII")  # preferred, valid (seconds left), created, updated (1/100 s)

FOREVER: Final = 0xFFFFFFFF
NESTED_MASK: Final = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER


class IFLA:
    """Attributes of a link (linux/if_link.h)."""

    ADDRESS = 1
    IFNAME = 3
    MTU = 4
    LINK = 5
    WIRELESS = 11
    OPERSTATE = 16
    LINKINFO = 18
    IFALIAS = 20
    EXT_MASK = 29
    LINK_NETNSID = 37
    PERM_ADDRESS = 54
    INFO_KIND = 1  # within LINKINFO
    INFO_DATA = 2
    VLAN_ID = 1  # within INFO_DATA


class IFA:
    """Attributes and flags of an address (linux/if_addr.h)."""

    ADDRESS = 1
    LOCAL = 2
    CACHEINFO = 6
    FLAGS = 8
    PROTO = 11
    F_OPTIMISTIC = 0x04
    F_DADFAILED = 0x08
    F_DEPRECATED = 0x20
    F_TENTATIVE = 0x40


class RTA:
    """Attributes of a route (linux/rtnetlink.h)."""

    DST = 1
    OIF = 4
    GATEWAY = 5
    PRIORITY = 6
    PREFSRC = 7
    MULTIPATH = 9
    TABLE = 15
    VIA = 18


class FRA:
    """Attributes of a rule (linux/fib_rules.h)."""

    SRC = 2
    IIFNAME = 3
    PRIORITY = 6
    FWMARK = 10
    SUPPRESS_PREFIXLEN = 14
    TABLE = 15
    FWMASK = 16
    PROTOCOL = 21


class NDA:
    """Attributes of a neighbour entry (linux/neighbour.h)."""

    DST = 1
    LLADDR = 2
    PROTOCOL = 12


class MalformedError(ValueError):
    """A message that does not fit its layout; it names what is wrong."""


Attributes: TypeAlias = dict[int, bytes]


def attributes(data: bytes, start: int, end: int) -> Attributes:
    """The attributes between two offsets, by their type."""
    found: Attributes = {}
    while start + 4 <= end:
        length, kind = ATTRIBUTE.unpack_from(data, start)
        if length < ATTRIBUTE.size or start + length > end:
            raise MalformedError(f"attribute of {length} bytes at offset {start} of {end}")
        found[kind & NESTED_MASK] = data[start + 4 : start + length]
        start += (length + 3) & ~3
    return found


Message: TypeAlias = tuple[int, int, int, int]  # type, flags, offsets of the payload's start and end


def messages(data: bytes) -> Iterator[Message]:
    """The messages of a datagram."""
    offset = 0
    while offset + HEADER.size <= len(data):
        length, kind, flags, _, _ = HEADER.unpack_from(data, offset)
        if length < HEADER.size or offset + length > len(data):
            raise MalformedError(f"message of {length} bytes at offset {offset} of {len(data)}")
        yield kind, flags, offset + HEADER.size, offset + length
        offset += (length + 3) & ~3

"""rtnetlink(7) messages as bytes, for requests that come by the thousand: linux/rtnetlink.h, if_addr.h, neighbour.h."""

from __future__ import annotations

import struct
from typing import Final

HEADER: Final = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
RTMSG: Final = struct.Struct("=BBBBBBBBI")  # family, dst, src, tos, table, protocol, scope, type, flags
IFADDR: Final = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, index
NDMSG: Final = struct.Struct("=BxxxiHBB")  # family, index, state, flags, type
NEXTHOP_VIA: Final = struct.Struct("=H")  # rtvia: family, then the address
_ATTRIBUTE: Final = struct.Struct("=HH")
_U32: Final = struct.Struct("=HHI")

RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_PREFSRC, RTA_TABLE, RTA_VIA = 1, 4, 5, 6, 7, 15, 18
IFA_ADDRESS, IFA_LOCAL, IFA_FLAGS, IFA_PROTO = 1, 2, 8, 11
NDA_DST, NDA_LLADDR, NDA_PROTOCOL = 1, 2, 12

# Answers: NLMSG_ERROR with the error first, its text as an attribute behind the request's header.
ERROR: Final = 2
CODE: Final = struct.Struct("=i")
SOL_NETLINK, NETLINK_CAP_ACK, NETLINK_EXT_ACK = 270, 10, 11
TLVS: Final = 0x200
ATTRIBUTE_MESSAGE: Final = 1


def attribute(kind: int, value: bytes) -> bytes:
    """An attribute, padded to four bytes."""
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + bytes(-len(value) % 4)


def number(kind: int, value: int) -> bytes:
    """An attribute of 32 bits."""
    return _U32.pack(8, kind, value)


def error_text(data: bytes, start: int, end: int) -> str:
    """The kernel's words for an error (NLMSGERR_ATTR_MSG), empty for none; `start`: behind the request's header."""
    while start + _ATTRIBUTE.size <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, start)
        if length < _ATTRIBUTE.size or start + length > end:
            break
        if kind == ATTRIBUTE_MESSAGE:
            return data[start + 4 : start + length].rstrip(b"\0").decode("utf-8", "replace")
        start += (length + 3) & ~3
    return ""

"""Values of attributes of rtnetlink(7) messages, as `agent.model` has them."""

from __future__ import annotations

from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from socket import AF_INET
from typing import Final

from agent.drivers.netlink.layout import U32
from agent.model import IPAddress, IPInterface, IPNetwork

MAC_LENGTH: Final = 6


def u32(value: bytes) -> int:
    """An unsigned number of the host's byte order."""
    return int(U32.unpack_from(value)[0])


def text(value: bytes) -> str:
    """A name, without its end."""
    return value.rstrip(b"\0").decode("utf-8", "surrogateescape")


def mac_of(value: bytes | None) -> str:
    """A MAC in lower case, empty for none."""
    return value.hex(":") if value and len(value) == MAC_LENGTH and any(value) else ""


def ip_of(family: int, value: bytes) -> IPAddress:
    """An address of a family."""
    return IPv4Address(value) if family == AF_INET else IPv6Address(value)


def interface_of(family: int, value: bytes, length: int) -> IPInterface:
    """An address with the length of its prefix."""
    return IPv4Interface((value, length)) if family == AF_INET else IPv6Interface((value, length))


def network_of(family: int, value: bytes | None, length: int) -> IPNetwork:
    """A prefix; without a value the default one."""
    if family == AF_INET:
        return IPv4Network((value or bytes(4), length))
    return IPv6Network((value or bytes(16), length))

"""Sockets of probes, each bound to one device: what they send leaves by it whatever the routes say."""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
from collections.abc import Iterable, Iterator
from typing import Final

from agent.drivers.probe.packet import ADVERTISEMENT
from agent.model import Family, IPAddress

_SOL_RAW: Final = 255
_ICMP_FILTER: Final = 1
_ICMP6_FILTER: Final = 1
_SO_ATTACH_FILTER: Final = 26
_HOPS: Final = 255  # RFC 4861 section 7.1.1: a router would have made it less
ETHERTYPE_ARP: Final = 0x0806
# ldh [6]; jeq #2, 0, 1; ret #-1; ret #0: ARP replies only, the requests of a whole customer link wake nobody
_ARP_REPLIES: Final = ((0x28, 0, 0, 6), (0x15, 0, 1, 2), (0x06, 0, 0, 0xFFFFFFFF), (0x06, 0, 0, 0))


def bound(family: Family, kind: int, protocol: int, device: str, source: IPAddress | None) -> socket.socket:
    """A socket that does not block, of an address family, bound to `device` and to `source`. Raises OSError."""
    made = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, kind, protocol)  # noqa: PLR2004
    with _closed_on_error(made):
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode() + b"\0")
        if source is not None:
            made.bind((str(source), 0))
    return made


def icmp(family: Family, device: str, source: IPAddress | None, types: Iterable[int]) -> socket.socket:
    """A raw socket that receives these ICMP types only. Raises OSError."""
    protocol = socket.IPPROTO_ICMP if family == 4 else socket.IPPROTO_ICMPV6  # noqa: PLR2004
    made = bound(family, socket.SOCK_RAW, protocol, device, source)
    with _closed_on_error(made):
        if family == 4:  # noqa: PLR2004
            mask = 0xFFFFFFFF ^ sum(1 << kind for kind in types)
            made.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", mask))
        else:
            blocked = (1 << 256) - 1 ^ sum(1 << kind for kind in types)
            words = [blocked >> shift & 0xFFFFFFFF for shift in range(0, 256, 32)]
            made.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, struct.pack("=8I", *words))
    return made


def discovery(device: str) -> socket.socket:
    """For neighbour solicitations and the advertisements that answer them. Raises OSError."""
    made = icmp(6, device, None, [ADVERTISEMENT])
    with _closed_on_error(made):
        for option in (socket.IPV6_UNICAST_HOPS, socket.IPV6_MULTICAST_HOPS):
            made.setsockopt(socket.IPPROTO_IPV6, option, _HOPS)
    return made


def arp(device: str) -> socket.socket:
    """For ARP requests and replies. Raises OSError."""
    made = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    with _closed_on_error(made):
        made.setblocking(False)
        code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in _ARP_REPLIES))
        program = struct.pack("HP", len(_ARP_REPLIES), ctypes.addressof(code))
        made.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
        made.bind((device, ETHERTYPE_ARP))
    return made


def mac_of(device: str) -> bytes:
    """The link-layer address of a device, empty where it has none. Raises OSError."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as asked:
        asked.bind((device, 0))
        address: bytes = asked.getsockname()[4]
    return address if len(address) == 6 else b""  # noqa: PLR2004 - Ethernet


@contextlib.contextmanager
def _closed_on_error(made: socket.socket) -> Iterator[None]:
    try:
        yield
    except BaseException:
        made.close()
        raise

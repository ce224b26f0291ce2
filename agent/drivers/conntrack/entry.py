"""Messages of conntrack netlink (linux/netfilter/nfnetlink_conntrack.h): written, sent, read.

A general decoder takes 100 µs for an entry; a deletion heeds the family only if `nfgenmsg.version` is not 0.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from typing import Final

from agent.model import IPNetwork

NETLINK_NETFILTER: Final = 12
CT_GET: Final = 0x101  # NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET
CT_DELETE: Final = 0x102
REQUEST_DUMP: Final = 0x301
REQUEST_ACK: Final = 0x5
ERROR: Final = 2
DONE: Final = 3
HEADER: Final = struct.Struct("=IHHII")
GENERIC: Final = struct.Struct("=BBH")  # nfgenmsg: family, version, resource id
ATTRIBUTE: Final = struct.Struct("=HH")
TUPLE_ORIG, TUPLE_REPLY, STATUS, MARK, ID, ZONE, MARK_MASK, STATUS_MASK = 1, 2, 3, 8, 12, 18, 21, 26
PROTOCOL_INFO: Final = 4
TUPLE_IP, TUPLE_PROTOCOL = 1, 2
PROTOCOL_NUMBER, SOURCE_PORT, DESTINATION_PORT = 1, 2, 3
INFO_TCP, TCP_STATE = 1, 1
# Of nf_conntrack_tcp.h: established, and those where one side may still wait for the other.
OPEN: Final = {3, 4, 5}
SOURCE: Final = {4: 1, 6: 3}  # CTA_IP_V4_SRC, CTA_IP_V6_SRC
DESTINATION: Final = {4: 2, 6: 4}
FAMILY: Final = {4: socket.AF_INET, 6: socket.AF_INET6}
SRC_NAT: Final = 1 << 4  # IPS_SRC_NAT
TYPE_MASK: Final = 0x3FFF
BATCH: Final = 64
Attributes = dict[int, bytes]


def bits(network: IPNetwork) -> tuple[int, int]:
    """A network as its first address and mask."""
    return int(network.network_address), int(network.netmask)


def ip_of(value: bytes, kind: int) -> bytes:
    """An address of a tuple: CTA_TUPLE_IP, then by kind."""
    return inner(value, TUPLE_IP).get(kind, b"")


def inner(value: bytes, kind: int) -> Attributes:
    """The attributes nested in one of the attributes nested in `value`."""
    inner = _attributes(value, 0, len(value)).get(kind, b"")
    return _attributes(inner, 0, len(inner))


def number(entry: Attributes, kind: int) -> int:
    """A number of 32 bits, 0 where there is none."""
    return int(struct.unpack(">I", entry[kind])[0]) if kind in entry else 0


def entries(kernel: socket.socket) -> Iterator[Attributes]:
    """The entries of a dump, to its end."""
    while True:
        data = kernel.recv(1 << 18)
        for kind, start, end in _messages(data):
            if kind == DONE:
                return
            if kind == ERROR:
                _raise(data, start)
            yield _attributes(data, start + GENERIC.size, end)


def request(kernel: socket.socket, requests: list[bytes]) -> int:
    """Send requests at once; how many the kernel carried out. Entries that went by themselves are no error."""
    if requests:
        kernel.send(b"".join(requests))
    done = answers = 0
    while answers < len(requests):
        data = kernel.recv(1 << 18)
        for kind, start, _ in _messages(data):
            if kind != ERROR:
                continue
            answers += 1
            if _code(data, start) == 0:
                done += 1
            elif _code(data, start) != errno.ENOENT:
                _raise(data, start)
    return done


def _code(data: bytes, start: int) -> int:
    return -int(struct.unpack_from("=i", data, start)[0])


def _raise(data: bytes, start: int) -> None:
    raise OSError(_code(data, start), os.strerror(_code(data, start)))


def _messages(data: bytes) -> Iterator[tuple[int, int, int]]:
    offset = 0
    while offset + HEADER.size <= len(data):
        length, kind, _, _, _ = HEADER.unpack_from(data, offset)
        yield kind, offset + HEADER.size, offset + length
        offset += max(HEADER.size, (length + 3) & ~3)


def _attributes(data: bytes, start: int, end: int) -> Attributes:
    found: Attributes = {}
    while start + ATTRIBUTE.size <= end:
        length, kind = ATTRIBUTE.unpack_from(data, start)
        found[kind & TYPE_MASK] = data[start + ATTRIBUTE.size : start + length]
        start += max(ATTRIBUTE.size, (length + 3) & ~3)
    return found


def attribute(kind: int, value: bytes, *, raw: bool = False) -> bytes:
    """One attribute; `raw` for a value copied from the kernel, where a tuple is a nest."""
    nested = 0x8000 if raw and kind == TUPLE_ORIG else 0
    return ATTRIBUTE.pack(ATTRIBUTE.size + len(value), kind | nested) + value + bytes(-len(value) % 4)


def message(kind: int, flags: int, family: int, attributes: bytes) -> bytes:
    """One request."""
    length = HEADER.size + GENERIC.size + len(attributes)
    return HEADER.pack(length, kind, flags, 1, 0) + GENERIC.pack(FAMILY[family], 1, 0) + attributes

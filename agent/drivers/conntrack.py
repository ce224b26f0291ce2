"""Ends connections by conntrack netlink (linux/netfilter/nfnetlink_conntrack.h): those that a plan names, and no other.

A mark alone is one message: the kernel finds and deletes by itself. What depends on addresses is read by a dump that
the kernel filters (family, mark; the status since 5.15), decided here, and deleted entry by entry, each named by its
tuple and its id, so that a new connection with the tuple of an old one is not hit. Everything runs in a thread of its
own: a large table takes the kernel some milliseconds.

Two facts shape this: a deletion heeds the family only if `nfgenmsg.version` is not 0, and a general decoder takes
100 µs for an entry, under which the loop would suffer.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import structlog

from agent.desired import FlowEnd
from agent.model import IPNetwork

log = structlog.get_logger(__name__)

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
TUPLE_IP: Final = 1
SOURCE: Final = {4: 1, 6: 3}  # CTA_IP_V4_SRC, CTA_IP_V6_SRC
DESTINATION: Final = {4: 2, 6: 4}
FAMILY: Final = {4: socket.AF_INET, 6: socket.AF_INET6}
SRC_NAT: Final = 1 << 4  # IPS_SRC_NAT
TYPE_MASK: Final = 0x3FFF
BATCH: Final = 64
HINTS: Final = {
    errno.EPERM: "give the container NET_ADMIN (compose: cap_add: [NET_ADMIN])",
    errno.EINVAL: "the kernel lacks nf_conntrack_netlink: load the module on the host",
    errno.EPROTONOSUPPORT: "the kernel lacks nfnetlink: load nf_conntrack_netlink on the host",
}

Attributes = dict[int, bytes]


class ConntrackError(Exception):
    """Connections could not be ended; `hint` says how to mend it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Conntrack:
    """Ends connections. Holds nothing open between two calls."""

    async def end(self, flows: tuple[FlowEnd, ...]) -> int:
        """End the connections that match any of `flows`; how many, where the kernel says it (not for a mark alone).

        Raises:
            ConntrackError: the kernel refused, or a `FlowEnd` names no criterion and would end everything.
        """
        if not flows:
            return 0
        for flow in flows:
            if flow.mark is None and not _by_address(flow):
                raise ConntrackError(f"{flow} would end every connection")
        try:
            return await asyncio.get_running_loop().run_in_executor(None, partial(_end, flows))
        except OSError as error:
            raise ConntrackError(f"end connections: {error}", HINTS.get(error.errno or 0, "")) from error


def _end(flows: tuple[FlowEnd, ...]) -> int:
    ended = 0
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as kernel:
        kernel.bind((0, 0))
        for flow in flows:
            if not _by_address(flow):
                _request(kernel, [_message(CT_DELETE, REQUEST_ACK, flow.family, _marks(flow))])
            else:
                ended += _end_chosen(kernel, flow)
    if ended:
        log.info("connections ended", count=ended)
    return ended


def _by_address(flow: FlowEnd) -> bool:
    """Whether more than the mark decides."""
    return _translated(flow) or flow.inside is not None


def _dump(kernel: socket.socket, flow: FlowEnd) -> Iterator[Attributes]:
    """The entries of the family and mark, and where only they are meant, the source-translated ones."""
    status = b""
    if _translated(flow):
        status = _attribute(STATUS, struct.pack(">I", SRC_NAT)) + _attribute(STATUS_MASK, struct.pack(">I", SRC_NAT))
    kernel.send(_message(CT_GET, REQUEST_DUMP, flow.family, _marks(flow) + status))
    return _entries(kernel)


def _translated(flow: FlowEnd) -> bool:
    return flow.translated_source_not_in is not None or flow.sources is not None


def _end_chosen(kernel: socket.socket, flow: FlowEnd) -> int:
    """Dump, choose, delete; how many were deleted."""
    chosen = _chooser(flow)
    deletions = [
        _message(CT_DELETE, REQUEST_ACK, flow.family, b"".join(_attribute(k, e[k], raw=True) for k in _NAME if k in e))
        for e in _dump(kernel, flow)
        if chosen(e)
    ]
    return sum(_request(kernel, deletions[start : start + BATCH]) for start in range(0, len(deletions), BATCH))


_NAME: Final = (TUPLE_ORIG, ZONE, ID)  # what names one entry


def _chooser(flow: FlowEnd) -> Callable[[Attributes], bool]:
    """The criteria that the kernel does not check, or that an old one does not."""
    keep = None
    if flow.translated_source_not_in is not None:
        keep = {ip.packed for ip in flow.translated_source_not_in if ip.version == flow.family}
    translated = _translated(flow)
    sources = [part for part in (flow.sources, flow.inside) if part is not None]
    networks = [[_bits(network) for network in part if network.version == flow.family] for part in sources]

    def chosen(entry: Attributes) -> bool:
        if translated and not _number(entry, STATUS) & SRC_NAT:
            return False
        if flow.mark is not None and _number(entry, MARK) & flow.mask != flow.mark & flow.mask:
            return False
        if keep is not None and _ip(entry[TUPLE_REPLY], DESTINATION[flow.family]) in keep:
            return False
        source = int.from_bytes(_ip(entry[TUPLE_ORIG], SOURCE[flow.family]), "big")
        return all(any(source & mask == first for first, mask in part) for part in networks)

    return chosen


def _bits(network: IPNetwork) -> tuple[int, int]:
    return int(network.network_address), int(network.netmask)


def _ip(value: bytes, kind: int) -> bytes:
    """An address of a tuple: CTA_TUPLE_IP, then by kind."""
    addresses = _attributes(value, 0, len(value)).get(TUPLE_IP, b"")
    return _attributes(addresses, 0, len(addresses)).get(kind, b"")


def _number(entry: Attributes, kind: int) -> int:
    return int(struct.unpack(">I", entry[kind])[0]) if kind in entry else 0


def _marks(flow: FlowEnd) -> bytes:
    if flow.mark is None:
        return b""
    mark = struct.pack(">I", flow.mark & flow.mask)
    return _attribute(MARK, mark) + _attribute(MARK_MASK, struct.pack(">I", flow.mask))


def _entries(kernel: socket.socket) -> Iterator[Attributes]:
    """The entries of a dump, to its end."""
    while True:
        data = kernel.recv(1 << 18)
        for kind, start, end in _messages(data):
            if kind == DONE:
                return
            if kind == ERROR:
                _raise(data, start)
            yield _attributes(data, start + GENERIC.size, end)


def _request(kernel: socket.socket, requests: list[bytes]) -> int:
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


def _attribute(kind: int, value: bytes, *, raw: bool = False) -> bytes:
    """One attribute; `raw` for a value copied from the kernel, where a tuple is a nest."""
    nested = 0x8000 if raw and kind == TUPLE_ORIG else 0
    return ATTRIBUTE.pack(ATTRIBUTE.size + len(value), kind | nested) + value + bytes(-len(value) % 4)


def _message(kind: int, flags: int, family: int, attributes: bytes) -> bytes:
    length = HEADER.size + GENERIC.size + len(attributes)
    return HEADER.pack(length, kind, flags, 1, 0) + GENERIC.pack(FAMILY[family], 1, 0) + attributes

"""Ends connections by conntrack netlink (linux/netfilter/nfnetlink_conntrack.h): those that a plan names, and no other.

A mark alone is one message: the kernel finds and deletes by itself. What depends on addresses is read by a dump that
the kernel filters (family, mark; the status since 5.15), decided here, and deleted entry by entry, each named by its
tuple and its id, so that a new connection with the tuple of an old one is not hit. Everything runs in a thread of its
own: a large table takes the kernel some milliseconds.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections.abc import Callable, Iterator
from functools import partial
from ipaddress import ip_address
from typing import Final

import structlog

from agent.desired import FlowEnd
from agent.drivers.conntrack.entry import (
    BATCH,
    CT_DELETE,
    CT_GET,
    DESTINATION,
    DESTINATION_PORT,
    ID,
    INFO_TCP,
    MARK,
    MARK_MASK,
    NETLINK_NETFILTER,
    OPEN,
    PROTOCOL_INFO,
    PROTOCOL_NUMBER,
    REQUEST_ACK,
    REQUEST_DUMP,
    SOURCE,
    SOURCE_PORT,
    SRC_NAT,
    STATUS,
    STATUS_MASK,
    TCP_STATE,
    TUPLE_ORIG,
    TUPLE_PROTOCOL,
    TUPLE_REPLY,
    ZONE,
    Attributes,
    attribute,
    bits,
    entries,
    inner,
    ip_of,
    message,
    number,
    request,
)
from agent.model import TcpFlow

log = structlog.get_logger(__name__)

HINTS: Final = {
    errno.EPERM: "give the container NET_ADMIN (compose: cap_add: [NET_ADMIN])",
    errno.EINVAL: "the kernel lacks nf_conntrack_netlink: load the module on the host",
    errno.EPROTONOSUPPORT: "the kernel lacks nfnetlink: load nf_conntrack_netlink on the host",
}


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

    async def tcp(self, flows: tuple[FlowEnd, ...]) -> tuple[TcpFlow, ...]:
        """The open TCP connections among those that `flows` with `reset` would end. Raises ConntrackError."""
        told = tuple(flow for flow in flows if flow.reset)
        if not told:
            return ()
        try:
            return await asyncio.get_running_loop().run_in_executor(None, partial(_tcp, told))
        except OSError as error:
            raise ConntrackError(f"look up connections: {error}", HINTS.get(error.errno or 0, "")) from error


def _tcp(flows: tuple[FlowEnd, ...]) -> tuple[TcpFlow, ...]:
    found: dict[TcpFlow, None] = {}
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as kernel:
        kernel.bind((0, 0))
        for flow in flows:
            chosen = _chooser(flow)
            found |= {tcp: None for entry in _dump(kernel, flow) if chosen(entry) and (tcp := _tcp_flow(entry, flow))}
    return tuple(found)


def _tcp_flow(entry: Attributes, flow: FlowEnd) -> TcpFlow | None:
    """The entry as a TCP connection that is open, None for any other."""
    ends = inner(entry.get(TUPLE_ORIG, b""), TUPLE_PROTOCOL)
    if ends.get(PROTOCOL_NUMBER) != bytes([socket.IPPROTO_TCP]):
        return None
    state = inner(entry.get(PROTOCOL_INFO, b""), INFO_TCP).get(TCP_STATE, b"\0")
    if state[0] not in OPEN:
        return None
    source, destination = (ip_of(entry[TUPLE_ORIG], kind[flow.family]) for kind in (SOURCE, DESTINATION))
    ports = (int.from_bytes(ends[kind], "big") for kind in (SOURCE_PORT, DESTINATION_PORT))
    return TcpFlow(ip_address(source), next(ports), ip_address(destination), next(ports))


def _end(flows: tuple[FlowEnd, ...]) -> int:
    ended = 0
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as kernel:
        kernel.bind((0, 0))
        for flow in flows:
            if not _by_address(flow):
                request(kernel, [message(CT_DELETE, REQUEST_ACK, flow.family, _marks(flow))])
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
        status = attribute(STATUS, struct.pack(">I", SRC_NAT)) + attribute(STATUS_MASK, struct.pack(">I", SRC_NAT))
    kernel.send(message(CT_GET, REQUEST_DUMP, flow.family, _marks(flow) + status))
    return entries(kernel)


def _translated(flow: FlowEnd) -> bool:
    return flow.translated_source_not_in is not None or flow.sources is not None


def _end_chosen(kernel: socket.socket, flow: FlowEnd) -> int:
    """Dump, choose, delete; how many were deleted."""
    chosen = _chooser(flow)
    deletions = [
        message(CT_DELETE, REQUEST_ACK, flow.family, b"".join(attribute(k, e[k], raw=True) for k in _NAME if k in e))
        for e in _dump(kernel, flow)
        if chosen(e)
    ]
    return sum(request(kernel, deletions[start : start + BATCH]) for start in range(0, len(deletions), BATCH))


_NAME: Final = (TUPLE_ORIG, ZONE, ID)  # what names one entry


def _chooser(flow: FlowEnd) -> Callable[[Attributes], bool]:
    """The criteria that the kernel does not check, or that an old one does not."""
    keep = None
    if flow.translated_source_not_in is not None:
        keep = {ip.packed for ip in flow.translated_source_not_in if ip.version == flow.family}
    translated = _translated(flow)
    sources = [part for part in (flow.sources, flow.inside) if part is not None]
    networks = [[bits(network) for network in part if network.version == flow.family] for part in sources]

    def chosen(entry: Attributes) -> bool:
        if translated and not number(entry, STATUS) & SRC_NAT:
            return False
        if flow.mark is not None and number(entry, MARK) & flow.mask != flow.mark & flow.mask:
            return False
        if keep is not None and ip_of(entry[TUPLE_REPLY], DESTINATION[flow.family]) in keep:
            return False
        source = int.from_bytes(ip_of(entry[TUPLE_ORIG], SOURCE[flow.family]), "big")
        return all(any(source & mask == first for first, mask in part) for part in networks)

    return chosen


def _marks(flow: FlowEnd) -> bytes:
    if flow.mark is None:
        return b""
    mark = struct.pack(">I", flow.mark & flow.mask)
    return attribute(MARK, mark) + attribute(MARK_MASK, struct.pack(">I", flow.mask))

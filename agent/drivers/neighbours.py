"""Answers neighbour solicitations for others (RFC 4389's kind of proxy), by the kernel's own proxy entries.

The kernel answers for single addresses only, and a docker host's containers may have any of 2^48. So whoever asks for
an address that may exist is answered from here once, and the kernel has the entry from then on: it answers the probes
that follow (RFC 4861 section 7.3), joins the address's multicast group, and goes on when this program has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import os
import socket
import struct
from bisect import bisect_right
from collections.abc import Iterator
from ipaddress import IPv6Address
from typing import Final

import structlog

from agent.desired.neighbours import ProxyNeighbours
from agent.model import PROTOCOL_OURS

# linux/rtnetlink.h, linux/neighbour.h: nlmsghdr, ndmsg, rtattr.
_HEADER: Final = struct.Struct("=IHHII")
_NDMSG: Final = struct.Struct("=BxxxiHBB")
_ATTRIBUTE: Final = struct.Struct("=HH")
_CODE: Final = struct.Struct("=i")
_NEW, _DELETE, _GET = 28, 29, 30
_REQUEST, _ACK, _CREATE, _REPLACE, _DUMP = 0x1, 0x4, 0x400, 0x100, 0x300
_ERROR, _DONE = 2, 3
_PERMANENT, _NTF_PROXY = 0x80, 0x08
_DST, _PROTOCOL = 1, 12
# linux/if_packet.h, linux/filter.h.
_ETH_P_IPV6, _SOL_PACKET, _ADD_MEMBERSHIP, _ALLMULTI, _ATTACH_FILTER = 0x86DD, 263, 1, 2, 26
_MULTICAST: Final = 2  # PACKET_MULTICAST, beside PACKET_HOST: what others send and is for us
# RFC 4861 sections 4.3 and 4.4.
_SOLICITATION, _ADVERTISEMENT, _HOP_LIMIT, _TARGET_MAC = 135, 136, 255, 2
_SOLICITED: Final = 0x40
_SHORTEST: Final = 64  # the IPv6 header and a solicitation without options
# A scan from outside makes the gateway ask for any address: so many entries are kept beside the known ones, and the
# oldest goes first. Whoever is asked for again has one again.
MOST: Final = 2048
_AT_ONCE: Final = 64

log = structlog.get_logger(__name__)


class NeighbourProxy:
    """The proxy of one link. `apply` says what to answer for, at any time."""

    def __init__(self) -> None:
        self._wanted: ProxyNeighbours | None = None
        self._socket: socket.socket | None = None
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._known: frozenset[int] = frozenset()
        self._asked: dict[int, None] = {}  # in the order they were first asked for

    def apply(self, wanted: ProxyNeighbours | None) -> None:
        """Answer for this from now on; entries of ours for anything else go. OSError where the kernel refuses."""
        if wanted != self._wanted or (wanted is not None and self._socket is None):
            self.close()
            self._set(wanted)
            self._wanted = wanted
        index = wanted.index if wanted is not None else 0
        there = set(_entries())
        for at, address in there:
            if at != index or not self._permits(address):
                _change(_DELETE, at, address)
            elif address not in self._known:
                self._asked.setdefault(address)
        for address in self._known - {address for at, address in there if at == index}:
            _change(_NEW, index, address)
        if wanted is not None and self._socket is None:
            self._listen(wanted.index)

    def close(self) -> None:
        """Answer no new questions; the kernel's entries stay."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _set(self, wanted: ProxyNeighbours | None) -> None:
        ranges = sorted((int(p.network_address), int(p.broadcast_address)) for p in wanted.prefixes) if wanted else []
        self._starts, self._ends = [start for start, _ in ranges], [end for _, end in ranges]
        self._known = frozenset(map(int, wanted.known)) if wanted is not None else frozenset()
        self._asked = {}

    def _permits(self, address: int) -> bool:
        place = bisect_right(self._starts, address) - 1
        return (place >= 0 and address <= self._ends[place]) or address in self._known

    def _listen(self, index: int) -> None:
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, socket.htons(_ETH_P_IPV6))
        try:
            opened.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, *_filter())
            opened.bind((socket.if_indextoname(index), _ETH_P_IPV6))
            # Nobody has joined the group of an address that nobody was asked for.
            opened.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, struct.pack("=iHH8x", index, _ALLMULTI, 0))
            asyncio.get_running_loop().add_reader(opened, self._readable)
        except BaseException:
            opened.close()
            raise
        self._socket = opened

    def _readable(self) -> None:
        for _ in range(_AT_ONCE):  # the loop has other work too
            if self._socket is None:
                return
            try:
                packet, place = self._socket.recvfrom(256)
            except BlockingIOError:
                return
            except OSError as error:  # the link went down; it is bound to it still
                log.debug("neighbour proxy", error=error.strerror)
                return
            if len(packet) >= _SHORTEST and place[2] in {socket.PACKET_HOST, _MULTICAST}:
                self._solicited(packet[8:24], int.from_bytes(packet[48:64]))

    def _solicited(self, source: bytes, target: int) -> None:
        wanted = self._wanted
        if wanted is None or target in self._known or target in self._asked or not self._permits(target):
            return  # the kernel answers by itself what it has an entry for
        try:
            _change(_NEW, wanted.index, target)
            self._asked[target] = None
            if len(self._asked) > MOST:
                oldest = next(iter(self._asked))
                del self._asked[oldest]
                _change(_DELETE, wanted.index, oldest)
            if any(source):  # the unspecified address: somebody looks whether it is free (RFC 4862 section 5.4)
                _advertise(wanted, source, target)
        except OSError as error:
            log.warning("neighbour proxy", address=str(IPv6Address(target)), error=error.strerror)


def _filter() -> tuple[int, bytes] | tuple[bytes]:
    """A classic BPF program on the IPv6 header: ICMPv6, hop limit 255 (it comes from this link), a solicitation."""
    program = (
        (0x30, 0, 0, 6), (0x15, 0, 5, socket.IPPROTO_ICMPV6),
        (0x30, 0, 0, 7), (0x15, 0, 3, _HOP_LIMIT),
        (0x30, 0, 0, 40), (0x15, 0, 1, _SOLICITATION),
        (0x06, 0, 0, 256), (0x06, 0, 0, 0),
    )  # fmt: skip
    return (_program(program),)


_kept: list[ctypes.Array[ctypes.c_char]] = []


def _program(lines: tuple[tuple[int, int, int, int], ...]) -> bytes:
    code = b"".join(struct.pack("=HBBI", *line) for line in lines)
    buffer = ctypes.create_string_buffer(code, len(code))
    _kept[:] = [buffer]  # the kernel reads it when the option is set
    return struct.pack("@HP", len(lines), ctypes.addressof(buffer))


def _advertise(wanted: ProxyNeighbours, to: bytes, target: int) -> None:
    """An advertisement of our own MAC for another's address, not to override one that is its owner's."""
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as raw:
        raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, _HOP_LIMIT)
        body = struct.pack("!BBHB3x", _ADVERTISEMENT, 0, 0, _SOLICITED) + target.to_bytes(16)
        body += struct.pack("!BB6s", _TARGET_MAC, 1, bytes.fromhex(wanted.mac.replace(":", "")))
        raw.sendto(body, socket.MSG_DONTWAIT, (str(IPv6Address(to)), 0, 0, wanted.index))


# --- rtnetlink(7) -------------------------------------------------------------------------------------------------


def _change(kind: int, index: int, address: int) -> None:
    """Add or delete a proxy entry. Gone already, or with its link, is as good."""
    flags = _REQUEST | _ACK | (_CREATE | _REPLACE if kind == _NEW else 0)
    body = _NDMSG.pack(socket.AF_INET6, index, _PERMANENT, _NTF_PROXY, 0)
    body += _ATTRIBUTE.pack(20, _DST) + address.to_bytes(16)
    body += _ATTRIBUTE.pack(5, _PROTOCOL) + bytes([PROTOCOL_OURS, 0, 0, 0])
    for number, _, data in _ask(kind, flags, body):
        code = -_CODE.unpack_from(data)[0] if number == _ERROR else 0
        if code and not (kind == _DELETE and code in {errno.ENOENT, errno.ENODEV}):
            raise OSError(code, os.strerror(code))


def _entries() -> Iterator[tuple[int, int]]:
    """(link, address) of the proxy entries that bear our protocol."""
    body = _NDMSG.pack(socket.AF_INET6, 0, 0, _NTF_PROXY, 0)
    for number, _, data in _ask(_GET, _REQUEST | _DUMP, body):
        if number != _NEW:
            continue
        family, index, _, flags, _ = _NDMSG.unpack_from(data)
        found, start = {}, _NDMSG.size
        while start + _ATTRIBUTE.size <= len(data):
            length, key = _ATTRIBUTE.unpack_from(data, start)
            if length < _ATTRIBUTE.size:
                break
            found[key] = data[start + 4 : start + length]
            start += (length + 3) & ~3
        ours = found.get(_PROTOCOL, b"\0")[0] == PROTOCOL_OURS
        if family == socket.AF_INET6 and flags & _NTF_PROXY and ours:
            yield index, int.from_bytes(found[_DST])


def _ask(kind: int, flags: int, body: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(type, flags, payload) of the answers to one request."""
    with contextlib.closing(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)) as netlink:
        netlink.send(_HEADER.pack(_HEADER.size + len(body), kind, flags, 1, 0) + body)
        while True:
            data, offset = netlink.recv(1 << 18), 0
            while offset + _HEADER.size <= len(data):
                length, number, marks, _, _ = _HEADER.unpack_from(data, offset)
                yield number, marks, data[offset + _HEADER.size : offset + length]
                if number in {_ERROR, _DONE}:
                    return
                offset += (length + 3) & ~3

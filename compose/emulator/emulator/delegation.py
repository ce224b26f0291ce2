"""A small DHCPv6 server (RFC 8415): delegates one prefix, and gives an address where it was told one.

It answers on `line` and on PPP links alike, adds the route to what it delegates, and says so when a client releases.
Environment: `PREFIX` (empty: delegates nothing), `ADDRESS6` (empty: gives none), `PREFERRED`, `VALID` (seconds).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from select import select

from emulator.system import ip, say, setting

SOLICIT, ADVERTISE, REQUEST, CONFIRM, RENEW, REBIND, REPLY, RELEASE, DECLINE = range(1, 10)
INFORMATION_REQUEST = 11
CLIENT_ID, SERVER_ID, IA_NA, IA_ADDRESS = 1, 2, 3, 5
STATUS, RAPID_COMMIT, DNS, IA_PD, IA_PREFIX = 13, 14, 23, 25, 26
NO_ADDRESS, NO_PREFIX = 2, 6
SERVERS = IPv6Address("ff02::1:2").packed
# A DUID of type 3 (link-layer address), made up.
DUID = bytes.fromhex("00030001020000000001")
RTMGRP_LINK, RTMGRP_IPV6_IFADDR = 0x1, 0x100
IPV6_RECVPKTINFO = 49


def options(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Code and value of each option; stops at what is cut off."""
    while len(data) >= 4:  # noqa: PLR2004 - code and length
        code, length = struct.unpack_from("!HH", data)
        yield code, data[4 : 4 + length]
        data = data[4 + length :]


def option(code: int, value: bytes) -> bytes:
    """One option as it goes on the wire."""
    return struct.pack("!HH", code, len(value)) + value


class Server:
    """The answers; `route` is called with (prefix, client, interface) for what was delegated."""

    def __init__(self, prefix: str, address: str, preferred: int, valid: int) -> None:
        self.prefix = IPv6Network(prefix) if prefix else None
        self.address = IPv6Address(address) if address else None
        self.times = struct.pack("!II", preferred, valid)
        self.renewal = struct.pack("!II", preferred // 2, preferred * 4 // 5)

    def answer(self, message: bytes) -> tuple[bytes, bool]:
        """The answer (empty: none) to a message, and whether the client now holds the prefix."""
        kind, transaction = message[0], message[1:4]
        asked = list(options(message[4:]))
        values = dict(asked)
        # A server named in the message is meant alone (RFC 8415 section 16).
        if values.get(SERVER_ID, DUID) != DUID or CLIENT_ID not in values:
            return b"", False
        rapid = kind == SOLICIT and RAPID_COMMIT in values
        head = bytes([ADVERTISE if kind == SOLICIT and not rapid else REPLY]) + transaction
        body = option(CLIENT_ID, values[CLIENT_ID]) + option(SERVER_ID, DUID)
        if kind in {RELEASE, DECLINE}:
            return head + body + option(STATUS, struct.pack("!H", 0)), False
        if kind not in {SOLICIT, REQUEST, CONFIRM, RENEW, REBIND, INFORMATION_REQUEST}:
            return b"", False
        if rapid:
            body += option(RAPID_COMMIT, b"")
        body += option(DNS, IPv6Address("2620:fe::fe").packed)
        bound = False
        for code, value in asked:
            if code == IA_NA:
                body += self._association(code, value[:4], self._address(), NO_ADDRESS)
            elif code == IA_PD:
                body += self._association(code, value[:4], self._prefix(), NO_PREFIX)
                bound = self.prefix is not None and head[0] == REPLY
        if kind == CONFIRM:
            body += option(STATUS, struct.pack("!H", 0))
        return head + body, bound

    def _association(self, code: int, iaid: bytes, inner: bytes, none: int) -> bytes:
        inner = inner or option(STATUS, struct.pack("!H", none) + b"none to give")
        return option(code, iaid + self.renewal + inner)

    def _address(self) -> bytes:
        return option(IA_ADDRESS, self.address.packed + self.times) if self.address else b""

    def _prefix(self) -> bytes:
        if self.prefix is None:
            return b""
        length = bytes([self.prefix.prefixlen])
        return option(IA_PREFIX, self.times + length + self.prefix.network_address.packed)


def main() -> int:
    """Serve until the container ends."""
    server = Server(
        setting("PREFIX", ""), setting("ADDRESS6", ""), int(setting("PREFERRED", "1800")), int(setting("VALID", "3600"))
    )
    requests = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    requests.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
    requests.bind(("::", 547))
    # A PPP link is a new interface each time it comes up.
    links = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    links.bind((0, RTMGRP_LINK | RTMGRP_IPV6_IFADDR))
    _join(requests)
    while True:
        ready, _, _ = select([requests, links], [], [])
        if links in ready:
            links.recv(65536)
            _join(requests)
        if requests in ready:
            _serve(server, requests)


def _join(requests: socket.socket) -> None:
    for path in Path("/sys/class/net").iterdir():
        if path.name.startswith(("line", "ppp")):
            try:
                index = socket.if_nametoindex(path.name)
                requests.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, SERVERS + struct.pack("@I", index))
            except OSError:
                continue  # a member already, or gone again


def _serve(server: Server, requests: socket.socket) -> None:
    message, _, _, sender = requests.recvmsg(65536)
    client, scope = str(sender[0]).partition("%")[0], sender[3]
    interface = socket.if_indextoname(scope)
    if message[:1] == bytes([RELEASE]):
        say(f"RELEASE from {client} on {interface}")
    reply, bound = server.answer(message)
    if not reply:
        return
    if bound and server.prefix:
        say(f"delegated {server.prefix} to {client} on {interface}")
        ip("route", "replace", str(server.prefix), "via", client, "dev", interface)
    requests.sendto(reply, (client, sender[1], 0, scope))

"""Tells hosts that their TCP connections have ended, so that they connect again at once, idle ones too.

A host is provoked: one forged SYN (remote → host) for each connection just deleted. It answers a SYN of a connection it
has with a challenge ACK (RFC 5961 section 4.2), which the firewall knows no longer: its rules reject it with a reset
that the host believes (`table inet router_state`, agent.render.nft_ended). The forged packets bear `FORGED_MARK`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterable
from functools import partial
from typing import Final

from agent.desired.firewall import FORGED_MARK
from agent.model import TcpFlow

IPV4: Final = struct.Struct("!BBHHHBBH4s4s")
IPV6: Final = struct.Struct("!IHBB16s16s")
TCP: Final = struct.Struct("!HHIIBBHHH")
SYN: Final = 0x02
HOP_LIMIT: Final = 64
# Any sequence number is answered, inside the window or not.
SEQUENCE: Final = 0x5EED5EED
FAMILY: Final = {4: socket.AF_INET, 6: socket.AF_INET6}


class ResetError(Exception):
    """Packets cannot be forged; `hint` says how to mend it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Resetter:
    """Sends the forged packets. Holds nothing open between two calls."""

    async def provoke(self, flows: tuple[TcpFlow, ...]) -> int:
        """Provoke each host once; how many packets left. A host that is gone is no error.

        Raises:
            ResetError: the container may not open raw sockets.
        """
        if not flows:
            return 0
        try:
            return await asyncio.get_running_loop().run_in_executor(None, partial(_provoke, flows))
        except PermissionError as error:
            hint = "give the container NET_RAW (compose: cap_add: [NET_RAW])"
            raise ResetError(f"reset connections: {error}", hint) from error


def _provoke(flows: Iterable[TcpFlow]) -> int:
    sent = 0
    with contextlib.ExitStack() as stack:
        sockets: dict[int, socket.socket] = {}
        for flow in flows:
            version = flow.source.version
            if version not in sockets:
                sockets[version] = stack.enter_context(_socket(version))
            with contextlib.suppress(OSError):  # no such host any more, or no room in the queue
                sockets[version].sendto(packet(flow), (str(flow.source), 0))
                sent += 1
    return sent


def _socket(version: int) -> socket.socket:
    opened = socket.socket(FAMILY[version], socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_RAW)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, FORGED_MARK)
    except OSError:
        opened.close()
        raise
    return opened


def packet(flow: TcpFlow) -> bytes:
    """An IP packet with a SYN from the remote end of `flow` to its source (RFC 791, RFC 8200, RFC 9293)."""
    remote, host = flow.destination.packed, flow.source.packed
    ports = flow.destination_port, flow.source_port
    pseudo = remote + host + struct.pack("!II", TCP.size, socket.IPPROTO_TCP)
    blank = TCP.pack(*ports, SEQUENCE, 0, TCP.size // 4 << 4, SYN, 0, 0, 0)
    segment = TCP.pack(*ports, SEQUENCE, 0, TCP.size // 4 << 4, SYN, 0, checksum(pseudo + blank), 0)
    if flow.source.version == 4:  # noqa: PLR2004
        # The kernel fills in identification and checksum (raw(7)).
        header = IPV4.pack(0x45, 0, IPV4.size + TCP.size, 0, 0, HOP_LIMIT, socket.IPPROTO_TCP, 0, remote, host)
    else:
        header = IPV6.pack(6 << 28, TCP.size, socket.IPPROTO_TCP, HOP_LIMIT, remote, host)
    return header + segment


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    total = int(sum(struct.unpack(f"!{len(data) // 2}H", data)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF

"""rtnetlink sockets on pyroute2's asyncio core: it opens, sizes and binds them and watches them in the loop.

Datagrams go to a plain function as they arrive, undecoded: `message.py` reads only what the router uses, ten times
faster than a general decoder, and an event needs no further turn of the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import struct
from collections.abc import Callable
from socket import SOL_SOCKET
from typing import Any, Final, Self

from pyroute2.netlink.rtnl.iprsocket import AsyncIPRSocket

from agent.drivers.netlink.layout import HEADER, IFADDR, IFINFO, IFLA, NDMSG, RTMSG, RULE, MalformedError, messages

NLMSG_ERROR: Final = 2
NLMSG_DONE: Final = 3
NLM_F_DUMP: Final = 0x301  # request, root, match
NLM_F_DUMP_INTR: Final = 0x10
SO_RCVBUFFORCE: Final = 33

RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE, RTM_GETNEIGH, RTM_GETRULE = 18, 22, 26, 30, 34
_SKIP_STATISTICS: Final = struct.pack("=HHI", 8, IFLA.EXT_MASK, 1 << 3)
REQUESTS: Final = {
    RTM_GETLINK: bytes(IFINFO.size) + _SKIP_STATISTICS,
    RTM_GETADDR: bytes(IFADDR.size),
    RTM_GETROUTE: bytes(RTMSG.size),
    RTM_GETRULE: bytes(RULE.size),
    RTM_GETNEIGH: bytes(NDMSG.size),
}


class LostError(OSError):
    """The socket can no longer be trusted: an overrun (ENOBUFS), or it was closed under us."""


class RouteSocket(AsyncIPRSocket):
    """An rtnetlink socket; `received(datagram)` gets what the kernel sends, `failed(error)` the socket's end.

    Args:
        received: called in the loop, once for each datagram.
        failed: called in the loop; no datagram after it is to be trusted.
        receive_buffer: bytes; privileged processes get it whatever `rmem_max` says.
    """

    def __init__(
        self, received: Callable[[bytes], None], failed: Callable[[OSError], None], receive_buffer: int
    ) -> None:
        super().__init__(rcvbuf=receive_buffer)  # type: ignore[no-untyped-call]
        self._received = received
        self._failed = failed
        with contextlib.suppress(PermissionError):
            self.socket.setsockopt(SOL_SOCKET, SO_RCVBUFFORCE, receive_buffer)

    async def join(self, groups: int) -> None:
        """Bind to multicast groups (a mask), 0 for requests only. Raises OSError."""
        await self.bind(groups=groups)  # type: ignore[no-untyped-call]

    def leave(self) -> None:
        """Close. What arrives from now on is still handed over: the caller ignores it."""
        self.close()  # type: ignore[no-untyped-call]

    def enqueue(self, data: bytes, addr: Any) -> None:
        """Take a datagram from the transport; pyroute2 wraps its own errors, ENOBUFS among them, as NLMSG_ERROR."""
        if addr is None:
            code = struct.unpack_from("=i", data, HEADER.size)[0]
            self._failed(LostError(code, os.strerror(code)))
        else:
            self._received(data)


class DumpSocket:
    """Reads whole tables of the kernel, each consistent in itself. A context manager around one socket."""

    ATTEMPTS: Final = 50

    def __init__(self, receive_buffer: int) -> None:
        self._queue: asyncio.Queue[bytes | OSError] = asyncio.Queue()
        self._socket = RouteSocket(self._queue.put_nowait, self._queue.put_nowait, receive_buffer)
        self.datagrams = 0

    async def __aenter__(self) -> Self:
        await self._socket.join(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._socket.leave()

    async def dump(self, request: int) -> list[bytes]:
        """All datagrams of one table, to the end.

        A dump that the kernel interrupted (NLM_F_DUMP_INTR) is thrown away and read again.

        Raises:
            OSError: the kernel refused, or never gave a consistent dump.
        """
        for _ in range(self.ATTEMPTS):
            datagrams = await self._read(request)
            if datagrams is not None:
                return datagrams
        raise LostError(errno.EINTR, f"dump {request} interrupted {self.ATTEMPTS} times")

    async def _read(self, request: int) -> list[bytes] | None:
        payload = REQUESTS[request]
        self._socket.socket.send(HEADER.pack(HEADER.size + len(payload), request, NLM_F_DUMP, 1, 0) + payload)
        datagrams: list[bytes] = []
        interrupted = False
        while True:
            data = await self._queue.get()
            if isinstance(data, OSError):
                raise data
            datagrams.append(data)
            try:
                received = list(messages(data))
            except MalformedError as error:
                raise LostError(errno.EBADMSG, str(error)) from error
            for kind, flags, start, _ in received:
                interrupted = interrupted or bool(flags & NLM_F_DUMP_INTR)
                if kind == NLMSG_ERROR:
                    code = -struct.unpack_from("=i", data, start)[0]
                    raise OSError(code, os.strerror(code))
                if kind == NLMSG_DONE:
                    return None if interrupted else datagrams

"""Requests to the kernel, and the socket that sends many of them in one system call."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from pyroute2.netlink import NLM_F_ACK, NLM_F_REQUEST
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.nlsocket import NetlinkRequest
from pyroute2.netlink.rtnl.iprsocket import AsyncIPRSocket

from agent.desired import Problem
from agent.drivers.route.layout import (
    CODE,
    ERROR,
    HEADER,
    NETLINK_CAP_ACK,
    NETLINK_EXT_ACK,
    SOL_NETLINK,
    TLVS,
    error_text,
)

# Seconds that the kernel may take to answer; it does so within the call that sends.
ANSWER_TIMEOUT: Final = 5.0
# What a deletion or a creation that came too late says.
ALREADY: Final = frozenset({errno.EEXIST})
GONE: Final = frozenset({errno.ENOENT, errno.ESRCH, errno.ENODEV, errno.EADDRNOTAVAIL})

HINTS: Final = {
    errno.EPERM: "give the container NET_ADMIN (compose: cap_add: [NET_ADMIN])",
    errno.EOPNOTSUPP: "the kernel lacks this kind of link (for VLANs: modprobe 8021q on the host)",
    errno.EACCES: "IPv6 may be off on the interface: sysctl net.ipv6.conf.<interface>.disable_ipv6=0",
    errno.ENETUNREACH: "the gateway is on no network of the interface",
    errno.EHOSTUNREACH: "the gateway is on no network of the interface",
}


class RouteError(Exception):
    """Some of the requests failed; all others were carried out. `problems` has one entry for each."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        self.hint = "; ".join(sorted({problem.hint for problem in problems if problem.hint}))
        super().__init__("; ".join(problem.message for problem in problems))


@dataclass(frozen=True, slots=True)
class Request:
    """One request: a pyroute2 message or bytes, what it does in words, and the errors that are as good as success."""

    what: str | Callable[[], str]
    message: Any
    kind: int
    flags: int
    fine: frozenset[int]

    def failed(self, code: int, reason: str) -> Problem:
        """What a person must know when it was refused."""
        what = self.what if isinstance(self.what, str) else self.what()
        return Problem("route", f"{what}: {reason}", HINTS.get(code, ""))


class Requests:
    """The request socket: opened at first use, and anew after an error of its own."""

    CHUNK: Final = 64  # acknowledgements must fit the receive buffer
    MANY: Final = 256  # as must errors, where nothing else is answered

    def __init__(self) -> None:
        self._socket: AsyncIPRSocket | None = None
        self._raw: socket.socket | None = None

    async def send(self, requests: Sequence[Request]) -> list[Problem]:
        """Carry out all requests in order; what failed.

        Raises:
            OSError: the socket itself failed; it is opened anew with the next call.
        """
        problems: list[Problem] = []
        try:
            for plain, group in groupby(requests, key=lambda request: isinstance(request.message, bytes)):
                some = list(group)
                size = self.MANY if plain else self.CHUNK
                for start in range(0, len(some), size):
                    part = some[start : start + size]
                    problems += self._send_plain(part) if plain else await self._send(part)
                    await asyncio.sleep(0)
        except BaseException:
            self.close()  # an answer that is still under way must not be taken for that of a later request
            raise
        return problems

    def _send_plain(self, requests: Sequence[Request]) -> list[Problem]:
        """Requests as bytes, in one system call: the kernel carries them out in it, and answers errors and the last."""
        if self._raw is None:
            self._raw = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
            self._raw.settimeout(ANSWER_TIMEOUT)
            for option in (NETLINK_CAP_ACK, NETLINK_EXT_ACK):
                self._raw.setsockopt(SOL_NETLINK, option, 1)
        parts: list[bytes] = []
        last = len(requests) - 1
        for place, request in enumerate(requests):
            flags = NLM_F_REQUEST | request.flags | (NLM_F_ACK if place == last else 0)
            length = HEADER.size + len(request.message)
            parts += (HEADER.pack(length, request.kind, flags, place, 0), request.message, bytes(-length % 4))
        self._raw.send(b"".join(parts))
        problems: list[Problem] = []
        while True:
            data = self._raw.recv(1 << 16)
            offset = 0
            while offset + HEADER.size <= len(data):
                length, kind, flags, place, _ = HEADER.unpack_from(data, offset)
                if kind == ERROR:
                    code = -CODE.unpack_from(data, offset + HEADER.size)[0]
                    if code and code not in requests[place].fine:
                        start = offset + HEADER.size + CODE.size + HEADER.size
                        text = error_text(data, start, offset + length) if flags & TLVS else ""
                        problems.append(requests[place].failed(code, text or os.strerror(code)))
                    if place == last:
                        return problems
                offset += (length + 3) & ~3

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()  # type: ignore[no-untyped-call]
            self._socket = None
        if self._raw is not None:
            self._raw.close()
            self._raw = None

    async def _send(self, requests: Sequence[Request]) -> list[Problem]:
        opened = self._socket
        if opened is None:
            opened = AsyncIPRSocket(ext_ack=True)  # type: ignore[no-untyped-call]
            self._socket = opened
            await opened.bind(groups=0)  # type: ignore[no-untyped-call]
        sent = []
        data = b""
        for request in requests:
            flags = NLM_F_REQUEST | NLM_F_ACK | request.flags
            answer = NetlinkRequest(opened, request.message, msg_type=request.kind, msg_flags=flags)  # type: ignore[no-untyped-call]
            await answer.prepare()  # type: ignore[no-untyped-call]
            data += answer.msg.data
            sent.append(answer)
        opened.send(data)  # type: ignore[no-untyped-call]
        problems: list[Problem] = []
        for request, answer in zip(requests, sent, strict=True):
            try:
                async for _ in answer.response():  # type: ignore[no-untyped-call]
                    pass
            except NetlinkError as error:
                if error.code not in request.fine:
                    problems.append(request.failed(error.code, str(error.args[-1])))
        return problems

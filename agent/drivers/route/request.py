"""Requests to the kernel, and the socket that sends many of them in one system call."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pyroute2.netlink import NLM_F_ACK, NLM_F_REQUEST
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.nlsocket import NetlinkRequest
from pyroute2.netlink.rtnl.iprsocket import AsyncIPRSocket

from agent.desired import Problem

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
    """One request: a pyroute2 message, what it does in words, and the errors that are as good as success."""

    what: str
    message: Any
    kind: int
    flags: int
    fine: frozenset[int]


class Requests:
    """The request socket: opened at first use, and anew after an error of its own."""

    CHUNK: Final = 64  # acknowledgements must fit the receive buffer

    def __init__(self) -> None:
        self._socket: AsyncIPRSocket | None = None

    async def send(self, requests: Sequence[Request]) -> list[Problem]:
        """Carry out all requests in order; what failed.

        Raises:
            OSError: the socket itself failed; it is opened anew with the next call.
        """
        problems: list[Problem] = []
        try:
            for start in range(0, len(requests), self.CHUNK):
                problems += await self._send(requests[start : start + self.CHUNK])
        except BaseException:
            self.close()  # an answer that is still under way must not be taken for that of a later request
            raise
        return problems

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()  # type: ignore[no-untyped-call]
            self._socket = None

    async def _send(self, requests: Sequence[Request]) -> list[Problem]:
        socket = self._socket
        if socket is None:
            socket = AsyncIPRSocket(ext_ack=True)  # type: ignore[no-untyped-call]
            self._socket = socket
            await socket.bind(groups=0)  # type: ignore[no-untyped-call]
        sent = []
        data = b""
        for request in requests:
            flags = NLM_F_REQUEST | NLM_F_ACK | request.flags
            answer = NetlinkRequest(socket, request.message, msg_type=request.kind, msg_flags=flags)  # type: ignore[no-untyped-call]
            await answer.prepare()  # type: ignore[no-untyped-call]
            data += answer.msg.data
            sent.append(answer)
        socket.send(data)  # type: ignore[no-untyped-call]
        problems: list[Problem] = []
        for request, answer in zip(requests, sent, strict=True):
            try:
                async for _ in answer.response():  # type: ignore[no-untyped-call]
                    pass
            except NetlinkError as error:
                if error.code not in request.fine:
                    problems.append(Problem("route", f"{request.what}: {error.args[-1]}", HINTS.get(error.code, "")))
        return problems

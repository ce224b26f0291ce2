"""Questions that are more than a packet: a TCP connection, a DNS query, an HTTP request. Each is one coroutine.

They return when the answer is right, and raise an `ASK_ERRORS` otherwise; the caller cancels what takes too long.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import ssl
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from agent.desired.probe import FamilyProbes, Target
from agent.drivers.probe import dns
from agent.drivers.probe.sockets import bound
from agent.model import IPAddress

_MESSAGE = 4096
_LINE = 256
_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME: a router probes before it knows the time
_RIGHT: Final = b"204"


class AnswerError(Exception):
    """There was an answer, but not the right one."""


ASK_ERRORS: Final = (AnswerError, dns.MessageError, OSError, EOFError, ValueError, asyncio.LimitOverrunError)


@dataclass(slots=True)
class Streams:
    """Asks through one device, from one address. Names are looked up once, until a question to them fails."""

    device: str
    probes: FamilyProbes
    _known: dict[str, IPAddress] = field(default_factory=dict)

    async def ask(self, target: Target) -> None:
        """Return once `target` has given the right answer."""
        match target.kind:
            case "dns":
                await self._query(target.address, target.port, target.name)
            case "tcp":
                (await self._connect(target.address, target.port)).close()
            case "http":
                try:
                    await self._fetch(target)
                except BaseException:
                    self._known.pop(target.host, None)
                    raise
            case _:
                raise AnswerError(f"{target} is no stream")

    async def _connect(self, address: IPAddress | None, port: int) -> socket.socket:
        made = bound(self.probes.family, socket.SOCK_STREAM, 0, self.device, self.probes.source)
        try:
            await asyncio.get_running_loop().sock_connect(made, (str(address), port))
        except BaseException:
            made.close()
            raise
        return made

    async def _query(self, server: IPAddress | None, port: int, name: str) -> tuple[IPAddress, ...]:
        loop = asyncio.get_running_loop()
        question = dns.query(secrets.randbelow(1 << 16), name, self.probes.family)
        with bound(self.probes.family, socket.SOCK_DGRAM, 0, self.device, self.probes.source) as asked:
            await loop.sock_connect(asked, (str(server), port))
            await loop.sock_sendall(asked, question)
            return dns.answer(question, await loop.sock_recv(asked, _MESSAGE))

    async def _fetch(self, target: Target) -> None:
        """An HTTP request (RFC 9112) that is right when its status is 204: a captive portal answers otherwise."""
        made = await self._connect(target.address or await self._look_up(target.host), target.port)
        context = _tls() if target.tls else None
        name = target.host if target.tls else None
        try:
            reader, writer = await asyncio.open_connection(sock=made, ssl=context, server_hostname=name, limit=_LINE)
        except BaseException:
            made.close()
            raise
        try:
            host = f"[{target.host}]" if ":" in target.host else target.host
            request = f"GET {target.path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: probe\r\nConnection: close\r\n\r\n"
            writer.write(request.encode())
            words = (await reader.readuntil(b"\n")).split(maxsplit=2)
            if len(words) < 2 or not words[0].startswith(b"HTTP/") or words[1] != _RIGHT:  # noqa: PLR2004
                raise AnswerError(f"{target} did not answer with status 204")
        finally:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _look_up(self, host: str) -> IPAddress:
        known = self._known.get(host)
        if known is not None:
            return known
        for server in self.probes.dns:
            found = await self._query(server, dns.PORT, host)
            known = next((address for address in found if address.version == self.probes.family), None)
            if known is not None:
                self._known[host] = known
                return known
        raise AnswerError(f"{host} has no address of this family, or there is no DNS server to ask")


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Certificates are checked, but for their dates."""
    context = ssl.create_default_context()
    context.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
    return context

"""Asks every ingress on the DMZ whether it lives and whether its uplink carries packets: needs no bus, wakes no agent.

An echo request with our own identifier goes to each ingress's two addresses; its rules refuse it for a family that
carries nothing. Answers are not waited for: each tick reads what came since the last one, judges, and asks again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from types import MappingProxyType
from typing import Final

import structlog

from agent.desired.probe import WATCH_IDENTIFIER, Watch
from agent.drivers.probe import packet, sockets
from agent.events import Event, ReachChanged
from agent.model import Family, IPAddress, Reach
from agent.reach import INTERVAL, Contact, Heard, after_question

_LARGEST: Final = 512
_COOKIE: Final = os.urandom(8)
_FAMILIES: Final[tuple[Family, ...]] = (4, 6)
log = structlog.get_logger(__name__)

Key = tuple[str, Family, IPAddress]


@dataclass(slots=True)
class Watcher:
    """`apply` says whom to ask, at any time; `run` asks for ever."""

    interval: float = INTERVAL
    _watch: Watch | None = None
    _contacts: dict[Key, Contact] = field(default_factory=dict)
    _asked: set[Key] = field(default_factory=set)
    _open: dict[Family, socket.socket] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _sequence: int = 0
    _told: dict[str, Reach] = field(default_factory=dict)

    def apply(self, watch: Watch | None) -> None:
        """Watch these ingresses from now on, None for none."""
        before, self._watch = self._watch, watch
        if watch is None or before is None or (before.device, before.index) != (watch.device, watch.index):
            self._close()
        self._contacts = {key: self._contacts.get(key, Contact()) for key in _keys(watch)}
        self._asked &= self._contacts.keys()
        self._changed.set()

    async def run(self, emit: Callable[[Event], None]) -> None:
        """Ask for ever; `emit` is called in the loop when an ingress is reached or no longer."""
        try:
            while True:
                if not self._contacts:
                    self._changed.clear()
                    await self._changed.wait()
                self._judge(self._heard())
                self._tell(emit)
                self._ask()
                await asyncio.sleep(self.interval)
        finally:
            self._close()

    def _judge(self, heard: dict[IPAddress, Heard]) -> None:
        """Only what was asked is judged: a stall of ours, or a link of ours that is down, is no silence of theirs."""
        for key in self._asked:
            self._contacts[key] = after_question(self._contacts[key], heard.get(key[2]))
        self._asked.clear()

    def _tell(self, emit: Callable[[Event], None]) -> None:
        found: dict[str, Reach] = {}
        for (uplink, family, _), contact in self._contacts.items():
            known = found.get(uplink, Reach())
            ipv4, ipv6 = (contact.reach, known.ipv6) if family == 4 else (known.ipv4, contact.reach)  # noqa: PLR2004
            found[uplink] = Reach(ipv4, ipv6)
        if found == self._told:
            return
        for uplink, reach in found.items():
            if self._told.get(uplink, Reach()) != reach:
                log.info("ingress asked on the DMZ", uplink=uplink, ipv4=reach.ipv4, ipv6=reach.ipv6)
        self._told = found
        emit(ReachChanged(MappingProxyType(dict(found))))

    def _ask(self) -> None:
        if self._watch is None:
            return
        self._sequence = (self._sequence + 1) & 0xFFFF
        data = {f: packet.echo_request(f, WATCH_IDENTIFIER, self._sequence, _COOKIE) for f in _FAMILIES}
        for key in self._contacts:
            _, family, address = key
            to = (str(address), 0) if family == 4 else (str(address), 0, 0, self._watch.index)  # noqa: PLR2004
            try:
                self._socket(family, self._watch.device).sendto(data[family], to)
            except OSError:
                continue  # ours: no address on the link yet, or the link is down
            self._asked.add(key)

    def _heard(self) -> dict[IPAddress, Heard]:
        """What has come since the last time, by address. A refusal outweighs a reply."""
        found: dict[IPAddress, Heard] = {}
        for family, asked in list(self._open.items()):
            for sender, echo in _received(family, asked):
                if echo.identifier != WATCH_IDENTIFIER or not (echo.refused or echo.payload == _COOKIE):
                    continue
                if echo.refused:
                    found[sender] = "refusal"
                else:
                    found.setdefault(sender, "reply")
        return found

    def _socket(self, family: Family, device: str) -> socket.socket:
        made = self._open.get(family)
        if made is None:
            types = (packet.ECHO_REPLY[family], packet.UNREACHABLE[family])
            made = self._open[family] = sockets.icmp(family, device, None, types)
        return made

    def _close(self) -> None:
        for made in self._open.values():
            made.close()
        self._open.clear()
        self._asked.clear()


def _keys(watch: Watch | None) -> Iterator[Key]:
    for one in watch.ingresses if watch is not None else ():
        if one.ipv4 is not None:
            yield (one.uplink, 4, one.ipv4)
        if one.ipv6 is not None:
            yield (one.uplink, 6, one.ipv6)


def _received(family: Family, asked: socket.socket) -> Iterator[tuple[IPAddress, packet.Echo]]:
    """All that waits at a socket: a few messages, and an error at most."""
    with contextlib.suppress(OSError):
        while True:
            data, sender = asked.recvfrom(_LARGEST)
            echo = packet.read_echo(family, data)
            if echo is not None:
                yield ip_address(str(sender[0]).partition("%")[0]), echo

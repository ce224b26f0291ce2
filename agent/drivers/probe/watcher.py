"""Asks every ingress on the DMZ whether it lives and what its uplink carries: needs no bus, wakes nobody there.

An echo request with an identifier of its own goes to each ingress's link-local address; its kernel answers, and its
rules set the hop limit of the reply by the families that carry nothing. Answers are not waited for: each tick reads
what came since the last one, judges, and asks again.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from types import MappingProxyType
from typing import Final

import structlog

from agent.desired.probe import WATCH_DEAD, WATCH_IDENTIFIER, Watch, Watched
from agent.drivers.probe import packet, sockets
from agent.events import Event, ReachChanged
from agent.model import Family, Reach
from agent.reach import INTERVAL, Contact, after_question

_LARGEST: Final = 256
_ANCILLARY: Final = socket.CMSG_SPACE(4)
_COOKIE: Final = os.urandom(8)
_NONE: Final[frozenset[Family]] = frozenset()
_DEAD: Final = MappingProxyType({hops: families for families, hops in WATCH_DEAD.items()})
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Watcher:
    """`apply` says whom to ask, at any time; `run` asks for ever."""

    interval: float = INTERVAL
    _watch: Watch | None = None
    _contacts: dict[Watched, Contact] = field(default_factory=dict)
    _asked: set[Watched] = field(default_factory=set)
    _open: socket.socket | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _sequence: int = 0
    _told: dict[str, Reach] = field(default_factory=dict)

    def apply(self, watch: Watch | None) -> None:
        """Watch these ingresses from now on, None for none."""
        before, self._watch = self._watch, watch
        if watch is None or before is None or (before.device, before.index) != (watch.device, watch.index):
            self._close()
        ingresses = watch.ingresses if watch is not None else ()
        self._contacts = {one: self._contacts.get(one, Contact()) for one in ingresses}
        self._asked &= self._contacts.keys()
        self._changed.set()

    async def run(self, emit: Callable[[Event], None]) -> None:
        """Ask for ever; `emit` is called in the loop when an ingress is reached or no longer, or says something new."""
        try:
            while True:
                if not self._contacts:
                    self._tell(emit)
                    self._changed.clear()
                    await self._changed.wait()
                self._judge()
                self._tell(emit)
                self._ask()
                await asyncio.sleep(self.interval)
        finally:
            self._close()

    def _judge(self) -> None:
        """Only what was asked is judged: a stall of ours, or a link of ours that is down, is no silence of theirs."""
        heard = self._heard()
        for one in self._asked:
            self._contacts[one] = after_question(self._contacts[one], heard.get(one.address))
        self._asked.clear()

    def _tell(self, emit: Callable[[Event], None]) -> None:
        found = {one.uplink: contact.reach for one, contact in self._contacts.items()}
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
        data = packet.echo_request(6, WATCH_IDENTIFIER, self._sequence, _COOKIE)
        for one in self._contacts:
            try:
                self._socket(self._watch.device).sendto(data, (str(one.address), 0, 0, self._watch.index))
            except OSError:
                continue  # ours: no address on the link yet, or the link is down
            self._asked.add(one)

    def _heard(self) -> dict[IPv6Address, frozenset[Family]]:
        """What has come since the last time: address → the families that carry nothing."""
        found: dict[IPv6Address, frozenset[Family]] = {}
        while self._open is not None:
            try:
                data, ancillary, _, sender = self._open.recvmsg(_LARGEST, _ANCILLARY)
            except OSError:  # nothing more, or an error that is told once
                break
            echo = packet.read_echo(6, data)
            if echo is not None and (echo.identifier, echo.payload) == (WATCH_IDENTIFIER, _COOKIE):
                hops = int.from_bytes(ancillary[0][2], sys.byteorder) if ancillary else 0
                found[IPv6Address(sender[0].partition("%")[0])] = _DEAD.get(hops, _NONE)
        return found

    def _socket(self, device: str) -> socket.socket:
        if self._open is None:
            self._open = sockets.icmp(6, device, None, [packet.ECHO_REPLY[6]])
            self._open.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
        return self._open

    def _close(self) -> None:
        made, self._open = self._open, None
        if made is not None:
            made.close()
        self._asked.clear()

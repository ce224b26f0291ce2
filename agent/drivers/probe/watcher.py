"""Asks every ingress on the DMZ whether it lives and what its uplink carries: needs no bus, wakes nobody there.

An echo request with an identifier of its own goes to each ingress's link-local address; its kernel answers, and its
rules set the hop limit of the reply by the families that carry nothing. Answers are not waited for: each tick reads
what came since the last one, judges, and asks again.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, TypeAlias

import structlog

from agent.desired.probe import WATCH_DEAD, WATCH_IDENTIFIER, Watch, Watched
from agent.drivers.probe import packet, sockets
from agent.events import Event, ReachChanged
from agent.model import Family, Reach
from agent.reach import HURRIED, INTERVAL, Contact, after_question

_LARGEST: Final = 256
_ANCILLARY: Final = socket.CMSG_SPACE(4)
_NONE: Final[frozenset[Family]] = frozenset()
_DEAD: Final = MappingProxyType({hops: families for families, hops in WATCH_DEAD.items()})
PATIENCE: Final = 0.05  # seconds for the answer to a question between ticks; usually it takes one thousandth
Answer: TypeAlias = Callable[[frozenset[Family] | None], None]
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Asked:
    """An ingress: where to send to, and what is known of it. `pending`: asked, and not judged yet."""

    watched: Watched
    to: tuple[str, int, int, int]
    contact: Contact = Contact()
    pending: bool = False


@dataclass(slots=True)
class Watcher:
    """`apply` says whom to ask, at any time; `run` asks for ever.

    A tick comes seven times a second on an idle router, so it does little: a timer instead of a task, one packet made
    once, nothing built while nothing changes. A question between ticks has a number of its own, and is waited for.
    """

    _watch: Watch | None = None
    _asked: dict[str, _Asked] = field(default_factory=dict)
    _open: socket.socket | None = None
    _timer: asyncio.TimerHandle | None = None
    _ended: asyncio.Future[None] | None = None
    _emit: Callable[[Event], None] = lambda _: None
    _told: dict[str, Reach] = field(default_factory=dict)
    _cookie: bytes = field(default_factory=lambda: os.urandom(8))
    _question: bytes = b""
    _heard: dict[str, frozenset[Family]] = field(default_factory=dict)  # address → the families that carry nothing
    _waiting: dict[int, Answer] = field(default_factory=dict)  # by the number of the question
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.cycle(range(1, 1 << 16)))

    def apply(self, watch: Watch | None) -> None:
        """Watch these ingresses from now on, None for none."""
        before, self._watch = self._watch, watch
        known = {one.watched: one.contact for one in self._asked.values()}
        if watch is None or before is None or (before.device, before.index) != (watch.device, watch.index):
            self._close()
        ingresses = watch.ingresses if watch is not None else ()
        index = watch.index if watch is not None else 0
        self._asked = {
            str(one.address): _Asked(one, (str(one.address), 0, 0, index), known.get(one, Contact()))
            for one in ingresses
        }
        if self._ended is not None:
            self._tell()
            self._arm()

    async def run(self, emit: Callable[[Event], None]) -> None:
        """Ask for ever; `emit` is called in the loop when an ingress is reached or no longer, or says something new."""
        self._emit = emit
        self._question = packet.echo_request(6, WATCH_IDENTIFIER, 0, self._cookie)
        self._ended = asyncio.get_running_loop().create_future()
        self._arm()
        try:
            await self._ended
        finally:
            if self._timer is not None:
                self._timer.cancel()
            self._close()

    def reach(self, uplink: str) -> Reach:
        """What an uplink's ingress said last."""
        return self._told.get(uplink, Reach())

    def ask(self, uplink: str, told: Answer) -> None:
        """Ask one now. `told` is called once: with the families that carry nothing, or None after `PATIENCE`."""
        loop = asyncio.get_running_loop()
        number = next(self._numbers)
        self._waiting[number] = told
        for one in self._asked.values():
            if one.watched.uplink == uplink:
                with contextlib.suppress(OSError):  # as in `_ask`
                    asking = self._socket()
                    loop.add_reader(asking, self._read)
                    asking.sendto(packet.echo_request(6, WATCH_IDENTIFIER, number, self._cookie), one.to)
        loop.call_later(PATIENCE, self._answer, number, None)

    def _answer(self, number: int, dead: frozenset[Family] | None) -> None:
        told = self._waiting.pop(number, None)
        if told is None:
            return
        if not self._waiting and self._open is not None:
            asyncio.get_running_loop().remove_reader(self._open)
        told(dead)

    def _arm(self) -> None:
        """A tick after the interval, unless one is due or there is nobody to ask."""
        if self._asked and self._timer is None:
            hurry = any(one.contact.doubtful for one in self._asked.values())
            self._timer = asyncio.get_running_loop().call_later(HURRIED if hurry else INTERVAL, self._tick)

    def _tick(self) -> None:
        self._timer = None
        try:
            if self._judge():
                self._tell()
            self._ask()
        except Exception as error:  # noqa: BLE001 - the task of `run` shall end by it, not the loop's handler log it
            if self._ended is not None and not self._ended.done():
                self._ended.set_exception(error)
            return
        self._arm()

    def _judge(self) -> bool:
        """Judge what was asked, and whether that changed anything. A stall or a dead link of ours is no silence."""
        self._read()
        heard, self._heard = self._heard, {}
        changed = False
        for address, one in self._asked.items():
            if not one.pending:
                continue
            one.pending = False
            contact = after_question(one.contact, heard.get(address))
            if contact is not one.contact:
                one.contact, changed = contact, True
        return changed

    def _tell(self) -> None:
        found = {one.watched.uplink: one.contact.reach for one in self._asked.values()}
        if found == self._told:
            return
        for uplink, reach in found.items():
            if self._told.get(uplink, Reach()) != reach:
                log.info("ingress asked on the DMZ", uplink=uplink, ipv4=reach.ipv4, ipv6=reach.ipv6)
        self._told = found
        self._emit(ReachChanged(MappingProxyType(dict(found))))

    def _ask(self) -> None:
        try:
            asking = self._socket()
        except OSError:
            return  # the device is gone
        for one in self._asked.values():
            with contextlib.suppress(OSError):  # ours: no address on the link yet, or the link is down
                asking.sendto(self._question, one.to)
                one.pending = True

    def _read(self) -> None:
        """Take what has come."""
        while self._open is not None:
            try:
                data, ancillary, _, sender = self._open.recvmsg(_LARGEST, _ANCILLARY)
            except OSError:  # nothing more, or an error that is told once
                break
            echo = packet.read_echo(6, data)
            if echo is not None and (echo.identifier, echo.payload) == (WATCH_IDENTIFIER, self._cookie):
                hops = int.from_bytes(ancillary[0][2], sys.byteorder) if ancillary else 0
                dead = _DEAD.get(hops, _NONE)
                if echo.sequence:
                    self._answer(echo.sequence, dead)
                else:
                    self._heard[sender[0].partition("%")[0]] = dead

    def _socket(self) -> socket.socket:
        if self._open is None:
            device = self._watch.device if self._watch is not None else ""
            self._open = sockets.icmp(6, device, None, [packet.ECHO_REPLY[6]])
            self._open.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
        return self._open

    def _close(self) -> None:
        made, self._open = self._open, None
        if made is not None:
            if self._waiting:
                asyncio.get_running_loop().remove_reader(made)
            made.close()

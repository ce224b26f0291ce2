"""Watches the kernel's links, addresses, routes, rules and neighbours and tells them as events.

Order of things: the event socket is bound first, then the tables are read on a second socket and told as one `Dump`,
then the events that came meanwhile, then each event as it comes. An overrun (ENOBUFS) is reported by the kernel once
and the socket goes on with a hole in the stream, so both sockets are thrown away and everything is read again.

Some changes come without a message of their own. They are inferred from others and lead to a new dump:
- IPv4 routes vanish when their link goes down, and when the address goes that is their preferred source or the last
  of its link. IPv6 routes silently lose a preferred source that goes.
- A replaced route is told by the new one alone, with NLM_F_REPLACE. Where what it replaced is certain, that is told
  at once instead.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable
from typing import Final

import structlog
from pyroute2.netlink import rtnl

from agent.drivers.netlink.layout import MalformedError, messages
from agent.drivers.netlink.message import Clock
from agent.drivers.netlink.mirror import Mirror
from agent.drivers.netlink.socket import (
    RTM_GETADDR,
    RTM_GETLINK,
    RTM_GETNEIGH,
    RTM_GETROUTE,
    RTM_GETRULE,
    DumpSocket,
    RouteSocket,
)
from agent.events import Event

log = structlog.get_logger(__name__)

GROUPS: Final = (
    rtnl.RTMGRP_LINK
    | rtnl.RTMGRP_NEIGH
    | rtnl.RTMGRP_IPV4_IFADDR
    | rtnl.RTMGRP_IPV4_ROUTE
    | rtnl.RTMGRP_IPV4_RULE
    | rtnl.RTMGRP_IPV6_IFADDR
    | rtnl.RTMGRP_IPV6_ROUTE
    | rtnl.RTMGRP_IPV6_RULE
)
TABLES: Final = (RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE, RTM_GETRULE, RTM_GETNEIGH)
MALFORMED: Final = (MalformedError, struct.error, ValueError, IndexError, KeyError)
RECEIVE_BUFFER: Final = 4 << 20
DEBOUNCE: Final = 0.005  # seconds: silent changes come in bursts, a link that goes down takes all its addresses along
SETTLE: Final = 0.05  # seconds: a large dump while routes change
RETRY: Final = (0.0, 0.01, 0.1, 1.0)  # seconds before sockets are opened anew, by failures in a row


class NetlinkWatcher:
    """Tells what the kernel has and what changes: `watch` runs for ever, `resync` asks for a fresh dump.

    Args:
        receive_buffer: bytes the kernel may queue on the event socket before it overruns.
    """

    def __init__(self, *, receive_buffer: int = RECEIVE_BUFFER) -> None:
        self._receive_buffer = receive_buffer
        self._mirror = Mirror()
        self._backlog: list[bytes] | None = []  # datagrams that came during a dump; None: tell them at once
        self._emit: Callable[[Event], None] = lambda _: None
        self._wake = asyncio.Event()
        self._failure: OSError | None = None
        self._pause = 0.0
        self._waiting: list[asyncio.Future[None]] = []
        self.skipped = 0  # malformed messages
        self.dumps = 0

    async def watch(self, emit: Callable[[Event], None]) -> None:
        """Run for ever; `emit` is called in the loop with one `Dump` first, then with changes and further dumps."""
        self._emit = emit
        failures = 0
        while True:
            told = self.dumps
            try:
                await self._session()
            except OSError as error:
                failures = 0 if self.dumps > told else failures + 1
                log.warning("netlink sockets opened anew", error=str(error), failures=failures)
            await asyncio.sleep(RETRY[min(failures, len(RETRY) - 1)])

    async def resync(self) -> None:
        """Read everything again; returns when a dump that began after this call has been told.

        Waits for `watch` where it does not run yet.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        self._wake.set()
        await done

    async def _session(self) -> None:
        """One life of a pair of sockets; ends by the OSError that ended it."""
        self._failure = None
        self._backlog = []
        events = RouteSocket(self._received, self._failed, self._receive_buffer)
        try:
            await events.join(GROUPS)
            while True:
                await self._dump()
                await self._wake.wait()
                if self._failure is None and not self._waiting:
                    await asyncio.sleep(self._pause)
                if self._failure is not None:
                    raise self._failure
        finally:
            self._backlog = []  # what a closing socket still says is dropped by the next session
            events.leave()

    async def _dump(self) -> None:
        self._wake.clear()
        self._pause = DEBOUNCE
        waiting, self._waiting = self._waiting, []
        if self._backlog is None:
            self._backlog = []
        try:
            async with DumpSocket(self._receive_buffer) as socket:
                tables = {table: await socket.dump(table) for table in TABLES}
        except OSError:
            self._waiting = waiting + self._waiting
            raise
        if self._failure is not None:
            self._waiting = waiting + self._waiting
            raise self._failure
        clock = _clock()
        self._mirror = Mirror()
        for datagrams in tables.values():
            for data in datagrams:
                self._decode(data, clock, dumping=True)
        self._mirror.doubtful = False
        self.dumps += 1
        self._emit(self._mirror.dump())
        backlog, self._backlog = self._backlog, None
        large = len(tables[RTM_GETROUTE]) > 2  # noqa: PLR2004 - one datagram and the end: read in one go by the kernel
        for data in backlog:
            self._received(data)
        if large and any(_has_routes(data) for data in backlog):
            # The kernel resumes a route dump by counting entries: what moved meanwhile may have hidden others.
            self._again(SETTLE)
        for done in waiting:
            if not done.done():
                done.set_result(None)

    def _received(self, data: bytes) -> None:
        if self._backlog is not None:
            self._backlog.append(data)
            return
        self._decode(data, _clock(), dumping=False)
        if self._mirror.doubtful:
            self._again(DEBOUNCE)

    def _decode(self, data: bytes, clock: Clock, *, dumping: bool) -> None:
        """Take the messages of a datagram into the mirror, and tell what they changed unless it is being filled."""
        try:
            for received in messages(data):
                try:
                    changes = self._mirror.take(received, data, clock)
                except MALFORMED as error:
                    self._skip(received[0], error)
                    continue
                if not dumping:
                    for event in changes:
                        self._emit(event)
        except MalformedError as error:
            self._skip(None, error)

    def _skip(self, kind: int | None, error: Exception) -> None:
        self.skipped += 1
        log.warning("netlink message skipped", type=kind, error=str(error), count=self.skipped)

    def _failed(self, error: OSError) -> None:
        if self._failure is None:
            self._failure = error
        self._wake.set()

    def _again(self, pause: float) -> None:
        self._pause = max(self._pause, pause)
        self._wake.set()


def _clock() -> Clock:
    return Clock(time.clock_gettime(time.CLOCK_BOOTTIME), time.monotonic())


def _has_routes(data: bytes) -> bool:
    try:
        return any(kind in (rtnl.RTM_NEWROUTE, rtnl.RTM_DELROUTE) for kind, *_ in messages(data))
    except MalformedError:
        return True

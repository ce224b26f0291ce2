"""A watcher of the kernel and what the agent makes of its events, for tests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_network

from agent.drivers.netlink import NetlinkWatcher
from agent.events import Dump, Event
from agent.model import State
from agent.reduce import reduce
from tests.lab.netns import until

# A link `wan` with an address; its other end `wanp` is up.
WAN = """
    ip link add wan type veth peer name wanp; ip link set wanp up; ip link set wan up
    ip address add 192.0.2.2/24 dev wan
"""


class Fold:
    """Folds a watcher's events as the agent does, and keeps them."""

    def __init__(self, watcher: NetlinkWatcher) -> None:
        self.watcher = watcher
        self.events: list[Event] = []
        self.times: list[float] = []
        self.state = State()

    def emit(self, event: Event) -> None:
        self.times.append(time.perf_counter())
        self.events.append(event)
        self.state = reduce(self.state, event, 0.0)

    def link(self, name: str) -> int:
        link = self.state.link(name)
        assert link is not None
        return link.index

    def has(self, destination: str) -> bool:
        return any(route.destination == ip_network(destination) for route in self.state.routes)


@asynccontextmanager
async def watching(*, receive_buffer: int = 4 << 20) -> AsyncIterator[Fold]:
    fold = Fold(NetlinkWatcher(receive_buffer=receive_buffer))
    task = asyncio.create_task(fold.watcher.watch(fold.emit))
    try:
        await until(lambda: fold.state.synced or task.done())
        yield fold
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def fresh() -> State:
    """What a new watcher sees in its first dump."""
    async with watching() as fold:
        assert isinstance(fold.events[0], Dump)
        return fold.state


def timeless(state: State) -> State:
    """Without what differs by the moment of reading: the state of neighbours under verification."""
    neighbours = {k: replace(n, state="") for k, n in state.neighbours.items()}
    return replace(state, neighbours=neighbours)


async def settles(fold: Fold) -> None:
    """The folded state becomes equal to a fresh dump, by itself."""
    async with asyncio.timeout(10):
        while timeless(fold.state) != timeless(await fresh()):
            await asyncio.sleep(0.01)


def grown(events: list[Event], beyond: int) -> bool:
    return len(events) > beyond


async def sh(script: str) -> None:
    process = await asyncio.create_subprocess_shell(f"set -eu; {script}")
    assert await process.wait() == 0, script

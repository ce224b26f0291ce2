"""Agents' buses against a real mosquitto, and a client that can misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent import wire
from agent.desired import Publication
from agent.drivers.bus import Bus, BusConfig, BusError
from agent.drivers.bus.client import Client
from agent.events import BusChanged, Event, FactReceived, FactWithdrawn
from agent.model import Fact, NodeState, Peer
from tests.lab.bus_broker import SITE, Broker

TIMEOUT = 20.0


def boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def publication(fact: Fact) -> Publication:
    return Publication(wire.topic_of(fact), fact)


@dataclass
class Agent:
    """The bus of one node, with all that it emitted."""

    bus: Bus
    task: asyncio.Task[None] = field(init=False)
    events: list[Event] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def emit(self, event: Event) -> None:
        self.events.append(event)
        self._changed.set()

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for something about what was emitted."""
        try:
            async with asyncio.timeout(TIMEOUT):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"{what} did not come; there came {self.events}") from None

    async def connected(self, times: int = 1) -> None:
        await self.until(lambda: self.events.count(BusChanged(connected=True)) >= times, f"connection {times}")

    async def heard(self, node: str, topic: str, since: int = 0) -> FactReceived:
        """The newest fact of a topic; `since`: only events from this index on count."""
        await self.until(lambda: self.newest(node, topic, since), f"{node}/{topic}")
        found = self.newest(node, topic, since)
        assert found is not None
        return found

    async def state(self, node: str, state: str, since: int = 0) -> NodeState:
        def fits() -> bool:
            found = self.newest(node, "state", since)
            return found is not None and isinstance(found.fact, NodeState) and found.fact.state == state

        await self.until(fits, f"{node} {state}")
        found = self.newest(node, "state", since)
        assert found is not None
        assert isinstance(found.fact, NodeState)
        return found.fact

    async def withdrawn(self, node: str, topic: str) -> None:
        await self.until(lambda: FactWithdrawn(node, topic) in self.events, f"withdrawal of {node}/{topic}")

    def newest(self, node: str, topic: str, since: int = 0) -> FactReceived | None:
        facts = (e for e in reversed(self.events[since:]) if isinstance(e, FactReceived))
        return next((e for e in facts if (e.node, e.topic) == (node, topic)), None)

    def all_of(self, node: str, topic: str) -> list[Fact]:
        facts = (e for e in self.events if isinstance(e, FactReceived))
        return [e.fact for e in facts if (e.node, e.topic) == (node, topic)]

    async def publish(self, *facts: Fact) -> None:
        await self.bus.publish(tuple(publication(fact) for fact in facts))

    async def trouble(self, words: str) -> BusError:
        """The error that `publish` shows once it has these words."""
        async with asyncio.timeout(TIMEOUT):
            while True:
                try:
                    await self.publish()
                except BusError as error:
                    if words in str(error):
                        return error
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def running(
    config: BusConfig, *facts: Fact, now: Callable[[], float] = boottime, remembered: dict[str, Peer] | None = None
) -> AsyncIterator[Agent]:
    """An agent's bus, running; `facts` are wanted from the beginning, so it gets `ready`; without, it stays `init`."""
    agent = Agent(Bus(config, now))
    agent.bus.remember(remembered or {})
    if facts:
        with contextlib.suppress(BusError):
            await agent.publish(*facts)
    agent.task = asyncio.create_task(agent.bus.run(agent.emit))
    try:
        yield agent
        assert not agent.task.done(), agent.task.exception()
    finally:
        agent.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await agent.task


@contextlib.asynccontextmanager
async def raw(broker: Broker, user: str, *, name: str = "") -> AsyncIterator[aiomqtt.Client]:
    """A client that says whatever the test wants; it may have a second client name of the same user."""
    client = Client(
        "127.0.0.1",
        broker.port,
        identifier=name or f"raw-{user}",
        username=user,
        password=f"secret of {user}",
        protocol=aiomqtt.ProtocolVersion.V5,
        timeout=2,
    )
    try:
        async with client:
            yield client
    finally:
        client.drop()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def say(
    client: aiomqtt.Client,
    node: str,
    topic: str,
    payload: bytes | str,
    expiry: int | None = None,
    *,
    retain: bool = True,
) -> None:
    """Publish anything at all below a node."""
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    if expiry is not None:
        properties.MessageExpiryInterval = expiry
    await client.publish(f"backstage/1/{SITE}/{node}/{topic}", payload, qos=1, retain=retain, properties=properties)

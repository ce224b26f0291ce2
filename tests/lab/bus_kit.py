"""A real mosquitto on a free loopback port, agents' buses against it, and a client that can misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent import wire
from agent.desired import Publication
from agent.desired.broker import MosquittoAcl, MosquittoConfig
from agent.drivers.bus import Bus, BusConfig, BusError
from agent.drivers.bus.client import Client
from agent.drivers.passwords import write_passwords
from agent.events import BusChanged, Event, FactReceived, FactWithdrawn
from agent.model import Fact, NodeState, Peer
from agent.render.mosquitto import render_mosquitto, render_mosquitto_acl
from tests.lab.wait import wait_for

SITE = "home"
USERS = ("kpn", "odido", "firewall", "observer")
TIMEOUT = 20.0
# Seconds; shorter than ours, for the sake of the tests. mosquitto looks once a second.
WILL_DELAY = 2
_AGENT = """
import asyncio, sys
from pathlib import Path
from agent.drivers.bus import Bus, BusConfig, client
port, site, node, password, client.WILL_DELAY = *sys.argv[1:5], int(sys.argv[5])
bus = Bus(BusConfig("127.0.0.1", int(port), site, node, Path(password)))
bus._outbox.want(())
asyncio.run(bus.run(lambda event: None))
"""


def boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def publication(fact: Fact) -> Publication:
    return Publication(wire.topic_of(fact), fact)


class Broker:
    """mosquitto with exactly the files that a firewall generates; only the paths and the port differ.

    `directory` must be one that user mosquitto can enter, as that is who it runs as.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.chmod(0o755)
        self.port = free_port()
        self.config = MosquittoConfig(
            "127.0.0.1", self.port, etc=str(directory / "etc" / "mosquitto"), state=str(directory / "state")
        )
        self.acl_text = render_mosquitto_acl(MosquittoAcl(SITE)).text
        self._process: subprocess.Popen[bytes] | None = None
        (directory / "state").mkdir(mode=0o700)
        shutil.chown(directory / "state", "mosquitto")
        (directory / "users").write_text("".join(f"{user}:secret of {user}\n" for user in USERS))
        for user in USERS:
            (directory / f"password.{user}").write_text(f"secret of {user}\n")

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def write(self) -> None:
        etc = self.directory / "etc" / "mosquitto"
        etc.mkdir(parents=True, exist_ok=True)
        (etc / "mosquitto.conf").write_text(render_mosquitto(self.config).text)
        (etc / "acl").write_text(self.acl_text)
        write_passwords(self.directory / "users", etc / "passwd")

    def start(self) -> None:
        self.write()
        with (self.directory / "log").open("ab") as log:
            command = ["mosquitto", "-c", str(self.directory / "etc" / "mosquitto" / "mosquitto.conf")]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(self._answers, what=lambda: f"mosquitto: {self.log}")

    def reload(self) -> None:
        self.write()
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def stop(self, *, kill: bool = False) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
            self._process.wait(10)
            self._process = None

    def lose_memory(self) -> None:
        """What is retained is gone, as after a crash without persistence."""
        (self.directory / "state" / "mosquitto.db").unlink(missing_ok=True)

    async def spawn_agent(self, node: str) -> asyncio.subprocess.Process:
        """An agent's bus in a process of its own, so that it can be killed."""
        password = str(self.directory / f"password.{node}")
        command = (sys.executable, "-c", _AGENT, str(self.port), SITE, node, password, str(WILL_DELAY))
        return await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL)

    def bus_config(self, node: str, password_of: str | None = None) -> BusConfig:
        return BusConfig("127.0.0.1", self.port, SITE, node, self.directory / f"password.{password_of or node}")

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


@contextlib.contextmanager
def mosquitto(*, started: bool = True) -> Iterator[Broker]:
    """A broker in a directory of its own."""
    with tempfile.TemporaryDirectory(prefix="bus") as directory:
        broker = Broker(Path(directory))
        try:
            if started:
                broker.start()
            yield broker
        finally:
            broker.stop()


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

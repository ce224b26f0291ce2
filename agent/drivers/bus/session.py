"""One connection to the broker, from the birth to the last word."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Literal

import aiomqtt
from paho.mqtt.reasoncodes import ReasonCode

from agent import wire
from agent.drivers.bus.client import Client, check_cancelled, expiry_of, make_client, publish_properties, twin_error
from agent.drivers.bus.inbox import Inbox
from agent.drivers.bus.outbox import Letter, Outbox
from agent.drivers.bus.quota import Message, Quota
from agent.drivers.bus.settings import BusConfig, BusError, Cause
from agent.events import BusChanged, Event
from agent.model import NodeState

REPUBLISH = 120.0
"""Seconds: mosquitto expires by wall clock, and a lifetime that nobody asks for ages."""
ECHO_TIMEOUT = 3.0
GOODBYE_TIMEOUT = 1.0
CANCEL_AGAIN = 0.1
LATE = 0.05
_REFUSED = 0x80
# Foreign values on our own `state` that one connection answers; more of them is another agent of our name.
_ANSWERS = 5


@dataclass(slots=True)
class Session:
    """One connection. `wake` is set when there may be something to send; `now` is CLOCK_BOOTTIME in seconds.

    `lives`: ids of this agent's connections before. `twin_expected`: another agent of our name was met at the last.
    `stood_since`: since when the broker takes what we say.
    """

    config: BusConfig
    inbox: Inbox
    outbox: Outbox
    wake: asyncio.Event
    now: Callable[[], float]
    emit: Callable[[Event], None]
    lives: Collection[str] = ()
    twin_expected: bool = False
    id: str = field(default_factory=lambda: secrets.token_hex(4))
    met_twin: bool = False
    stood_since: float | None = None
    _client: Client = field(init=False)
    _echo: asyncio.Event = field(default_factory=asyncio.Event)
    _answers: int = 0
    _quota: Quota = field(default_factory=Quota)
    _late: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Connect, say and hear; returns only by an exception.

        Raises:
            BusError: the broker refuses us, or something is wrong with what it does.
            MqttError: the connection is broken.
        """
        will, _ = wire.encode(NodeState("lost", self.id), "state", self.now())
        self.inbox.connected()
        self.outbox.reset(NodeState("init", self.id))
        self._client = make_client(self.config, will)
        try:
            async with self._client:
                await self._converse()
        finally:
            self._client.drop()

    async def announce(self, topic: str, payload: bytes) -> None:
        """Publish an event: not retained, gone after a minute."""
        await self._send(Letter(topic, payload, wire.EVENT_EXPIRY), retain=False)

    async def _converse(self) -> None:
        tasks = (
            asyncio.create_task(self._hear(), name="bus hear"),
            asyncio.create_task(self._hear_late(), name="bus hear late"),
            asyncio.create_task(self._speak(), name="bus speak"),
        )
        try:
            check_cancelled()
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await _end(tasks)
            if self.stood_since is not None:
                await self._last_facts()
            await self._last_word("disconnected")
            raise
        await _end(tasks)
        errors = [error for task in tasks if not task.cancelled() and (error := task.exception()) is not None]
        broken = [error for error in errors if isinstance(error, aiomqtt.MqttError)]
        if not broken:
            await self._last_word("lost")
        raise next((error for error in errors if error not in broken), errors[0])

    async def _hear(self) -> None:
        own = f"{wire.root(self.config.site)}/{self.config.node}/"
        async for message in self._client.messages:
            topic = message.topic.value
            payload = message.payload if isinstance(message.payload, bytes) else b""
            if topic.startswith(own):
                self._hear_own(topic, payload, message)
                continue
            said = Message(topic, payload, expiry_of(message), self.now())
            if self._quota.admit(_node_of(topic), said):
                self._pass_on(said)
            else:
                self._late.set()

    async def _hear_late(self) -> None:
        while True:
            await self._late.wait()
            await asyncio.sleep(LATE)
            for message in self._quota.due(self.now()):
                self._pass_on(message)
            if not self._quota.waits():
                self._late.clear()

    def _pass_on(self, message: Message) -> None:
        # It counts from when it came.
        for event in self.inbox.heard(message.topic, message.payload, message.expiry, message.at):
            self.emit(event)

    def _hear_own(self, topic: str, payload: bytes, message: aiomqtt.Message) -> None:
        below = wire.split(self.config.site, topic)[1]
        if below != "state":
            if message.retain and payload:
                self.outbox.seen(below)
                self.wake.set()
            return
        try:
            said = wire.decode(self.config.site, topic, payload, expiry_of(message), self.now()).fact
        except wire.WireError:
            said = None
        born = isinstance(said, NodeState) and said.state in {"init", "ready"}
        mine = born and isinstance(said, NodeState) and said.session == self.id
        if self._echo.is_set():
            if not mine:
                # The will of a session that we have left behind arrives late, or somebody else speaks in our name.
                self._answer()
        elif mine and not message.retain:
            self._echo.set()
            for event in self.inbox.replayed():
                self.emit(event)
        elif born and not mine and isinstance(said, NodeState) and self.lives and said.session not in self.lives:
            self._meet_twin()

    def _meet_twin(self) -> None:
        """Somebody was born in our name since our last connection: once may be a broker's old memory, twice is not."""
        self.met_twin = True
        if self.twin_expected:
            raise twin_error(self.config)

    def _answer(self) -> None:
        self._answers += 1
        if self._answers > _ANSWERS:
            raise twin_error(self.config)
        self.outbox.repeat_state()
        self.wake.set()

    async def _speak(self) -> None:
        # Subscribed first: the echo of our birth then comes after all that the broker had retained.
        root = wire.root(self.config.site)
        granted = await self._client.subscribe(
            f"{root}/{self.config.node}/#" if self.config.alone else f"{root}/#", qos=1
        )
        for code in granted:
            if (code.value if isinstance(code, ReasonCode) else code) >= _REFUSED:
                raise BusError(f"the broker refuses the subscription: {code}", *_MEND_ACL)
        await self._flush()
        try:
            async with asyncio.timeout(ECHO_TIMEOUT):
                await self._echo.wait()
        except TimeoutError:
            raise BusError("the broker accepts the login but not the topic", *_MEND_ACL) from None
        self.stood_since = self.now()
        self.emit(BusChanged(connected=True))
        clock = asyncio.get_running_loop()
        again = clock.time() + REPUBLISH
        while True:
            self.wake.clear()
            if self.outbox.wanted is not None:
                self.outbox.own = NodeState("ready", self.id)
            await self._flush()
            try:
                async with asyncio.timeout_at(again):
                    await self.wake.wait()
            except TimeoutError:
                self.outbox.forget()
                self._answers = 0
                again = clock.time() + REPUBLISH

    async def _flush(self) -> None:
        letters = self.outbox.due(self.now())
        if letters:
            # In this order on the wire; the acknowledgements are awaited together.
            await asyncio.gather(*(self._send(letter) for letter in letters))

    async def _send(self, letter: Letter, *, retain: bool = True) -> None:
        topic = f"{wire.root(self.config.site)}/{self.config.node}/{letter.topic}"
        properties = publish_properties(letter.expiry)
        await self._client.publish(topic, letter.payload, qos=1, retain=retain, properties=properties)

    async def _last_facts(self) -> None:
        # That the uplink of a node that leaves is down: the others move their traffic while it still forwards.
        with contextlib.suppress(aiomqtt.MqttError, TimeoutError):
            async with asyncio.timeout(GOODBYE_TIMEOUT):
                await self._flush()

    async def _last_word(self, state: Literal["lost", "disconnected"]) -> None:
        # A DISCONNECT takes the will back, and aiomqtt sends one whatever the reason.
        payload, _ = wire.encode(NodeState(state, self.id), "state", self.now())
        with contextlib.suppress(aiomqtt.MqttError, TimeoutError):
            async with asyncio.timeout(GOODBYE_TIMEOUT):
                await self._send(Letter("state", payload))


def _node_of(topic: str) -> str:
    """The node that may write there; the inbox complains of what is no topic of ours."""
    levels = topic.split("/", 4)
    return levels[3] if len(levels) > 4 else ""  # noqa: PLR2004 - backstage/1/<site>/<node>/…


async def _end(tasks: Collection[asyncio.Task[None]]) -> None:
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN)


_MEND_ACL = (
    "check the broker's ACL and that the user is the node's name: it must write below its own node and read the site",
    Cause.REFUSED,
)

"""The backstage bus: says what this node applied, hears what others did (docs/bus.md).

`publish` takes the full set wanted now and returns at once; one task per connection makes the broker hold it. So a
broker that is slow, full or gone never holds up the loop.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import aiomqtt
import structlog

from agent import wire
from agent.desired import Publication
from agent.drivers.bus.backoff import STEADY, Backoff
from agent.drivers.bus.client import check_cancelled, explain
from agent.drivers.bus.inbox import Inbox
from agent.drivers.bus.outbox import Outbox
from agent.drivers.bus.session import Session
from agent.drivers.bus.settings import BusConfig, BusError, BusTls, Cause
from agent.events import BusChanged, Event
from agent.model import NodeInfo, NodeState, Peer

__all__ = ["Bus", "BusConfig", "BusError", "BusTls", "Cause"]

log = structlog.get_logger("bus")


def _boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Bus:
    """The bus as the agent sees it: `run` for ever in a task, `publish` after each apply.

    `now` gives CLOCK_BOOTTIME in seconds. Nothing of an earlier life of this node is withdrawn, and the node is not
    `ready`, before the first `publish`.
    """

    def __init__(self, config: BusConfig, now: Callable[[], float] = _boottime) -> None:
        self._config = config
        self._now = now
        self._inbox = Inbox(config.site)
        self._outbox = Outbox(NodeState("init", "none"))
        self._wake = asyncio.Event()
        self._session: Session | None = None
        self._problem: BusError | None = BusError("not connected to the broker yet")

    @property
    def connected(self) -> bool:
        """Whether the broker takes what we say, which its echo of our own state proved."""
        return self._problem is None

    @property
    def invalid(self) -> int:
        """How many documents of other nodes were dropped because they were not valid."""
        return self._inbox.invalid

    def remember(self, peers: Mapping[str, Peer]) -> None:
        """Tell what an earlier life of this agent knew of others: what they withdrew since is told by an event."""
        self._inbox.remember(peers)

    def describe(self, info: NodeInfo) -> None:
        """Tell who this node is; it is said before the facts, at once and on every connection."""
        self._outbox.info = info
        self._wake.set()

    async def publish(self, facts: tuple[Publication, ...]) -> None:
        """Take the full set of retained facts wanted now; what differs at the broker is sent, the rest withdrawn.

        It does not wait for the broker. Without a connection the set is remembered and sent at the next one.

        Raises:
            BusError: there is no connection (and why), or some of the facts cannot be written as a document.
        """
        self._outbox.want(facts)
        self._wake.set()
        self._require()
        if self._outbox.errors:
            raise BusError("; ".join(self._outbox.errors.values()))

    def republish(self) -> None:
        """Send everything again: the wall clock was set, by which the broker may have dropped all that expires."""
        self._outbox.forget()
        self._wake.set()

    def leave(self) -> None:
        """Say that the uplink is down when `run` is cancelled next: the container ends, and forwarding with it."""
        self._outbox.leave()

    def leave_with(self, facts: tuple[Publication, ...]) -> None:
        """Take the full set of facts that is said when `run` is cancelled next, and not before."""
        self._outbox.want(facts)

    async def announce(self, kind: str, document: Mapping[str, Any]) -> None:
        """Publish an event on `event/<kind>` for people; it is not retained, and lost without a connection.

        Raises:
            BusError: there is no connection.
            WireError: the kind is not a name, or the document is no JSON.
        """
        topic, payload = wire.encode_event(kind, document)
        session = self._require()
        try:
            await session.announce(topic, payload)
        except aiomqtt.MqttError as error:
            raise explain(error, self._config) from None

    async def run(self, emit: Callable[[Event], None]) -> None:
        """Keep a connection for ever; cancelled, it says `disconnected` and leaves.

        `emit` gets BusChanged, FactReceived and FactWithdrawn. Failures are shown by `publish` and logged when they
        change, never raised.
        """
        backoff = Backoff()
        lives: deque[str] = deque(maxlen=64)
        twin_met = False
        while True:
            session = self._session = Session(
                self._config,
                self._inbox,
                self._outbox,
                self._wake,
                self._now,
                self._watch(emit),
                lives=lives,
                twin_expected=twin_met,
            )
            try:
                await session.run()
            except BusError as error:
                problem = error
            except aiomqtt.MqttError as error:
                problem = explain(error, self._config)
            else:
                problem = BusError("the connection ended")
            finally:
                self._session = None
                if session.stood_since is not None:
                    emit(BusChanged(connected=False))
            stood = 0.0 if session.stood_since is None else self._now() - session.stood_since
            check_cancelled()
            if session.stood_since is not None:
                lives.append(session.id)
            twin_met = session.met_twin or (twin_met and stood < STEADY)
            wait = backoff.next(problem.cause, stood)
            self._fail(problem, wait)
            await asyncio.sleep(wait)

    def _require(self) -> Session:
        if self._session is not None and self._problem is None:
            return self._session
        problem = self._problem or BusError("not connected to the broker")
        # A new one each time: an exception raised twice drags the frames of both along.
        raise BusError(str(problem), problem.hint, problem.cause)

    def _watch(self, emit: Callable[[Event], None]) -> Callable[[Event], None]:
        def pass_on(event: Event) -> None:
            if isinstance(event, BusChanged) and event.connected:
                self._problem = None
                log.info("connected", broker=self._config.host, port=self._config.port)
            emit(event)

        return pass_on

    def _fail(self, problem: BusError, wait: float) -> None:
        if self._problem is None or str(self._problem) != str(problem):
            hint = {"hint": problem.hint} if problem.hint else {}
            log.warning(str(problem), retry_after=round(wait, 2), **hint)
        self._problem = problem

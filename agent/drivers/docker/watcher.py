"""Watches the engine: whatever it says on its stream of events means "look again"; what counts is the look.

The leading edge is looked at once. During a flood a look is due every `APART` seconds, and once more after the last
word: an engine tells of a change a moment before or after its lists show it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote

import structlog

from agent.drivers.docker.http import EngineError, get, listening
from agent.drivers.docker.reading import read_containers, read_modes, read_published
from agent.events import EngineSeen, Event
from agent.model import Engine, EngineContainer, PortSpan

SOCKET = Path("/var/run/docker.sock")
APART = 0.1
SETTLED = 0.3
# Without a word for so long it is looked all the same: repairs whatever was missed.
ANYWAY = 60.0
AGAIN_FIRST = 0.1
AGAIN_LIMIT = 2.0
# A stream that ends sooner than this, time and again, is somebody's in between (a proxy), not an engine that restarts.
STEADY = 5.0
# Health checks and `exec` speak every few seconds in some containers: they change nothing.
_FILTER = quote(
    '{"type":["container","network"],"event":["start","die","destroy","rename","connect","disconnect"]}', safe=""
)
EVENTS = f"/events?filters={_FILTER}"

log = structlog.get_logger("docker")


def _boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(slots=True)
class EngineWatcher:
    """Keeps the loop told of what the engine says; `run` for ever in a task."""

    socket: Path = SOCKET
    now: Callable[[], float] = _boottime
    _known: Engine | None = None
    _published: dict[str, tuple[PortSpan, ...]] = field(default_factory=dict)

    async def run(self, emit: Callable[[Event], None]) -> None:
        """Connect, look, listen; again and again."""
        wait = AGAIN_FIRST
        while True:
            began = self.now()
            try:
                async with listening(self.socket, EVENTS) as stream:
                    log.info("the container engine answers", socket=str(self.socket))
                    await self._follow(stream, emit)
                error = EngineError("the container engine ended the stream of its events")
            except EngineError as problem:
                error = problem
            stood = self._known is not None and not self._known.error and self.now() - began > STEADY
            self._fail(error, emit)
            wait = AGAIN_FIRST if stood else min(wait * 2, AGAIN_LIMIT)
            await asyncio.sleep(wait)

    async def _follow(self, stream: asyncio.StreamReader, emit: Callable[[Event], None]) -> None:
        """Until the stream ends. The first look comes after the stream stands: nothing falls between the two."""
        heard, ended = asyncio.Event(), asyncio.Event()

        async def listen() -> None:
            try:
                # What it says is not even read: any of it means "look again", and nothing it says can be wrong.
                while await stream.read(1 << 16):
                    heard.set()
            except OSError:
                pass
            ended.set()
            heard.set()

        listener = asyncio.create_task(listen(), name="docker events")
        try:
            await self._look(emit)
            while not ended.is_set():
                quiet = await _quiet(heard, ANYWAY)
                heard.clear()
                if not ended.is_set():
                    await self._look(emit)
                while not quiet and not ended.is_set():
                    await asyncio.sleep(APART)
                    quiet = await _quiet(heard, SETTLED)
                    heard.clear()
                    if not ended.is_set():
                        await self._look(emit)
        finally:
            listener.cancel()

    async def _look(self, emit: Callable[[Event], None]) -> None:
        modes = read_modes(await get(self.socket, "/networks"))
        found = read_containers(await get(self.socket, "/containers/json"), modes)
        containers = tuple([await self._with_published(container) for container in found])
        self._published = {c.id: self._published[c.id] for c in containers if c.id in self._published}
        engine = Engine(containers, since=self.now())
        if self._known is None or replace(self._known, since=engine.since) != engine:
            self._known = engine
            emit(EngineSeen(engine))

    async def _with_published(self, container: EngineContainer) -> EngineContainer:
        """Asked once: what a container publishes stays as it was made."""
        if container.expose is None or not container.id.isalnum():
            return container
        if container.id not in self._published:
            try:
                self._published[container.id] = read_published(
                    await get(self.socket, f"/containers/{container.id}/json")
                )
            except EngineError:
                return container  # it has gone meanwhile: the next look knows
        return replace(container, published=self._published[container.id])

    def _fail(self, error: EngineError, emit: Callable[[Event], None]) -> None:
        known = self._known or Engine()
        if known.error == str(error):
            return
        log.warning(str(error), hint=error.hint)
        since = known.since if known.error else self.now()
        self._known = Engine(known.containers, str(error), error.hint, since)
        emit(EngineSeen(self._known))


async def _quiet(heard: asyncio.Event, seconds: float) -> bool:
    """Whether nothing was heard for so long."""
    try:
        async with asyncio.timeout(seconds):
            await heard.wait()
    except TimeoutError:
        return True
    return False

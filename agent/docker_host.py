"""The composition of a docker host's agent: it reads the engine and tells the bus. Nothing else of the host is its."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import structlog

from agent import events as ev
from agent.boot import BoottimeClock, notify_ready
from agent.commands import answer, table
from agent.config import ConfigError, Finding, Settings
from agent.configuration import Configuration
from agent.desired import Problem, Publication, Ruleset
from agent.drivers.bus import Bus, BusError
from agent.drivers.control import serve
from agent.drivers.docker import EngineWatcher
from agent.model import Containers
from agent.place import Place, bus_config, node_info
from agent.reconcile import Context, PartError, Reconciler, Status, Step
from agent.start import Start

log = structlog.get_logger(__name__)

SOCKET = "/var/run/docker.sock"
# Seconds that the list of containers counts after the agent has left: an agent made anew is back by then.
LEFT = 20.0


def engine_socket(environ: Mapping[str, str]) -> Path:
    """Where the engine listens, from DOCKER_HOST as its own tools have it. ConfigError where that is no unix socket."""
    told = environ.get("DOCKER_HOST", "") or f"unix://{SOCKET}"
    if not told.startswith("unix://"):
        mend = "mount the engine's socket, or leave the variable out"
        raise ConfigError([Finding("environment", 0, 0, "DOCKER_HOST", f"{told!r} is no unix:// socket", mend)])
    return Path(told.removeprefix("unix://"))


class DockerHostAgent:
    """One running agent of a docker host."""

    def __init__(self, place: Place, start: Start, environ: Mapping[str, str]) -> None:
        settings = start.candidate.settings
        self.place = place
        self._clock = BoottimeClock()
        self._bus_config = bus_config(settings, place.node)
        self._bus = Bus(self._bus_config)
        self._engine = EngineWatcher(engine_socket(environ), self._clock.now)
        self._facts: tuple[Publication, ...] = ()
        self._configure(settings)
        self.loop = Reconciler(
            plan=start.candidate.planner,
            steps=(Step("bus", self._publish),),
            clock=self._clock,
            on_ready=partial(notify_ready, environ),
            essential=frozenset(),
            errors=(PartError, BusError, OSError),
        )
        self.configuration = Configuration(
            place,
            environ,
            start.store,
            self.loop,
            self._clock.now,
            adopt=self._configure,
            check=_no_rules,
            refusals=(ConfigError, OSError),
            running=start.candidate,
            kept=start.kept,
        )
        if start.error:
            self.loop.status["config"] = Status(start.error, "mend the file; the last good one runs", self.now())

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT."""
        stop, hangups = asyncio.Event(), asyncio.Event()
        running = asyncio.get_running_loop()
        running.add_signal_handler(signal.SIGTERM, stop.set)
        running.add_signal_handler(signal.SIGINT, stop.set)
        running.add_signal_handler(signal.SIGHUP, hangups.set)
        log.info("agent starts", node=self.place.node, config=str(self.place.config))
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._engine.run(self.loop.emit), name="engine"),
                group.create_task(self._bus.run(self.loop.emit), name="bus"),
                group.create_task(serve(self.place.run / "agent.sock", partial(answer, table(self))), name="control"),
                group.create_task(self.configuration.watch(), name="configuration"),
                group.create_task(self._reload_on(hangups), name="hangup"),
                group.create_task(self.loop.run(), name="loop"),
            ]
            await stop.wait()
            log.info("agent stops; what its containers have open closes soon", node=self.place.node, seconds=LEFT)
            if self._facts:  # what an earlier life said stands until this one has said something
                self._bus.leave_with(self._last())
            for task in tasks:
                task.cancel()

    def _last(self) -> tuple[Publication, ...]:
        """What is said on the way out: the same, but not for long."""
        until = self.now() + LEFT
        return tuple(
            replace(p, fact=replace(p.fact, valid_until=until)) if isinstance(p.fact, Containers) else p
            for p in self._facts
        )

    async def _reload_on(self, hangups: asyncio.Event) -> None:
        while await hangups.wait():
            hangups.clear()
            await self.configuration.reload()

    async def _publish(self, context: Context) -> None:
        self._facts = context.plan.facts
        await self._bus.publish(self._facts)

    def _configure(self, settings: Settings) -> tuple[str, ...]:
        self.settings = settings
        self._bus.describe(node_info(settings, self.place.node))
        if bus_config(settings, self.place.node) == self._bus_config:
            return ()
        return ("another bus or site: the agent takes it up when it starts again",)

    def read_leases(self) -> None:
        """There are none here; `routerctl poke` only has the loop look again."""
        self.loop.emit(ev.Tick())

    def now(self) -> float:
        """Seconds on CLOCK_BOOTTIME."""
        return self._clock.now()

    def problems(self) -> tuple[Problem, ...]:
        """What a person must know."""
        return (*self.loop.problems, *self.configuration.problems())


async def _no_rules(_: Ruleset) -> None:
    """A docker host has no rules to try."""

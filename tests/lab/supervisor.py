"""The stand-in's services: dependencies, restarts and stops as dinit(8) and dinit-service(5) describe them."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Coroutine
from enum import Enum
from pathlib import Path
from typing import Any

from tests.lab.process import Process
from tests.lab.service_file import Service, load


class State(Enum):
    """A service's state, in dinitctl's words."""

    STOPPED = "STOPPED"
    STARTING = "STARTING"
    STARTED = "STARTED"
    STOPPING = "STOPPING"


def outcome(status: int) -> str:
    """A wait status in dinitctl's words."""
    return f"signalled - signal {-status}" if status < 0 else f"exited - status {status}"


class Unit:
    """One service at run time."""

    def __init__(self, service: Service, supervisor: Supervisor) -> None:
        self.service = service
        self.state = State.STOPPED
        self.explicit = False
        self.reason = ""  # why it is stopped, in the words of `dinitctl status`; empty after an ordinary stop
        self.failed = False
        self.process: Process | None = None
        self._supervisor = supervisor
        self._lock = asyncio.Lock()
        self._watcher: asyncio.Task[None] | None = None
        self._started = self._counted_from = -1e9
        self._count = 0

    @property
    def dependents(self) -> list[Unit]:
        """Services that are up, or going up or down, and must not be without this one."""
        units = self._supervisor.units.values()
        return [u for u in units if self.service.name in u.service.depends_on and u.state is not State.STOPPED]

    def _needed(self) -> bool:
        name = self.service.name
        units = self._supervisor.units.values()
        return self.explicit or any(name in u.service.dependencies and u.state is not State.STOPPED for u in units)

    def _say(self, text: str) -> None:
        self._supervisor.say("dinit", text)

    async def start(self) -> bool:
        """Start it after what it needs; True if it is up."""
        async with self._lock:
            if self.state is State.STARTED:
                return True
            self.state, self.reason, self.failed = State.STARTING, "", False
            service = self.service
            results = await asyncio.gather(*(self._supervisor.unit(name).start() for name in service.dependencies))
            hard = dict(zip(service.dependencies, results, strict=True))
            if not all(hard[name] for name in service.depends_on + service.depends_ms):
                self._fail("dependency failed/terminated")
            elif await self._launch():
                self.state = State.STARTED
                self._say(f"[  OK  ] {service.name}")
                if self.process:
                    self._watcher = asyncio.create_task(self._watch(), name=service.name)
            return self.state is State.STARTED

    def _fail(self, reason: str) -> None:
        self.state, self.reason, self.failed, self.explicit = State.STOPPED, reason, True, False
        self.process = None
        self._say(f"[FAILED] {self.service.name}: {reason}")
        self._supervisor.release(self.service.dependencies)

    async def _launch(self, *, recovers: bool = False) -> bool:
        """Run the command until it is up; False after `_fail`. One that `recovers` counts as up all the time."""
        service = self.service
        self._started = time.monotonic()
        if service.type == "internal":
            return True
        say = self._supervisor.speaker(service)
        try:
            self.process = Process(service.command, service.ready_variable, say)
        except OSError as error:
            self._fail(f"could not be launched: {error}")
            return False
        if recovers:
            return True
        waited: asyncio.Future[bool] | asyncio.Future[int] = self.process.ready
        if service.type == "scripted":
            waited = self.process.exited
        try:
            async with asyncio.timeout(service.start_timeout or None):
                value = await asyncio.shield(waited)
        except TimeoutError:
            await self.process.end(signal.SIGINT, service.stop_timeout)
            self._fail("start timed out")
            return False
        if service.type == "scripted":
            self.process = None
        if value is not True and not (service.type == "scripted" and value == 0):
            status = value if self.process is None else await self.process.end(signal.SIGTERM, service.stop_timeout)
            self._fail(f"failed to start; {outcome(status)}")
            return False
        return True

    def _may_restart(self) -> bool:
        now = time.monotonic()
        if now - self._counted_from > self.service.restart_limit_interval:
            self._counted_from, self._count = now, 0
        if self.service.restart_limit_count and self._count >= self.service.restart_limit_count:
            self._say(f"Service {self.service.name} restarting too quickly; stopping.")
            return False
        self._count += 1
        return True

    async def _watch(self) -> None:
        """Answer the process's unexpected end."""
        service = self.service
        while self.process:
            status = await asyncio.shield(self.process.exited)
            self._say(f"Service {service.name} terminated: {outcome(status)}")
            if not (service.smooth_recovery and self._may_restart()):
                break
            await asyncio.sleep(self._started + service.restart_delay - time.monotonic())
            if not await self._launch(recovers=True):
                await self._stop_dependents()
                return
        self._watcher = None
        self._supervisor.spawn(self._terminated(status))

    async def _terminated(self, status: int) -> None:
        """Stop with all that depends on it; start again if the file says so."""
        again = self.service.restart and not self.service.smooth_recovery and self._may_restart()
        explicit = self.explicit
        stopped = await self.stop(reason=f"terminated; {outcome(status)}")
        if again:
            await asyncio.sleep(self._started + self.service.restart_delay - time.monotonic())
            self.explicit = explicit
            await self.start()
            for unit in stopped:
                if unit.service.restart:
                    await unit.start()

    async def _stop_dependents(self) -> list[Unit]:
        stopped: list[Unit] = []
        while units := self.dependents:
            for unit in units:
                stopped += [unit, *await unit.stop(reason="dependency failed/terminated")]
        return stopped

    async def stop(self, *, reason: str = "", release: bool = True) -> list[Unit]:
        """Stop it after all that depends on it, and return those; `release` also ends what nobody needs any more."""
        stopped = await self._stop_dependents()
        async with self._lock:
            if self.state is State.STOPPED:
                return stopped
            self.state, self.explicit = State.STOPPING, False
            if self._watcher:
                self._watcher.cancel()
                self._watcher = None
            await self._end()
            self.state, self.reason, self.process = State.STOPPED, reason, None
            self._say(f"[STOPPD] {self.service.name}")
        if release:
            self._supervisor.release(self.service.dependencies)
        return stopped

    async def _end(self) -> None:
        service = self.service
        if service.stop_command:
            command = Process(service.stop_command, "", self._supervisor.speaker(service))
            try:
                async with asyncio.timeout(service.stop_timeout or None):
                    await asyncio.shield(command.exited)
            except TimeoutError:
                await command.end(signal.SIGKILL, 0)
        if self.process:
            group = "signal-process-only" not in service.options
            await self.process.end(signal.Signals[f"SIG{service.term_signal}"], service.stop_timeout, group=group)

    async def release_if_idle(self) -> None:
        """Stop if neither activated explicitly nor needed."""
        if self.state is State.STARTED and not self._needed():
            await self.stop()


class Supervisor:
    """All services of one container. `log` gets every line, prefixed with `[service]`."""

    def __init__(self, directory: Path, log: Callable[[str], None]) -> None:
        self.directory = directory
        self.units: dict[str, Unit] = {}
        self._log = log
        self._tasks: set[asyncio.Task[None]] = set()

    def say(self, service: str, text: str) -> None:
        """Log a line of a service's."""
        self._log(f"[{service}] {text}")

    def speaker(self, service: Service) -> Callable[[str], None] | None:
        """Where the output of a service goes: nowhere, unless it shares the console."""
        return (lambda line: self.say(service.name, line)) if "shares-console" in service.options else None

    def unit(self, name: str) -> Unit:
        """The service of that name, loaded with all it depends on at first use. Raises ServiceFileError."""
        if name not in self.units:
            self.units[name] = Unit(load(self.directory, name), self)
            for dependency in self.units[name].service.dependencies:
                self.unit(dependency)
        return self.units[name]

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the caller, and keep it until done."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def release(self, names: list[str]) -> None:
        """Stop those of the services that nobody needs any more."""
        for name in names:
            self.spawn(self.units[name].release_if_idle())

    async def shut_down(self) -> None:
        """Stop all services, dependents first."""
        await asyncio.gather(*(unit.stop(release=False) for unit in self.units.values()))

"""The driver of generated files with a service manager and a control socket that write down what they are told."""

from __future__ import annotations

import asyncio
from pathlib import Path

from agent.desired import ConfigFile
from agent.drivers.daemon import Daemons


class FakeControl:
    """A service manager that writes down what it is told; a service may die of a word in a file."""

    def __init__(self) -> None:
        self.up: set[str] = set()
        self.told: list[str] = []
        self.asked: list[str] = []
        self.broken = False

    def _tell(self, text: str) -> None:
        if self.broken:
            raise OSError("no dinit in reach")
        self.told.append(text)

    async def started(self, service: str) -> bool:
        if self.broken:
            raise OSError("no dinit in reach")
        self.asked.append(service)
        return service in self.up

    async def start(self, service: str) -> None:
        self._tell(f"start {service}")
        self.up.add(service)

    async def stop(self, service: str) -> None:
        self._tell(f"stop {service}")
        self.up.discard(service)

    async def restart(self, service: str) -> None:
        self._tell(f"restart {service}")

    async def signal(self, service: str, name: str) -> None:
        if service not in self.up:
            raise OSError(f"{service} is not running")
        self._tell(f"{name} {service}")


class FakeSocket:
    """A daemon's control socket. `says`: what it answers to a reload; None: nobody answers at all."""

    def __init__(self) -> None:
        self.says: str | None = None
        self.asked: list[str] = []
        self.free = asyncio.Event()
        self.free.set()

    async def test(self, path: str, text: str) -> str | None:
        self.asked.append(f"test {path}")
        if self.says is None:
            return None
        return "" if "good" in text else "it is bad"

    async def reload(self, path: str) -> str | None:
        self.asked.append(f"reload {path}")
        await self.free.wait()
        return self.says


class World:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.control = FakeControl()
        self.socket = FakeSocket()
        self.pokes = 0
        self.daemons = self.again()

    def again(self) -> Daemons:
        """The driver of a new life of the agent."""
        etc, good = self.directory / "etc", self.directory / "good"
        return Daemons(etc, good, self.control, (OSError,), self.socket, self._poked)

    def _poked(self) -> None:
        self.pokes += 1

    async def apply(self, *files: ConfigFile, **services: bool) -> list[str]:
        self.control.told.clear()
        await self.daemons.apply(files, services)
        return list(self.control.told)

    def text(self, name: str) -> str:
        return (self.directory / "etc" / name).read_text()

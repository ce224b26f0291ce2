"""Generated files and the daemons that read them: write, check, replace, reload; the last good text is kept.

A text that a daemon refuses never replaces a good one: it stays beside it as `<file>.refused`, the daemon runs on.
A daemon that dies of a text it had accepted, or says that it could not take it, gets the last good one back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from agent.desired import ConfigFile
from agent.drivers.daemon.file import check, read
from agent.files import write_whole

_COMMANDS = {"restart": 3, "HUP": 2, "USR1": 1, "none": 0}


class DaemonError(Exception):
    """One or more files or services are not as they shall be; the text names each."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Control(Protocol):
    """The service manager."""

    async def started(self, service: str) -> bool:
        """Whether it is up."""

    async def start(self, service: str) -> None:
        """Start it."""

    async def stop(self, service: str) -> None:
        """Stop it."""

    async def restart(self, service: str) -> None:
        """Stop and start it."""

    async def signal(self, service: str, name: str) -> None:
        """Send it a signal."""


class Socket(Protocol):
    """The control sockets of daemons that have one. Each answer: what is wrong, empty for nothing, None for none."""

    async def test(self, path: str, text: str) -> str | None:
        """Whether the running daemon would take a text."""

    async def reload(self, path: str) -> str | None:
        """Have it take its file anew; the answer comes once it has."""


@dataclass(slots=True)
class Daemons:
    """Makes files and services what they shall be. `errors`: what `control` raises."""

    etc: Path
    good: Path
    control: Control
    errors: tuple[type[Exception], ...]
    socket: Socket | None = None
    poke: Callable[[], None] = lambda: None  # asks for another `prove` soon
    _told: dict[str, str] = field(default_factory=dict)  # path → text that its service was given
    _fatal: dict[str, str] = field(default_factory=dict)  # path → text that its service died of
    _settled: dict[str, tuple[bool, tuple[ConfigFile, ...]]] = field(default_factory=dict)  # service → as it was made
    _unproven: dict[str, list[str]] = field(default_factory=dict)  # service → paths given since it was last seen up
    _sockets: dict[str, str] = field(default_factory=dict)  # service → its control socket
    _taking: dict[str, asyncio.Task[str]] = field(default_factory=dict)  # service → its reload by that

    async def apply(self, files: Sequence[ConfigFile], services: Mapping[str, bool], *, full: bool = True) -> None:
        """Make it so. Everything is tried; raises DaemonError naming all that failed.

        Without `full` a service of which nothing differs from the last time is not asked after.
        """
        problems: list[str] = []
        hints: list[str] = []
        refused: set[str] = set()
        for file in files:
            problem = await self._replace(file)
            if problem:
                problems.append(problem)
                refused.add(file.service or "")
        for service, wanted in services.items():
            mine = [file for file in files if file.service == service]
            shall = (wanted, tuple(mine))
            was = self._settled.get(service)
            if was == shall and not full:
                continue
            self._settled.pop(service, None)
            try:
                if wanted:
                    await self._up(service, mine, was_up=was is not None and was[0])
                else:
                    self._unproven.pop(service, None)
                    self._taking.pop(service, None)
                    if await self.control.started(service):
                        await self.control.stop(service)
                if service not in refused:
                    self._settled[service] = shall
            except self.errors as error:
                problems.append(str(error))
                hints.append(getattr(error, "hint", ""))
        if problems:
            raise DaemonError("; ".join(dict.fromkeys(problems)), next((hint for hint in hints if hint), ""))

    async def prove(self) -> None:
        """Look whether the services told last stayed up: their texts are good then, else they get the last good ones.

        Called some time after `apply`. Raises DaemonError naming the services that fell.
        """
        fallen = []
        for service, paths in tuple(self._unproven.items()):
            taking = self._taking.get(service)
            if taking is not None and not taking.done():
                taking.add_done_callback(lambda _: self.poke())
                continue
            del self._unproven[service]
            self._taking.pop(service, None)
            try:
                refusal = await taking if taking is not None else ""
                if not refusal and await self.control.started(service):
                    for path in paths:
                        write_whole(self.good / path, self._told[path], 0o600)
                else:
                    fallen.append(await self._fall_back(service, paths, refusal))
            except self.errors as error:
                fallen.append(str(error))
        if fallen:
            raise DaemonError("; ".join(fallen), "see its last lines in the log; `routerctl render` shows the text")

    async def _fall_back(self, service: str, paths: list[str], refusal: str) -> str:
        self._settled.pop(service, None)
        restored = []
        for path in paths:
            text = read(self.good / path)
            if text and text != self._told[path]:  # an empty one is of a disk that failed
                self._fatal[path] = self._told[path]
                self._told[path] = text
                self._write(self.etc / path, text, (self.etc / path).stat().st_mode & 0o777)
                restored.append(path)
        if not refusal:
            await self.control.start(service)
        elif restored:
            self._take(service)
            self._unproven[service] = paths
        else:
            await self.control.restart(service)
        what = f"did not take its new text: {refusal}" if refusal else "did not stay up"
        return f"{service} {what}" + (f"; its last good {' '.join(restored)} is back" if restored else "")

    async def _up(self, service: str, files: list[ConfigFile], *, was_up: bool) -> None:
        """Start the service, or tell it that its files are new. One that was up is told without asking first."""
        texts = {file.path: text for file in files if (text := read(self.etc / file.path)) is not None}
        if files and not texts:
            return  # its first text was refused: said above; it has nothing to run with
        present = [file for file in files if file.path in texts]
        new = [file for file in present if self._is_new(file.path, texts[file.path])]
        how = max((file.reload for file in new), key=lambda name: _COMMANDS[name], default="none")
        self._sockets[service] = next((file.socket for file in present if self.socket is not None), "")
        told = was_up and how in {"HUP", "USR1"} and await self._tell(service, how)
        if not told and not await self.control.started(service):
            await self.control.start(service)
        elif how == "restart":
            await self.control.restart(service)
        elif how != "none" and not told and not (self._sockets[service] and await self._tell(service, how)):
            await self.control.signal(service, how)
        self._told.update(texts)
        self._unproven[service] = list(texts)

    async def _tell(self, service: str, how: str) -> bool:
        """Whether a service was told by its socket or a signal; one that is down takes no signal."""
        if self._sockets[service]:
            self._take(service)
            return True
        return await self._signalled(service, how)

    def _take(self, service: str) -> None:
        """Have it take its file by its socket. It may take its time: `prove` looks at the answer."""
        before = self._taking.get(service)
        self._taking[service] = asyncio.create_task(self._taken(service, before), name=f"{service} reloads")

    async def _taken(self, service: str, before: asyncio.Task[str] | None) -> str:
        """What it says against its file. One that does not answer gets a signal, or is started."""
        if before is not None:
            await asyncio.wait([before])
        said = await self.socket.reload(self._sockets[service]) if self.socket is not None else None
        if self._taking.get(service) is not asyncio.current_task():
            return ""  # told anew, or stopped, meanwhile
        if said is None and not await self._signalled(service, "HUP"):
            await self.control.start(service)
        return said or ""

    async def _signalled(self, service: str, name: str) -> bool:
        """Whether a service took a signal; one that is down does not."""
        try:
            await self.control.signal(service, name)
        except self.errors:
            return False
        return True

    def _is_new(self, path: str, text: str) -> bool:
        """Whether the running service may not have taken this text; after our own restart the last good one tells."""
        return (self._told[path] if path in self._told else read(self.good / path)) != text

    async def _replace(self, file: ConfigFile) -> str:
        """Put the text in place unless it is there or its daemon's own check refuses it; says what is wrong."""
        target = self.etc / file.path
        if self._fatal.get(file.path) == file.text:
            return f"{file.path}: {file.service} cannot run with this text; the last good one is in place"
        if read(target) == file.text:
            return ""
        candidate = target.with_name(target.name + ".new")
        try:
            self._write(candidate, file.text, file.mode)
            if refusal := await self._refusal(file, candidate):
                candidate.replace(target.with_name(target.name + ".refused"))
                return f"{file.path} refused: {refusal}"
            candidate.replace(target)
        except OSError as error:
            return f"{file.path}: cannot write: {error.strerror} ({error.filename})"
        return ""

    @staticmethod
    def _write(path: Path, text: str, mode: int) -> None:
        """Not durable: an advertisement of a prefix waits for it, and what a power cut tears is written anew."""
        write_whole(path, text, mode, durable=False)

    async def _refusal(self, file: ConfigFile, candidate: Path) -> str:
        """What the daemon's own check says against a text."""
        if file.socket and self.socket is not None and await self.socket.test(file.socket, file.text) == "":
            return ""
        # A running daemon knows the devices of its last reload only: what it refuses, its checker may accept.
        if file.check is None:
            return ""
        return await check([word.replace("{path}", str(candidate)) for word in file.check])

"""Generated files and the daemons that read them: write, check, replace, reload; the last good text is kept.

A text that a daemon refuses never replaces a good one: it stays beside it as `<file>.refused`, the daemon runs on.
A daemon that dies of a text it had accepted gets the last good one back.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from agent.desired import ConfigFile

CHECK_TIMEOUT = 20.0
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


@dataclass(slots=True)
class Daemons:
    """Makes files and services what they shall be. `errors`: what `control` raises."""

    etc: Path
    good: Path
    control: Control
    errors: tuple[type[Exception], ...]
    _told: dict[str, str] = field(default_factory=dict)  # path → text that its service was given
    _fatal: dict[str, str] = field(default_factory=dict)  # path → text that its service died of
    _settled: dict[str, tuple[bool, tuple[ConfigFile, ...]]] = field(default_factory=dict)  # service → as it was made
    _unproven: dict[str, list[str]] = field(default_factory=dict)  # service → paths given since it was last seen up

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
                elif await self.control.started(service):
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
            del self._unproven[service]
            try:
                if await self.control.started(service):
                    for path in paths:
                        _write(self.good / path, self._told[path], 0o600)
                else:
                    fallen.append(await self._fall_back(service, paths))
            except self.errors as error:
                fallen.append(str(error))
        if fallen:
            raise DaemonError("; ".join(fallen), "see its last lines in the log; `routerctl render` shows the text")

    async def _fall_back(self, service: str, paths: list[str]) -> str:
        self._settled.pop(service, None)
        restored = []
        for path in paths:
            good = self.good / path
            if good.exists() and (text := good.read_text(encoding="utf-8")) != self._told[path]:
                self._fatal[path] = self._told[path]
                self._told[path] = text
                _write(self.etc / path, text, (self.etc / path).stat().st_mode & 0o777)
                restored.append(path)
        await self.control.start(service)
        return f"{service} did not stay up" + (f"; its last good {' '.join(restored)} is back" if restored else "")

    async def _up(self, service: str, files: list[ConfigFile], *, was_up: bool) -> None:
        """Start the service, or tell it that its files are new. One that was up is told without asking first."""
        present = [file for file in files if (self.etc / file.path).exists()]
        if files and not present:
            return  # its first text was refused: said above; it has nothing to run with
        texts = {file.path: (self.etc / file.path).read_text(encoding="utf-8") for file in present}
        new = [file for file in present if self._is_new(file.path, texts[file.path])]
        how = max((file.reload for file in new), key=lambda name: _COMMANDS[name], default="none")
        told = was_up and how in {"HUP", "USR1"} and await self._signalled(service, how)
        if not told and not await self.control.started(service):
            await self.control.start(service)
        elif how == "restart":
            await self.control.restart(service)
        elif how != "none" and not told:
            await self.control.signal(service, how)
        self._told.update(texts)
        self._unproven[service] = list(texts)

    async def _signalled(self, service: str, name: str) -> bool:
        """Whether a service took a signal; one that is down does not."""
        try:
            await self.control.signal(service, name)
        except self.errors:
            return False
        return True

    def _is_new(self, path: str, text: str) -> bool:
        """Whether the running service may not have taken this text; after our own restart the last good one tells."""
        told = self._told.get(path)
        if told is None:
            try:
                told = (self.good / path).read_text(encoding="utf-8")
            except OSError:
                return True
        return told != text

    async def _replace(self, file: ConfigFile) -> str:
        """Put the text in place unless it is there or its daemon's own check refuses it; says what is wrong."""
        target = self.etc / file.path
        if self._fatal.get(file.path) == file.text:
            return f"{file.path}: {file.service} died of this text; the last good one is in place"
        try:
            if target.read_text(encoding="utf-8") == file.text:
                return ""
        except OSError:
            pass
        candidate = target.with_name(target.name + ".new")
        try:
            _write(candidate, file.text, file.mode)
            if file.check is not None:
                refusal = await _check([word.replace("{path}", str(candidate)) for word in file.check])
                if refusal:
                    candidate.replace(target.with_name(target.name + ".refused"))
                    return f"{file.path} refused: {refusal}"
            candidate.replace(target)
        except OSError as error:
            return f"{file.path}: cannot write: {error.strerror} ({error.filename})"
        return ""


def _write(path: Path, text: str, mode: int) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        os.fchmod(descriptor, mode)
        stream.write(text)
    temporary.replace(path)


async def _check(command: list[str]) -> str:
    """The daemon's own words where it refuses, empty where it is content or not installed here."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
    except FileNotFoundError:
        return f"{command[0]} is not installed, so the text cannot be checked"
    try:
        output, _ = await asyncio.wait_for(process.communicate(), CHECK_TIMEOUT)
    except TimeoutError:
        process.kill()
        await process.wait()
        return f"{command[0]} did not end its check in {CHECK_TIMEOUT:g} s"
    if process.returncode == 0:
        return ""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    return " / ".join(lines[-3:])[:400] or f"{command[0]} exit status {process.returncode}"

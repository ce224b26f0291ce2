"""What `dinitctl` may ask of the stand-in, with dinitctl(8)'s words and exit statuses."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from tests.lab.service_file import ServiceFileError
from tests.lab.supervisor import State, Supervisor, Unit

Answer: TypeAlias = tuple[int, str, str]
FLAGS = {"--no-wait", "--force", "--ignore-unstarted"}
IGNORED = {"--quiet", "-q", "--system", "-s", "--user", "-u"}
IGNORED_WITH_VALUE = {"--socket-path", "-p", "--services-dir", "-d"}


class Control:
    """Answers commands; `ended` is set by `dinitctl shutdown`."""

    def __init__(self, supervisor: Supervisor, ended: asyncio.Event) -> None:
        self._supervisor = supervisor
        self._ended = ended
        self._commands: dict[str, Callable[[Unit, set[str]], Awaitable[Answer]]] = {
            "start": self._start,
            "stop": self._stop,
            "restart": self._restart,
            "release": self._release,
            "status": self._status,
            "is-started": self._is_started,
            "is-failed": self._is_failed,
        }

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: arguments joined by NUL in, exit status, output and errors joined by NUL out."""
        arguments = (await reader.read()).decode().split("\0")
        try:
            status, out, err = await self.answer(arguments)
        except ServiceFileError as error:
            status, out, err = 1, "", f"dinitctl: failed to find service description.\ndinitctl: {error}\n"
        writer.write(f"{status}\0{out}\0{err}".encode())
        await writer.drain()
        writer.close()

    async def answer(self, arguments: list[str]) -> Answer:
        """Exit status, standard output and standard error of `dinitctl ARGUMENTS`."""
        try:
            words, flags = _split(arguments)
        except ValueError as error:
            return 1, "", f"dinitctl: {error} (use --help for help)\n"
        match words:
            case ["list"]:
                return 0, "".join(map(_line, self._supervisor.units.values())), ""
            case ["shutdown"]:
                self._ended.set()
                return 0, "Shutting down dinit...\n", ""
            case ["signal", number, name]:
                return self._signal(number, self._supervisor.unit(name))
            case [command, name] if command in self._commands:
                return await self._commands[command](self._supervisor.unit(name), flags)
        return 1, "", f"dinitctl: unrecognized command: {' '.join(words)} (use --help for help)\n"

    async def _start(self, unit: Unit, flags: set[str]) -> Answer:
        unit.explicit = True
        if unit.state is State.STARTED:
            return 0, "Service (already) started.\n", ""
        if "--no-wait" in flags:
            self._supervisor.spawn(_done(unit.start()))
            return 0, f"Issued start command successfully for service '{unit.service.name}'.\n", ""
        if await unit.start():
            return 0, f"Service '{unit.service.name}' started.\n", ""
        return 1, f"Service '{unit.service.name}' failed to start.\n", ""

    async def _stop(self, unit: Unit, flags: set[str]) -> Answer:
        if unit.state is State.STOPPED:
            return 0, "Service (already) stopped.\n", ""
        if refusal := _refuse(unit, flags):
            return refusal
        if "--no-wait" in flags:
            self._supervisor.spawn(_done(unit.stop()))
            return 0, f"Issued stop command successfully for service '{unit.service.name}'.\n", ""
        await unit.stop()
        return 0, f"Service '{unit.service.name}' stopped.\n", ""

    async def _restart(self, unit: Unit, flags: set[str]) -> Answer:
        if unit.state is not State.STARTED:
            if "--ignore-unstarted" in flags:
                return 0, f"Service '{unit.service.name}' is not currently started.\n", ""
            return 1, "", "dinitctl: cannot restart service; service not started.\n"
        if refusal := _refuse(unit, flags):
            return refusal
        explicit = unit.explicit
        stopped = await unit.stop(release=False)
        unit.explicit = explicit
        if not await unit.start():
            return 1, f"Service '{unit.service.name}' failed to start.\n", ""
        for dependent in stopped:
            await dependent.start()
        return 0, f"Service '{unit.service.name}' stopped.\nService '{unit.service.name}' started.\n", ""

    async def _release(self, unit: Unit, _: set[str]) -> Answer:
        unit.explicit = False
        await unit.release_if_idle()
        return 0, "", ""

    async def _status(self, unit: Unit, _: set[str]) -> Answer:
        name = unit.service.name
        reason = f" ({unit.reason})" if unit.reason else ""
        text = (
            f"Service: {name}\n    File: {self._supervisor.directory}/{name}\n    State: {unit.state.value}{reason}\n"
        )
        if unit.state in {State.STARTED, State.STARTING}:
            text += f"    Activation: {'explicitly started' if unit.explicit else 'start due to dependent(s)'}\n"
        if unit.process:
            text += f"    Process ID: {unit.process.pid}\n"
        return 0, text, ""

    async def _is_started(self, unit: Unit, _: set[str]) -> Answer:
        return int(unit.state is not State.STARTED), f"{unit.state.value}\n", ""

    async def _is_failed(self, unit: Unit, _: set[str]) -> Answer:
        return int(not (unit.state is State.STOPPED and unit.failed)), f"{unit.state.value}\n", ""

    def _signal(self, number: str, unit: Unit) -> Answer:
        known = signal.Signals.__members__.get(f"SIG{number}")
        if known is None and not number.isdigit():
            return 1, "", f"dinitctl: '{number}' is not a valid signal name/number.\n"
        if unit.process is None:
            return 1, "", "dinitctl: no valid PID found.\n"
        unit.process.signal(known or int(number), group=False)
        return 0, "", ""


def _split(arguments: list[str]) -> tuple[list[str], set[str]]:
    """Words and those flags that matter here. ValueError at an option that dinitctl does not have."""
    flags: set[str] = set()
    words: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if argument in IGNORED_WITH_VALUE:
            next(rest, None)
        elif argument in FLAGS:
            flags.add(argument)
        elif argument.startswith("-") and argument not in IGNORED:
            raise ValueError(f"unrecognized/invalid option: {argument}")
        elif argument not in IGNORED:
            words.append(argument)
    return words, flags


async def _done(work: Awaitable[object]) -> None:
    await work


def _refuse(unit: Unit, flags: set[str]) -> Answer | None:
    names = [dependent.service.name for dependent in unit.dependents]
    if not names or "--force" in flags:
        return None
    text = (
        f"dinitctl: cannot stop service '{unit.service.name}' due to the following dependents:\n  {' '.join(names)}\n"
    )
    return 1, "", text


def _line(unit: Unit) -> str:
    """A line of `dinitctl list`: brackets show activation and target, `+` and `-` up and down, `X` failed."""
    up = unit.state in {State.STARTED, State.STARTING}
    left, right = ("[", "]") if unit.explicit else ("{", "}") if up else (" ", " ")
    middle = {State.STARTING: "<<", State.STOPPING: ">>"}.get(unit.state, "  ")
    off = ("X" if unit.failed else "-") if unit.state is State.STOPPED else " "
    mark = "+" if unit.state is State.STARTED else " "
    braces = (" ", " ") if up else ("{", "}")
    process = f" (pid: {unit.process.pid})" if unit.process else ""
    return f"[{left}{mark}{right}{middle}{braces[0]}{off}{braces[1]}] {unit.service.name}{process}\n"

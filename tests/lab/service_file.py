"""Reads service files: dinit-service(5), as much of it as this project's files use, and nothing it does not know.

Stricter than dinit where that finds mistakes: a repeated setting, the wrong one of `=` and `:`, a setting that does not
fit the type, and a missing `restart`, whose default is chosen when dinit is built.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

TYPES = frozenset({"process", "scripted", "internal"})
FLAGS = {"yes": True, "true": True, "no": False, "false": False}
OPTIONS = frozenset({"shares-console", "signal-process-only"})
SIGNALS = frozenset({"HUP", "INT", "TERM", "QUIT", "USR1", "USR2", "KILL"})
_ADDITIVE = frozenset({"depends-on", "depends-ms", "waits-for", "options"})
_COMMANDS = frozenset({"command", "stop-command", "start-timeout", "stop-timeout", "options"})
_RESTARTS = frozenset({"restart-delay", "restart-limit-interval", "restart-limit-count"})
_PROCESS = _COMMANDS | _RESTARTS | {"smooth-recovery", "term-signal", "ready-notification"}
_COMMON = frozenset({"type", "restart", "depends-on", "depends-ms", "waits-for"})
_ALLOWED = {"process": _COMMON | _PROCESS, "scripted": _COMMON | _COMMANDS, "internal": _COMMON}
_LINE = re.compile(r"(?P<key>[a-z][a-z.-]*)\s*(?P<operator>\+=|=|:)\s*(?P<value>.*)")


class ServiceFileError(ValueError):
    """A service file is wrong: the text names file, line and reason."""


@dataclass
class Service:
    """A service description; times in seconds, 0 for no limit. Defaults are dinit-service(5)'s."""

    name: str
    type: str = ""
    command: list[str] = field(default_factory=list)
    stop_command: list[str] = field(default_factory=list)
    depends_on: list[str] = field(default_factory=list)
    depends_ms: list[str] = field(default_factory=list)
    waits_for: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    restart: bool = False
    smooth_recovery: bool = False
    restart_delay: float = 0.2
    restart_limit_interval: float = 10.0
    restart_limit_count: int = 3
    start_timeout: float = 60.0
    stop_timeout: float = 10.0
    term_signal: str = "TERM"
    ready_variable: str = ""

    @property
    def dependencies(self) -> list[str]:
        """Names of all services this one starts."""
        return self.depends_on + self.depends_ms + self.waits_for


def _tokens(text: str) -> list[str]:
    """Split a value as dinit does: quotes join, a backslash escapes, `#` after white space begins a comment."""
    found: list[str] = []
    current: str | None = None
    quoted = False
    characters = iter(text)
    for character in characters:
        if character == "\\":
            current = (current or "") + next(characters, "")
        elif character == '"':
            quoted, current = not quoted, current or ""
        elif character.isspace() and not quoted:
            if current is not None:
                found.append(current)
            current = None
        elif character == "#" and not quoted and current is None:
            break
        elif character == "$":
            raise ValueError("a variable: they are substituted when dinit loads the file; let the command read it")
        else:
            current = (current or "") + character
    if quoted:
        raise ValueError("a quote is not closed")
    return found if current is None else [*found, current]


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if (stripped := line.strip()) and not stripped.startswith("#"):
            yield number, stripped


def _one(values: list[str]) -> str:
    if len(values) != 1:
        raise ValueError(f"one value, not {len(values)}")
    return values[0]


def _ready(values: list[str]) -> str:
    kind, _, variable = _one(values).partition(":")
    if kind != "pipevar" or not variable.isidentifier():
        raise ValueError("only pipevar:NAME is known here")
    return variable


def _options(values: list[str]) -> list[str]:
    if unknown := set(values) - OPTIONS:
        raise ValueError(f"unknown option {' '.join(sorted(unknown))}")
    return values


def _flag(values: list[str]) -> bool:
    if (value := _one(values)) not in FLAGS:
        raise ValueError(f"{value!r} is neither yes nor no")
    return FLAGS[value]


def _choice(values: list[str], known: frozenset[str]) -> str:
    if (value := _one(values)) not in known:
        raise ValueError(f"unknown value {value!r}")
    return value


def _number(values: list[str]) -> float:
    if (number := float(_one(values))) < 0:
        raise ValueError("a negative number")
    return number


_READERS: dict[str, Callable[[list[str]], Any]] = {
    "type": partial(_choice, known=TYPES),
    "term-signal": partial(_choice, known=SIGNALS),
    "command": list,
    "stop-command": list,
    "restart": _flag,
    "smooth-recovery": _flag,
    "ready-notification": _ready,
    "options": _options,
    "depends-on": lambda values: [_one(values)],
    "depends-ms": lambda values: [_one(values)],
    "waits-for": lambda values: [_one(values)],
    "restart-limit-count": lambda values: int(_number(values)),
    **dict.fromkeys(("restart-delay", "restart-limit-interval", "start-timeout", "stop-timeout"), _number),
}


def _set(service: Service, seen: dict[str, int], match: re.Match[str]) -> None:
    """Put one setting into `service`. ValueError says what is wrong with it."""
    key = match["key"]
    additive = key in _ADDITIVE
    if key not in _READERS:
        raise ValueError("no such setting is known here, see dinit-service(5)")
    if match["operator"] != (":" if additive else "="):
        raise ValueError(f"takes `{':' if additive else '='}`")
    if key in seen and not additive:
        raise ValueError(f"was set in line {seen[key]}")
    value = _READERS[key](_tokens(match["value"]))
    attribute = "ready_variable" if key == "ready-notification" else key.replace("-", "_")
    setattr(service, attribute, getattr(service, attribute) + value if additive else value)


def parse(name: str, text: str, where: str = "") -> Service:
    """The service of a file's text. Raises ServiceFileError with file (`where`), line and reason."""
    where = where or name
    service = Service(name)
    seen: dict[str, int] = {}
    for number, line in _lines(text):
        match = _LINE.fullmatch(line)
        if match is None:
            raise ServiceFileError(f"{where}:{number}: not a setting: {line}")
        try:
            _set(service, seen, match)
        except ValueError as error:
            raise ServiceFileError(f"{where}:{number}: {match['key']}: {error}") from None
        seen[match["key"]] = number
    _check(service, seen, where)
    return service


def _check(service: Service, seen: dict[str, int], where: str) -> None:
    for key in ("type", "restart"):
        if key not in seen:
            raise ServiceFileError(f"{where}: {key} is missing")
    for key, number in seen.items():
        if key not in _ALLOWED[service.type]:
            raise ServiceFileError(f"{where}:{number}: {key} does nothing in a service of type {service.type}")
    if service.type != "internal" and not service.command:
        raise ServiceFileError(f"{where}: command is missing")


def load(directory: Path, name: str) -> Service:
    """The service `name` of a directory of service files. ServiceFileError if it is not there or wrong."""
    path = directory / name
    if not path.is_file():
        raise ServiceFileError(f"{path}: no such service")
    return parse(name, path.read_text(encoding="utf-8"), str(path))

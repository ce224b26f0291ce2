"""What `check` has to say about a configuration: where, what, and how to mend it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]
Level: TypeAlias = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file; lines and columns count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong with the value at a key path, without its place. `at_key`: the key is meant, not its value.

    `see`: another place that the message speaks of; its line is added.
    """

    path: KeyPath
    message: str
    mend: str
    level: Level = "error"
    at_key: bool = False
    see: KeyPath | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A complaint in its place. `line` and `column` are 0 where there is none (an unreadable file, the environment).

    `key` is the key path as people write it: `uplinks.kpn.mtu`, `rules[3].to`.
    """

    file: str
    line: int
    column: int
    key: str
    message: str
    mend: str
    level: Level = "error"

    @property
    def place(self) -> str:
        """`file:line:column`, as editors and terminals know it."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file

    def __str__(self) -> str:
        key = f"{self.key}: " if self.key else ""
        return f"{self.place}: {key}{self.message}; to mend: {self.mend}"


def by_place(finding: Finding) -> tuple[str, int, int, str, str]:
    """Sorts findings as they stand in their files."""
    return (finding.file, finding.line, finding.column, finding.key, finding.message)


class ConfigError(Exception):
    """A configuration that cannot be used: all findings of the phase that failed (syntax, fields, cross-references)."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(sorted(findings, key=by_place))
        super().__init__("\n".join(str(finding) for finding in self.findings))


def written(path: KeyPath) -> str:
    """A key path as people write it."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text

"""Keys that are accepted but not acted on yet: the one list of them. `check` shows those a file uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from agent.config.finding import KeyPath
from agent.config.scheme import keys_of
from agent.config.settings import Settings

# Key path, `*` for any name or place → what happens instead.
NOT_YET: Mapping[KeyPath, str] = {}


@dataclass(frozen=True, slots=True)
class UnusedKey:
    """A key of the file that has no effect yet, and what happens instead."""

    path: KeyPath
    reason: str


def unused_keys(settings: Settings) -> tuple[UnusedKey, ...]:
    """The keys of these settings without effect; a key that says what its default says is not among them."""
    return tuple(UnusedKey(path, why) for pattern, why in NOT_YET.items() for path in _matches(settings, pattern, ()))


def _matches(value: Any, pattern: KeyPath, path: KeyPath) -> Iterator[KeyPath]:
    if not pattern:
        yield path
        return
    part, rest = pattern[0], pattern[1:]
    if isinstance(value, BaseModel):
        info = keys_of(type(value)).get(str(part))
        inner = getattr(value, str(part), None)
        if info is not None and inner is not None and inner != info.get_default(call_default_factory=False):
            yield from _matches(inner, rest, (*path, part))
    elif isinstance(value, Mapping) and part == "*":
        for name, inner in value.items():
            yield from _matches(inner, rest, (*path, name))
    elif isinstance(value, tuple) and part == "*":
        for number, inner in enumerate(value):
            yield from _matches(inner, rest, (*path, number))

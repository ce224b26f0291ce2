"""Where the addresses of a list come from that is not written in the configuration."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ListSource:
    """A list's file (its path) or DNS names, and how often it is read, in seconds."""

    name: str
    file: str = ""
    names: tuple[str, ...] = ()
    refresh: float = 300.0

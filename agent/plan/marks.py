"""Marks: each uplink's number in packet and connection marks, and of its routing table.

A mark is allocated once and kept: never by position, and a removed uplink's mark is never given to another, since
flows and routes of the old one may still bear it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from agent.desired import Problem

MASK = 0xFF
FIRST, LAST = 1, 250
TABLE_BASE = 1000


def allocate(known: Mapping[str, int], uplinks: Iterable[str]) -> tuple[Mapping[str, int], tuple[Problem, ...]]:
    """All marks known, and new ones for the uplinks that have none, the lowest free first."""
    marks = dict(known)
    problems = []
    taken = set(marks.values())
    free = (mark for mark in range(FIRST, LAST + 1) if mark not in taken)
    for uplink in uplinks:
        if uplink in marks:
            continue
        mark = next(free, None)
        if mark is None:
            problems.append(
                Problem(
                    f"uplink/{uplink}",
                    f"no mark is left for it: {LAST} uplinks have had one",
                    "remove marks.json in the state directory of the firewall and restart its container",
                )
            )
            continue
        marks[uplink] = mark
    return MappingProxyType(marks), tuple(problems)


def table(mark: int) -> int:
    """The routing table of the uplink with that mark."""
    return TABLE_BASE + mark

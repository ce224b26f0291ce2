"""`routerctl diff` for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_NARROWEST = 40
_NOTHING = "Nothing changes: it runs already."


def changes_text(changes: Sequence[Mapping[str, Any]], width: int) -> str:
    """The changes of `agent.plan_diff`, as JSON has them, in lines of at most `width` characters."""
    return "".join(f"{line}\n" for line in _lines(changes, max(width, _NARROWEST)))


def _lines(changes: Sequence[Mapping[str, Any]], width: int) -> Iterator[str]:
    if not changes:
        yield _NOTHING
    for change in changes:
        note = f"  ({change['note']})" if change["note"] else ""
        yield from textwrap.wrap(f"{change['part']}  {change['name']}{note}", width, subsequent_indent="  ")
        for line in change["lines"]:
            yield from _wrapped(str(line), width)


def _wrapped(line: str, width: int) -> list[str]:
    """A line of a file keeps its own indent; what does not fit goes on below, behind the sign."""
    sign, rest = line[:2], line[2:]
    own = rest[: len(rest) - len(rest.lstrip())]
    first = f"    {sign}{own}"
    return textwrap.wrap(
        rest.strip(),
        width,
        initial_indent=first,
        subsequent_indent=" " * (len(first) + 2),
        break_on_hyphens=False,
    ) or [first.rstrip()]

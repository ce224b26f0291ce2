"""Pieces of nft's language."""

from __future__ import annotations

from collections.abc import Iterable


def quoted(name: str) -> str:
    """A device's name: without quotes one that is a keyword of nft (`ip`, `meta`) is a syntax error."""
    return f'"{name}"'


def braced(items: Iterable[str]) -> str:
    """An anonymous set or map."""
    return "{ " + ", ".join(items) + " }"


def sized_set(name: str, kind: str, items: Iterable[str], *, counter: bool = False) -> str:
    """A named set of intervals, in one line; an empty one has no `elements`: nft refuses `{ }` there."""
    found = ", ".join(items)
    elements = f" elements = {{ {found} }}" if found else ""
    return f"set {name} {{ type {kind}; flags interval;{' counter;' if counter else ''}{elements} }}"

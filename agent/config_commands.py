"""`diff`, `apply`, `confirm`, `revert` and `reload`, as the agent answers them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import TypeAlias

from agent.configuration import Configuration, Outcome

Answer: TypeAlias = dict[str, object]
Command: TypeAlias = Callable[[Mapping[str, object]], Awaitable[Answer]]

CONFIRM_LIMIT = 24 * 3600.0


def commands(configuration: Configuration) -> dict[str, Command]:
    """The commands by name. `text` and `name` of a request are a configuration other than the node's own file."""

    async def diff(request: Mapping[str, object]) -> Answer:
        return _answer(configuration, await configuration.preview(*_text(request)))

    async def apply(request: Mapping[str, object]) -> Answer:
        confirm = request.get("confirm")
        if confirm is not None and not (isinstance(confirm, int | float) and 1 <= confirm <= CONFIRM_LIMIT):
            return {"ok": False, "errors": ["--confirm: between 1s and 24h"]}
        seconds = float(confirm) if confirm is not None else None
        return _answer(configuration, await configuration.apply(*_text(request), seconds))

    async def confirm(_: Mapping[str, object]) -> Answer:
        return _answer(configuration, await configuration.confirm())

    async def revert(_: Mapping[str, object]) -> Answer:
        return _answer(configuration, await configuration.revert())

    async def reload(_: Mapping[str, object]) -> Answer:
        return _answer(configuration, await configuration.reload())

    return {"diff": diff, "apply": apply, "confirm": confirm, "revert": revert, "reload": reload}


def _text(request: Mapping[str, object]) -> tuple[bytes | None, str]:
    text, name = request.get("text"), request.get("name")
    return (text.encode() if isinstance(text, str) else None), str(name or "the configuration")


def _answer(configuration: Configuration, outcome: Outcome) -> Answer:
    left = configuration.left
    return {
        "ok": not outcome.errors,
        "errors": list(outcome.errors),
        "changes": [asdict(change) for change in outcome.changes],
        "notes": list(outcome.notes),
        "failing": list(outcome.failing),
        "left": None if left is None else round(left, 1),
    }

"""What the parsers of scalars share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import WithJsonSchema

from agent.config.base import MendError

Value = TypeVar("Value")


def show(value: object) -> str:
    """A value as a person wrote it, for a message."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list | tuple) else f"`{value}`"


def parsed(value: object, kinds: tuple[type, ...], parse: Callable[[Any], Value], what: str, example: str) -> Value:
    """`value` itself when it is of the kind already, else what `parse` makes of the text."""
    mend = f"write {example}"
    if isinstance(value, kinds):
        return value  # type: ignore[return-value]
    if not isinstance(value, str):
        raise MendError(f"{show(value)} is not {what}", mend)
    try:
        return parse(value)
    except MendError:
        raise
    except ValueError as error:
        raise MendError(f"{show(value)} is not {what}", mend) from error


def text_schema(description: str, **more: Any) -> WithJsonSchema:
    """What an editor is told of a scalar that is written as text."""
    return WithJsonSchema({"type": "string", "description": description, **more})

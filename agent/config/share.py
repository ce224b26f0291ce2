"""A share of a whole, written as a percentage."""

from __future__ import annotations

import re
from typing import Annotated, TypeAlias

from pydantic import PlainValidator

from agent.config.base import MendError
from agent.config.parse import show, text_schema

_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]+)?) ?%")


class Share(float):
    """0 to 1; its text is a percentage."""

    __slots__ = ()

    def __str__(self) -> str:
        return f"{float(self) * 100:g}%"


def parse_percent(value: object) -> Share:
    """A share, from a percentage."""
    if isinstance(value, Share):
        return value
    matched = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    found = float(matched[1]) if matched else -1.0
    if not 0 <= found <= 100:  # noqa: PLR2004 - per cent
        raise MendError(f"{show(value)} is not a percentage", "write it like 25%")
    return Share(found / 100)


Percent: TypeAlias = Annotated[
    Share, PlainValidator(parse_percent), text_schema("a percentage", pattern=f"^{_PERCENT.pattern}$")
]

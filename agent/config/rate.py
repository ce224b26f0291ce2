"""Rates: `10/s`, `100/m burst 50`, `5/m per source`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from pydantic import PlainValidator

from agent.config.base import MendError
from agent.config.parse import parsed, text_schema

Unit: TypeAlias = Literal["second", "minute", "hour", "day"]
_UNITS: dict[str, Unit] = {"s": "second", "m": "minute", "h": "hour", "d": "day"}
_RATE = re.compile(r"([1-9][0-9]{0,5})/([smhd])(?: burst ([1-9][0-9]{0,5}))?( per source)?")
_BURST = 5  # nft's own


@dataclass(frozen=True, slots=True)
class Rate:
    """`number` new connections per `unit`, `burst` at once; `per_source`: for each source address by itself."""

    number: int
    unit: Unit
    burst: int = _BURST
    per_source: bool = False


def parse_rate(value: object) -> Rate:
    """A rate as text."""

    def parse(text: str) -> Rate:
        matched = _RATE.fullmatch(text)
        if matched is None:
            raise MendError(
                f"`{text}` is not a rate", "write it like 10/s, 100/m burst 50 or 5/m per source (s, m, h, d)"
            )
        return Rate(int(matched[1]), _UNITS[matched[2]], int(matched[3] or _BURST), per_source=bool(matched[4]))

    return parsed(value, (Rate,), parse, "a rate", "it like 10/s or 100/m burst 50")


RateText: TypeAlias = Annotated[Rate, PlainValidator(parse_rate), text_schema("a rate", pattern=f"^{_RATE.pattern}$")]

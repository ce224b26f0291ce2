"""`when`: the days and hours of a rule, by the clock of `site.timezone`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, TypeAlias

from pydantic import Field, PlainValidator

from agent.config.base import MendError, Noun, as_names
from agent.config.parse import parsed, show, text_schema

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY = 86400
WEEK = 7 * DAY
_TIME = re.compile(r"([01][0-9]|2[0-4]):([0-5][0-9])")
_MEND = f"write a day ({' '.join(DAYS)}), a range (mon-fri) or a list of them [mon-thu, sat]"


def parse_time(value: object) -> int:
    """`HH:MM` as seconds of the day; 24:00 is its end."""

    def parse(text: str) -> int:
        matched = _TIME.fullmatch(text)
        seconds = int(matched[1]) * 3600 + int(matched[2]) * 60 if matched else DAY + 1
        if seconds > DAY:
            raise ValueError(text)
        return seconds

    return parsed(value, (int,), parse, "a time of day", 'it like "08:00", in quotes; "24:00" is the end of the day')


def _day(word: str) -> int:
    if word not in DAYS:
        raise MendError(f"`{word}` is not a day", _MEND)
    return DAYS.index(word)


def _span(text: str) -> Iterator[int]:
    first, dash, last = text.partition("-")
    start = _day(first)
    end = _day(last) if dash else start
    yield from ((start + number) % 7 for number in range((end - start) % 7 + 1))


def parse_days(value: object) -> tuple[int, ...]:
    """Days and ranges of days as numbers, Monday 0; a range may go over Sunday (sat-mon)."""
    entries = as_names(value)
    if not isinstance(entries, tuple) or not entries or not all(isinstance(entry, str | int) for entry in entries):
        raise MendError(f"{show(value)} is not a list of days", _MEND)
    return tuple(sorted({day for entry in entries for day in ([entry] if isinstance(entry, int) else _span(entry))}))


Time: TypeAlias = Annotated[int, PlainValidator(parse_time), text_schema("HH:MM", pattern=f"^{_TIME.pattern}$")]
Days: TypeAlias = Annotated[tuple[int, ...], PlainValidator(parse_days), text_schema("a day, a range or a list")]


class When(Noun):
    """Days and hours. A window whose `to` is not after its `from` ends on the next day."""

    days: Days = Field(default=(0, 1, 2, 3, 4, 5, 6), description="days on which it begins; default: all")
    from_: Time = Field(default=0, alias="from", description="when it begins; default: 00:00")
    to: Time = Field(default=DAY, description="when it ends; default: 24:00")

    @property
    def seconds(self) -> tuple[tuple[int, int], ...]:
        """(first, end) in seconds since Monday 00:00, in local time; an end beyond the week goes on at its start."""
        length = self.to - self.from_ if self.to > self.from_ else self.to + DAY - self.from_
        return tuple((day * DAY + self.from_, day * DAY + self.from_ + length) for day in self.days)

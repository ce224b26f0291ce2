"""`site.timezone`: whose local time the hours of rules are."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, TypeAlias
from zoneinfo import ZoneInfo, available_timezones

from pydantic import PlainValidator

from agent.config.base import MendError
from agent.config.parse import show, text_schema


def parse_zone(value: object) -> str:
    """The name of a zone of the IANA database, as this system has it."""
    if value == "UTC":
        return "UTC"
    if isinstance(value, str) and _known(value):
        return value
    found = get_close_matches(str(value), available_timezones(), n=1, cutoff=0.6)
    otherwise = "write one like Europe/Amsterdam; where the system has none at all, install the package tzdata"
    raise MendError(f"{show(value)} is not a time zone", f"write `{found[0]}`" if found else otherwise)


def _known(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        return False
    return True


Zone: TypeAlias = Annotated[str, PlainValidator(parse_zone), text_schema("a time zone")]

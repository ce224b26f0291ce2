"""How far local time is ahead of UTC: the kernel counts the hours of rules in UTC, people write them in their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

from agent.events import LocalTime

# Summer time begins and ends on the minute; the clock may also be set. Seconds.
EVERY = 20.0


def utc_offset(zone: str) -> int:
    """Seconds that local time is ahead of UTC now. 0 where the system no longer knows the zone."""
    try:
        offset = datetime.now(ZoneInfo(zone)).utcoffset() if zone != "UTC" else None
    except (OSError, ValueError, KeyError):
        return 0
    return round(offset.total_seconds()) if offset is not None else 0


async def watch_offset(zone: Callable[[], str], known: Callable[[], int], emit: Callable[[LocalTime], None]) -> None:
    """Say so whenever the offset of `zone()` is not the one that is `known()`, for ever."""
    while True:
        if (offset := utc_offset(zone())) != known():
            emit(LocalTime(offset))
        await asyncio.sleep(EVERY)

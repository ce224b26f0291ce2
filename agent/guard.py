"""The egress guard's counter for people: whether anything internal ever came as far as the uplink's device."""

from __future__ import annotations

from agent.desired.guard import GUARDED
from agent.drivers.counters import CountersError, read_counters

TABLE = "netdev router"


async def guarded() -> int | None:
    """Packets that the guard dropped since the container's start; None where it cannot be read, or is not yet made."""
    try:
        count = (await read_counters(TABLE)).get(GUARDED)
    except (CountersError, OSError):
        return None
    return count.packets if count is not None else None

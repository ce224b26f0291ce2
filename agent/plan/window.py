"""Windows of local time as the kernel counts: days and seconds of UTC (`meta day`, `meta hour`)."""

from __future__ import annotations

from collections.abc import Iterable

DAY = 86400
WEEK = 7 * DAY


def window(spans: Iterable[tuple[int, int]], utc_offset: int) -> tuple[tuple[int, int, int], ...]:
    """(day, first, last second) in UTC, Sunday 0, none over midnight, none overlapping.

    `spans`: (first, end) in seconds since Monday 00:00 of local time, which is `utc_offset` seconds ahead of UTC.
    """
    pieces: list[tuple[int, int]] = []
    for first, end in spans:
        start = (first - utc_offset) % WEEK
        stop = start + min(end - first, WEEK)
        pieces += [(start, min(stop, WEEK))] + ([(0, stop - WEEK)] if stop > WEEK else [])
    joined: list[tuple[int, int]] = []
    for start, stop in sorted(pieces):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
        else:
            joined.append((start, stop))
    return tuple(
        ((number + 1) % 7, max(start - number * DAY, 0), min(stop - number * DAY, DAY) - 1)
        for start, stop in joined
        for number in range(start // DAY, (stop - 1) // DAY + 1)
    )

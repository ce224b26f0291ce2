"""The wall clock is set (to what it shows anyway), and the watcher is told."""

from __future__ import annotations

import asyncio
import time

import pytest

from agent.drivers.clock import watch_clock

pytestmark = pytest.mark.lab


def set_to_itself() -> None:
    try:
        time.clock_settime_ns(time.CLOCK_REALTIME, time.clock_gettime_ns(time.CLOCK_REALTIME))
    except PermissionError:
        pytest.skip("the clock may not be set here (CAP_SYS_TIME)")


async def test_every_setting_of_the_clock_is_noticed() -> None:
    steps: asyncio.Queue[None] = asyncio.Queue()
    watcher = asyncio.create_task(watch_clock(lambda: steps.put_nowait(None)))
    await asyncio.sleep(0)  # the watcher arms its timer
    for _ in range(3):
        assert steps.empty()
        set_to_itself()
        await asyncio.wait_for(steps.get(), 5)
    watcher.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watcher

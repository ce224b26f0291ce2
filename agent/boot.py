"""The real clock and queue of the loop, and how the supervisor is told that the agent is ready."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Mapping

import structlog

from agent import events as ev

log = structlog.get_logger(__name__)


class BoottimeClock:
    """CLOCK_BOOTTIME and the real queue."""

    def now(self) -> float:
        """Seconds since boot, sleep included."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    async def get(self, queue: asyncio.Queue[ev.Event], wait: float | None) -> ev.Event | None:
        """The next event, or None after `wait` seconds."""
        if not queue.empty():
            return queue.get_nowait()
        try:
            async with asyncio.timeout(wait):
                return await queue.get()
        except TimeoutError:
            return None


def notify_ready(environ: Mapping[str, str]) -> None:
    """Tell dinit (ready-notification = pipevar:ROUTER_READY_FD) that the first apply succeeded."""
    log.info("ready: the first plan is applied")
    # What a start has made (the configuration, pydantic's models) stays for ever: the collector need not look at it
    # again in the middle of a prefix change.
    gc.collect()
    gc.freeze()
    descriptor = environ.get("ROUTER_READY_FD", "")
    if not descriptor.isdigit():
        return
    try:
        os.write(int(descriptor), b"ready\n")
        os.close(int(descriptor))
    except OSError as error:
        log.warning("cannot notify readiness", error=str(error))

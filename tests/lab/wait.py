"""Waiting for a condition instead of sleeping."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class TimedOut(AssertionError):  # noqa: N818 - reads as the sentence it prints
    """What was waited for did not come; an AssertionError, so a test that waits in vain is a failed test."""


def wait_for(
    condition: Callable[[], T | None],
    timeout: float = 10.0,
    what: str | Callable[[], str] = "",
    *,
    interval: float = 0.005,
) -> T:
    """Poll `condition` until it returns something true, and return that.

    `timeout` and `interval` are seconds; the interval doubles up to 50 ms, so that long waits leave the machine to
    those waited for. `what` (text, or a function called only on failure) completes "waited 10.0 s for …".
    Raises TimedOut; exceptions of `condition` pass through.
    """
    pause = threading.Event()
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        left = deadline - time.monotonic()
        if left <= 0:
            text = what() if callable(what) else what
            raise TimedOut(f"waited {timeout} s for {text or getattr(condition, '__name__', 'a condition')}")
        pause.wait(min(interval, left))
        interval = min(interval * 2, max(interval, 0.05))


def fastest(action: Callable[[], object], runs: int = 20) -> float:
    """Seconds that `action` takes when the machine leaves it alone: the shortest of some runs."""
    times = []
    for _ in range(runs):
        started = time.monotonic()
        action()
        times.append(time.monotonic() - started)
    return min(times)

"""Notices that the wall clock was set: mosquitto expires by it, so all that expires must be published again.

timerfd_create(2): a timer on CLOCK_REALTIME with TFD_TIMER_CANCEL_ON_SET becomes readable, and its read fails with
ECANCELED, when the clock is set. By ctypes, since Python has it only from 3.13 on.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import time
from collections.abc import Callable

_TFD_TIMER_ABSTIME = 1
_TFD_TIMER_CANCEL_ON_SET = 2
_FAR = 1 << 33  # seconds since 1970: a timer that never ends, and fits the kernel's nanoseconds


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


_libc = ctypes.CDLL(None, use_errno=True)


async def watch_clock(on_step: Callable[[], None]) -> None:
    """Call `on_step` whenever the wall clock is set, for ever.

    Raises:
        OSError: the kernel has no such timer.
    """
    loop = asyncio.get_running_loop()
    stepped = asyncio.Event()
    timer = _open()
    try:
        loop.add_reader(timer, stepped.set)
        while True:
            await stepped.wait()
            stepped.clear()
            if _was_set(timer):
                _arm(timer)
                on_step()
    finally:
        loop.remove_reader(timer)
        os.close(timer)


def _open() -> int:
    timer: int = _libc.timerfd_create(time.CLOCK_REALTIME, os.O_NONBLOCK | os.O_CLOEXEC)
    if timer < 0:
        raise OSError(ctypes.get_errno(), "timerfd_create")
    try:
        _arm(timer)
    except OSError:
        os.close(timer)
        raise
    return timer


def _arm(timer: int) -> None:
    when = _Itimerspec(_Timespec(0, 0), _Timespec(_FAR, 0))
    flags = _TFD_TIMER_ABSTIME | _TFD_TIMER_CANCEL_ON_SET
    if _libc.timerfd_settime(timer, flags, ctypes.byref(when), None) != 0:
        raise OSError(ctypes.get_errno(), "timerfd_settime")


def _was_set(timer: int) -> bool:
    try:
        os.read(timer, 8)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno != errno.ECANCELED:
            raise
    return True

"""A throw-away network namespace: the small brother of the lab, for drivers that need one kernel of their own.

    with netns() as ns:
        ns.sh("ip link add home type bridge")
        ns.run(main)   # a coroutine function, in a thread that lives in the namespace

Every namespace is named `rn<pid>…`, so that parallel runs never meet and leftovers can be told.
"""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import os
import subprocess
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count()


def enter(name: str) -> None:
    """Move the calling thread into a namespace."""
    descriptor = os.open(f"/run/netns/{name}", os.O_RDONLY)
    try:
        if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {name}")
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class Namespace:
    """A network namespace with its loopback up."""

    name: str

    def sh(self, script: str) -> str:
        """Run shell lines inside; the standard output. A failing line fails the test."""
        done = subprocess.run(
            ["ip", "netns", "exec", self.name, "sh", "-euc", script], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout

    def popen(self, *command: str, **options: Any) -> subprocess.Popen[str]:
        """Start a process inside."""
        return subprocess.Popen(["ip", "netns", "exec", self.name, *command], text=True, **options)

    def call(self, function: Callable[[], T]) -> T:
        """Call a function in a thread that lives in the namespace; its threads and processes do, too."""
        results: list[T] = []
        errors: list[BaseException] = []

        def body() -> None:
            try:
                enter(self.name)
                results.append(function())
            except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
                errors.append(error)

        thread = threading.Thread(target=body, name=self.name)
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return results[0]

    def run(self, main: Callable[[], Awaitable[T]], *, timeout: float = 60) -> T:
        """Run a coroutine function in an event loop of its own inside."""

        async def bounded() -> T:
            return await asyncio.wait_for(main(), timeout)

        return self.call(lambda: asyncio.run(bounded()))


@contextmanager
def netns(suffix: str = "") -> Iterator[Namespace]:
    """A namespace that is gone afterwards, with the processes' hold on it their own affair."""
    name = f"rn{os.getpid()}t{next(_numbers)}{suffix}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        space = Namespace(name)
        space.sh("ip link set lo up")
        yield space
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


async def until(condition: Callable[[], bool], *, seconds: float = 10) -> None:
    """Wait for a condition, looking again every few milliseconds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)

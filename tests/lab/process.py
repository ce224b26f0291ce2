"""A supervised process of the stand-in: its exit, its readiness, its output line by line. Standard library only."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Sequence


class Process:
    """A running command in a session of its own. Raises OSError where it cannot be executed.

    `exited` becomes its wait status (as subprocess.Popen.returncode), `ready` True at the first byte on the pipe whose
    number stands in the environment variable `ready_variable`, False when that pipe closes without one; without a
    variable it is ready at once. `say` gets each line of its output, or None discards them.
    """

    def __init__(self, command: Sequence[str], ready_variable: str, say: Callable[[str], None] | None) -> None:
        self._loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[int] = self._loop.create_future()
        self.ready: asyncio.Future[bool] = self._loop.create_future()
        environment = dict(os.environ)
        passed: tuple[int, ...] = ()
        readiness = -1
        if ready_variable:
            readiness, write = os.pipe()
            passed = (write,)
            environment[ready_variable] = str(write)
        else:
            self.ready.set_result(True)
        output, sink = os.pipe() if say else (-1, os.open(os.devnull, os.O_WRONLY))
        try:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                env=environment,
                pass_fds=passed,
                start_new_session=True,
            )
        except OSError:
            for number in (readiness, output):
                if number >= 0:
                    os.close(number)
            raise
        finally:
            for number in (sink, *passed):
                os.close(number)
        self.pid = self._popen.pid
        pidfd = os.pidfd_open(self.pid)
        self._loop.add_reader(pidfd, self._on_exit, pidfd)
        if readiness >= 0:
            self._loop.add_reader(readiness, self._on_ready, readiness)
        if say:
            self._loop.add_reader(output, self._on_output, output, bytearray(), say)

    def _forget(self, number: int) -> None:
        self._loop.remove_reader(number)
        os.close(number)

    def _on_exit(self, pidfd: int) -> None:
        self._forget(pidfd)
        self.exited.set_result(self._popen.wait())
        if not self.ready.done():
            self.ready.set_result(False)

    def _on_ready(self, number: int) -> None:
        told = bool(os.read(number, 64))
        self._forget(number)
        if not self.ready.done():
            self.ready.set_result(told)

    def _on_output(self, number: int, rest: bytearray, say: Callable[[str], None]) -> None:
        data = os.read(number, 65536)
        rest += data
        while b"\n" in rest or (rest and not data):
            line, _, left = rest.partition(b"\n")
            rest[:] = left
            say(line.decode(errors="replace"))
        if not data:
            self._forget(number)

    def signal(self, number: int, *, group: bool = True) -> None:
        """Send a signal to the process group, or to the process alone; nothing happens if it is gone."""
        if not self.exited.done():
            with contextlib.suppress(ProcessLookupError):
                (os.killpg if group else os.kill)(self.pid, number)

    async def end(self, number: int, patience: float, *, group: bool = True) -> int:
        """Send a signal, SIGKILL after `patience` seconds (0: never), and return the wait status."""
        self.signal(number, group=group)
        try:
            async with asyncio.timeout(patience or None):
                return await asyncio.shield(self.exited)
        except TimeoutError:
            self.signal(signal.SIGKILL, group=group)
            return await self.exited

"""Services by `dinitctl(8)`: the agent forks no daemon of its own."""

from __future__ import annotations

import asyncio

TIMEOUT = 20.0
BOOT = "boot"


class DinitError(Exception):
    """`dinitctl` is not there, does not answer, or refuses. `hint` says what to look at."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Dinit:
    """The container's service manager."""

    def __init__(self, command: tuple[str, ...] = ("dinitctl",)) -> None:
        self._command = command

    async def started(self, service: str) -> bool:
        """Whether the service is up now."""
        status, _ = await self._call("is-started", service, check=False)
        return status == 0

    async def start(self, service: str) -> None:
        """Start it and wait until it is up; a service that is up stays as it is."""
        await self._call("start", service)

    async def stop(self, service: str) -> None:
        """Stop it and wait until it is down."""
        await self._call("stop", "--ignore-unstarted", service)

    async def restart(self, service: str) -> None:
        """Stop and start it."""
        await self._call("restart", service)

    async def signal(self, service: str, name: str) -> None:
        """Send its process a signal: HUP, USR1, …"""
        await self._call("signal", name, service)

    async def ending(self) -> bool:
        """Whether the container is being stopped: `boot` goes down with it, and outlives the stop of any service."""
        _, text = await self._call("is-started", BOOT, check=False)
        return text in {"STOPPING", "STOPPED"}

    async def _call(self, *arguments: str, check: bool = True) -> tuple[int, str]:
        hint = "see the log of the container; `dinitctl list` shows all services"
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
            )
        except OSError as error:
            raise DinitError(
                f"cannot run {self._command[0]}: {error.strerror}", "is this container's PID 1 dinit?"
            ) from (error)
        try:
            output, _ = await asyncio.wait_for(process.communicate(), TIMEOUT)
        except TimeoutError:
            process.kill()
            await process.wait()
            what = " ".join(arguments)
            raise DinitError(f"dinitctl {what} gave no answer in {TIMEOUT:g} s", hint) from None
        text = output.decode(errors="replace").strip()
        status = process.returncode or 0
        if check and status != 0:
            raise DinitError(f"dinitctl {' '.join(arguments)}: {text or f'exit status {status}'}", hint)
        return status, text

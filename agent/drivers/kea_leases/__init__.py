"""What Kea has leased, as its lease files say (Kea Administrator Reference Manual, "Memfile").

A file is a list of what happened, the last line of an address holds. While Kea writes it anew (lease file cleanup), the
older part stands beside it under another name. The files are there also when Kea is not, so that what was delegated is
known before it runs. They are looked at twice a second: nobody is told when a line is added, and a lease that ends by
time adds none.

Who holds a delegated prefix, and by which address it is reached, is in no lease: Kea's hook writes it to
`delegating/<prefix>` (dinit.d/firewall/kea-hook).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

import structlog

from agent.drivers.kea_leases.file import HeldLease, LeaseFile
from agent.events import Served
from agent.model import Delegated

EVERY = 0.5
# Seconds that the hook may take to say who holds a prefix.
PATIENCE = 10.0
# Less free space than this, and the next lease may be lost.
LEAST_BYTES = 1 << 20
# A directory that changed so lately may change again without another time in it.
_SETTLED = 2.0

__all__ = ["HeldLease", "KeaLeases"]

log = structlog.get_logger(__name__)


class KeaLeases:
    """The leases of both servers. `directory` is theirs; `clock` gives the seconds since 1970, as they count."""

    def __init__(self, directory: Path, clock: Callable[[], float] = time.time) -> None:
        self._directory = directory
        self._clock = clock
        self._files = (LeaseFile(directory / "dhcp4.leases"), LeaseFile(directory / "dhcp6.leases"))
        self._routers: dict[str, tuple[str, IPv6Address]] = {}
        self._held: tuple[HeldLease, ...] = ()
        self._ends: float | None = None
        self._unknown: dict[str, float] = {}
        self._stamp = 0.0
        self._said = Served()

    def held(self) -> tuple[HeldLease, ...]:
        """The leases that hold now, in order of their addresses."""
        now = self._clock()
        return tuple(lease for lease in self._held if lease.until is None or lease.until > now)

    def look(self) -> Served:
        """Look at the files. The same object as before where nothing differs."""
        now = self._clock()
        changed = [file.read() for file in self._files]
        changed.append(self._read_routers())
        errors = (*self._full(), *(error for file in self._files for error in file.errors), *self._unreached(now))
        ended = self._ends is not None and self._ends <= now
        if any(changed) or ended or errors != self._said.errors:
            alive = [
                lease
                for file in self._files
                for lease in file.held.values()
                if lease.until is None or lease.until > now
            ]
            self._held = tuple(sorted(alive, key=_order))
            self._ends = min((lease.until for lease in self._held if lease.until is not None), default=None)
            said = Served(tuple(lease.binding for lease in self._held), tuple(self._delegated(self._held)), errors)
            if said != self._said:
                self._said = said
        return self._said

    async def watch(self, emit: Callable[[Served], None]) -> None:
        """Look for ever, and say what differs."""
        said = self._said
        while True:
            found = await asyncio.to_thread(self.look)
            if found is not said:
                if found.errors != said.errors:
                    for message, hint in found.errors:
                        log.error(message, hint=hint)
                said = found
                emit(found)
            await asyncio.sleep(EVERY)

    def _delegated(self, held: Iterable[HeldLease]) -> Iterator[Delegated]:
        for lease in held:
            binding = lease.binding
            if isinstance(binding.leased, IPv6Network):
                duid, router = self._routers.get(str(binding.leased), ("", None))
                yield Delegated(binding.leased, router if duid == binding.duid else None)

    def _read_routers(self) -> bool:
        """The files of the hook: each one line, `<link-local address> <DUID>`."""
        found: dict[str, tuple[str, IPv6Address]] = {}
        try:
            stamp = (self._directory / "delegating").stat().st_mtime
            if stamp == self._stamp and stamp < self._clock() - _SETTLED:
                return False
            self._stamp = stamp
            paths = sorted((self._directory / "delegating").iterdir())
        except OSError:
            paths = []
        for path in paths:
            try:
                address, duid = path.read_text(encoding="ascii").split()
                router, prefix = IPv6Address(address.partition("%")[0]), IPv6Network(path.name.replace("_", "/"))
            except (OSError, ValueError):
                continue  # one that is being written, or none of the hook's
            if router.is_link_local:
                found[str(prefix)] = (duid.lower(), router)
        changed = found != self._routers
        self._routers = found
        return changed

    def _unreached(self, now: float) -> Iterator[tuple[str, str]]:
        """The hook is told of a lease a moment after it is written; one that it never knew was asked for by a relay."""
        unknown = {str(lease.prefix) for lease in self._said.delegated if lease.router is None}
        self._unknown = {prefix: self._unknown.get(prefix, now) for prefix in unknown}
        for prefix, since in sorted(self._unknown.items()):
            if now - since > PATIENCE:
                message = f"{prefix} is delegated, and nobody knows by which address its router is reached"
                yield message, "connect that router to the network itself, without a relay, and restart it"

    def _full(self) -> Iterator[tuple[str, str]]:
        try:
            disk = os.statvfs(self._directory)
        except OSError:
            return
        if disk.f_bavail * disk.f_frsize < LEAST_BYTES or (disk.f_files and not disk.f_favail):
            yield f"the disk of {self._directory} is full: new leases are not kept", "make room on it"


def _order(lease: HeldLease) -> tuple[int, int, int]:
    leased = lease.binding.leased
    if isinstance(leased, IPv6Network):
        return 7, int(leased.network_address), leased.prefixlen
    return leased.version, int(leased), 0

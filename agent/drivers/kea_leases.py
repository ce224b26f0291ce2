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
from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network, ip_address
from pathlib import Path

import structlog

from agent.events import Served
from agent.model import Binding, Delegated

EVERY = 0.5
# Seconds that the hook may take to say who holds a prefix.
PATIENCE = 10.0
INFINITE = 0xFFFFFFFF  # RFC 2131 section 3.3, RFC 8415 section 7.7
# Less free space than this, and the next lease may be lost.
LEAST_BYTES = 1 << 20
# A directory that changed so lately may change again without another time in it.
_SETTLED = 2.0
_PREFIX = "2"  # Kea's number of IA_PD in `lease_type`
_LONGEST = 256 << 20
_HINT = "Kea leaves it out too, and writes the file anew within an hour"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class HeldLease:
    """A lease and when it ends: seconds since 1970, None for never."""

    binding: Binding
    until: float | None


class _BadRowError(ValueError):
    """A row is no lease."""


@dataclass(slots=True)
class _LeaseFile:
    """One of Kea's lease files, read as far as it was written; `errors` as (message, hint)."""

    path: Path
    held: dict[str, HeldLease] = field(default_factory=dict)
    errors: tuple[tuple[str, str], ...] = ()
    _inode: tuple[int, int] | None = None
    _offset: int = 0
    _line: int = 0
    _columns: tuple[str, ...] = ()
    _bad: list[int] = field(default_factory=list)

    def read(self) -> bool:
        """Read what is new. Whether anything is."""
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            changed = self._inode is not None or bool(self.errors)
            self.held, self.errors, self._inode, self._offset = {}, (), None, 0
            return changed
        except OSError as error:
            return self._fail(
                f"{self.path.name} cannot be read: {error.strerror}", "check the volume of /var/lib/router"
            )
        inode = (stat.st_dev, stat.st_ino)
        if inode == self._inode and stat.st_size == self._offset:
            return False
        try:
            if inode != self._inode or stat.st_size < self._offset:
                self._read_all()
            else:
                self._read_file(self.path, self._offset)
        except OSError as error:
            return self._fail(
                f"{self.path.name} cannot be read: {error.strerror}", "check the volume of /var/lib/router"
            )
        except _BadRowError as error:
            mend = (
                f"move it away (`mv {self.path} {self.path}.broken`) and run `dinitctl restart {_service(self.path)}`"
            )
            return self._fail(str(error), mend)
        self.errors = ()
        if self._bad:
            lines = ", ".join(map(str, self._bad[:3])) + (", …" if len(self._bad) > 3 else "")  # noqa: PLR2004
            self.errors = ((f"{self.path.name}: line {lines} is no lease", _HINT),)
        return True

    def _fail(self, message: str, hint: str) -> bool:
        """What was known stays."""
        changed = self.errors != ((message, hint),)
        self.errors = ((message, hint),)
        self._inode = None
        return changed

    def _read_all(self) -> None:
        """Every part, oldest first; again where Kea moved them meanwhile."""
        before = dict(self.held)
        for _ in range(5):
            parts = list(self._parts())
            self.held, self._bad = {}, []
            try:
                for path, _seen in parts:
                    self._read_file(path, 0)
            except FileNotFoundError:
                continue
            except _BadRowError:
                self.held = before
                raise
            if [seen for _, seen in self._parts()] == [seen for _, seen in parts]:
                self._inode = parts[-1][1] if parts else None
                return
        self.held = before

    def _parts(self) -> Iterator[tuple[Path, tuple[int, int]]]:
        done = self.path.with_name(self.path.name + ".completed")
        older = (done,) if done.exists() else tuple(self.path.with_name(f"{self.path.name}.{n}") for n in (2, 1))
        for path in (*older, self.path):
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue
            yield path, (stat.st_dev, stat.st_ino)

    def _read_file(self, path: Path, offset: int) -> None:
        with path.open("rb") as stream:
            stream.seek(offset)
            data = stream.read(_LONGEST)
        whole = data.rfind(b"\n") + 1  # a line that is being written is read next time
        if offset == 0:
            self._line, self._columns = 0, ()
        for line in data[:whole].decode("utf-8", errors="replace").splitlines():
            self._line += 1
            self._row(path, line)
        if path == self.path:
            self._offset = offset + whole

    def _row(self, path: Path, line: str) -> None:
        values = line.split(",")
        if not self._columns:
            if "address" not in values or "valid_lifetime" not in values:
                raise _BadRowError(f"{path.name} is no lease file of Kea: its first line is {line[:40]!r}")
            self._columns = tuple(values)
            return
        try:
            row = dict(zip(self._columns, values, strict=False))
            key, lease = _lease(row)
        except (KeyError, ValueError):
            if line and path == self.path:
                self._bad.append(self._line)
            return
        if lease is None:
            self.held.pop(key, None)
        else:
            self.held[key] = lease


def _service(path: Path) -> str:
    return f"kea-{path.name.removesuffix('.leases')}"


def _lease(row: dict[str, str]) -> tuple[str, HeldLease | None]:
    """The key of a row, and its lease; None where it says that there is none any more. ValueError, KeyError."""
    seconds, until = int(row["valid_lifetime"]), float(row["expire"])
    prefix = row.get("lease_type") == _PREFIX
    leased = IPv6Network(f"{row['address']}/{row['prefix_len']}") if prefix else ip_address(row["address"])
    key = str(leased)
    # Declined, reclaimed, released: nobody's. Kea deletes a lease by a row without a lifetime.
    if seconds == 0 or row["state"] != "0":
        return key, None
    name = row["hostname"].replace("&#x2c", ",").rstrip(".")
    binding = Binding(leased, row["hwaddr"].lower(), name, row.get("duid", "").lower())
    return key, HeldLease(binding, None if seconds == INFINITE else until)


class KeaLeases:
    """The leases of both servers. `directory` is theirs; `clock` gives the seconds since 1970, as they count."""

    def __init__(self, directory: Path, clock: Callable[[], float] = time.time) -> None:
        self._directory = directory
        self._clock = clock
        self._files = (_LeaseFile(directory / "dhcp4.leases"), _LeaseFile(directory / "dhcp6.leases"))
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

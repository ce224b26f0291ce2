"""One lease file of Kea, read as it grows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv6Network, ip_address
from pathlib import Path

from agent.model import Binding

INFINITE = 0xFFFFFFFF  # RFC 2131 section 3.3, RFC 8415 section 7.7
_PREFIX = "2"  # Kea's number of IA_PD in `lease_type`
_LONGEST = 256 << 20
_HINT = "Kea leaves it out too, and writes the file anew within an hour"
_VOLUME = "check the volume of /var/lib/router"


@dataclass(frozen=True, slots=True)
class HeldLease:
    """A lease and when it ends: seconds since 1970, None for never."""

    binding: Binding
    until: float | None


class _BadRowError(ValueError):
    """A row is no lease."""


@dataclass(slots=True)
class LeaseFile:
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
            return self._fail(f"{self.path.name} cannot be read: {error.strerror}", _VOLUME)
        inode = (stat.st_dev, stat.st_ino)
        if inode == self._inode and stat.st_size == self._offset:
            return False
        try:
            if inode != self._inode or stat.st_size < self._offset:
                self._read_all()
            else:
                self._read_file(self.path, self._offset)
        except OSError as error:
            return self._fail(f"{self.path.name} cannot be read: {error.strerror}", _VOLUME)
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

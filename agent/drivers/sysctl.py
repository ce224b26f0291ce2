"""Writes kernel parameters below /proc/sys, only where they differ."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Final

from agent.desired import Problem

PROC: Final = Path("/proc/sys")
READ_ONLY: Final = (
    'in compose, security_opt: ["systempaths=unconfined"] makes /proc/sys writable; '
    "or set the value from outside (compose: sysctls)"
)
HINTS: Final = {
    errno.EROFS: READ_ONLY,
    errno.EACCES: READ_ONLY,
    errno.EPERM: READ_ONLY,
    errno.ENOENT: "the kernel has no such parameter, or the interface does not exist (yet)",
    errno.EINVAL: "the kernel does not take this value",
}


class SysctlError(Exception):
    """Some parameters could not be set; all others were. `problems` has one entry for each."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        self.hint = "; ".join(sorted({problem.hint for problem in problems if problem.hint}))
        super().__init__("; ".join(problem.message for problem in problems))


class Sysctl:
    """Kernel parameters. `root` is /proc/sys, another directory in tests."""

    def __init__(self, root: Path = PROC) -> None:
        self._root = root

    def apply(self, pairs: tuple[tuple[str, str], ...]) -> frozenset[str]:
        """Set each parameter to its value, in order; the keys of those that had another.

        A key is `net.ipv4.ip_forward` or, as an interface's name may hold dots, `net/ipv6/conf/eth0.10/accept_ra`.

        Raises:
            SysctlError: what could not be set, after everything else was.
        """
        changed: set[str] = set()
        problems = tuple(problem for key, value in pairs if (problem := self._set(key, value, changed)) is not None)
        if problems:
            raise SysctlError(problems)
        return frozenset(changed)

    def _set(self, key: str, value: str, changed: set[str]) -> Problem | None:
        try:
            path = self._path(key)
            # The kernel shows lists with tabs: compare the words.
            if path.read_text().split() != value.split():
                path.write_text(value + "\n")
                changed.add(key)
        except OSError as error:
            return Problem("sysctl", f"{key}={value}: {error.strerror}", HINTS.get(error.errno or 0, ""))
        except ValueError as error:
            return Problem("sysctl", f"{key}={value}: {error}", "write it like net.ipv4.ip_forward")
        return None

    def _path(self, key: str) -> Path:
        parts = key.split("/") if "/" in key else key.split(".")
        if not all(parts) or ".." in parts or "." in parts:
            raise ValueError("not the name of a kernel parameter")
        return self._root.joinpath(*parts)

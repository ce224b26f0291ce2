"""The system calls that Python 3.11 does not wrap: setns(2), unshare(2), mount(2), prctl(2). Standard library only."""

from __future__ import annotations

import ctypes
import os
import signal

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_RDONLY = 1
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MNT_DETACH = 2
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def setns(fd: int, kind: int) -> None:
    """Move this thread (for CLONE_NEWPID: its future children) into the namespace of `fd`; OSError on refusal."""
    _check(_libc.setns(fd, kind), "setns")


def unshare(kinds: int) -> None:
    """Give this process (for CLONE_NEWPID: its next child) namespaces of its own; OSError on refusal."""
    _check(_libc.unshare(kinds), "unshare")


def mount(source: str, target: str, filesystem: str = "", flags: int = 0, options: str = "") -> None:
    """mount(2); OSError names the target."""
    encoded = (source.encode(), target.encode(), filesystem.encode() or None)
    result = _libc.mount(*encoded, ctypes.c_ulong(flags), options.encode() or None)
    _check(result, f"mount {filesystem or source} on {target}")


def unmount(target: str) -> bool:
    """Detach the mount at `target`; False where there is none."""
    return bool(_libc.umount2(target.encode(), MNT_DETACH) == 0)


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that forked it ends."""
    _check(_libc.prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0), "prctl")

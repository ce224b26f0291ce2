"""What the container must be given: capabilities, /dev/ppp, a writable /proc/sys. Looked at when the agent starts."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from agent.desired import Problem

# capability.h numbers. Without the first two nothing works; the others are what the daemons ask for.
_EVERYWHERE = {"NET_ADMIN": 12, "NET_RAW": 13}
_DAEMONS = {"NET_BIND_SERVICE": 10, "SETUID": 7, "SETGID": 6, "KILL": 5, "CHOWN": 0, "DAC_OVERRIDE": 1}


def missing(*, ppp: bool, proc: Path = Path("/proc"), device: Path = Path("/dev/ppp")) -> tuple[Problem, ...]:
    """What is not there, each with the compose line that mends it. `ppp`: this node dials."""
    return (*_capabilities(proc), *_sysctls(proc), *_ppp(ppp, device))


def _capabilities(proc: Path) -> Iterable[Problem]:
    effective = 0
    for line in (proc / "self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("CapEff:"):
            effective = int(line.split()[1], 16)
    lacking = [name for name, bit in (_EVERYWHERE | _DAEMONS).items() if not effective >> bit & 1]
    if lacking:
        names = ", ".join(lacking)
        yield Problem("needs", f"the container lacks the capabilities {names}", f"in compose: `cap_add: [{names}]`")


def _sysctls(proc: Path) -> Iterable[Problem]:
    if not os.access(proc / "sys/net/ipv4/ip_forward", os.W_OK):
        hint = 'in compose: `security_opt: ["systempaths=unconfined"]`'
        yield Problem("needs", "/proc/sys is read-only, so interfaces cannot be set up as a router's", hint)


def _ppp(wanted: bool, device: Path) -> Iterable[Problem]:
    if not wanted:
        return
    hint = 'in compose: `devices: ["/dev/ppp"]`; on the host: `modprobe ppp_generic pppoe`'
    try:
        os.close(os.open(device, os.O_RDWR))
    except FileNotFoundError:
        yield Problem("needs", f"PPPoE needs {device}, which is not here", hint)
    except OSError as error:
        yield Problem("needs", f"PPPoE needs {device}, which cannot be opened: {error.strerror}", hint)

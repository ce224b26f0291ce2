"""Interfaces, routes and child processes of an emulator."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence


def say(text: str) -> None:
    """One line in the container's log."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def ip(*argv: str) -> None:
    """Run `ip ARGV…`; what goes wrong ends the emulator with ip's own words."""
    done = subprocess.run(("ip", *argv), capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"ip {' '.join(argv)}: {done.stderr.strip()}")


def setting(name: str, default: str | None = None) -> str:
    """A value of the environment; one without a default must be there."""
    value = os.environ.get(name, default)
    if value is None:
        sys.exit(f"the variable {name} is not set: see `environment` of this service in the compose file")
    return value


def listed(name: str) -> list[str]:
    """The entries of a comma-separated variable; none when it is empty or absent."""
    return [entry.strip() for entry in setting(name, "").split(",") if entry.strip()]


def addresses(interface: str, entries: Sequence[str]) -> None:
    """Give an interface exactly these addresses: the engine's own are of no use here."""
    ip("addr", "flush", "dev", interface, "scope", "global")
    for entry in entries:
        ip("addr", "replace", entry, "dev", interface, *(["nodad"] if ":" in entry else []))
    ip("link", "set", interface, "up")


def vlan(parent: str, number: str) -> str:
    """The VLAN link `parent.number`, made when `number` is not empty; else the parent itself."""
    if not number:
        return parent
    name = f"{parent}.{number}"
    ip("link", "add", "link", parent, "name", name, "type", "vlan", "id", number)
    ip("link", "set", name, "up")
    return name


def supervise(commands: Sequence[Sequence[str]]) -> int:
    """Run all commands; the first that ends, or SIGTERM, ends the others. Returns the exit status for the container."""
    children = [subprocess.Popen(command, stdin=subprocess.DEVNULL) for command in commands]
    ended = {child.pid: command[0] for child, command in zip(children, commands, strict=True)}

    def stop(*_: object) -> None:
        for child in children:
            child.terminate()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    status = 0
    # As process 1 of its container it reaps whatever else comes up, pppd's scripts for example.
    while ended:
        try:
            process, code = os.wait()
        except ChildProcessError:
            break
        if process in ended:
            name = ended.pop(process)
            say(f"{name} ended with status {os.waitstatus_to_exitcode(code)}")
            status = status or (os.waitstatus_to_exitcode(code) & 0xFF)
            stop()
    return status

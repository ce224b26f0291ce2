"""A VM with containers: `hosts` towards the router, `containers` a Docker network of its own, `lan` for IPv4."""

from __future__ import annotations

from emulator.system import addresses, ip, listed, setting, supervise


def main() -> int:
    """What `routerctl host` says, without an engine inside: the containers stand beside it in this project."""
    for interface in ("hosts", "containers", "lan"):
        addresses(interface, listed(interface.upper()))
    ip("route", "replace", "default", "via", setting("GATEWAY"))
    ip("route", "replace", "unreachable", setting("PREFIX"), "metric", "1024")
    if gateway := setting("GATEWAY4", ""):
        ip("route", "replace", "default", "via", gateway)
    return supervise([["python3", "-m", "emulator", "echo"]])

"""A hoster's gateway: frames of one MAC alone pass; the prefix is routed to it, or each address is asked for."""

from __future__ import annotations

import subprocess

from emulator.system import addresses, ip, listed, say, setting, supervise


def link_local(mac: str) -> str:
    """The link-local address of a MAC address (EUI-64, RFC 4291 appendix A)."""
    octets = [int(part, 16) for part in mac.split(":")]
    octets = [octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:]]
    groups = [f"{octets[i] << 8 | octets[i + 1]:x}" for i in range(0, 8, 2)]
    return f"fe80::{':'.join(groups)}"


def main() -> int:
    """Addresses, the filter, routes; then it forwards. MODE is `routed` or `proxy`, as in the configuration."""
    addresses("core", listed("CORE"))
    addresses("line", listed("LINE"))
    mac, prefix, mode = setting("MAC"), setting("PREFIX"), setting("MODE", "routed")
    hook = "type filter hook ingress device line priority 0"
    rules = f"table netdev hoster {{ chain mac {{ {hook}; ether saddr != {mac} counter drop; }}; }}"
    subprocess.run(("nft", rules), check=True)
    way = ("via", link_local(mac)) if mode == "routed" else ()
    ip("route", "replace", prefix, *way, "dev", "line")
    for entry in listed("ROUTES"):
        ip("-6" if ":" in entry else "-4", "route", "replace", *entry.split())
    say(f"{prefix} for {mac}, {mode}")
    return supervise([["sleep", "infinity"]])

"""The leases that dhcpcd's hook wrote: `leases/<interface>.<4|6>`, lines of `name=value`.

Netlink is the trigger and the truth for addresses and prefixes; a lease adds lifetimes, DNS servers and the domain.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Network, ip_address
from pathlib import Path

import structlog

from agent.model import Deadline, Delegation, Family, IPAddress, Lease

INFINITE = 0xFFFFFFFF  # RFC 8415 section 7.7
_NAME = re.compile(r"(?P<interface>[^/.]{1,15}(?:\.\d+)?)\.(?P<family>[46])")
_PREFIX = re.compile(r"new_dhcp6_ia_pd(\d+)_prefix(\d+)")

log = structlog.get_logger(__name__)


def read_leases(directory: Path) -> tuple[Lease, ...]:
    """All leases in the directory, in order of their names. A file that is not understood is logged and left out."""
    try:
        paths = sorted(directory.iterdir())
    except FileNotFoundError:
        return ()
    leases = []
    for path in paths:
        named = _NAME.fullmatch(path.name)
        if named is None:
            continue  # the hook's temporary files
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
            leases.append(parse_lease(named["interface"], 4 if named["family"] == "4" else 6, text))
        except (OSError, ValueError, OverflowError) as error:
            log.warning("lease file not understood", file=path.name, error=str(error))
    return tuple(leases)


def parse_lease(interface: str, family: Family, text: str) -> Lease:
    """The lease in the text that the hook wrote. Raises ValueError naming the variable that is wrong.

    `uptime` (seconds on CLOCK_BOOTTIME) is when dhcpcd told the relative lifetimes; without it they count from 0,
    which is never too long.
    """
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    told = _number(values, "uptime", 0.0)
    servers = values.get("new_domain_name_servers" if family == 4 else "new_dhcp6_name_servers", "")  # noqa: PLR2004
    domain = values.get("new_domain_name" if family == 4 else "new_dhcp6_domain_search", "")  # noqa: PLR2004
    return Lease(interface, family, _addresses(servers), domain.split(" ")[0], _delegations(values, told))


def _delegations(values: dict[str, str], told: float) -> tuple[Delegation, ...]:
    found = []
    for name, value in sorted(values.items()):
        if _PREFIX.fullmatch(name) is None:
            continue
        length = int(_number(values, f"{name}_length", 64))
        try:
            prefix = IPv6Network((value, length))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        preferred = _deadline(values, f"{name}_pltime", told)
        found.append(Delegation(prefix, preferred, _deadline(values, f"{name}_vltime", told)))
    return tuple(found)


def _deadline(values: dict[str, str], name: str, told: float) -> Deadline:
    seconds = _number(values, name, INFINITE)
    return None if seconds >= INFINITE else told + seconds


def _number(values: dict[str, str], name: str, default: float) -> float:
    text = values.get(name, "")
    try:
        return float(text) if text else default
    except ValueError:
        raise ValueError(f"{name}: {text[:40]!r} is not a number") from None


def _addresses(text: str) -> tuple[IPAddress, ...]:
    found = []
    for word in text.split():
        try:
            found.append(ip_address(word.partition("%")[0]))
        except ValueError:
            log.warning("DNS server of a lease not understood", value=word[:60])
    return tuple(found)

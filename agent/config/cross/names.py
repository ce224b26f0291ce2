"""Names: their form, the reserved ones, and the name space that networks, hosts and docker hosts share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from agent.config.finding import Complaint
from agent.config.settings import Settings

NAME = re.compile(r"[a-z][a-z0-9-]{0,14}")
# Words of rules, roles of interfaces, and names that sysctl keeps for itself (`net.ipv4.conf.all`, `.default`).
RESERVED = frozenset({"internet", "firewall", "any", "wan", "lo", "backstage", "all", "default"})
OBSERVER = "observer"
_SECTIONS = ("networks", "uplinks", "docker_hosts", "hosts", "lists", "forwards")
_MEND = "write at most 15 of a-z 0-9 -, the first one a letter"


def check(settings: Settings) -> Iterator[Complaint]:
    """Form, reserved names, names used twice."""
    for section in _SECTIONS:
        for name in getattr(settings, section):
            if not NAME.fullmatch(name):
                yield Complaint((section, name), f"`{name}` is not a name", _MEND, at_key=True)
            elif name in RESERVED:
                mend = f"choose another name; reserved are {', '.join(sorted(RESERVED))}"
                yield Complaint((section, name), f"`{name}` is a reserved word", mend, at_key=True)
    yield from _shared(
        settings, ("networks", "docker_hosts", "hosts", "lists"), "networks, docker hosts, hosts and lists share"
    )
    yield from _shared(settings, ("uplinks", "docker_hosts"), "uplinks and docker hosts are nodes and share")
    for section in ("uplinks", "docker_hosts"):
        if OBSERVER in getattr(settings, section):
            message = f"`{OBSERVER}` is the bus's user that only reads"
            yield Complaint((section, OBSERVER), message, "choose another name", at_key=True)


def _shared(settings: Settings, sections: Iterable[str], who: str) -> Iterator[Complaint]:
    first: dict[str, str] = {}
    for section in sections:
        for name in getattr(settings, section):
            if name in first:
                message = f"`{name}` is a name in `{first[name]}` too: {who} one name space"
                yield Complaint((section, name), message, "rename one of the two", at_key=True)
            first.setdefault(name, section)

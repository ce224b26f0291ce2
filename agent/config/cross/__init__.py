"""Cross-references: what no single key can tell. Each module yields complaints, errors and warnings."""

from __future__ import annotations

from collections.abc import Iterator

from agent.config.cross import (
    bus,
    dhcp,
    dns,
    docker_hosts,
    forwards,
    hosts,
    interfaces,
    lists,
    names,
    networks,
    prefix,
    rules,
    shadow,
    transit,
    uplinks,
)
from agent.config.finding import Complaint
from agent.config.settings import Settings

_CHECKS = (
    names.check,
    prefix.check,
    bus.check,
    networks.check,
    dhcp.check,
    transit.check,
    interfaces.check,
    uplinks.check,
    docker_hosts.check,
    hosts.check,
    dns.check,
    lists.check,
    rules.check,
    shadow.check,
    forwards.check,
)


def complaints(settings: Settings) -> Iterator[Complaint]:
    """All complaints about settings whose fields are good."""
    for check in _CHECKS:
        yield from check(settings)

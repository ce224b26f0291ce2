"""Names of containers: `<container>.<docker host>.<domain>`, forward and reverse, as they come and go.

A docker host names its own addresses alone, below its own name alone: it cannot take another's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network

from agent.config.settings import Settings
from agent.desired.names import Record, ZoneTarget
from agent.model import Container, State

_LABEL_LENGTH = 63  # RFC 1035 section 2.3.4
_NOT_A_LABEL = re.compile(r"[^a-z0-9-]+")

Known = tuple[tuple[str, tuple[Container, ...]], ...]


def label(name: str) -> str:
    """The container's name as a label (RFC 1123 section 2.1), empty where nothing of it can be one."""
    return _NOT_A_LABEL.sub("-", name.lower()).strip("-")[:_LABEL_LENGTH].rstrip("-")


@dataclass(slots=True)
class _Memo:
    """What was made last: thousands of docker hosts may be known, and most events change none of them."""

    settings: Settings | None = None
    targets: tuple[ZoneTarget, ...] = ()
    known: Known = ()
    found: tuple[ZoneTarget, ...] = ()


_memo = _Memo()


def with_containers(settings: Settings, state: State, targets: tuple[ZoneTarget, ...]) -> tuple[ZoneTarget, ...]:
    """The local zones with the names of all containers of docker hosts that are not lost."""
    known = tuple(_known(settings, state)) if targets and settings.docker_hosts else ()
    if not known:
        return targets
    if _memo.settings is not settings or _memo.targets is not targets or _memo.known != known:
        _memo.settings, _memo.targets, _memo.known = settings, targets, known
        _memo.found = tuple(_added(settings, known, targets))
    return _memo.found


def _known(settings: Settings, state: State) -> Iterator[tuple[str, tuple[Container, ...]]]:
    for host in settings.docker_hosts:
        peer = state.peers.get(host)
        if peer is None or peer.containers is None or not peer.containers.containers:
            continue
        if peer.state is None or peer.state.state != "lost":
            yield host, peer.containers.containers


def _added(settings: Settings, known: Known, targets: tuple[ZoneTarget, ...]) -> Iterator[ZoneTarget]:
    taken = {settings.host_address6(name) for name, host in settings.hosts.items() if host.docker_host is not None}
    more: dict[str, list[Record]] = {target.zone: [] for target in targets}
    pointers = [target.zone for target in targets if target.zone.endswith(".ip6.arpa")]
    for host, containers in known:
        own = settings.docker_containers(host)
        if own is None:
            continue
        for record in _records(f"{host}.{settings.site.domain}", own, containers):
            if record.type == "AAAA":
                more[settings.site.domain].append(record)
            elif _address(record) not in taken:  # its name in the configuration stays its name
                zone = next((zone for zone in pointers if record.name.endswith(f".{zone}")), None)
                if zone is not None:
                    more[zone].append(record)
    for target in targets:
        extra = more[target.zone]
        yield replace(target, records=tuple(sorted({*target.records, *extra}))) if extra else target


def _address(record: Record) -> IPv6Address:
    return IPv6Address(int(record.name.removesuffix(".ip6.arpa").replace(".", "")[::-1], 16))


@lru_cache(maxsize=8192)
def _records(domain: str, own: IPv6Network, containers: tuple[Container, ...]) -> tuple[Record, ...]:
    """Of one docker host. Of two names that are one label the one that is the label itself counts, else the first."""
    owners: dict[str, Container] = {}
    for container in sorted(containers, key=lambda c: (c.name != label(c.name), c.name)):
        if text := label(container.name):
            owners.setdefault(text, container)
    named: set[IPv6Address] = set()
    records: list[Record] = []
    for text, container in sorted(owners.items()):
        for address in container.addresses:
            if address in own:
                records.append(Record(f"{text}.{domain}", "AAAA", str(address)))
                if address not in named:
                    named.add(address)
                    records.append(Record(address.reverse_pointer, "PTR", f"{text}.{domain}"))
    return tuple(records)

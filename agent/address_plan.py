"""`routerctl plan`: the address plan of a configuration, as a document and as a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from agent.config import AnyUplink, Settings, StaticUplink, plan6

_GAP = "  "
_CUT = "…"


def document(settings: Settings) -> dict[str, Any]:
    """All addresses that follow from the configuration, as JSON values."""
    return {
        "site": settings.site.name,
        "prefix": str(settings.site.prefix),
        "networks": {name: _network(settings, name) for name in settings.networks},
        "uplinks": {name: _uplink(uplink) for name, uplink in settings.uplinks.items()},
        "docker_hosts": {name: _docker_host(settings, name) for name in settings.docker_hosts},
        "hosts": {name: _host(settings, name) for name in settings.hosts},
    }


def _text(value: object | None) -> str | None:
    return None if value is None else str(value)


def _network(settings: Settings, name: str) -> dict[str, Any]:
    network = settings.networks[name]
    mine = any(host.network == name for host in settings.docker_hosts.values())
    base = settings.docker_base(name)
    last = plan6.index_limit(settings.site.prefix, base) - 1
    room = {"first_index": 2, "last_index": last, "in": _text(base or settings.site.prefix)} if mine else None
    return {
        "ipv4": _text(network.ipv4),
        "prefix": _text(settings.network_prefix(name)),
        "firewall": _text(settings.firewall_address6(name)),
        "docker_hosts": room,
    }


def _uplink(uplink: AnyUplink) -> dict[str, Any]:
    if not isinstance(uplink, StaticUplink):
        return {"kind": uplink.kind, "ipv4": [], "ipv6": None, "prefix": None, "neighbours": None}
    four, six = uplink.ipv4, uplink.ipv6
    own = [str(four.address), *(f"{extra.address}/32" for extra in four.extra)] if four is not None else []
    return {
        "kind": uplink.kind,
        "ipv4": own,
        "ipv6": _text(six.address) if six is not None else None,
        "prefix": _text(six.prefix) if six is not None else None,
        "neighbours": six.neighbours if six is not None else None,
    }


def _docker_host(settings: Settings, name: str) -> dict[str, Any]:
    host, machine = settings.docker_hosts[name], settings.docker_machine(name)
    return {
        "network": host.network,
        "index": host.index,
        "mac": host.mac,
        "prefix": _text(machine.prefix) if machine else None,
        "gateway": _text(machine.gateway) if machine else None,
        "address": _text(machine.address) if machine else None,
        "containers": _text(machine.containers) if machine else None,
    }


def _host(settings: Settings, name: str) -> dict[str, Any]:
    host = settings.hosts[name]
    return {
        "network": settings.host_network(name),
        "docker_host": host.docker_host,
        "ipv4": _text(host.ipv4),
        "ipv6": _text(settings.host_address6(name)),
    }


# --- for people ---------------------------------------------------------------------------------------------------


def plan_text(found: Mapping[str, Any]) -> str:
    """The document as tables; of the docker hosts' addresses what all begin with is cut off."""
    lines = [f"{found['site']}{_GAP}{found['prefix']}"]
    networks = [
        (name, n["ipv4"] or "-", n["firewall"] or (f"of its {_count(found, name)}" if n["docker_hosts"] else "-"))
        for name, n in found["networks"].items()
    ]
    lines += ["", *_table(("network", "firewall, IPv4", "firewall, IPv6"), networks)]
    uplinks = [
        (name, u["kind"], ", ".join(u["ipv4"]) or "-", " ".join(filter(None, (u["ipv6"], u["neighbours"]))) or "-")
        for name, u in found["uplinks"].items()
    ]
    lines += ["", *_table(("uplink", "kind", "IPv4", "IPv6"), uplinks)]
    lines += _docker_hosts(found)
    hosts = [
        (name, h["docker_host"] or h["network"], h["ipv4"] or "-", h["ipv6"] or "-")
        for name, h in found["hosts"].items()
    ]
    if hosts:
        lines += ["", *_table(("host", "on", "IPv4", "IPv6"), hosts)]
    return "\n".join(lines) + "\n"


def _count(found: Mapping[str, Any], network: str) -> str:
    number = sum(host["network"] == network for host in found["docker_hosts"].values())
    return "docker host" if number == 1 else f"{number} docker hosts"


def _docker_hosts(found: Mapping[str, Any]) -> Iterator[str]:
    hosts = found["docker_hosts"]
    if not hosts:
        return
    keys = ("gateway", "address", "containers")
    shared = _beginning([host[key] or "" for host in hosts.values() for key in keys])
    rows = []
    for name, host in hosts.items():
        index = "-" if host["index"] is None else f"{host['index']:#x}"
        cut = (f"{_CUT}{host[key].removeprefix(shared)}" if host[key] else "-" for key in keys)
        rows.append((name, index, *cut, host["mac"]))
    yield ""
    for name, network in found["networks"].items():
        if (room := network["docker_hosts"]) is not None:
            last = room["last_index"]
            yield f"{name}: {last - 1} docker hosts fit in {room['in']}, index 0x2 to {last:#x}"
    yield f"{_CUT} is {shared}"
    yield from _table(("docker host", "index", "gateway", "itself", "containers", "MAC"), rows)


def _beginning(addresses: Sequence[str]) -> str:
    """What all begin with, whole groups."""
    first, last = min(addresses), max(addresses)
    length = next((place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return first[: first[:length].rfind(":") + 1].removesuffix("::")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    table = [head, *rows]
    widths = [max(len(row[place]) for row in table) for place in range(len(head))]
    for row in table:
        yield _GAP.join(cell.ljust(size) for cell, size in zip(row, widths, strict=True)).rstrip()

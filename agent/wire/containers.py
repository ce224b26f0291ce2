"""The containers of a docker host as a JSON object, and back: bounded, since a host may lie."""

from __future__ import annotations

import re
from typing import Any

from agent.model import Container, Containers, Deadline, PortSpan
from agent.wire.reader import Fields, clean, ipv6_address

MAX_CONTAINERS = 512
MAX_ADDRESSES = 8
MAX_PORTS = 32
MAX_NOTES = 8
MAX_NOTE = 200
MAX_PORT = 65535
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}")
"""The names that a Docker engine gives."""
_SPAN = re.compile(r"([1-9][0-9]{0,4})(?:-([1-9][0-9]{0,4}))?/(tcp|udp)")


def write_containers(fact: Containers) -> dict[str, Any]:
    """Give the JSON object; what is empty is left out."""
    document: dict[str, Any] = {"containers": [_written(found) for found in fact.containers]}
    if fact.left_out:
        document["left_out"] = fact.left_out
    if fact.error:
        document["error"] = clean(fact.error)
    return document


def _written(container: Container) -> dict[str, Any]:
    lists = {
        "addresses": [str(address) for address in container.addresses],
        "ports": [str(span) for span in container.ports],
        "notes": [clean(note)[:MAX_NOTE] for note in container.notes],
    }
    return {"name": container.name, **{name: items for name, items in lists.items() if items}}


def read_containers(fields: Fields, until: Deadline) -> Containers:
    """Read the object; names are unique, and sorted whatever the order was."""
    items = fields.inner_items("containers")
    if len(items) > MAX_CONTAINERS:
        raise fields.error("containers", f"more than {MAX_CONTAINERS}")
    found = {container.name: container for container in map(_read, items)}
    if len(found) < len(items):
        raise fields.error("containers", "a name comes twice")
    left_out = fields.integer("left_out", 0, 0xFFFF) if fields.has("left_out") else 0
    return Containers(tuple(found[name] for name in sorted(found)), left_out, fields.text("error", default=""), until)


def _read(fields: Fields) -> Container:
    addresses = fields.items("addresses", ipv6_address)
    ports = fields.items("ports", _span)
    notes = fields.items("notes", _note)
    for name, items, most in (
        ("addresses", addresses, MAX_ADDRESSES),
        ("ports", ports, MAX_PORTS),
        ("notes", notes, MAX_NOTES),
    ):
        if len(items) > most:
            raise fields.error(name, f"more than {most} items")
    return Container(fields.name("name", NAME), addresses, ports, notes)


def _span(value: object) -> PortSpan:
    matched = _SPAN.fullmatch(value) if isinstance(value, str) else None
    if matched is None:
        raise ValueError("not written as 443/tcp or 8000-8010/udp")
    first = int(matched[1])
    last = int(matched[2] or first)
    if not first <= last <= MAX_PORT:
        raise ValueError(f"not ports from 1 to {MAX_PORT}, the lower one first")
    return PortSpan("tcp" if matched[3] == "tcp" else "udp", first, last)


def _note(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_NOTE or clean(value) != value:
        raise ValueError(f"not a text of at most {MAX_NOTE} characters")
    return value

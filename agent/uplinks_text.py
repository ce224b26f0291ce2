"""`routerctl uplinks` and `routerctl why` for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from agent.status_text import entry, seconds

_FAMILIES = (("ipv4", "IPv4"), ("ipv6", "IPv6"))


def uplinks_text(document: Mapping[str, Any], width: int) -> str:
    """The document of `agent.uplinks.document`."""
    return "".join(line + "\n" for line in _lines(document, max(width, 40)))


def _lines(document: Mapping[str, Any], width: int) -> Iterator[str]:
    yield "uplinks"
    for name, uplink in document["uplinks"].items():
        lines = [f"{label} {_fares(uplink[key])}" for key, label in _FAMILIES]
        yield from _entries(name, [*lines, *(["preferred by hand"] if uplink["wish"] == "prefer" else [])], width)
    yield "networks"
    said: dict[tuple[str, ...], str] = {}
    for name, network in document["networks"].items():
        lines = [f"{label} {_choice(network[key])}" for key, label in _FAMILIES]
        first = said.setdefault(tuple(lines), name)
        yield from _entries(name, lines if first == name else [f"as {first}"], width)


def _entries(name: str, lines: list[str], width: int) -> Iterator[str]:
    for number, line in enumerate(lines):
        yield from entry(name if number == 0 else "", line, width)


def _fares(family: Mapping[str, Any]) -> str:
    against = f": {family['against']}" if family["against"] else ""
    if family["well"] is None:
        return f"not seen yet{against}"
    text = f"{'well' if family['well'] else 'NOT WELL'} for {seconds(family['for'])}{against}"
    details = [f"loss {family['loss']:.0%}"] if family["loss"] is not None else []
    details += [f"{family['rtt'] * 1000:.0f} ms"] if family["rtt"] is not None else []
    failures = family["failures"]
    details += [f"{failures} failure{'s' if failures > 1 else ''} lately"] if failures else []
    return text + (f" ({', '.join(details)})" if details else "")


def _choice(choice: Mapping[str, Any]) -> str:
    shares = ", ".join(f"{name} {weight}" for name, weight in choice["shares"].items())
    used = shares or choice["uplink"] or "NONE"
    age = f" for {seconds(choice['for'])}" if choice["for"] is not None else ""
    names = {*choice["shares"], choice["uplink"]}
    others = [(name, said) for name, said in choice["considered"].items() if name not in names]
    # What stands before the one in use is why it is in use.
    others = [(name, said) for name, said in others if f"{name}: {said}" not in choice["why"]]
    told = ", ".join(f"{name} ({said})" if said else name for name, said in others)
    return f"{used}{age}: {choice['why']}" + (f"; else {told}" if told else "")


def why_text(document: Mapping[str, Any], width: int) -> str:
    """The answer to `routerctl why`."""
    lines: list[str] = []
    for way in document["ways"]:
        where = f" in {way['network']}" if way["network"] else ""
        lines.append(f"{way['address']}{where}: {way['uplink'] or 'no uplink'}")
        for line in way["lines"]:
            lines += entry("", line, width)
    return "".join(line + "\n" for line in lines)

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
        words = [_fares(uplink[key], label) for key, label in _FAMILIES]
        wish = {"drain": "DRAINED by hand", "prefer": "preferred by hand"}.get(uplink["wish"] or "")
        yield from entry(name, "; ".join([*words, *([wish] if wish else [])]), width)
    yield "networks"
    for name, network in document["networks"].items():
        for key, label in _FAMILIES:
            yield from entry(name if key == "ipv4" else "", f"{label} {_choice(network[key])}", width)


def _fares(family: Mapping[str, Any], label: str) -> str:
    if family["well"] is None:
        return f"{label} not seen yet"
    text = f"{label} {'well' if family['well'] else 'NOT WELL'} for {seconds(family['for'])}"
    details = [f"loss {family['loss']:.0%}"] if family["loss"] is not None else []
    details += [f"{family['rtt'] * 1000:.0f} ms"] if family["rtt"] is not None else []
    details += [f"{family['failures']} failures lately"] if family["failures"] else []
    return text + (f" ({', '.join(details)})" if details else "")


def _choice(choice: Mapping[str, Any]) -> str:
    shares = ", ".join(f"{name} {weight}" for name, weight in choice["shares"].items())
    used = shares or choice["uplink"] or "NONE"
    age = f" for {seconds(choice['for'])}" if choice["for"] is not None else ""
    used_names = {*choice["shares"], choice["uplink"]}
    others = [f"{name} {said or 'stands by'}" for name, said in choice["considered"].items() if name not in used_names]
    return f"{used}{age}: {choice['why']}" + (f"; else: {', '.join(others)}" if others else "")


def why_text(document: Mapping[str, Any], width: int) -> str:
    """The answer to `routerctl why`."""
    lines: list[str] = []
    for way in document["ways"]:
        where = f" in {way['network']}" if way["network"] else ""
        lines.append(f"{way['address']}{where}: {way['uplink'] or 'no uplink'}")
        for line in way["lines"]:
            lines += entry("", line, width)
    return "".join(line + "\n" for line in lines)

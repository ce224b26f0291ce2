"""`routerctl exposures` for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from agent.status_text import entry

_STATES = {"open": "open", "asked": "asked for", "refused": "REFUSED", "wrong": "WRONG"}
_AGENTS = {
    "ready": "",
    "silent": "its agent was not heard: nothing is open by label",
    "away": "its agent is away: what was known counts until its time is over",
    "lost": "LOST: nothing is open by label",
}


def exposures_text(document: Mapping[str, Any], width: int) -> str:
    """The document of `agent.exposures` in lines of at most `width` characters."""
    return "".join(line + "\n" for line in _lines(document, max(width, 40)))


def _lines(document: Mapping[str, Any], width: int) -> Iterator[str]:
    if not document["hosts"]:
        yield "no docker hosts"
    for name, host in document["hosts"].items():
        yield from entry(name, _host(host), width)
        for request in document["requests"]:
            if request["host"] == name:
                yield from entry("", _request(request), width)


def _host(host: Mapping[str, Any]) -> str:
    parts = [_AGENTS[host["agent"]]]
    if host["error"]:
        parts.append(f"DOES NOT KNOW its containers: {host['error']}")
    elif host["agent"] != "silent":
        many = "" if host["containers"] == 1 else "s"
        opened = "" if host["open"] is None else f", {host['open']} port{'' if host['open'] == 1 else 's'} open"
        parts.append(f"{host['containers']} container{many}{opened}")
    if host["left_out"]:
        parts.append(f"{host['left_out']} more are not told of")
    return "; ".join(part for part in parts if part)


def _request(request: Mapping[str, Any]) -> str:
    what = " ".join(part for part in (request["port"], request["address"]) if part)
    text = f"{_STATES[request['state']]} {request['container']}" + (f" {what}" if what else "")
    return text + (f": {request['reason']}" if request["reason"] else "")

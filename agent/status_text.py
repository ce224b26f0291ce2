"""`routerctl status` for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

LABEL = 12
_EXPOSE = "the label router.expose"


def status_text(document: Mapping[str, Any], width: int) -> str:
    """The document of `agent.status.document` in lines of at most `width` characters."""
    return "".join(line + "\n" for line in _lines(document, max(width, 40)))


def _lines(document: Mapping[str, Any], width: int) -> Iterator[str]:
    ready = "ready" if document["ready"] else "NOT READY"
    bus = "bus connected" if document["bus"] else "BUS DISCONNECTED"
    yield f"{document['node']}  {document['role']}  {ready}  {bus}"
    if (left := document.get("confirm")) is not None:
        yield from entry(
            "CONFIRM", f"the configuration goes back in {seconds(left)}: `routerctl confirm` keeps it", width
        )
    for label, text in _own(document):
        yield from entry(label, text, width)
    for name, peer in document["peers"].items():
        text = _peer(peer)
        if text:
            yield from entry(name, text, width)
    failing = {name: part for name, part in document["parts"].items() if part["error"]}
    for name, part in failing.items():
        yield from entry("FAILING", f"{name}, for {seconds(part['for'])}: {part['error']}", width)
        if part["hint"]:
            yield from entry("", part["hint"], width)
    for problem in document["problems"]:
        yield from entry("problem", f"{problem['part']}: {problem['message']}", width)
        if problem["hint"]:
            yield from entry("", problem["hint"], width)
    if not failing:
        yield from entry("parts", "all work: " + " ".join(document["parts"]), width)


def _own(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The node's own facts, and its guard's counter."""
    for topic, fact in sorted(document["facts"].items()):
        yield _fact(topic, fact)
    if (stopped := document.get("guarded")) is not None:
        yield "guard", f"{stopped} packets with an internal address stopped at the uplink"


def entry(label: str, text: str, width: int) -> list[str]:
    """A labelled text in lines of at most `width` characters."""
    indent = " " * (LABEL + 2)
    first = f"  {label:<{LABEL - 1}} " if len(label) < LABEL else f"  {label} "
    return textwrap.wrap(text, width, initial_indent=first, subsequent_indent=indent, break_on_hyphens=False) or [first]


def _fact(topic: str, fact: Mapping[str, Any]) -> tuple[str, str]:  # noqa: PLR0911 - one case per topic
    match topic.split("/"):
        case ["uplink", "link"]:
            reach = " ".join(filter(None, (fact["ipv4"], fact["link_local"], fact["mac"])))
            return (
                "link",
                f"{'up' if fact['carrier'] else 'DOWN'}, MTU {fact['mtu']}; on the DMZ {reach or 'nothing yet'}",
            )
        case ["uplink", "ipv4"]:
            return "IPv4", f"{fact['address']} via {fact['gateway'] or 'the link'}"
        case ["uplink", "ipv6"]:
            return "IPv6", _ipv6(fact)
        case ["uplink", "health"]:
            families = ((name, fact[key]) for key, name in (("ipv4", "IPv4"), ("ipv6", "IPv6")))
            return "health", "; ".join(f"{name} {_health(health)}" for name, health in families if health)
        case ["uplink", "prefix", _]:
            return "prefix", f"{fact['prefix']} delegated"
        case ["containers"]:
            asking = sum(bool(container["ports"]) for container in fact["containers"])
            return "containers", fact["error"] or f"{len(fact['containers'])}, {asking} of them with {_EXPOSE}"
        case ["choice", network]:
            choices = [f"{name} {_choice(fact[key])}" for key, name in (("ipv4", "IPv4"), ("ipv6", "IPv6"))]
            return network, "; ".join(choices)
        case _:
            return topic, " ".join(f"{key} {value}" for key, value in fact.items())


def _ipv6(fact: Mapping[str, Any]) -> str:
    words = {
        "prefix": "1:1, the whole plan",
        "networks": "1:1 by network",
        "nat66": "NAT66",
        "routed": "routed, nothing translated",
        "none": "none",
    }
    text = words.get(fact["mode"], str(fact["mode"]))
    text += "".join(f"; {mapping['internal']} ⇄ {mapping['external']}" for mapping in fact["mappings"])
    return text + (f"; NAT66 by {fact['nat66']}" if fact["nat66"] else "")


def _health(health: Mapping[str, Any]) -> str:
    word = ("degraded" if health["degraded"] else "up") if health["up"] else "DOWN"
    loss = f", {health['loss'] * 100:.0f}% lost" if health["loss"] is not None else ""
    return word + loss + (f", {health['rtt'] * 1000:.1f} ms" if health["rtt"] is not None else "")


def _choice(choice: Mapping[str, Any]) -> str:
    return f"{choice['uplink'] or 'NONE'} ({choice['why']})"


def _peer(peer: Mapping[str, Any]) -> str:
    state = peer["state"]["state"] if peer["state"] else "unknown"
    if peer.get("containers") is not None:
        return f"agent {state}, {len(peer['containers']['containers'])} containers: see `routerctl exposures`"
    if peer["link"] is None:
        return ""
    text = f"agent {state}, link {'up' if peer['link']['carrier'] else 'DOWN'}"
    text += f", IPv4 {peer['ipv4']['address']}" if peer["ipv4"] else ", no IPv4"
    return text + (f", IPv6 {_ipv6(peer['ipv6'])}" if peer["ipv6"] else ", no IPv6")


def seconds(value: float) -> str:
    """A time as people say it."""
    if value < 90:  # noqa: PLR2004 - below, seconds read best
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 5400 else f"{value / 3600:.1f} h"  # noqa: PLR2004

"""`routerctl dns`: the zones that the agent keeps, whether they are as they shall be, and what it told the outside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Protocol

from agent.names import NameKeeper
from agent.status_text import entry, seconds


class Naming(Protocol):
    """The running agent, as far as this needs it."""

    names: NameKeeper


def document(keeper: NameKeeper) -> dict[str, object]:
    """The zones as JSON values; the one outside with its records."""
    found = []
    for target in keeper.targets():
        kept, public = keeper.kept.get(target.zone), not target.whole
        right = kept is not None and kept.since is not None and not kept.error
        found.append(
            {
                "zone": target.zone,
                "public": public,
                "server": f"{target.server} port {target.port}",
                "right": right,
                "for": round(keeper.now() - kept.since, 1) if kept is not None and kept.since is not None else None,
                "error": kept.error if kept is not None else "",
                "hint": kept.hint if kept is not None else "",
                "count": len(target.records),
                "records": [[r.name, r.type, r.data] for r in target.records] if public else [],
            }
        )
    return {"zones": found}


def commands(agent: Naming) -> dict[str, Callable[[Mapping[str, object]], Awaitable[dict[str, object]]]]:
    """`dns`."""

    async def dns(_: Mapping[str, object]) -> dict[str, object]:
        return document(agent.names)

    return {"dns": dns}


def dns_text(found: Mapping[str, Any], width: int) -> str:
    """The document in lines."""
    lines = [line for zone in found["zones"] for line in _zone(zone, max(width, 40))]
    return "".join(f"{line}\n" for line in lines or ["no zones: no rule lets a network ask the firewall"])


def _zone(zone: Mapping[str, Any], width: int) -> Iterator[str]:
    where = f"at {zone['server']}" if zone["public"] else "local"
    yield f"{zone['zone']}  {where}"
    if zone["error"]:
        yield from entry("FAILING", zone["error"], width)
        if zone["hint"]:
            yield from entry("", zone["hint"], width)
    elif zone["right"]:
        yield from entry("right", f"{zone['count']} records of ours, looked at {seconds(zone['for'])} ago", width)
    else:
        yield from entry("waiting", "not looked at yet", width)
    for name, kind, data in zone["records"]:
        yield from entry(
            "wanted" if zone["error"] or not zone["right"] else "published", f"{name} {kind} {data}", width
        )

"""The firewall's uplinks for people: what each network uses and why, where a host would go, what people wish."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING

from agent import events as ev
from agent.config.settings import FIREWALL, Settings
from agent.model import Choice, Family, FamilyChoice, IPAddress, State
from agent.plan.standing import FAMILIES, key
from agent.plan.why import why
from agent.status import plain

if TYPE_CHECKING:
    from agent.commands import Running

_Answer = dict[str, object]
WISHES = ("drain", "enable", "prefer")


def commands(agent: Running) -> dict[str, Callable[[Mapping[str, object]], Awaitable[_Answer]]]:
    """`uplinks`, `why` and `uplink`."""

    async def uplinks(_: Mapping[str, object]) -> _Answer:
        return _elsewhere(agent) or document(agent)

    async def asked(request: Mapping[str, object]) -> _Answer:
        return _elsewhere(agent) or _why(agent, request)

    async def uplink(request: Mapping[str, object]) -> _Answer:
        return _elsewhere(agent) or _wish(agent, request)

    return {"uplinks": uplinks, "why": asked, "uplink": uplink}


def _elsewhere(agent: Running) -> _Answer | None:
    if agent.place.node != FIREWALL:
        return {"error": "the firewall chooses the uplinks: ask in its container"}
    return None if agent.loop.applied is not None else {"error": "no plan is applied yet: see `routerctl status`"}


def document(agent: Running) -> _Answer:
    """All that `routerctl uplinks` shows, as JSON values."""
    state, now = agent.loop.state, agent.now()
    facts = [p.fact for p in agent.loop.applied.facts] if agent.loop.applied is not None else []
    choices = [fact for fact in facts if isinstance(fact, Choice)]
    return {
        "uplinks": {name: _uplink(state, name, now, choices) for name in agent.settings.uplinks_by_priority()},
        "networks": {
            choice.network: {"ipv4": _choice(choice.ipv4, now), "ipv6": _choice(choice.ipv6, now)} for choice in choices
        },
    }


def _against(choices: list[Choice], name: str, family: Family) -> str:
    """What speaks against an uplink's family, as the first network sees it that may use it; empty for nothing."""
    said = (dict(choice.of(family).considered).get(name) for choice in choices)
    return next((one for one in said if one is not None), "")


def _choice(choice: FamilyChoice, now: float) -> object:
    age = None if choice.since is None else round(now - choice.since, 1)
    return {
        "uplink": choice.uplink,
        "why": choice.why,
        "shares": dict(choice.shares),
        "for": age,
        "considered": dict(choice.considered),
    }


def _uplink(state: State, name: str, now: float, choices: list[Choice]) -> _Answer:
    wish = state.memory.wishes.get(name)
    peer = state.peers.get(name)
    health = peer.health if peer is not None else None
    families: _Answer = {}
    for family in FAMILIES:
        fares = state.memory.standings.get(key(name, family))
        known = (health.ipv4 if family == 4 else health.ipv6) if health is not None else None  # noqa: PLR2004
        families[f"ipv{family}"] = {
            "well": fares.well if fares is not None else None,
            "for": round(now - fares.since, 1) if fares is not None else None,
            "against": _against(choices, name, family),
            "failures": fares.flaps if fares is not None else 0,
            "loss": known.loss if known is not None else None,
            "rtt": known.rtt if known is not None else None,
        }
    wished = wish.kind if wish is not None and wish.kind != "enable" else None
    return {"wish": wished, "mark": state.memory.marks.get(name), **families}


def _why(agent: Running, request: Mapping[str, object]) -> _Answer:
    plan = agent.loop.applied
    assert plan is not None  # noqa: S101 - `_elsewhere` has looked
    state = agent.loop.state
    macs = {neighbour.ip: neighbour.mac for neighbour in state.neighbours.values() if neighbour.mac}
    try:
        destination = _destination(str(request.get("destination") or ""))
        families: tuple[Family, ...] = (4, 6) if destination is None else (4 if destination.version == 4 else 6,)  # noqa: PLR2004
        sources = _sources(agent.settings, str(request.get("address", "")), families)
        ways = [(source, why(agent.settings, plan, source, destination, macs)) for source in sources]
    except ValueError as error:
        return {"error": str(error)}
    return {"ways": [{"address": str(source), **_plain(plain(way))} for source, way in ways]}


def _destination(word: str) -> IPAddress | None:
    """Raises ValueError with what to write."""
    try:
        return ip_address(word) if word else None
    except ValueError:
        raise ValueError(f"the destination {word!r} is no address: write one, like 192.0.2.1") from None


def _plain(value: object) -> _Answer:
    assert isinstance(value, dict)  # noqa: S101 - a dataclass becomes an object
    return value


def _sources(settings: Settings, word: str, families: tuple[Family, ...]) -> list[IPAddress]:
    """The address meant, or those of the host of that name. Raises ValueError with what to write."""
    if word in settings.hosts:
        both: tuple[IPAddress | None, ...] = (settings.host_address4(word), settings.host_address6(word))
        return [address for address in both if address is not None and address.version in families]
    try:
        return [ip_address(word)]
    except ValueError:
        known = ", ".join(settings.hosts)
        raise ValueError(f"{word!r} is no address and no host; hosts: {known or 'none'}") from None


def _wish(agent: Running, request: Mapping[str, object]) -> _Answer:
    name, kind = str(request.get("uplink", "")), request.get("wish")
    if name not in agent.settings.uplinks:
        return {"error": f"there is no uplink {name!r}; there are: {', '.join(agent.settings.uplinks)}"}
    match kind:
        case "drain" | "enable" | "prefer":
            agent.loop.emit(ev.Wished(name, kind))
            return {"ok": True}
    return {"error": f"write one of {', '.join(WISHES)}"}

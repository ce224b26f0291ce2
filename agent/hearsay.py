"""Bad news of an uplink that comes by the bus is checked with its ingress before it counts.

A broker that was stopped, or a network that was cut, delivers later what was true once: a carrier lost and found again
meanwhile. Acted on, it would end the connections of a healthy uplink. Where the ingress answered well on the DMZ until
now, it is asked at once, which takes a millisecond: by the order of an apply its rules know what its uplink carries
before the bus does. When it agrees or says nothing the news is true; else the news waits for its successor.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import structlog

from agent.events import Event, FactReceived, FactWithdrawn
from agent.model import Family, NodeState, Reach, UplinkHealth, UplinkIPv6, UplinkLink

# Seconds after which news is believed although its ingress says otherwise: who is right is not for us to know.
BELIEVED_AFTER = 2.0
_BOTH: frozenset[Family] = frozenset({4, 6})
_WITHDRAWN: dict[str, frozenset[Family]] = {
    "uplink/link": _BOTH,
    "uplink/ipv4": frozenset({4}),
    "uplink/ipv6": frozenset({6}),
}
# Told the families that carry nothing, None for no answer in time.
Answer: TypeAlias = Callable[[frozenset[Family] | None], None]
log = structlog.get_logger(__name__)


def bad_news(event: FactReceived | FactWithdrawn) -> frozenset[Family]:
    """The families of which it says that they carry nothing."""
    if isinstance(event, FactWithdrawn):
        return _WITHDRAWN.get(event.topic, frozenset())
    match event.fact:
        case UplinkLink(carrier=False):
            return _BOTH
        case UplinkIPv6(mode="none"):
            return frozenset({6})
        case UplinkHealth(ipv4=four, ipv6=six):
            told: tuple[tuple[Family, bool], ...] = (
                (4, four is not None and not four.up),
                (6, six is not None and not six.up),
            )
            return frozenset(family for family, down in told if down)
        case _:
            return frozenset()


@dataclass(slots=True)
class _Held:
    event: Event
    timer: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class Hearsay:
    """Stands between the bus and the loop (`emit`). `reach`: what the ingresses say on the DMZ; `ask` asks one now."""

    emit: Callable[[Event], None]
    reach: Callable[[str], Reach]
    ask: Callable[[str, Answer], None]
    _held: dict[tuple[str, str], _Held] = field(default_factory=dict)

    def hear(self, event: Event) -> None:
        """Hand on what is good or true; what is newer replaces what is held."""
        if not isinstance(event, FactReceived | FactWithdrawn):
            self.emit(event)
            return
        if isinstance(event, FactReceived) and isinstance(event.fact, NodeState) and event.fact.state != "ready":
            self._believe_all(event.node)  # it leaves, and has said so before its rules could
        key = (event.node, event.topic)
        self._drop(key)
        reach = self.reach(event.node)
        well = {family for family, said in ((4, reach.ipv4), (6, reach.ipv6)) if said == "up"}
        doubted = bad_news(event) & well
        if not doubted:
            self.emit(event)
            return
        held = self._held[key] = _Held(event)
        self.ask(event.node, lambda dead: self._answered(key, held, doubted, dead))

    def _answered(
        self, key: tuple[str, str], held: _Held, doubted: frozenset[Family], dead: frozenset[Family] | None
    ) -> None:
        if self._held.get(key) is not held:
            return  # there was newer news
        if dead is None or doubted <= dead:
            self._believe(key)
            return
        log.info("bad news by the bus, but the ingress says otherwise: it waits", uplink=key[0], topic=key[1])
        held.timer = asyncio.get_running_loop().call_later(BELIEVED_AFTER, self._believe, key)

    def _believe(self, key: tuple[str, str]) -> None:
        held = self._drop(key)
        if held is not None:
            self.emit(held.event)

    def _believe_all(self, node: str) -> None:
        for key in [key for key in self._held if key[0] == node]:
            self._believe(key)

    def _drop(self, key: tuple[str, str]) -> _Held | None:
        held = self._held.pop(key, None)
        if held is not None and held.timer is not None:
            held.timer.cancel()
        return held

"""Bad news of an uplink that comes by the bus is checked with its ingress before it counts.

A broker that was stopped, or a network that was cut, delivers later what was true once: a carrier lost and found again
meanwhile. Acted on, it would end the connections of a healthy uplink. Where the ingress answered well on the DMZ until
now, it is asked at once, which takes a millisecond: by the order of an apply its rules know what its uplink carries
before the bus does. When it agrees or says nothing the news is true; else it waits for newer. What was true is asked
about again from time to time: where nothing newer comes, because the broker died meanwhile, the ingress is right.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import structlog

from agent.events import Event, FactReceived, FactWithdrawn
from agent.model import Family, NodeState, Reach, UplinkHealth, UplinkIPv6, UplinkLink

# Seconds between two questions about the same news.
AGAIN = 2.0
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


def as_denied(event: FactReceived | FactWithdrawn, alive: frozenset[Family]) -> FactReceived | None:
    """What the news would be, were these families well; None where that is not known (addresses)."""
    match event:
        case FactReceived(fact=UplinkLink() as link):
            return replace(event, fact=replace(link, carrier=True))
        case FactReceived(fact=UplinkHealth(ipv4=four, ipv6=six) as health):
            fact = replace(health, ipv4=None if 4 in alive else four, ipv6=None if 6 in alive else six)  # noqa: PLR2004
            return replace(event, fact=fact)
        case _:
            return None


@dataclass(slots=True)
class _News:
    """Bad news: `told` to the loop, or held; `denied` by its ingress."""

    event: FactReceived | FactWithdrawn
    told: bool = False
    denied: bool = False
    timer: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class Hearsay:
    """Stands between the bus and the loop (`emit`). `reach`: what the ingresses say on the DMZ; `ask` asks one now."""

    emit: Callable[[Event], None]
    reach: Callable[[str], Reach]
    ask: Callable[[str, Answer], None]
    _news: dict[tuple[str, str], _News] = field(default_factory=dict)
    _left: set[str] = field(default_factory=set)

    def hear(self, event: Event) -> None:
        """Hand on what is good or true; what is newer replaces what is held. To be called in the loop."""
        if not isinstance(event, FactReceived | FactWithdrawn):
            self.emit(event)
            return
        if isinstance(event, FactReceived) and isinstance(event.fact, NodeState):
            self._state(event.node, event.fact)
        key = (event.node, event.topic)
        self._drop(key)
        bad = bad_news(event)
        if not bad:
            self.emit(event)
            return
        news = self._news[key] = _News(event)
        reach = self.reach(event.node)
        if event.node in self._left or not any(self._well(reach, family) for family in bad):
            self._tell(key, news)
        else:
            self._ask(key, news)

    @staticmethod
    def _well(reach: Reach, family: Family) -> bool:
        return (reach.ipv4 if family == 4 else reach.ipv6) == "up"  # noqa: PLR2004

    def _state(self, node: str, state: NodeState) -> None:
        """A node that leaves has said so of its uplink before its rules could."""
        if state.state != "disconnected":
            self._left.discard(node)
            return
        self._left.add(node)
        for key, news in list(self._news.items()):
            if key[0] == node and not news.told:
                self._tell(key, news)

    def _ask(self, key: tuple[str, str], news: _News) -> None:
        news.timer = None
        self.ask(key[0], lambda dead: self._answered(key, news, dead))

    def _answered(self, key: tuple[str, str], news: _News, dead: frozenset[Family] | None) -> None:
        if self._news.get(key) is not news:
            return  # there was newer news
        alive = bad_news(news.event) - dead if dead is not None else frozenset()
        if not news.told:
            alive = frozenset(family for family in alive if self._well(self.reach(key[0]), family))
        if not alive:
            self._tell(key, news)
        elif news.told and key[0] not in self._left:
            self._deny(key, news, alive)
        else:
            if not news.denied:
                log.info("bad news by the bus, but the ingress says otherwise: it waits", uplink=key[0], topic=key[1])
            news.denied = True
            self._later(key, news)

    def _tell(self, key: tuple[str, str], news: _News) -> None:
        if not news.told:
            news.told = True
            self.emit(news.event)
        self._later(key, news)

    def _deny(self, key: tuple[str, str], news: _News, alive: frozenset[Family]) -> None:
        """What was true is so no more, and the bus does not say it."""
        event = as_denied(news.event, alive)
        if event is None:
            self._later(key, news)
            return
        log.info("the ingress says that its uplink is back, the bus does not", uplink=key[0], topic=key[1])
        self._drop(key)
        if bad_news(event):
            self._later(key, self._news.setdefault(key, _News(event, told=True)))
        self.emit(event)

    def _later(self, key: tuple[str, str], news: _News) -> None:
        if news.timer is None:
            news.timer = asyncio.get_running_loop().call_later(AGAIN, self._ask, key, news)

    def _drop(self, key: tuple[str, str]) -> None:
        news = self._news.pop(key, None)
        if news is not None and news.timer is not None:
            news.timer.cancel()

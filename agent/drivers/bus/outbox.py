"""What this node says: the set wanted now, and what of it the broker was told on this connection."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from agent import wire
from agent.desired import Publication
from agent.model import (
    Containers,
    Deadline,
    Delegation,
    Fact,
    NodeInfo,
    NodeState,
    UplinkHealth,
    UplinkIPv4,
    UplinkIPv6,
    UplinkLink,
)

# A deadline read twice from the kernel or a lease differs by up to a second each time.
SLACK = 2.0
# A lifetime that grew is told when a quarter of it is missing at the receivers.
GROWN = 0.25
LINK = "uplink/link"

Wireable = TypeVar("Wireable", bound=Fact)


@dataclass(frozen=True, slots=True)
class Letter:
    """One message to send: an empty payload withdraws the topic. `expiry` in seconds, None for never."""

    topic: str
    payload: bytes
    expiry: int | None = None


@dataclass(slots=True)
class Outbox:
    """Level-triggered: `due` gives whatever must be sent to make the broker hold the wanted set and nothing else.

    Until the first `want` nothing of an earlier life of this node is withdrawn: its facts are still the best known.
    `errors`: topic → why it cannot be sent.
    """

    own: NodeState
    info: NodeInfo | None = None
    wanted: dict[str, Fact] | None = None
    errors: dict[str, str] = field(default_factory=dict)
    _sent: dict[str, Fact] = field(default_factory=dict)
    _foreign: set[str] = field(default_factory=set)  # at the broker, below our node, and not known to be right

    def want(self, publications: Iterable[Publication]) -> None:
        """Take the full set wanted now; `state` is not for the caller to say."""
        self.wanted = {p.topic: p.fact for p in publications if p.topic != "state"}

    def leave(self) -> None:
        """Want the uplink down. The other facts stay: one document moves the traffic of both families."""
        link = (self.wanted or {}).get(LINK)
        if self.wanted is not None and isinstance(link, UplinkLink):
            self.wanted = {**self.wanted, LINK: replace(link, carrier=False)}

    def reset(self, own: NodeState) -> None:
        """Begin a connection: what the broker holds is not known."""
        self.own = own
        self._sent.clear()
        self._foreign.clear()

    def forget(self) -> None:
        """Send everything again: the broker may have dropped it."""
        self._foreign.update(self._sent)
        self._sent.clear()

    def repeat_state(self) -> None:
        """Send our state again."""
        self._sent.pop("state", None)

    def seen(self, topic: str) -> None:
        """Note a retained message below our node that the broker holds."""
        if topic not in self._sent:
            self._foreign.add(topic)

    def due(self, now: float) -> list[Letter]:
        """Give what must be sent now, and count it as sent. What is new comes before what is withdrawn."""
        letters = []
        about: dict[str, Fact] = {} if self.info is None else {"info": self.info}
        wanted = about | (self.wanted or {})
        # A birth is announced before the facts, readiness after them.
        state: list[tuple[str, Fact]] = [("state", self.own)]
        facts = list(wanted.items())
        for topic, fact in state + facts if self.own.state == "init" else facts + state:
            told = self._sent.get(topic)
            if told is not None and not differs(told, fact, now):
                continue
            try:
                payload, expiry = wire.encode(fact, topic, now)
            except wire.ExpiredError:
                continue
            except wire.WireError as error:
                self.errors[topic] = str(error)
                continue
            self.errors.pop(topic, None)
            self._sent[topic] = fact
            self._foreign.discard(topic)
            letters.append(Letter(topic, payload, expiry))
        if self.wanted is not None:
            letters += self._withdrawals(wanted, now)
        return letters

    def _withdrawals(self, wanted: dict[str, Fact], now: float) -> list[Letter]:
        over = {topic for topic, fact in wanted.items() if _over(_valid(fact), now)}
        self.errors = {topic: why for topic, why in self.errors.items() if topic in wanted}
        gone = ((self._sent.keys() | self._foreign) - wanted.keys() | (self._sent.keys() & over)) - {"state"}
        for topic in gone:
            self._sent.pop(topic, None)
            self._foreign.discard(topic)
        return [Letter(topic, b"") for topic in sorted(gone)]


def differs(told: Fact, fact: Fact, now: float) -> bool:
    """Whether receivers must hear of `fact` after `told`: another value, or a lifetime that became wrong."""
    if without_deadlines(told) != without_deadlines(fact):
        return True
    pairs = [(_valid(told), _valid(fact))]
    if isinstance(told, Delegation) and isinstance(fact, Delegation):
        pairs.append((told.preferred_until, fact.preferred_until))
    return any(_drifted(before, after, now) for before, after in pairs)


def without_deadlines(fact: Wireable) -> Wireable:
    """Give the fact as it would be if it never ended."""
    if isinstance(fact, Delegation):
        return replace(fact, preferred_until=None, valid_until=None)
    if isinstance(fact, UplinkIPv4 | UplinkIPv6 | UplinkHealth | Containers):
        return replace(fact, valid_until=None)
    return fact


def _drifted(before: Deadline, after: Deadline, now: float) -> bool:
    if before is None or after is None:
        return before is not after
    if after < before:
        return before - after > SLACK
    return after - before > max(SLACK, GROWN * (after - now))


def _valid(fact: Fact) -> Deadline:
    return getattr(fact, "valid_until", None)


def _over(deadline: Deadline, now: float) -> bool:
    return deadline is not None and deadline - now < 1

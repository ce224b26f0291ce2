"""What other nodes say: messages in, events out. Pure: the time and the messages are handed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from agent import wire
from agent.drivers.bus.outbox import without_deadlines
from agent.events import FactReceived, FactWithdrawn
from agent.model import Deadline, Delegation, Fact, NodeState, Peer

log = structlog.get_logger("bus")

Heard = FactReceived | FactWithdrawn

# Of one publication repeated, each copy loses up to a second to rounding.
SLACK = 1.001
# Topics of one node, and topics complained of: what a broken node can make us keep.
MOST = 1024


@dataclass(slots=True)
class Inbox:
    """What was heard and passed on, per node and topic.

    A withdrawal is missed when it happens while this agent is away. Once the broker has sent all it holds
    (`replayed`), what a node that is `ready` does not have there is withdrawn: `ready` is said after all facts. Of a
    node that is not ready (a broker that lost its memory) nothing is withdrawn: its facts stay until their deadlines.
    `invalid` counts the documents dropped.
    """

    site: str
    invalid: int = 0
    _known: dict[str, dict[str, tuple[Fact, Deadline] | None]] = field(default_factory=dict)
    _seen: dict[str, set[str]] = field(default_factory=dict)
    _born: dict[str, NodeState] = field(default_factory=dict)
    _replayed: bool = False
    _complained: set[str] = field(default_factory=set)

    def remember(self, peers: Mapping[str, Peer]) -> None:
        """Take note of what an earlier life of this agent knew of others."""
        for node, peer in peers.items():
            known = self._known.setdefault(node, {})
            for topic in wire.topics_of_peer(peer):
                known.setdefault(topic, None)

    def connected(self) -> None:
        """Begin a connection: the broker will send all it holds."""
        self._seen.clear()
        self._replayed = False

    def replayed(self) -> list[Heard]:
        """The broker has sent all it held when we subscribed."""
        self._replayed = True
        return [event for node in sorted(self._seen) for event in self._missed(node)]

    def heard(self, topic: str, payload: bytes, expiry: int | None, now: float) -> list[Heard]:
        """Take a message of another node; give the events that follow."""
        try:
            node, below = wire.split(self.site, topic)
            if wire.is_event(below):
                return []
            if not payload:
                return self._withdrawn(node, below)
            received = wire.decode(self.site, topic, payload, expiry, now)
        except wire.WireError as error:
            self._complain(topic, error)
            return []
        known = self._known.setdefault(node, {})
        if below not in known and len(known) >= MOST:
            self._complain(topic, wire.WireError(below, "", f"{node} has more than {MOST} topics"))
            return []
        self._complained.discard(topic)
        self._seen.setdefault(node, set()).add(below)
        if isinstance(received.fact, NodeState) and self._stale(node, received.fact):
            return []
        events: list[Heard] = []
        told = known.get(below)
        if told is None or not _same(told, (received.fact, received.until)):
            known[below] = (received.fact, received.until)
            events.append(FactReceived(node, below, received.fact, received.until))
        if below == "state" and self._replayed:
            events += self._missed(node)
        return events

    def _withdrawn(self, node: str, topic: str) -> list[Heard]:
        self._seen.setdefault(node, set()).discard(topic)
        self._known.setdefault(node, {}).pop(topic, None)
        return [FactWithdrawn(node, topic)]

    def _stale(self, node: str, said: NodeState) -> bool:
        """Whether this is the last word of a session that has a successor."""
        born = self._born.get(node)
        if said.state in {"init", "ready"}:
            self._born[node] = said
            return False
        return born is not None and born.session != said.session

    def _missed(self, node: str) -> list[Heard]:
        known = self._known.get(node, {})
        born = self._born.get(node)
        told = known.get("state")
        ready = told is not None and isinstance(told[0], NodeState) and told[0].state == "ready"
        if not ready or born is None or "state" not in self._seen.get(node, ()):
            return []
        return [event for topic in sorted(known.keys() - self._seen[node]) for event in self._withdrawn(node, topic)]

    def _complain(self, topic: str, error: wire.WireError) -> None:
        self.invalid += 1
        if topic not in self._complained and len(self._complained) < MOST:
            self._complained.add(topic)
            log.warning("invalid document dropped", topic=topic[:200], error=str(error))


def _same(told: tuple[Fact, Deadline], said: tuple[Fact, Deadline]) -> bool:
    """Whether a message says nothing new: a duplicate, or a periodic publication with the deadlines known."""
    if without_deadlines(told[0]) != without_deadlines(said[0]) or not _close(told[1], said[1]):
        return False
    before, after = told[0], said[0]
    if isinstance(before, Delegation) and isinstance(after, Delegation):
        return _close(before.preferred_until, after.preferred_until)
    return True


def _close(before: Deadline, after: Deadline) -> bool:
    if before is None or after is None:
        return before is after
    return abs(after - before) < SLACK

"""How much of one node is listened to: a node that floods the bus costs the others nothing but the wait for itself.

Level-triggered: what comes too soon is kept, the newest of each topic, and heard when its turn comes. Pure: the time is
handed in.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import structlog

log = structlog.get_logger("bus")

# Tokens: a message costs one, and one more for each KiB. A whole connection's facts are far below the burst.
RATE = 100.0
BURST = 1000.0
KIB = 1024
# Topics of a node that wait at most; an honest one has fewer altogether.
WAITING = 256


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it came, at `at` (CLOCK_BOOTTIME)."""

    topic: str
    payload: bytes
    expiry: int | None
    at: float

    @property
    def cost(self) -> float:
        """In tokens."""
        return 1 + len(self.payload) / KIB


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float
    late: dict[str, Message] = field(default_factory=dict)

    def spend(self, cost: float, now: float) -> bool:
        self.tokens = min(BURST, self.tokens + (now - self.at) * RATE)
        self.at = now
        if self.tokens < cost:
            return False
        self.tokens -= cost
        return True


@dataclass(slots=True)
class Quota:
    """By node. What `admit` does not admit comes back from `due`."""

    _buckets: dict[str, _Bucket] = field(default_factory=dict)
    _turns: deque[str] = field(default_factory=deque)

    def waits(self) -> bool:
        """Whether anything is kept for later."""
        return bool(self._turns)

    def admit(self, node: str, message: Message) -> bool:
        """Whether to hear it now."""
        bucket = self._buckets.setdefault(node, _Bucket(BURST, message.at))
        if not bucket.late and bucket.spend(message.cost, message.at):
            return True
        if not bucket.late:
            log.warning("says too much: only its newest word counts, and not at once", node=node)
            self._turns.append(node)
        if message.topic in bucket.late or len(bucket.late) < WAITING:
            bucket.late[message.topic] = message
        return False

    def due(self, now: float) -> list[Message]:
        """Those kept whose turn has come."""
        found = []
        for node in tuple(self._turns):
            bucket = self._buckets[node]
            while bucket.late:
                topic, message = next(iter(bucket.late.items()))
                if not bucket.spend(message.cost, now):
                    break
                del bucket.late[topic]
                found.append(message)
            if not bucket.late:
                self._turns.remove(node)
        return found

"""How long to wait before the next connection."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from agent.drivers.bus.settings import Cause

# First wait and longest wait, in seconds. A broker that restarts is back within a second; a refusal needs a person;
# of two agents with one name each ends the other's connection, so they must not take turns often.
_WAITS = {Cause.UNREACHABLE: (0.05, 3.0), Cause.REFUSED: (1.0, 15.0), Cause.TWIN: (30.0, 300.0)}
STEADY = 5.0
"""Seconds that a connection must have stood for its end to count as the first failure."""


@dataclass(slots=True)
class Backoff:
    """Doubles from failure to failure of one cause, with jitter of a quarter, so that nodes do not come in step."""

    random: random.Random = field(default_factory=random.Random)
    _cause: Cause | None = None
    _failures: int = 0

    def next(self, cause: Cause, stood: float) -> float:
        """Give the seconds to wait after a connection that stood for `stood` seconds (0: it never did)."""
        # One that was refused or had a twin may stand for a while too: only a lost one starts anew.
        if cause is not self._cause or (cause is Cause.UNREACHABLE and stood >= STEADY):
            self._cause, self._failures = cause, 0
        first, longest = _WAITS[cause]
        wait: float = min(first * 2 ** min(self._failures, 16), longest)
        self._failures += 1
        return wait * self.random.uniform(0.75, 1.25)

"""What a person was told in the log already: a problem is said when it appears, not at every plan."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from agent.desired import Problem

# Of one part at most a line in so many seconds: what another machine claims must not fill the log.
APART = 10.0
MOST = 4096


@dataclass(slots=True)
class Told:
    """Remembers the last `MOST` problems that were told."""

    _told: dict[Problem, None] = field(default_factory=dict)
    _last: dict[str, float] = field(default_factory=dict)

    def new(self, problems: Iterable[Problem], now: float) -> list[Problem]:
        """Those to tell now. What comes too soon after another of its part is told later, if it is still there."""
        found = []
        for problem in problems:
            if problem in self._told or now < self._last.get(problem.part, now - APART) + APART:
                continue
            self._told[problem] = None
            self._last[problem.part] = now
            found.append(problem)
        while len(self._told) > MOST:
            del self._told[next(iter(self._told))]
        while len(self._last) > MOST:
            del self._last[next(iter(self._last))]
        return found

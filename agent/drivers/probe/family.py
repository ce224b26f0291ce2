"""The rounds of one family: `agent.health` says whom to ask, and makes the verdict.

An answer that comes after its round counts for the round in which it comes: slow is not dead.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import structlog

from agent.desired.probe import FamilyProbes, Probes
from agent.drivers.probe.asker import Packets
from agent.drivers.probe.stream import ASK_ERRORS, Streams
from agent.health import ASKS, Track, after_question, after_round, to_ask
from agent.model import IPAddress

_EARLY = 0.01  # of an interval
_STREAMS = frozenset({"tcp", "dns", "http"})
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Question:
    """Sent at `sent` (the loop's time), the `first` of its round or one of the others."""

    target: int
    sent: float
    first: bool
    task: asyncio.Task[None] | None = None


@dataclass(slots=True)
class FamilyRounds:
    """Asks for ever. `on_round` is called after each round with the new track."""

    where: Probes
    probes: FamilyProbes
    track: Track
    now: Callable[[], float]
    on_round: Callable[[Track], None]
    _packets: Packets = field(init=False)
    _streams: Streams = field(init=False)
    _open: dict[int, Question] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _turn: int = 0
    _answered: set[int] = field(default_factory=set)
    _enough: asyncio.Future[None] | None = None
    _error: str = ""

    def __post_init__(self) -> None:
        self._packets = Packets(self.where.device, self.where.index, self.probes, self._take)
        self._streams = Streams(self.where.device, self.probes)

    async def run(self) -> None:
        """Round after round, until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                start = loop.time()
                await self._round()
                self._forget(loop.time())
                answered = len(self._answered)
                self.track = after_round(
                    self.track, self.probes.rounds, answered=answered, now=self.now(), next_hop=self.probes.next_hop
                )
                self.on_round(self.track)
                await asyncio.sleep(max(_next_round(start, self.probes.rounds.interval) - loop.time(), 0.0))
        finally:
            self._packets.close()
            for question in self._open.values():
                if question.task is not None:
                    question.task.cancel()

    async def _round(self) -> None:
        """Ask, and wait until enough have answered or the time is over. The pauses are real: a stall is no loss."""
        rounds, targets = self.probes.rounds, len(self.probes.targets)
        self._answered.clear()
        for step in range(ASKS):
            answered = len(self._answered)
            wanted = to_ask(step, answered=answered, turn=self._turn, targets=targets, rounds=rounds)
            if not wanted:
                break
            for target in wanted:
                self._ask(target, first=step == 0)
            await self._pause(rounds.timeout / ASKS)
        self._turn += rounds.quorum

    async def _pause(self, seconds: float) -> None:
        """Wait, but no longer than until enough have answered: an idle router wakes twice a round, not three times."""
        loop = asyncio.get_running_loop()
        self._enough = loop.create_future()
        timer = loop.call_later(seconds, _wake, self._enough)
        try:
            await self._enough
        finally:
            timer.cancel()
            self._enough = None

    def _ask(self, target: int, *, first: bool) -> None:
        what = self.probes.targets[target]
        number = next(self._numbers) & 0xFFFF
        question = self._open[number] = Question(target, asyncio.get_running_loop().time(), first)
        if what.kind in _STREAMS:
            question.task = asyncio.create_task(self._stream(number, target), name=f"probe {what}")
            return
        try:
            self._packets.ask(what, number, again=not first)
            if first and what.kind == "neighbour" and not self.track.answered:
                self._packets.nudge(what)
        except OSError as error:  # no answer will come: that is what a lost packet looks like too
            self._complain(f"{what}: {error.strerror}")

    async def _stream(self, number: int, target: int) -> None:
        try:
            await self._streams.ask(self.probes.targets[target])
        except ASK_ERRORS as error:
            self._complain(f"{self.probes.targets[target]}: {error or type(error).__name__}")
        else:
            self._take(number)

    def _complain(self, error: str) -> None:
        if error != self._error:
            self._error = error
            log.info("a probe cannot be sent or is answered wrongly", family=self.probes.family, error=error)

    def _take(self, what: int | IPAddress) -> None:
        """An answer: to the question of that number, or of a next hop to the oldest question that waits for it."""
        number: int | None = what if isinstance(what, int) else None
        if number is None:
            number = next((n for n, q in self._open.items() if self.probes.targets[q.target].address == what), None)
        question = self._open.pop(number, None) if number is not None else None
        if question is None:
            return
        self._answered.add(question.target)
        if self._enough is not None and len(self._answered) >= self.probes.rounds.quorum:
            _wake(self._enough)
        if question.first:
            rtt = asyncio.get_running_loop().time() - question.sent
            self.track = after_question(self.track, question.target, rtt)

    def _forget(self, now: float) -> None:
        """Give up questions that are too old: their answers would prove nothing any more."""
        limit = self.probes.rounds.late
        for number in [number for number, question in self._open.items() if now - question.sent > limit]:
            question = self._open.pop(number)
            if question.task is not None:
                question.task.cancel()
            if question.first:
                self.track = after_question(self.track, question.target, None)


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


def _next_round(start: float, interval: float) -> float:
    """When the round after that of `start` begins: at a multiple of the interval, so both families wake us once.

    A timer may fire a little early.
    """
    return (math.floor(start / interval + _EARLY) + 1) * interval

"""The loop: drain events, reduce, plan, apply in order. One consumer, level-triggered.

The leading edge is handled at once; what arrives while an apply runs is folded into the next one. A failing part does
not stop the others, is retried with capped, jittered backoff, and is shown until it works. Every `RESYNC` seconds the
drivers forget what they remember and read the kernel.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import structlog

from agent import events as ev
from agent.desired import Plan, Problem
from agent.fold import fold
from agent.model import State
from agent.reduce import expire, next_deadline
from agent.told import Told

RESYNC = 300.0
RETRY_FIRST = 0.5
RETRY_LIMIT = 30.0
# After this long without an event, drivers may do what is not urgent (note the kernel's listing, write peers.json).
QUIET = 0.25
# And where events never stop, they do it after so long all the same: peers.json must not be of another time.
NEVER_QUIET = 3.0
PATIENCE = 20  # times that long, for steps that take long themselves
AGAIN_FLOOR = 0.1

log = structlog.get_logger(__name__)


class PartError(Exception):
    """A part of the plan could not be made true. `hint` says how a person mends it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Context:
    """What a step is given: the plan, the one before it (None at first), and the observed state.

    `full`: a resync, memory counts for nothing. `retry`: this step failed before and shall try again.
    """

    plan: Plan
    before: Plan | None
    state: State
    full: bool
    retry: bool
    failed: frozenset[str]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an apply. It is skipped, and counts as failed, when one of the parts it `needs` has failed.

    `run` raises an exception whose text names what is wrong; it may have a `hint`. A step with `inputs` runs when they
    differ from the last time, at a retry and at a resync; else it is as well, or as failed, as it was.
    `once_quiet` steps run when no event has come for a while, and from time to time where events never stop, `patient`
    ones seldom then: a prefix that comes meanwhile waits for them (30 ms, for dinit's word and nft's listing).
    """

    part: str
    run: Callable[[Context], Awaitable[None]]
    needs: frozenset[str] = frozenset()
    inputs: Callable[[Context], object] | None = None
    once_quiet: bool = False
    patient: bool = False


class Clock(Protocol):
    """Time as the loop sees it; tests bring their own."""

    def now(self) -> float:
        """Seconds on CLOCK_BOOTTIME."""

    async def get(self, queue: asyncio.Queue[ev.Event], wait: float | None) -> ev.Event | None:
        """The next event, or None after `wait` seconds."""


@dataclass(slots=True)
class Status:
    """The last error of a part (empty: none), since when it is so (CLOCK_BOOTTIME), and how to mend it."""

    error: str = ""
    hint: str = ""
    since: float = 0.0


@dataclass(slots=True)
class Reconciler:
    """Owns the state. `plan` is replaced when the configuration is; `emit` may be called by any task of the loop."""

    plan: Callable[[State, float], Plan]
    steps: Sequence[Step]
    clock: Clock
    on_ready: Callable[[], None]
    essential: frozenset[str]
    errors: tuple[type[Exception], ...] = (PartError, OSError)
    state: State = field(default_factory=State)
    applied: Plan | None = None
    status: dict[str, Status] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    ready: bool = False
    queue: asyncio.Queue[ev.Event] = field(default_factory=asyncio.Queue)
    _failed: frozenset[str] = frozenset()
    _told: Told = field(default_factory=Told)
    _inputs: dict[str, object] = field(default_factory=dict)
    _retry: float = RETRY_FIRST
    _retry_at: float | None = None
    _fell: bool = False  # in the last quiet moment: a daemon that always falls is not to be started every second
    _resync_at: float = 0.0  # the first apply is a full one
    _unsettled: bool = False
    _restless_since: float = 0.0
    _restless: int = 0
    _applied_at: float = 0.0
    _awaited: list[asyncio.Future[None]] = field(default_factory=list)

    def emit(self, event: ev.Event) -> None:
        """Hand an event to the loop."""
        self.queue.put_nowait(event)

    async def follow(self, plan: Callable[[State, float], Plan], *, resync: bool = False) -> None:
        """Plan by this configuration from now on. Returns when its first plan is applied, as far as it can be."""
        self.plan = plan
        applied: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._awaited.append(applied)
        self.emit(ev.Tick(resync))
        await applied

    async def run(self) -> None:
        """Run for ever. An exception that no part declared leaves: crash-only, the supervisor restarts."""
        while True:
            await self.turn()

    async def turn(self) -> None:
        """Wait for something to do, and do it."""
        event = await self.clock.get(self.queue, self._timeout())
        now = self.clock.now()
        full = now >= self._resync_at
        if event is None and self._unsettled and not full and not self._due(now):
            self._unsettled, self._restless = False, 0
            await self._settle(patient=True)
            return
        events = []
        while event is not None:
            full = full or (isinstance(event, ev.Tick) and event.resync)
            events.append(event)
            event = None if self.queue.empty() else self.queue.get_nowait()
        self.state = expire(fold(self.state, events, now), now)
        if not self.state.synced:
            return
        if full:
            self._resync_at = now + RESYNC
        retry = full or (self._retry_at is not None and self._retry_at <= now)
        awaited, self._awaited = self._awaited, []
        await self._apply(self.plan(self.state, now), full=full, retry=retry)
        for applied in awaited:
            if not applied.done():  # who waited may have gone
                applied.set_result(None)
        if self._unsettled and now >= self._restless_since + NEVER_QUIET:
            self._restless_since, self._restless = now, self._restless + 1
            await self._settle(patient=self._restless % PATIENCE == 0)

    async def _apply(self, plan: Plan, *, full: bool, retry: bool) -> None:
        context = Context(plan, self.applied, self.state, full, retry, frozenset())
        self.problems = plan.problems
        for step in self.steps:
            if not step.once_quiet:
                context = await self._run(step, context)
        self.applied, self._applied_at = plan, self.clock.now()
        for problem in self._told.new(plan.problems, self._applied_at):
            log.warning("problem", part=problem.part, problem=problem.message, hint=problem.hint)
        if not self._unsettled:
            self._unsettled, self._restless_since = True, self._applied_at
        self._keep_failed(context.failed, retry=retry)
        if not self.ready and not context.failed & self.essential:
            self.ready = True
            self.on_ready()

    def _keep_failed(self, failed: frozenset[str], *, retry: bool) -> None:
        self._failed = failed
        if not failed:
            self._retry_at = None
            if not self._fell:
                self._retry = RETRY_FIRST
        elif retry or self._retry_at is None:
            self._retry_at = self.clock.now() + self._retry * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
            self._retry = min(self._retry * 2, RETRY_LIMIT)

    async def _settle(self, *, patient: bool) -> None:
        if self.applied is None:
            return
        context = Context(self.applied, self.applied, self.state, full=False, retry=False, failed=self._failed)
        for step in self.steps:
            if step.once_quiet and (patient or not step.patient):
                context = await self._run(step, context)
        self._fell = bool(context.failed - self._failed) or (self._fell and not patient)  # else nobody looked
        self._keep_failed(context.failed, retry=False)

    async def _run(self, step: Step, context: Context) -> Context:
        if step.needs & context.failed:
            return replace(context, failed=context.failed | {step.part})
        retry = context.full or (context.retry and step.part in self._failed)
        if step.inputs is not None:
            inputs = step.inputs(context)
            if not retry and step.part in self._inputs and self._inputs[step.part] == inputs:
                still = {step.part} & self._failed
                return replace(context, failed=context.failed | still) if still else context
            self._inputs[step.part] = inputs
        try:
            await step.run(replace(context, retry=retry))
        except self.errors as error:
            self._note(step.part, str(error) or type(error).__name__, getattr(error, "hint", ""))
            return replace(context, failed=context.failed | {step.part})
        if step.part not in context.failed:
            self._note(step.part, "")
        return context

    def _note(self, part: str, error: str, hint: str = "") -> None:
        known = self.status.get(part)
        if known is not None and (known.error, known.hint) == (error, hint):
            return
        self.status[part] = Status(error, hint, self.clock.now())
        if error:
            log.error("part failed", part=part, error=error, hint=hint)
        elif known is not None:
            log.info("part works again", part=part)

    def _due(self, now: float) -> bool:
        return any(moment is not None and moment <= now for moment in self._moments())

    def _moments(self) -> tuple[float | None, ...]:
        again = self.applied.again_at if self.applied else None
        if again is not None:
            # A plan that asks for a moment already past must not spin the loop.
            again = max(again, self._applied_at + AGAIN_FLOOR)
        return (next_deadline(self.state), again, self._retry_at, self._resync_at)

    def _timeout(self) -> float | None:
        if not self.queue.empty():
            return 0
        if not self.state.synced:
            return None  # only a dump can begin it
        now = self.clock.now()
        waits = [max(moment - now, 0.0) for moment in self._moments() if moment is not None]
        return min([*waits, QUIET] if self._unsettled else waits)

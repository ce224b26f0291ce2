"""The loop with a clock of its own and steps that fail on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from agent import events as ev
from agent.desired import Plan, Table
from agent.model import State
from agent.reconcile import Context, Reconciler, Step


class FakeClock:
    """Time passes only when the loop waits for nothing else."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    async def get(self, queue: asyncio.Queue[ev.Event], wait: float | None) -> ev.Event | None:
        if not queue.empty():
            return queue.get_nowait()
        assert wait is not None, "the loop waits for ever"
        self.time += wait
        return None


class World:
    """Steps that write down when they ran, and fail on demand."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.failing: dict[str, Exception] = {}
        self.contexts: dict[str, Context] = {}
        self.readied = 0
        self.clock = FakeClock()
        self.plans = 0
        self.again_at: float | None = None
        self.loop = Reconciler(
            plan=self.make_plan,
            steps=(
                Step("close", self.step("close")),
                Step("routes", self.step("routes")),
                Step("nft", self.step("nft"), needs=frozenset({"routes"})),
                Step("flows", self.step("flows"), needs=frozenset({"nft"})),
                Step("files", self.step("files")),
                Step("bus", self.step("bus"), needs=frozenset({"nft"})),
                Step("peers", self.step("peers"), once_quiet=True),
                Step("listing", self.step("listing"), once_quiet=True, patient=True),
            ),
            clock=self.clock,
            on_ready=self.on_ready,
            essential=frozenset({"routes", "nft"}),
        )

    def on_ready(self) -> None:
        self.readied += 1

    def make_plan(self, _: State, now: float) -> Plan:
        self.plans += 1
        again = None if self.again_at is None or now >= self.again_at else self.again_at
        return Plan(Table(), again_at=again)

    def step(self, name: str) -> Callable[[Context], Awaitable[None]]:
        async def run(context: Context) -> None:
            self.ran.append(name)
            self.contexts[name] = context
            if name in self.failing:
                raise self.failing[name]

        return run

    async def tell(self, *events: ev.Event) -> list[str]:
        self.ran.clear()
        for event in events:
            self.loop.emit(event)
        await self.loop.turn()
        return list(self.ran)


ORDER = ["close", "routes", "nft", "flows", "files", "bus"]

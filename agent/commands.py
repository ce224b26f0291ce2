"""What the agent answers on its socket: one command a name, each a coroutine from the request to the answer (JSON)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Protocol, TypeAlias

from agent import config_commands, exposures, rules, uplinks
from agent import events as ev
from agent.config import Settings
from agent.configuration import Configuration
from agent.desired import Problem
from agent.guard import guarded
from agent.place import Place
from agent.reconcile import Reconciler
from agent.status import document

Answer: TypeAlias = dict[str, object]
Command: TypeAlias = Callable[[Mapping[str, object]], Awaitable[Answer]]


class Running(Protocol):
    """The running agent, as far as commands need it."""

    place: Place
    loop: Reconciler
    settings: Settings
    configuration: Configuration

    def now(self) -> float:
        """Seconds on CLOCK_BOOTTIME."""

    def problems(self) -> Iterable[Problem]:
        """What a person must know, of the plan and of other nodes."""

    def read_leases(self) -> None:
        """Look at the leases."""


def table(agent: Running) -> dict[str, Command]:
    """Every command: a new one is a function here, or of a module of its noun, and a line below."""

    async def status(_: Mapping[str, object]) -> Answer:
        left = agent.configuration.left
        known = document(agent.loop, agent.place.node, agent.settings, agent.problems(), agent.now())
        stopped = await guarded() if agent.settings.role(agent.place.node) == "ingress" else None
        return {**known, "confirm": None if left is None else round(left, 1), "guarded": stopped}

    async def poke(_: Mapping[str, object]) -> Answer:
        agent.read_leases()
        agent.loop.emit(ev.Tick())
        return {"ok": True}

    changing = config_commands.commands(agent.configuration)
    return {
        "status": status,
        "poke": poke,
        **changing,
        **uplinks.commands(agent),
        **rules.commands(agent),
        **exposures.commands(agent),
    }


async def answer(commands: Mapping[str, Command], request: Mapping[str, object]) -> Answer:
    """Answer one request; an unknown command is answered with those there are."""
    name = request.get("command")
    command = commands.get(name) if isinstance(name, str) else None
    if command is None:
        return {"error": f"unknown command {name!r}; known: {', '.join(commands)}"}
    return await command(request)

"""Another configuration for a running agent: what is refused changes nothing, and what waits is waited for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from agent.candidate import first
from agent.config import ConfigError, Settings
from agent.configuration import Configuration
from agent.desired import Plan, Ruleset
from agent.drivers.config_store import ConfigStore
from agent.events import Event
from agent.model import State
from agent.place import Place
from agent.reconcile import Reconciler, Status

OWN = (Path(__file__).resolve().parents[2] / "compose" / "router-home.yaml").read_text()
OTHER = OWN.replace("1d70", "1d71")
BROKEN = OWN.replace("1d70::/48", "1d70::1/48")


class RefusedError(Exception):
    """What nft says."""


class FakeLoop:
    """Takes any planner at once."""

    def __init__(self) -> None:
        self.state = State(synced=True)
        self.status: dict[str, Status] = {}
        self.applied: Plan | None = None
        self.followed = 0
        self.plan: Callable[[State, float], Plan] | None = None

    async def follow(self, plan: Callable[[State, float], Plan], *, resync: bool = False) -> None:
        self.plan, self.applied = plan, plan(self.state, 0.0)
        self.followed += not resync

    def emit(self, _: Event) -> None:
        pass


class World:
    def __init__(self, directory: Path) -> None:
        self.time = 1000.0
        self.refuses = False
        self.adopted: list[Settings] = []
        self.loop = FakeLoop()
        self.place = Place("firewall", directory / "router.yaml", directory / "state", directory / "run")
        self.place.config.write_text(OWN)
        self.configuration = self.again()

    def again(self) -> Configuration:
        """A start of the agent."""
        store = ConfigStore(self.place.state)
        candidate, kept, _ = first(self.place, {}, store.load(), self.time)
        return Configuration(
            self.place,
            {},
            store,
            cast("Reconciler", self.loop),
            lambda: self.time,
            adopt=lambda settings: self.adopted.append(settings) or (),  # type: ignore[func-returns-value]
            check=self.check,
            refusals=(ConfigError, RefusedError, OSError),
            running=candidate,
            kept=kept,
        )

    async def check(self, _: Ruleset) -> None:
        if self.refuses:
            raise RefusedError("line 7 is wrong")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_what_has_errors_or_nft_refuses_changes_nothing(world: World) -> None:
    for data, refuses in ((BROKEN, False), (OTHER, True)):
        world.refuses = refuses
        world.place.config.write_text(data)
        for outcome in (
            await world.configuration.reload(),
            await world.configuration.apply(data.encode(), "x.yaml", None),
            await world.configuration.apply(data.encode(), "x.yaml", 60.0),
            await world.configuration.preview(data.encode(), "x.yaml"),
        ):
            assert outcome.errors
        assert world.loop.status["config"].error
        assert world.loop.followed == 0
        assert world.adopted == []
        assert world.configuration.kept.text == OWN
    world.refuses = False
    assert not (await world.configuration.reload()).errors
    assert not world.loop.status["config"].error
    assert world.adopted[-1].site.prefix.compressed == "fd4b:9ca2:1d71::/48"


async def test_a_plan_that_cannot_be_made_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> Plan:
        raise ZeroDivisionError

    monkeypatch.setattr("agent.plan.firewall.plan_firewall", fails)
    outcome = await world.configuration.apply(OTHER.encode(), "x.yaml", None)
    assert "no plan" in outcome.errors[0]
    assert world.loop.followed == 0


async def test_while_one_waits_to_be_confirmed_no_other_is_taken(world: World) -> None:
    assert not (await world.configuration.apply(OTHER.encode(), "x.yaml", 60.0)).errors
    world.time += 20
    assert world.configuration.left == pytest.approx(40)
    assert (await world.configuration.reload()).errors
    assert (await world.configuration.apply(OWN.encode(), "y.yaml", None)).errors
    assert not (await world.configuration.revert()).errors
    assert world.configuration.running.text == OWN
    assert not world.configuration.problems()
    assert (await world.configuration.revert()).errors
    assert (await world.configuration.confirm()).errors


async def test_the_own_file_taken_back_is_not_taken_again_by_the_next_start(world: World) -> None:
    world.place.config.write_text(OTHER)
    assert not (await world.configuration.apply(None, "router.yaml", 60.0)).errors
    assert world.again().left == pytest.approx(60), "a restart waits on"
    world.time += 61
    assert world.again().running.text == OWN, "a start after the deadline"
    assert not (await world.configuration.revert()).errors
    again = world.again()
    assert again.running.text == OWN
    assert "an earlier content" in again.problems()[0].message
    world.place.config.write_text(OTHER + "# mended\n")
    assert world.again().running.text == OTHER + "# mended\n"

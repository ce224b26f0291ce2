"""The order of an apply: what a failing part holds back, and what it does not."""

from __future__ import annotations

from typing import Any, cast

from agent.apply import Applier
from agent.desired import Plan, Ruleset, Table
from agent.model import State
from agent.reconcile import Context


class FakeNft:
    def __init__(self) -> None:
        self.applied: list[Ruleset] = []

    async def apply(self, target: Ruleset) -> None:
        self.applied.append(target)


def ruleset(mark: str, host: str) -> Ruleset:
    return Ruleset("table inet router {}", {"choice4": {'"home"': mark}, "hosts": {host: ""}})


def context(*failed: str) -> Context:
    return Context(Plan(Table()), None, State(), full=False, retry=False, failed=frozenset(failed))


async def test_no_network_moves_while_a_route_is_missing_and_everything_else_goes_on() -> None:
    nft = FakeNft()
    nothing = cast("Any", None)
    applier = Applier(cast("Any", nft), nothing, nothing, nothing, nothing, nothing, nothing, lambda: 0.0)
    applier._ruleset = ruleset("0x1", "10.0.0.1")
    await applier._move(context())
    applier._ruleset = ruleset("0x2", "10.0.0.2")
    await applier._move(context("route"))
    assert nft.applied[-1] == ruleset("0x1", "10.0.0.2")
    await applier._move(context())
    assert nft.applied[-1] == ruleset("0x2", "10.0.0.2")


async def test_the_first_rules_are_loaded_even_so() -> None:
    nft = FakeNft()
    nothing = cast("Any", None)
    applier = Applier(cast("Any", nft), nothing, nothing, nothing, nothing, nothing, nothing, lambda: 0.0)
    applier._ruleset = ruleset("0x1", "10.0.0.1")
    await applier._move(context("route"))
    assert nft.applied == [ruleset("0x1", "10.0.0.1")]


def test_only_the_node_that_chooses_waits_for_its_routes() -> None:
    nothing = cast("Any", None)
    applier = Applier(nothing, nothing, nothing, nothing, nothing, nothing, nothing, lambda: 0.0)
    needs = {chooses: {s.part: s.needs for s in applier.steps(chooses=chooses)} for chooses in (True, False)}
    assert "route" in needs[True]["flows"]
    assert "route" not in needs[False]["flows"]
    assert "route" in needs[False]["old-routes"]

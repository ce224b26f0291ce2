"""The order of an apply: what a failing part holds back, and what it does not."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any, cast

import pytest

from agent.apply import Applier
from agent.desired import Plan, Ruleset, Table
from agent.hold import hold
from agent.model import Route, State
from agent.reconcile import Context, PartError


class FakeNft:
    def __init__(self) -> None:
        self.applied: list[Ruleset] = []

    async def apply(self, target: Ruleset) -> None:
        self.applied.append(target)


def ruleset(mark: str, host: str) -> Ruleset:
    return Ruleset("table inet router {}", {"choice4": {'"home"': mark}, "hosts": {host: ""}})


SECOND = Route(ip_network("0.0.0.0/0"), 2, ip_address("10.99.0.3"), table=1002)


def context(*failed: str, there: frozenset[Route] = frozenset()) -> Context:
    plan = Plan(Table(), routes=frozenset({SECOND}))
    return Context(plan, None, State(routes=there), full=False, retry=False, failed=frozenset(failed))


async def test_no_network_moves_while_a_route_is_missing_and_everything_else_goes_on() -> None:
    nft = FakeNft()
    nothing = cast("Any", None)
    applier = Applier(cast("Any", nft), nothing, nothing, nothing, nothing, nothing, nothing, lambda: 0.0)
    applier._ruleset = ruleset("0x1", "10.0.0.1")
    await applier._move(context())
    applier._ruleset = ruleset("0x2", "10.0.0.2")
    await applier._move(context("route"))
    assert nft.applied[-1] == ruleset("0x1", "10.0.0.2")
    with pytest.raises(PartError, match="stay as they are"):
        await applier._end_flows(context("route"))
    await applier._move(context())
    assert nft.applied[-1] == ruleset("0x2", "10.0.0.2")


async def test_another_route_s_failure_holds_nothing() -> None:
    nft = FakeNft()
    nothing = cast("Any", None)
    applier = Applier(cast("Any", nft), nothing, nothing, nothing, nothing, nothing, nothing, lambda: 0.0)
    applier._ruleset = ruleset("0x1", "10.0.0.1")
    await applier._move(context())
    applier._ruleset = ruleset("0x2", "10.0.0.2")
    await applier._move(context("route", there=frozenset({SECOND})))
    assert nft.applied[-1] == ruleset("0x2", "10.0.0.2")


def test_steered_and_shared_traffic_is_held_too() -> None:
    before = Ruleset("same", {"choice4": {}, "steer4": {"1": "0x1"}}, {"share_home": ("old",), "npt_in": ("a",)})
    after = Ruleset(
        "same", {"choice4": {'"lan"': "0x2"}, "steer4": {"1": "0x2"}}, {"share_home": ("new",), "npt_in": ("b",)}
    )
    held = hold(after, before, frozenset({2}))
    assert held.elements == {"choice4": {}, "steer4": {"1": "0x1"}}
    assert held.chains == {"share_home": ("old",), "npt_in": ("b",)}
    assert hold(after, Ruleset("other"), frozenset({2})).chains["share_home"] == ("new",)


async def test_the_first_rules_are_loaded_even_so() -> None:
    nft = FakeNft()
    nothing = cast("Any", None)
    applier = Applier(cast("Any", nft), nothing, nothing, nothing, nothing, nothing, nothing, lambda: 0.0)
    applier._ruleset = ruleset("0x1", "10.0.0.1")
    await applier._move(context("route"))
    assert nft.applied == [ruleset("0x1", "10.0.0.1")]

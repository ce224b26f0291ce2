"""The loop with a clock of its own and drivers that fail: order, isolation, retry, resync, readiness."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from agent import events as ev
from agent.desired import Plan, Table
from agent.model import Link
from agent.reconcile import NEVER_QUIET, PATIENCE, QUIET, RESYNC, RETRY_FIRST, RETRY_LIMIT, Context, PartError, Step
from tests.unit.loop_world import ORDER, World


async def test_nothing_is_planned_before_the_first_complete_dump() -> None:
    world = World()
    assert await world.tell(ev.LinkChanged(Link(1, "wan"))) == []
    assert world.plans == 0
    assert world.readied == 0
    assert await world.tell(ev.Dump()) == ORDER
    assert world.readied == 1


async def test_a_burst_is_one_apply() -> None:
    world = World()
    await world.tell(ev.Dump())
    ran = await world.tell(*(ev.LinkChanged(Link(index, f"l{index}")) for index in range(100)))
    assert ran == ORDER
    assert len(world.loop.state.links) == 100


async def test_what_comes_during_an_apply_is_seen_by_the_next() -> None:
    world = World()

    async def interrupt(context: Context) -> None:
        if len(context.state.links) == 0:
            world.loop.emit(ev.LinkChanged(Link(1, "wan")))

    world.loop.steps = (Step("nft", interrupt),)
    await world.tell(ev.Dump())
    assert not world.loop.state.links
    await world.loop.turn()
    assert 1 in world.loop.state.links


async def test_a_failing_part_does_not_stop_the_others_and_is_shown() -> None:
    world = World()
    world.failing["files"] = PartError("radvd refuses", "look at line 3")
    assert await world.tell(ev.Dump()) == ORDER
    assert world.loop.status["files"].error == "radvd refuses"
    assert world.loop.status["files"].hint == "look at line 3"
    assert world.loop.status["nft"].error == ""
    assert world.readied == 1, "a daemon's file is not what readiness waits for"


async def test_what_needs_a_failed_part_does_not_run() -> None:
    world = World()
    world.failing["routes"] = PartError("no")
    assert await world.tell(ev.Dump()) == ["close", "routes", "files"]
    assert world.readied == 0
    del world.failing["routes"]
    await world.loop.turn()  # quiet
    world.ran.clear()
    await world.loop.turn()  # the retry
    assert world.ran == ORDER
    assert world.readied == 1
    assert world.loop.status["routes"].error == ""


async def test_retries_back_off_up_to_a_limit_and_start_again_after_a_success() -> None:
    world = World()
    world.failing["nft"] = PartError("no")
    await world.tell(ev.Dump())
    moments: list[float] = []
    while len(moments) < 12:
        world.ran.clear()
        await world.loop.turn()
        if "nft" in world.ran:
            moments.append(world.clock.time)
            assert world.contexts["nft"].retry
            assert not world.contexts["close"].retry, "what works is not tried anew"
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert gaps[0] < 1.5
    assert RETRY_LIMIT * 0.7 < max(gaps) <= RETRY_LIMIT * 1.2
    del world.failing["nft"]
    while world.loop.status["nft"].error:
        await world.loop.turn()
    world.failing["nft"] = PartError("again")
    start = world.clock.time
    await world.tell(ev.Tick())
    while world.ran.count("nft") < 2:
        await world.loop.turn()
    assert world.clock.time - start < 1.5


async def test_events_do_not_postpone_a_retry() -> None:
    world = World()
    world.failing["nft"] = PartError("no")
    await world.tell(ev.Dump())
    due = world.loop._retry_at
    await world.tell(ev.Tick())
    assert world.loop._retry_at == due
    assert not world.contexts["nft"].retry


async def test_a_resync_comes_by_itself_and_says_so() -> None:
    world = World()
    fulls: list[bool] = []

    async def note(context: Context) -> None:
        fulls.append(context.full)

    world.loop.steps = (Step("nft", note),)
    await world.tell(ev.Dump())
    await world.tell(ev.Tick())
    assert fulls == [True, False]
    start = world.clock.time
    while len(fulls) == 2:
        await world.loop.turn()
    assert world.clock.time - start == pytest.approx(RESYNC, abs=1)
    await world.tell(ev.Tick())
    await world.tell(ev.Tick(resync=True))
    assert fulls == [True, False, True, False, True]


async def test_quiet_steps_run_once_after_a_quiet_moment() -> None:
    world = World()
    await world.tell(ev.Dump())
    assert "listing" not in world.ran
    start = world.clock.time
    await world.loop.turn()
    assert world.ran[-1] == "listing"
    assert world.clock.time - start == pytest.approx(QUIET)
    world.ran.clear()
    await world.loop.turn()
    assert "listing" not in world.ran


async def test_quiet_steps_run_also_where_it_is_never_quiet() -> None:
    world = World()
    await world.tell(ev.Dump())
    start = world.clock.time
    for step, waits in (("peers", 1), ("listing", PATIENCE)):
        while step not in world.ran:
            world.clock.time += QUIET / 2
            await world.tell(ev.Tick())
        assert waits * NEVER_QUIET <= world.clock.time - start <= waits * (NEVER_QUIET + QUIET)


async def test_a_plan_that_waits_for_a_moment_is_made_again_then_and_never_spins() -> None:
    world = World()
    world.again_at = world.clock.time + 10
    await world.tell(ev.Dump())
    await world.loop.turn()  # quiet
    plans = world.plans
    await world.loop.turn()
    assert world.plans == plans + 1
    assert world.clock.time == world.again_at
    world.loop.plan = lambda _state, now: Plan(Table(), again_at=now - 5)
    await world.tell(ev.Tick())
    before = world.clock.time
    for _ in range(20):
        await world.loop.turn()
    assert world.clock.time >= before + 0.9


async def test_an_unknown_exception_leaves_the_loop() -> None:
    world = World()
    world.failing["files"] = KeyError("a bug")
    with pytest.raises(KeyError):
        await world.tell(ev.Dump())


async def test_a_step_with_inputs_runs_when_they_differ_and_stays_as_failed_as_it_was() -> None:
    world = World()
    inputs = ["one"]
    world.loop.steps = (Step("daemons", world.step("daemons"), inputs=lambda _: inputs[0]),)
    assert await world.tell(ev.Dump()) == ["daemons"]
    assert await world.tell(ev.Tick()) == []
    inputs[0] = "two"
    world.failing["daemons"] = PartError("refused")
    assert await world.tell(ev.Tick()) == ["daemons"]
    assert await world.tell(ev.Tick()) == [], "the same input, the same error: not again before the retry"
    assert world.loop.status["daemons"].error == "refused"
    del world.failing["daemons"]
    while world.loop.status["daemons"].error:
        await world.loop.turn()
    assert await world.tell(ev.Tick()) == []


async def test_what_fails_in_a_quiet_moment_is_retried_and_shown_until_it_works() -> None:
    world = World()
    await world.tell(ev.Dump())
    world.failing["listing"] = PartError("radvd fell")
    await world.loop.turn()
    assert world.loop.status["listing"].error == "radvd fell"
    assert world.loop._retry_at is not None


async def test_what_fails_in_every_quiet_moment_is_tried_ever_more_rarely() -> None:
    world = World()
    world.failing["listing"] = PartError("named fell")
    await world.tell(ev.Dump())
    start = world.clock.time
    tries = 0
    while world.clock.time < start + 120:
        world.ran.clear()
        await world.loop.turn()
        tries += "listing" in world.ran
    assert tries < 20
    del world.failing["listing"]
    while world.loop.status["listing"].error:
        await world.loop.turn()
    world.failing["nft"] = PartError("no")
    await world.tell(ev.Tick())
    assert world.loop._retry_at is not None
    assert world.loop._retry_at - world.clock.time < 1.5


async def test_who_follows_another_configuration_is_told_when_it_is_applied() -> None:
    world = World()
    other = asyncio.create_task(world.loop.follow(lambda _state, _now: Plan(Table(), services={"radvd": True})))
    await asyncio.sleep(0)
    await world.tell()
    assert not other.done(), "nothing is applied before the first complete dump"
    await world.tell(ev.Dump())
    await other
    assert world.loop.applied is not None
    assert world.loop.applied.services == {"radvd": True}


async def test_a_settling_that_does_not_look_at_the_daemons_forgives_none() -> None:
    world = World()
    world.failing["listing"] = PartError("named fell")
    await world.tell(ev.Dump())
    for _ in range(6):  # it falls again and again
        world.ran.clear()
        while "listing" not in world.ran:
            await world.loop.turn()
    pause = world.loop._retry
    assert pause > RETRY_FIRST
    await world.tell(ev.Tick())
    world.ran.clear()
    while "peers" not in world.ran:
        world.clock.time += QUIET / 2
        await world.tell(ev.Tick())
    assert "listing" not in world.ran
    await world.tell(ev.Tick())
    assert world.loop._retry >= pause

"""The nft driver against a real kernel: one transaction, only what differs, errors that name the line."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.desired import Ruleset
from agent.drivers.nft import Nft, NftError, difference
from tests.lab.netns import Namespace, netns

pytestmark = pytest.mark.lab

SKELETON = """\
table inet router
delete table inet router
table inet router {
  set own4 { type ipv4_addr; }
  set mapped { type ipv6_addr; flags interval; }
  map nat44 { type ifname : ipv4_addr; }
  chain npt { }
  chain other { type filter hook forward priority 0; policy drop; }
}
table inet learned { set hosts { type ipv4_addr; flags timeout; }; }
"""
FIRST = Ruleset(
    SKELETON,
    {"own4": {"192.0.2.1": "", "192.0.2.2": ""}, "nat44": {'"wan"': "192.0.2.1"}, "mapped": {"fd00::/64": ""}},
    {"npt": ("ip6 daddr 2001:db8::/48 accept", "counter")},
)
SECOND = Ruleset(
    SKELETON,
    {"own4": {"192.0.2.2": "", "192.0.2.3": ""}, "nat44": {'"wan"': "192.0.2.3"}, "mapped": {"fd00:0:0:1::/64": ""}},
    {"npt": ("ip6 daddr 2001:db8:1::/48 accept",)},
)


@pytest.fixture
def space() -> Iterator[Namespace]:
    with netns() as made:
        yield made


def in_space(space: Namespace, body: Callable[[Nft], Awaitable[None]], run_dir: Path | None = None) -> None:
    async def main() -> None:
        nft = Nft(run_dir=run_dir)
        try:
            await body(nft)
        finally:
            await nft.aclose()

    space.run(main)


def listing(space: Namespace) -> str:
    return space.sh("nft -s list table inet router")


def test_difference_leads_to_the_same_rules_as_the_whole(space: Namespace) -> None:
    async def step_by_step(nft: Nft) -> None:
        await nft.apply(FIRST)
        await nft.apply(SECOND)

    async def at_once(nft: Nft) -> None:
        await nft.apply(SECOND)

    in_space(space, step_by_step)
    by_steps = listing(space)
    assert "192.0.2.3" in by_steps
    assert "192.0.2.1 " not in by_steps
    in_space(space, at_once)
    assert listing(space) == by_steps


def test_close_takes_away_only_what_is_no_longer_permitted(space: Namespace) -> None:
    async def body(nft: Nft) -> None:
        await nft.close(SECOND)  # nothing applied yet: nothing to take away
        await nft.apply(FIRST)
        await nft.close(SECOND)
        after_close = listing(space)
        assert "192.0.2.2" in after_close
        assert "192.0.2.3" not in after_close
        assert '"wan" : 192.0.2.1' in after_close  # the key stays permitted, its value moves with the apply
        assert "fd00::/64" not in after_close
        assert "2001:db8::/48" in after_close
        await nft.apply(SECOND)

    in_space(space, body)
    assert "192.0.2.3" in listing(space)


def test_a_set_that_forbids_never_lacks_what_comes_instead(space: Namespace) -> None:
    async def body(nft: Nft) -> None:
        await nft.apply(replace(FIRST, forbidding=frozenset({"mapped"})))
        await nft.close(replace(SECOND, forbidding=frozenset({"mapped"})))
        after_close = listing(space)
        assert "fd00::/64" in after_close, "it goes in the transaction in which its successor comes"
        assert "192.0.2.1," not in after_close
        await nft.apply(SECOND)

    in_space(space, body)
    assert "fd00::/64" not in listing(space)
    assert "fd00:0:0:1::/64" in listing(space)


def test_other_tables_are_left_alone(space: Namespace) -> None:
    space.sh("nft add table inet docker; nft add chain inet docker theirs")

    async def body(nft: Nft) -> None:
        await nft.apply(FIRST)
        space.sh("nft add element inet learned hosts '{ 192.0.2.77 timeout 1h }'")
        await nft.apply(Ruleset(SKELETON + "\n# another skeleton\n"))

    in_space(space, body)
    assert "theirs" in space.sh("nft list table inet docker")
    assert "192.0.2.77" in space.sh("nft list table inet learned")


def test_an_error_names_the_line_and_changes_nothing(space: Namespace, tmp_path: Path) -> None:
    wrong = Ruleset(SKELETON, chains={"npt": ("accept", "ip6 daddr nonsense")})

    async def body(nft: Nft) -> None:
        await nft.apply(FIRST)
        before = listing(space)
        with pytest.raises(NftError) as caught:
            await nft.apply(wrong)
        assert "ip6 daddr nonsense" in str(caught.value)
        assert caught.value.line is not None
        assert listing(space) == before
        await nft.apply(SECOND)  # memory was forgotten: the whole is loaded

    in_space(space, body, tmp_path)
    assert not list(tmp_path.iterdir())
    assert "192.0.2.3" in listing(space)


def test_a_kernel_error_names_the_line(space: Namespace) -> None:
    async def body(nft: Nft) -> None:
        with pytest.raises(NftError, match=r"No such file.*jump nowhere") as caught:
            await nft.apply(Ruleset(SKELETON, chains={"npt": ("accept", "jump nowhere")}))
        assert caught.value.line == SKELETON.count("\n") + 2

    in_space(space, body)
    assert not space.sh("nft list tables")


def test_verify_sees_a_foreign_hand(space: Namespace) -> None:
    async def body(nft: Nft) -> None:
        assert not await nft.verify()  # nothing known: load the whole
        await nft.apply(FIRST)
        await nft.settle()
        assert await nft.verify()
        space.sh("nft add element inet learned hosts '{ 192.0.2.77 timeout 1h }'")
        assert await nft.verify()  # what the packet path fills does not count
        space.sh("nft add element inet router own4 '{ 192.0.2.99 }'")
        assert not await nft.verify()
        nft.forget()
        await nft.apply(FIRST)
        await nft.settle()
        assert await nft.verify()
        assert "192.0.2.99" not in listing(space)
        space.sh("nft delete table inet router")
        assert not await nft.verify()
        await nft.apply(SECOND)  # what it remembers is wrong: it loads the whole instead

    in_space(space, body)
    assert "192.0.2.3" in listing(space)


def test_check_has_no_effect(space: Namespace) -> None:
    async def body(nft: Nft) -> None:
        await nft.check(SKELETON)
        with pytest.raises(NftError, match="line 1"):
            await nft.check("table inet router { chain all { } }\n")
        await nft.apply(FIRST)  # the dry context did not infect the other

    in_space(space, body)
    assert "192.0.2.1" in listing(space)


def test_a_cancelled_apply_is_finished(space: Namespace) -> None:
    async def body(nft: Nft) -> None:
        task = asyncio.create_task(nft.apply(FIRST))
        await asyncio.sleep(0)  # let it start
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert "192.0.2.1" in listing(space)

    in_space(space, body)


def test_many_elements_and_a_small_change_among_them(space: Namespace) -> None:
    many = {f"10.{i >> 8 & 255}.{i & 255}.1": "" for i in range(10_000)}
    before = Ruleset(SKELETON, {**FIRST.elements, "own4": many}, FIRST.chains)
    after = Ruleset(SKELETON, {**SECOND.elements, "own4": many | {"192.0.2.9": ""}}, SECOND.chains)

    async def body(nft: Nft) -> None:
        await nft.apply(before)
        times = []
        for turn in range(40):
            started = time.perf_counter()
            await nft.apply(before if turn % 2 else after)
            times.append(time.perf_counter() - started)
        print(f"delta among 10k elements: {statistics.median(times) * 1000:.2f} ms median")

    in_space(space, body)
    assert space.sh("nft -j list set inet router own4").count('"10.') == len(many)


def test_a_small_delta_is_quick(space: Namespace) -> None:
    async def body(nft: Nft) -> None:
        await nft.apply(FIRST)
        times = []
        for turn in range(100):
            started = time.perf_counter()
            await nft.apply(FIRST if turn % 2 else SECOND)
            times.append(time.perf_counter() - started)
        median = statistics.median(times) * 1000
        print(f"small delta: {median:.2f} ms median")
        assert median < 5  # far above what is measured on an idle machine: a busy one must not fail the test

    in_space(space, body)


def test_difference_of_equals_is_empty() -> None:
    assert not difference(FIRST, Ruleset(SKELETON, dict(FIRST.elements), dict(FIRST.chains)))


def test_what_packets_put_into_a_set_of_ours_is_no_change(space: Namespace) -> None:
    text = SKELETON.replace(
        "  chain npt",
        "  set heard { type ipv4_addr; size 99; flags dynamic,timeout; timeout 1h; }\n  chain npt",
    )

    async def body(nft: Nft) -> None:
        await nft.apply(Ruleset(text))
        await nft.settle()
        space.sh("nft 'add element inet router heard { 192.0.2.1 limit rate 5/minute burst 9 packets }'")
        assert await nft.verify()
        space.sh("nft 'add element inet router own4 { 192.0.2.9 }'")
        assert not await nft.verify()

    in_space(space, body)

"""Named counters with a comment outlive the table that is replaced."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from agent.desired import Ruleset
from agent.drivers.nft import Nft
from tests.lab.netns import Namespace, netns

pytestmark = pytest.mark.lab
SKELETON = """\
table inet router
delete table inet router
table inet router {
  counter NAME { comment "COMMENT" }
  chain out {
    type filter hook output priority 0;
    ip daddr 127.0.0.1 counter name NAME
  }
}
"""


@pytest.fixture
def space() -> Iterator[Namespace]:
    with netns() as made:
        made.sh("ip link set lo up")
        yield made


def life(space: Namespace, *counters: tuple[str, str]) -> None:
    """An agent that loads one skeleton after the other, with a ping after each."""

    async def main() -> None:
        nft = Nft()
        try:
            for name, comment in counters:
                await nft.apply(Ruleset(SKELETON.replace("NAME", name).replace("COMMENT", comment)))
                await asyncio.to_thread(space.sh, "ping -c 1 127.0.0.1")
        finally:
            await nft.aclose()

    space.run(main)


def count(space: Namespace, name: str) -> int:
    return int(space.sh(f"nft list counter inet router {name}").split("packets ")[1].split()[0])


def test_a_counter_is_known_by_its_comment_whatever_its_name_becomes(space: Namespace) -> None:
    life(space, ("rule_1", "ssh"), ("rule_2", "ssh"))
    assert count(space, "rule_2") == 4, "a request and its answer each"
    life(space, ("rule_1", "ssh"))
    assert count(space, "rule_1") == 6, "another life of the agent goes on counting"
    life(space, ("rule_1", "https"))
    assert count(space, "rule_1") == 2

"""Bad news by the bus: asked about, believed, or left to wait for what is newer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from ipaddress import IPv4Interface

import pytest

from agent import hearsay
from agent.events import BusChanged, Event, FactReceived, FactWithdrawn
from agent.hearsay import Answer, Hearsay
from agent.model import Fact, Family, FamilyHealth, NodeState, Reach, UplinkHealth, UplinkIPv4, UplinkIPv6, UplinkLink

UP, DOWN = FamilyHealth(up=True), FamilyHealth(up=False)
BOTH: frozenset[Family] = frozenset({4, 6})
SIX: frozenset[Family] = frozenset({6})


def link(*, carrier: bool) -> FactReceived:
    return said("uplink/link", UplinkLink(carrier=carrier, mtu=1500))


def said(topic: str, fact: Fact) -> FactReceived:
    return FactReceived("kpn", topic, fact)


@dataclass
class World:
    """What was handed on, and the questions that wait for an answer."""

    reach: Reach = Reach("up", "up")
    events: list[Event] = field(default_factory=list)
    questions: list[Answer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bus = Hearsay(self.events.append, lambda _: self.reach, lambda _, told: self.questions.append(told))


@pytest.fixture
def world() -> World:
    return World()


BAD = {
    "no carrier": link(carrier=False),
    "no link": FactWithdrawn("kpn", "uplink/link"),
    "no IPv4": FactWithdrawn("kpn", "uplink/ipv4"),
    "no IPv6": said("uplink/ipv6", UplinkIPv6("none")),
    "probes of IPv4 fail": said("uplink/health", UplinkHealth(DOWN, UP)),
    "probes of IPv6 fail": said("uplink/health", UplinkHealth(None, DOWN)),
}
GOOD = {
    "carrier": link(carrier=True),
    "address": said("uplink/ipv4", UplinkIPv4(IPv4Interface("192.0.2.2/24"))),
    "health": said("uplink/health", UplinkHealth(UP, UP)),
    "unknown": FactWithdrawn("kpn", "uplink/health"),
    "the bus": BusChanged(connected=False),
}


@pytest.mark.parametrize("event", GOOD.values(), ids=GOOD.keys())
async def test_what_is_not_bad_is_handed_on_at_once(world: World, event: Event) -> None:
    world.bus.hear(event)
    assert world.events == [event]
    assert world.questions == []


@pytest.mark.parametrize("event", BAD.values(), ids=BAD.keys())
@pytest.mark.parametrize("answer", [BOTH, None], ids=["it agrees", "it does not answer"])
async def test_bad_news_is_believed_when_the_ingress_agrees_or_is_gone(
    world: World, event: Event, answer: Answer
) -> None:
    world.bus.hear(event)
    assert world.events == []
    world.questions[0](answer)  # type: ignore[arg-type]
    assert world.events == [event]


@pytest.mark.parametrize("event", BAD.values(), ids=BAD.keys())
async def test_where_the_ingress_did_not_answer_well_there_is_nobody_to_ask(event: Event) -> None:
    for reach in (Reach(), Reach("silent", "silent"), Reach("refused", "refused")):
        world = World(reach)
        world.bus.hear(event)
        assert (world.events, world.questions) == ([event], [])


async def test_what_the_ingress_denies_waits_for_what_is_newer(world: World) -> None:
    world.bus.hear(link(carrier=False))
    world.questions[0](frozenset())
    assert world.events == []
    world.bus.hear(link(carrier=True))
    assert world.events == [link(carrier=True)]


async def test_newer_news_makes_an_answer_to_the_old_one_void(world: World) -> None:
    world.bus.hear(link(carrier=False))
    world.bus.hear(link(carrier=True))
    world.questions[0](BOTH)
    assert world.events == [link(carrier=True)]


async def test_what_the_ingress_denies_is_asked_about_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hearsay, "AGAIN", 0.01)
    world.bus.hear(link(carrier=False))
    world.questions[0](SIX)
    await asked(world, 2)
    assert world.events == []
    world.questions[1](BOTH)
    assert world.events == [link(carrier=False)]


async def test_what_was_true_is_over_when_the_ingress_says_so_and_the_bus_does_not(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hearsay, "AGAIN", 0.01)
    down, six_down = UplinkHealth(DOWN, DOWN), UplinkHealth(None, DOWN)
    for bad in (link(carrier=False), said("uplink/health", down)):
        world.bus.hear(bad)
    for question in list(world.questions):
        question(BOTH)
    await asked(world, 4)
    world.questions[2](frozenset())
    assert world.events[2:] == [link(carrier=True)]
    world.questions[3](SIX)
    assert world.events[3:] == [said("uplink/health", six_down)]
    await asked(world, 5)
    world.questions[4](frozenset())
    assert world.events[4:] == [said("uplink/health", UplinkHealth(None, None))]


async def asked(world: World, count: int) -> None:
    async with asyncio.timeout(10):
        while len(world.questions) < count:
            await asyncio.sleep(0.005)


async def test_a_node_that_leaves_is_believed_although_it_answers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hearsay, "AGAIN", 0.01)
    leaves = said("state", NodeState("disconnected", "s"))
    world.bus.hear(leaves)
    world.bus.hear(link(carrier=False))
    await asked(world, 1)
    world.questions[0](frozenset())
    assert world.events == [leaves, link(carrier=False)]


async def test_a_node_that_leaves_is_believed(world: World) -> None:
    leaves = said("state", NodeState("disconnected", "s"))
    world.bus.hear(link(carrier=False))
    world.questions[0](frozenset())
    world.bus.hear(leaves)
    assert world.events == [link(carrier=False), leaves]

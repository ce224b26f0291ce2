"""The pure parts of the bus: what is due to be sent, what follows from what is heard, how long to wait."""

from __future__ import annotations

import random
from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Network
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import wire
from agent.desired import Publication
from agent.drivers.bus.backoff import Backoff
from agent.drivers.bus.inbox import MOST, Inbox
from agent.drivers.bus.outbox import Outbox
from agent.drivers.bus.settings import Cause
from agent.events import FactReceived, FactWithdrawn
from agent.model import Delegation, Fact, NodeInfo, NodeState, PartStatus, Peer, UplinkIPv4, UplinkLink

NOW = 1000.0
LINK = UplinkLink(carrier=True, mtu=1500)
READY = NodeState("ready", "1")
IPV4 = UplinkIPv4(IPv4Interface("192.0.2.7/24"), valid_until=NOW + 3600)
PREFIX = Delegation(IPv6Network("2001:db8::/48"), NOW + 1800, NOW + 3600)


def publications(*facts: Fact) -> list[Publication]:
    return [Publication(wire.topic_of(fact), fact) for fact in facts]


def topics(box: Outbox, now: float = NOW) -> list[str]:
    """What is due; a withdrawal has a minus."""
    return [letter.topic if letter.payload else f"-{letter.topic}" for letter in box.due(now)]


def outbox(*facts: Fact) -> Outbox:
    box = Outbox(READY)
    box.want(publications(*facts))
    return box


def test_a_birth_comes_before_the_facts_and_readiness_after_them() -> None:
    box = Outbox(NodeState("init", "1"))
    box.want(publications(LINK, IPV4))
    assert topics(box) == ["state", "uplink/link", "uplink/ipv4"]
    box.own = READY
    box.want(publications(replace(LINK, mtu=1400), IPV4))
    assert topics(box) == ["uplink/link", "state"]
    assert topics(box) == []


def test_who_we_are_is_said_before_the_first_plan_and_never_withdrawn() -> None:
    box = Outbox(NodeState("init", "1"), NodeInfo("ingress", "1", 1, "digest"))
    assert topics(box) == ["state", "info"]
    box.want(publications(LINK))
    assert topics(box) == ["uplink/link"]
    box.want([])
    assert topics(box) == ["-uplink/link"]
    box.info = NodeInfo("ingress", "1", 1, "another")
    assert topics(box) == ["info"]


def test_what_is_new_comes_before_what_is_withdrawn() -> None:
    box = outbox(LINK, PREFIX)
    box.due(NOW)
    box.want(publications(LINK, replace(PREFIX, prefix=IPv6Network("2001:db8::/56"))))
    assert topics(box) == ["uplink/prefix/56", "-uplink/prefix/48"]


def test_nothing_of_an_earlier_life_is_withdrawn_before_the_first_plan() -> None:
    box = Outbox(NodeState("init", "1"))
    box.seen("uplink/prefix/48")
    assert topics(box) == ["state"]
    box.want(publications(LINK))
    assert topics(box) == ["uplink/link", "-uplink/prefix/48"]


def test_everything_is_sent_again_after_a_clock_step_and_on_a_new_connection() -> None:
    box = outbox(LINK, IPV4)
    box.due(NOW)
    box.want(publications(LINK))
    box.forget()
    assert topics(box) == ["uplink/link", "state", "-uplink/ipv4"]
    box.reset(NodeState("init", "2"))
    assert topics(box) == ["state", "uplink/link"]


def test_a_fact_that_is_over_is_withdrawn() -> None:
    box = outbox(IPV4)
    assert topics(box) == ["uplink/ipv4", "state"]
    assert topics(box, NOW + 3599.5) == ["-uplink/ipv4"]
    assert topics(box, NOW + 3599.6) == []


@pytest.mark.parametrize(
    ("now", "valid", "sent"),
    [
        (NOW, NOW + 3601.5, False),  # read again from the kernel
        (NOW, NOW + 3598.5, False),
        (NOW, NOW + 3597, True),  # shorter: to be told at once
        (NOW, NOW + 4000, False),  # longer: there is time
        (NOW + 1800, NOW + 5400, True),  # renewed by DHCP at half
        (NOW + 3590, NOW + 3640, True),
        (NOW, None, True),
    ],
)
def test_when_a_lifetime_is_told_again(now: float, valid: float | None, sent: bool) -> None:
    box = outbox(IPV4)
    box.due(NOW)
    box.want(publications(replace(IPV4, valid_until=valid)))
    assert bool(topics(box, now)) is sent


@given(st.lists(st.tuples(st.floats(0.3, 600), st.integers(5, 7200)), min_size=1, max_size=30))
def test_a_fact_that_is_renewed_in_time_never_runs_out_at_the_receivers(steps: list[tuple[float, int]]) -> None:
    box, now, told, wanted = Outbox(READY), NOW, NOW, NOW
    for pause, lifetime in steps:
        # Renewed, and looked at, before a quarter of the lifetime that was last wanted is left.
        now += min(pause, max((wanted - now) / 2, 0))
        wanted = now + lifetime
        box.want(publications(replace(IPV4, valid_until=wanted)))
        for letter in box.due(now):
            if letter.expiry is not None:
                told = now + letter.expiry
        assert told > now
        assert told <= wanted + 2


def test_a_preferred_lifetime_that_ends_early_is_told() -> None:
    box = outbox(PREFIX)
    box.due(NOW)
    box.want(publications(replace(PREFIX, preferred_until=NOW)))
    assert topics(box) == ["uplink/prefix/48"]


def test_a_fact_that_cannot_be_written_is_reported_and_the_others_are_sent() -> None:
    box = outbox(PartStatus("nft", "x"), LINK)
    box.wanted = {"uplink/other": IPV4, **(box.wanted or {})}
    assert topics(box) == ["status/nft", "uplink/link", "state"]
    assert box.errors == {"uplink/other": "uplink/other: not the topic of this fact: it is uplink/ipv4"}
    box.want(publications(LINK))
    box.due(NOW)
    assert not box.errors


# --- inbox ---


class Mail:
    """Other nodes' messages into an inbox."""

    def __init__(self) -> None:
        self.inbox = Inbox("home")
        self.inbox.connected()

    def hear(self, fact: Fact, node: str = "kpn", now: float = NOW) -> list[Any]:
        topic = wire.topic_of(fact)
        payload, expiry = wire.encode(fact, topic, now)
        return list(self.inbox.heard(f"backstage/1/home/{node}/{topic}", payload, expiry, now))

    def withdraw(self, topic: str, node: str = "kpn") -> list[Any]:
        return list(self.inbox.heard(f"backstage/1/home/{node}/{topic}", b"", None, NOW))


def test_duplicates_say_nothing_new() -> None:
    mail = Mail()
    assert mail.hear(PREFIX) == [FactReceived("kpn", "uplink/prefix/48", PREFIX, NOW + 3600)]
    assert mail.hear(PREFIX) == []
    assert mail.hear(PREFIX, now=NOW + 100.7) == []
    assert mail.hear(replace(PREFIX, preferred_until=NOW + 10)) != []
    assert mail.withdraw("uplink/prefix/48") == [FactWithdrawn("kpn", "uplink/prefix/48")]
    assert mail.hear(PREFIX) != []


@given(
    st.permutations([NodeState("ready", "a"), NodeState("lost", "a"), NodeState("init", "b"), NodeState("ready", "b")])
)
def test_a_stale_last_word_never_follows_a_newer_birth(order: list[NodeState]) -> None:
    mail = Mail()
    told = [event.fact for fact in order for event in mail.hear(fact)]
    for before, after in pairwise(told):
        if after.state == "lost":
            assert before.session == after.session


def test_missed_withdrawals_are_told_when_the_node_is_ready_and_all_was_replayed() -> None:
    mail = Mail()
    mail.hear(READY)
    mail.hear(LINK)
    mail.hear(IPV4)
    mail.inbox.connected()
    assert mail.hear(LINK) == []
    assert mail.hear(READY) == []
    assert mail.inbox.replayed() == [FactWithdrawn("kpn", "uplink/ipv4")]


def test_a_broker_without_memory_withdraws_nothing_until_the_node_says_that_it_said_all() -> None:
    mail = Mail()
    mail.inbox.remember({"kpn": Peer(state=READY, link=LINK, ipv4=IPV4)})
    assert mail.inbox.replayed() == []
    assert mail.hear(NodeState("init", "2")) == [FactReceived("kpn", "state", NodeState("init", "2"))]
    assert mail.hear(LINK) == [FactReceived("kpn", "uplink/link", LINK)]
    assert mail.hear(NodeState("ready", "2"))[1:] == [FactWithdrawn("kpn", "uplink/ipv4")]


def test_rubbish_is_counted_and_bounded() -> None:
    mail = Mail()
    topic = "backstage/1/home/kpn/uplink/link"
    for payload in (b"x", b"{}", b"[]"):
        assert mail.inbox.heard(topic, payload, None, NOW) == []
    assert mail.inbox.heard("backstage/1/home/kpn/event/any", b"x", None, NOW) == []
    assert mail.inbox.invalid == 3
    for n in range(MOST + 10):
        mail.hear(PartStatus(f"part{n}", ""))
    assert mail.inbox.invalid == 13


# --- backoff ---


def test_a_lost_connection_is_tried_again_at_once_and_a_refusal_is_not() -> None:
    backoff = Backoff(random.Random(1))  # noqa: S311 -- jitter
    waits = [backoff.next(Cause.UNREACHABLE, 0) for _ in range(12)]
    assert waits[0] < 0.1
    assert sum(waits[:4]) < 1
    assert max(waits) <= 3 * 1.25
    assert backoff.next(Cause.UNREACHABLE, 60) < 0.1
    refused = [backoff.next(Cause.REFUSED, 0) for _ in range(8)]
    assert 0.7 < refused[0] < 1.3
    assert max(refused) <= 15 * 1.25
    assert backoff.next(Cause.TWIN, 60) > 20
    assert backoff.next(Cause.TWIN, 60) > 40

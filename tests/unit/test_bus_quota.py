"""Who floods the bus waits, nobody else does, and its newest word is never lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.drivers.bus.inbox import MOST, Inbox
from agent.drivers.bus.quota import BURST, KIB, RATE, WAITING, Message, Quota


def said(number: int, at: float, topic: str = "containers", size: int = 0) -> Message:
    return Message(f"backstage/1/rack/vm1/{topic}", str(number).encode().ljust(size, b" "), None, at)


def test_a_flood_is_heard_at_its_pace_newest_first_and_ends_with_the_newest() -> None:
    quota = Quota()
    heard = [said(number, 0.0) for number in range(5000) if quota.admit("vm1", said(number, 0.0))]
    assert BURST * 0.9 < len(heard) <= BURST
    assert quota.waits()
    assert not quota.due(0.0)
    (late,) = quota.due(1.0)
    assert late == said(4999, 0.0)
    assert not quota.waits()
    assert quota.admit("vm1", said(5000, 1.0))


def test_another_node_does_not_wait() -> None:
    quota = Quota()
    while quota.admit("vm1", said(1, 0.0)):
        pass
    assert quota.admit("firewall", said(1, 0.0))


def test_a_large_message_costs_more() -> None:
    quota = Quota()
    count = 0
    while quota.admit("vm1", said(count, 0.0, size=64 * KIB)):
        count += 1
    assert count == BURST // 65


def test_what_waits_is_bounded() -> None:
    quota = Quota()
    while quota.admit("vm1", said(1, 0.0)):
        pass
    for number in range(WAITING * 4):
        quota.admit("vm1", said(number, 0.0, topic=f"status/{number}"))
    assert len(quota.due(1e6)) <= WAITING


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 0.2), st.integers(0, 64 * KIB)), max_size=200))
def test_the_newest_of_each_topic_is_heard_in_the_end(steps: list[tuple[int, float, int]]) -> None:
    quota, now = Quota(), 0.0
    newest: dict[str, Message] = {}
    heard: dict[str, Message] = {}
    for number, (topic, wait, size) in enumerate(steps):
        now += wait
        for message in quota.due(now):
            heard[message.topic] = message
        message = said(number, now, topic=str(topic), size=size)
        newest[message.topic] = message
        if quota.admit("vm1", message):
            heard[message.topic] = message
    while quota.waits():
        now += 65 / RATE
        for message in quota.due(now):
            heard[message.topic] = message
    assert heard == newest


def test_topics_that_are_kept_of_a_node_are_bounded() -> None:
    inbox = Inbox("rack")
    for number in range(MOST + 50):
        inbox.heard(f"backstage/1/rack/vm1/status/p{number}", b'{"fingerprint": "x"}', None, 0.0)
    assert len(inbox._seen["vm1"]) == len(inbox._known["vm1"]) == MOST

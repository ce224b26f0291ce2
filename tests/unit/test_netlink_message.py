"""Decoding of rtnetlink(7) messages: no bytes crash it, and time stamps survive their wrap."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.drivers.netlink import message
from agent.drivers.netlink.layout import MalformedError, messages
from agent.drivers.netlink.message import Clock
from agent.drivers.netlink.mirror import Mirror
from agent.drivers.netlink.watcher import MALFORMED, NetlinkWatcher

KINDS = st.sampled_from([16, 17, 20, 21, 24, 25, 28, 29, 32, 33])
CLOCK = Clock(1000.0, 1000.0)


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


ATTRIBUTES = st.lists(st.tuples(st.integers(0, 40), st.binary(max_size=24)))


@given(KINDS, st.sampled_from([0, 2, 10]), st.binary(max_size=80), ATTRIBUTES)
def test_any_bytes_are_decoded_or_refused(
    kind: int, family: int, rest: bytes, attributes: list[tuple[int, bytes]]
) -> None:
    body = bytes((family,)) + rest + b"".join(attribute(*pair) for pair in attributes)
    with suppress(*MALFORMED):
        Mirror().take((kind, 0, 0, len(body)), body, CLOCK)


@given(st.binary(max_size=200))
def test_a_watcher_survives_any_datagram(data: bytes) -> None:
    watcher = NetlinkWatcher()
    watcher._backlog = None
    watcher._received(data)


@given(st.binary(max_size=200))
def test_the_messages_of_a_datagram_lie_within_it(data: bytes) -> None:
    with suppress(MalformedError):
        for _, _, start, end in messages(data):
            assert 16 <= start <= end <= len(data)


@pytest.mark.parametrize(
    ("monotonic", "stamp", "at"),
    [
        (100.0, 5000, 50.0),
        (100.0, 10050, 100.5),  # stamped between the two readings
        (43000000.0, (4290000000 + 500) % 2**32, 42900005.0),
        (42949672.96 + 7.0, 100, 42949672.96 + 1.0),  # wrapped 6 s ago
        (42949672.96 + 7.0, 2**32 - 100, 42949672.96 - 1.0),  # stamped before the wrap
    ],
)
def test_kernel_time_stamps(monotonic: float, stamp: int, at: float) -> None:
    assert Clock(monotonic, monotonic).stamp(stamp) == pytest.approx(at, abs=0.011)
    # The machine slept an hour in between: the boot clock is ahead.
    assert Clock(monotonic + 3600.0, monotonic).stamp(stamp) == pytest.approx(at + 3600, abs=0.011)


def test_neighbours_under_verification_are_stale() -> None:
    def state(number: int) -> str:
        body = struct.pack("=BxxxiHBB", 2, 3, number, 0, 1) + attribute(1, bytes((192, 0, 2, 1)))
        found = message.neighbour(body, 0, len(body))
        assert found is not None
        return found.state

    assert [state(n) for n in (1, 2, 4, 8, 16, 32, 64, 128)] == [
        "incomplete", "reachable", "stale", "stale", "stale", "failed", "", "permanent",
    ]  # fmt: skip

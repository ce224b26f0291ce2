"""The instruments: captures and trains measure what happened, and notice what did not."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Literal

import pytest

from tests.lab.capture import Capture, parse
from tests.lab.internet import ask
from tests.lab.lab import Lab
from tests.lab.topology import INTERNET4, INTERNET6
from tests.lab.train import Answer, Result, Train
from tests.lab.wait import TimedOut, wait_for

DROP = "table inet t {\n chain c {\n type filter hook output priority 0; ip daddr 203.0.113.7 drop\n }\n}\n"


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab(nodes=["kpn-isp", "internet"]) as lab:
        _ = lab.internet
        yield lab


@pytest.mark.lab
@pytest.mark.parametrize(("address", "source"), [(INTERNET4, "203.0.113.1"), (INTERNET6, "2001:db8:f::1")])
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_the_internet_says_who_asked(lab: Lab, protocol: Literal["tcp", "udp"], address: str, source: str) -> None:
    assert ask(lab.nodes["kpn-isp"], protocol, address) == source
    lab.internet.capture.wait(lambda p: p.protocol == protocol and p.source == source and p.destination_port == 7)
    assert lab.internet.sources(protocol) == {source}
    assert lab.internet.sources(protocol, since=time.monotonic()) == set()


@pytest.mark.lab
def test_nobody_answers_at_a_closed_port(lab: Lab) -> None:
    assert ask(lab.nodes["kpn-isp"], "tcp", INTERNET4, 9, timeout=0.5) is None
    assert ask(lab.nodes["kpn-isp"], "udp", INTERNET6, 9, timeout=0.5) is None


@pytest.mark.lab
def test_a_capture_stamps_by_the_monotonic_clock_and_knows_directions(lab: Lab) -> None:
    node = lab.nodes["kpn-isp"]
    with Capture(node, "core", lambda p: p.protocol == "udp") as capture:
        before = time.monotonic()
        assert ask(node, "udp", INTERNET4, source_port=5000)
        after = time.monotonic()
        with pytest.raises(TimedOut, match=r"waited 0\.05 s for snow; 2 packets captured, the last:\n.*udp 5000>7"):
            capture.wait(lambda p: p.protocol == "icmp", 0.05, "snow")
    out, back = capture.packets
    assert (out.outgoing, out.source, out.source_port, out.destination_port) == (True, "203.0.113.1", 5000, 7)
    assert (back.outgoing, back.destination, back.destination_port) == (False, "203.0.113.1", 5000)
    assert back.payload == b"who am I?\n203.0.113.1"
    # 1 ms: the two clocks are compared per packet, in another process's time slices.
    assert before - 0.001 <= out.time <= back.time <= after + 0.001


def test_frames_that_are_no_ip_packets_are_left_out() -> None:
    assert parse(bytes(60), 0, "x", outgoing=False) is None
    assert parse(b"", 0, "x", outgoing=False) is None


@pytest.mark.lab
@pytest.mark.parametrize("protocol", ["udp", "icmp"])
@pytest.mark.parametrize("address", [INTERNET4, INTERNET6])
def test_a_train_loses_nothing_on_a_good_line(lab: Lab, protocol: Literal["udp", "icmp"], address: str) -> None:
    with Train(lab.nodes["kpn-isp"], address, protocol=protocol) as train:
        wait_for(lambda: train.received > 200, 5)
    assert train.result.lost == []
    assert train.result.gaps == []
    assert len(train.result.times) > 200
    if protocol == "udp":
        assert train.result.sources == [lab.nodes["kpn-isp"].addresses("core", 6 if ":" in address else 4)[0]]


@pytest.mark.lab
def test_a_train_measures_a_gap(lab: Lab) -> None:
    node = lab.nodes["kpn-isp"]
    with Train(node, INTERNET4) as train:
        train.wait_flowing()
        node.run(["nft", "-f", "-"], stdin=DROP)
        closed = time.monotonic()
        wait_for(lambda: train.sent > train.received + 100, 5)
        opened = time.monotonic()
        node.run(["nft", "delete", "table", "inet", "t"])
        train.wait_flowing()
    (gap,) = train.result.gaps
    assert len(train.result.lost) == gap.packets >= 100
    # The stamps are taken beside the changes: the first packet lost may be sent just after `closed` was read.
    assert opened - closed - 0.1 <= gap.seconds <= opened - closed + 0.5
    assert closed - 0.5 <= gap.time <= closed + 0.1


@pytest.mark.lab
def test_a_train_sees_its_source_change(lab: Lab) -> None:
    node = lab.nodes["kpn-isp"]
    with Train(node, INTERNET6) as train:
        train.wait_source(lambda source: source == "2001:db8:f::1")
        node.run(["nft", "-f", "-"], stdin=SOURCE)
        lab.nodes["internet"].ip("route add 2001:db8:e::/48 via 2001:db8:f::1")
        answer = train.wait_source(lambda source: source == "2001:db8:e::1")
    assert train.result.sources == ["2001:db8:f::1", "2001:db8:e::1"]
    assert answer in train.result.answers


# Stateless, both ways, as the router itself does it.
SOURCE = """table ip6 t {
    chain out { type filter hook postrouting priority 0; ip6 saddr 2001:db8:f::1 ip6 saddr set 2001:db8:e::1; }
    chain in { type filter hook prerouting priority -300; ip6 daddr 2001:db8:e::1 ip6 daddr set 2001:db8:f::1; }
}
"""


def test_gaps_are_rows_of_lost_packets() -> None:
    times = tuple(float(second) for second in range(8))
    result = Result(times, tuple(Answer(n, n + 0.1, "a" if n < 4 else "b") for n in (0, 3, 5)))
    assert result.lost == [1, 2, 4, 6, 7]
    assert [(g.number, g.packets, g.seconds) for g in result.gaps] == [(1, 2, 2.0), (4, 1, 1.0), (6, 2, 1.0)]
    assert result.sources == ["a", "b"]
    assert str(result) == "8 sent, 5 lost: 2 from 1 (2000 ms), 1 from 4 (1000 ms), 2 from 6 (1000 ms)"


@pytest.mark.lab
def test_a_capture_reads_icmp_and_its_kind(lab: Lab) -> None:
    lab.nodes["kpn-isp"].run(["ping", "-c1", INTERNET6])
    packet = lab.internet.capture.wait(lambda p: p.protocol == "icmp6" and p.kind == 128)
    assert (packet.source, packet.code, packet.source_port) == ("2001:db8:f::1", 0, 0)
    assert socket.inet_pton(socket.AF_INET6, INTERNET6) in packet.data

"""What a node says of its uplink when its container ends."""

from __future__ import annotations

from ipaddress import IPv4Interface

from agent.desired import Publication
from agent.drivers.bus.outbox import Outbox
from agent.model import NodeState, UplinkIPv4, UplinkLink

LINK = UplinkLink(carrier=True, mtu=1492, mac="02:00:00:00:00:01")
IPV4 = UplinkIPv4(address=IPv4Interface("192.0.2.7/24"))


def test_uplink_is_down_and_the_rest_stays() -> None:
    outbox = Outbox(NodeState("ready", "s"))
    outbox.want((Publication("uplink/link", LINK), Publication("uplink/ipv4", IPV4)))
    outbox.due(0.0)
    outbox.leave()
    letters = outbox.due(0.0)
    assert [letter.topic for letter in letters] == ["uplink/link"]
    assert b'"carrier":false' in letters[0].payload.replace(b" ", b"")
    assert b"1492" in letters[0].payload


def test_without_an_uplink_nothing_is_said() -> None:
    outbox = Outbox(NodeState("ready", "s"))
    outbox.leave()
    assert outbox.wanted is None
    outbox.want(())
    outbox.due(0.0)
    outbox.leave()
    assert outbox.due(0.0) == []
